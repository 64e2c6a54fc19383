"""How much every method gains from sharing prompts: one training step shared, and with each answer in a row of its own.

    python -m perf.shared_rows [--media-tokens 576] [--rounds 3] [--pairs 2] [--methods NAME ...] [--out FILE]

Both trainers take the same rows of the shape that `perf.preference_step` describes, in turn, in one process; of a
method with stages the last one is measured, with all weights trained. `ratio` is of medians over rounds, `tokens` what
one step computes in each case.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from boresight import registry
from boresight.models.device import keep_freed_memory
from boresight.models.fake import fake_llava
from boresight.models.loading import make_policy
from boresight.records import Candidate, Media, Message, Part, Preference, Record, Span
from boresight.training.forest import plan
from boresight.training.items import ItemEncoder
from boresight.training.loop import Trainer
from boresight.training.making_items import make_items
from boresight.training.spec import Method, RunSettings
from perf.shapes import PROMPT, WORDS, fake_shape, noise

METHODS = (
    "dpo",
    "kto",
    "simpo",
    "orpo",
    "ddpo",
    "mdpo",
    "image_dpo",
    "v_dpo",
    "token_tpo",
    "chip",
    "mpo",
    "tdpo",
    "sft",
)
WAYS = ("required", "never")


def main() -> None:
    args = _arguments()
    warnings.simplefilter("ignore")
    keep_freed_memory()
    found = {name: measure(name, args) for name in args.methods}
    shape = fake_shape("small", args.media_tokens)
    text = json.dumps(
        {
            "benchmark": "shared_rows",
            "shape": {**dataclasses.asdict(shape), "media_tokens": shape.media_tokens, "answer_words": 100},
            "pairs_per_step": args.pairs,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "methods": found,
        },
        indent=1,
    )
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


def measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """One method both ways, in turn; the first round warms up and is not counted."""
    method = _whole(registry.load("boresight.methods", name).runs()[-1], args.pairs)
    with tempfile.TemporaryDirectory() as folder:
        trainers = {way: trainer(method, way, Path(folder) / way, args) for way in WAYS}
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(args.rounds + 1):
            for way, one in trainers.items():
                began = time.perf_counter()
                one.step()
                if number:
                    seconds[way].append(time.perf_counter() - began)
        shared = trainers["required"]
        forest = plan(shared.views, shared.items[: args.pairs], shared.encoder)
    tokens = {
        "shared": forest.num_tokens,
        "separate": sum(row.prompt.num_tokens + len(a) for row in forest.rows for a in row.answers),
    }
    medians = {way: statistics.median(taken) for way, taken in seconds.items()}
    print(f"{name} {medians}", file=sys.stderr)
    return {
        "ratio": round(medians["never"] / medians["required"], 3),
        "pairs_per_s": {
            "shared": round(args.pairs / medians["required"], 3),
            "separate": round(args.pairs / medians["never"], 3),
        },
        "tokens": tokens,
    }


def trainer(method: Method, share: Any, folder: Path, args: argparse.Namespace) -> Trainer:
    """One that has the rows of this measurement and has checked them."""
    folder.mkdir()
    shape = fake_shape("small", args.media_tokens)
    policy = make_policy(*fake_llava(shape))
    rng = np.random.default_rng(0)
    count = args.pairs * (args.rounds + 1)
    pictures = {str(i): noise(rng, shape.image_px) for i in range(count)}
    encoder = ItemEncoder(
        encoder=policy.encoder,
        pictures=lambda medium: pictures[medium.id],
        inputs=method.inputs,
        token_weights=method.token_weights,
    )
    objective = method.objective
    items = make_items(
        [_record(i, rng) for i in range(count)], objective.texts, reads=method.data.reads, signals=objective.signals
    )
    return Trainer(policy, method, items, encoder, RunSettings(device="cpu", share=share), folder)


def _record(number: int, rng: np.random.Generator) -> Record:
    def answer(name: str, *, is_good: bool) -> Candidate:
        text = " ".join(rng.choice(WORDS, 100))
        span = Span(start=0, end=len(text), verdict="true" if is_good else "false")
        return Candidate(
            id=name,
            messages=(Message(role="assistant", parts=(Part(type="text", text=text),)),),
            spans=(span,),
        )

    return Record(
        id=str(number),
        task="preference",
        media=(Media(id=str(number), kind="image", sha256=f"{number:064d}"),),
        messages=(
            Message(
                role="user",
                parts=(Part(type="media", media=str(number)), Part(type="text", text=PROMPT)),
            ),
        ),
        candidates=(answer("good", is_good=True), answer("bad", is_good=False)),
        preferences=(Preference(chosen="good", rejected="bad"),),
    )


def _whole(method: Method, pairs: int) -> Method:
    """The method with all weights trained, a few pairs at a time."""
    stage = dataclasses.replace(method.stages[0], lora=None, frozen=(), trained=(), epochs=1.0)
    batch_items = pairs * (2 if method.data.reads == "unpaired" else 1)
    return dataclasses.replace(method, stages=(dataclasses.replace(stage, batch_items=batch_items),))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media-tokens", type=int, default=576)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
