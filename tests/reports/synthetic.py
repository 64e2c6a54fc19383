"""Builds a results folder out of dice: made-up scenes, made-up responses, made-up training curves.

Nothing here was measured. The numbers only look like a run, so that the page can be looked at and tested:

    python tests/reports/synthetic.py OUT_DIR [--collapse]
"""

import argparse
import json
import math
import random
from pathlib import Path

from PIL import Image, ImageDraw

from boresight.scoring import Answer, ItemCounts, answers, descriptions, results_table, write_results

COLORS = {
    "red": (205, 52, 52), "blue": (46, 92, 200), "green": (52, 150, 75), "yellow": (228, 190, 40),
    "purple": (135, 70, 170), "orange": (232, 130, 40),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star", "ring")
PLACES = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
# How often each run adds an object that is not there, and how often it leaves out one that is.
RUNS = {"base": (0.62, 0.07), "dpo": (0.30, 0.10), "mdpo": (0.10, 0.08)}
COLLAPSED = {"base": (0.62, 0.07), "dpo": (0.06, 0.72), "mdpo": (0.10, 0.08)}


def build(folder: Path, *, num_items: int = 120, num_steps: int = 240, collapse: bool = False) -> Path:
    """A complete folder; with `collapse`, the run `dpo` has learned to say almost nothing."""
    rng = random.Random(7)
    (folder / "responses").mkdir(parents=True)
    (folder / "media").mkdir()
    rates = COLLAPSED if collapse else RUNS
    ratios = {run: {} for run in rates}
    lines = {run: [] for run in rates}
    counts = {run: [] for run in rates}
    for index in range(num_items):
        scene = _scene(rng)
        path = f"media/scene{index:04d}.png"
        _draw(scene).save(folder / path)
        for run, (false_rate, miss_rate) in rates.items():
            line, count = _response(rng, index, path, scene, false_rate, miss_rate)
            lines[run].append(line)
            counts[run].append(count)
    for run, (false_rate, _) in rates.items():
        _jsonl(folder / "responses" / f"{run}.jsonl", lines[run])
        ratios[run] = descriptions(counts[run])
        ratios[run] |= answers(_answers(rng, num_items, 0.93 - 0.2 * false_rate))
        blind = answers(_answers(rng, num_items, 0.5))
        ratios[run] |= {"accuracy@null": blind["accuracy"]}
        if run != "base":
            _train(rng, folder / "train" / run, num_steps, gain=1.0 - false_rate)
    write_results(folder / "results.json", results_table(ratios))
    (folder / "manifest.json").write_text(json.dumps(_manifest(num_items, num_steps)))
    return folder


def _scene(rng):
    kinds = rng.sample([(color, shape) for color in COLORS for shape in SHAPES], rng.randint(2, 5))
    return dict(zip(rng.sample(PLACES, len(kinds)), kinds, strict=True))


def _draw(scene):
    image = Image.new("RGB", (96, 96), (238, 236, 231))
    draw = ImageDraw.Draw(image)
    for place, (color, shape) in scene.items():
        row, column = divmod(PLACES.index(place), 3)
        x, y, r, fill = 16 + 32 * column, 16 + 32 * row, 12, COLORS[color]
        if shape == "circle":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        elif shape == "ring":
            draw.ellipse((x - r, y - r, x + r, y + r), outline=fill, width=5)
        elif shape == "square":
            draw.rectangle((x - r, y - r, x + r, y + r), fill=fill)
        elif shape == "triangle":
            draw.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=fill)
        else:
            ends = [(r if k % 2 == 0 else r * 0.45, math.pi * (k / 5 - 0.5)) for k in range(10)]
            draw.polygon([(x + d * math.cos(a), y + d * math.sin(a)) for d, a in ends], fill=fill)
    return image


def _response(rng, index, path, scene, false_rate, miss_rate):
    said = [(kind, place, True) for place, kind in scene.items() if rng.random() >= miss_rate]
    if rng.random() < false_rate:
        absent = [(c, s) for c in COLORS for s in SHAPES if (c, s) not in scene.values()]
        said.insert(rng.randint(0, len(said)), (rng.choice(absent), rng.choice(PLACES), False))
    text, claims = "", []
    for (color, shape), place, is_true in said:
        start = "There is " if not text else rng.choice((" I also see ", " There is also "))
        text += start
        begin = len(text)
        noun = f"{'an' if color == 'orange' else 'a'} {color} {shape}"
        text += noun
        verdict = "true" if is_true else "false"
        claims.append(_claim(begin, len(text), verdict, "object", f"{color} {shape}"))
        text += f" at the {place}."
    if text and rng.random() < 0.15:
        begin = len(text) + 1
        text += " It looks like a calm day."
        claims.append(_claim(begin, len(text), "off_topic", "other", "calm day"))
    num_tokens = len(text.replace(".", " .").split())
    line = {
        "item_id": f"scene{index:04d}:describe", "group": f"scene{index:04d}", "prompt": "Describe the picture.",
        "response": text, "num_tokens": num_tokens, "image": path, "claims": claims,
    }  # fmt: skip
    num_true = sum(is_true for *_, is_true in said)
    count = ItemCounts(
        item_id=line["item_id"],
        group=line["group"],
        false_mentions=len(said) - num_true,
        mentions=len(said),
        covered=num_true,
        present=len(scene),
        num_tokens=num_tokens,
    )
    return line, count


def _claim(start, end, verdict, label, claim):
    return {"start": start, "end": end, "verdict": verdict, "label": label, "claim": claim}


def _answers(rng, num_items, skill):
    for_item = []
    for index in range(num_items * 2):
        target = ("yes", "no")[index % 2]
        wrong = "no" if target == "yes" else "yes"
        said = target if rng.random() < skill else wrong
        group = f"scene{index // 2:04d}"
        for_item.append(
            Answer(item_id=f"{group}:q{index % 2}", group=group, said=said, target=target)  # type: ignore[arg-type]
        )
    return for_item


def _train(rng, folder, num_steps, gain):
    lines = []
    for step in range(1, num_steps + 1):
        done = 1 - math.exp(-3 * step / num_steps)
        margin = 4.5 * gain * done + rng.gauss(0, 0.25)
        chosen, rejected = -31 - 3 * gain * done + rng.gauss(0, 0.6), -33 - 24 * gain * done + rng.gauss(0, 0.9)
        loss = math.log1p(math.exp(-margin))
        lines.append({
            "step": step, "loss": loss, "margin": margin, "accuracy": min(1, 0.5 + 0.46 * done + rng.gauss(0, 0.03)),
            "chosen_logp": chosen, "rejected_logp": rejected, "chosen_reward": 0.1 * (chosen + 31),
            "rejected_reward": 0.1 * (rejected + 33),
            "kl": None if step == 1 else 2.2 * gain * done + abs(rng.gauss(0, 0.05)),
            "length_chosen_tokens": 27 + rng.gauss(0, 1), "length_rejected_tokens": 33 + rng.gauss(0, 1),
            "grad_norm": 2.4 * math.exp(-2 * done) + abs(rng.gauss(0, 0.15)),
            "learning_rate": 1e-4 * (1 - step / num_steps), "pairs_per_s": 41.0, "terms": {"pairwise": loss},
        })  # fmt: skip
    _jsonl(folder / "metrics.jsonl", lines)


def _manifest(num_items, num_steps):
    return {
        "title": "Synthetic example: three runs on made-up scenes",
        "created": "2026-01-01T00:00:00Z",
        "boresight": "0.1.0",
        "versions": {"python": "3.11.2", "torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.3.5"},
        "git": {"commit": "0" * 40, "dirty": False},
        "seed": 7,
        "spec": {
            "model": {"name": "synthetic", "parameters": 2_400_000},
            "method": {"name": "mdpo", "beta": 0.1, "inputs": {"cropped": {"area": [0.01, 0.2]}}},
            "stage": {"learning_rate": 1e-4, "steps": num_steps, "batch_pairs": 16, "lora": None},
        },
        "data": {"items": num_items, "pairs": 4096, "license": "made up", "dropped": {"tie": 211, "too long": 3}},
        "seconds": {"build": 41.2, "align": 388.0, "evaluate": 73.5, "report": 0.4},
        "api_key": "sk-sentinel-never-shown",
    }


def _jsonl(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--collapse", action="store_true")
    options = parser.parse_args()
    build(options.out, collapse=options.collapse)
