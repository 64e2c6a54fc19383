"""Hold the memory planner's estimates against measured peaks, each run in a process of its own.

    python scripts/measure_memory.py --out docs/proofs/memory.json

Every run takes four optimizer steps on a processor, in the way of `boresight align`. The measured peak is the
process's largest resident set (VmHWM, reset before the estimate is made). Writes the figures as JSON and a table to
standard output. Two of the families are larger forms of the tiny models of `tests/models/family_zoo.py`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run to measure."""

    model: str
    hidden: int = 0
    layers: int = 0
    media_tokens: int = 0
    pairs: int = 1
    """Pairs per micro-batch."""
    micro_batches: int = 2
    """Per step."""
    lora: bool = False
    tower: bool = False
    """Whether the vision tower is trained too."""
    checkpoints: bool = False
    reference: str = "auto"
    precision: str = "float32"
    varied: bool = False
    """Whether answers differ in length, from 5 to 80 words."""


NANO = {"model": "nano", "media_tokens": 36, "pairs": 64}
FEW = {"model": "llava", "hidden": 512, "layers": 6, "media_tokens": 64, "pairs": 4}
LARGE = {"hidden": 512, "layers": 6, "media_tokens": 576}
MANY = {"model": "llava", "hidden": 256, "layers": 4, "media_tokens": 2500}
CASES = (
    Case(**NANO),
    Case(**NANO, lora=True),
    Case(**NANO, varied=True),
    Case(**NANO, lora=True, varied=True),
    Case(**NANO, reference="cached"),
    Case(**NANO, precision="bfloat16"),
    Case(**FEW),
    Case(**{**FEW, "pairs": 16}, lora=True),
    Case(**{**FEW, "pairs": 16}, varied=True),
    Case(model="llava", **LARGE),
    Case(model="llava", **LARGE, micro_batches=1),
    Case(model="llava", **LARGE, tower=True),
    Case(model="llava", **LARGE, reference="cached"),
    Case(model="llava", **LARGE, checkpoints=True, pairs=4),
    Case(model="llava", **LARGE, lora=True),
    Case(model="llava", **LARGE, lora=True, pairs=4),
    Case(model="llava", **LARGE, lora=True, checkpoints=True, pairs=4),
    Case(model="llava", **LARGE, lora=True, precision="bfloat16", pairs=2),
    Case(**MANY),
    Case(**MANY, lora=True, pairs=2),
    Case(model="qwen2_5_vl", **LARGE),
    Case(model="qwen2_5_vl", **LARGE, lora=True),
    Case(model="gemma3", **LARGE, pairs=2),
    Case(model="gemma3", **LARGE, lora=True),
)
WORDS = ("a", "small", "red", "circle", "left", "of", "the", "large", "blue", "square", "above", "a", "dog")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "proofs" / "memory.json")
    parser.add_argument("--only", default="", help="Run only the cases whose JSON holds this text, and write no file.")
    parser.add_argument("--case", help="One case as JSON, measured in this process.")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(Case(**json.loads(arguments.case)))))
        return
    rows = []
    for case in CASES:
        if arguments.only not in json.dumps(asdict(case)):
            continue
        command = [sys.executable, __file__, "--case", json.dumps(asdict(case))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{case}: {done.stderr[-2000:]}")
        rows.append({**asdict(case), **json.loads(done.stdout.splitlines()[-1])})
        print(table_row(rows[-1]), flush=True)
        if not arguments.only:
            arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


def table_row(row: dict[str, Any]) -> str:
    extras = {
        "LoRA": row["lora"], "full": not row["lora"], "tower too": row["tower"],
        "cached reference": row["reference"] == "cached", "checkpoints": row["checkpoints"],
        "bfloat16": row["precision"] == "bfloat16", "answers of 5 to 80 words": row["varied"],
        "one micro-batch": row["micro_batches"] == 1,
    }  # fmt: skip
    cells = (
        row["model"], f"{row['parameters'] / 1e6:.1f} M", ", ".join(name for name, is_so in extras.items() if is_so),
        row["media_tokens"], f"{row['tokens']:,}",
        f"{row['start'] / 2**20:,.0f}", f"{row['estimated'] / 2**20:,.0f}", f"{row['measured'] / 2**20:,.0f}",
        f"{row['estimated'] / row['measured'] - 1:+.0%}",
        f"{(row['estimated'] - row['start']) / (row['measured'] - row['start']) - 1:+.0%}",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def measure(case: Case) -> dict[str, Any]:
    """What was estimated and what was reached, in bytes."""
    from boresight.models.device import keep_freed_memory

    keep_freed_memory()
    return measure_trainer(case) if case.model in ("nano", "llava") else measure_rows(case)


def measure_trainer(case: Case) -> dict[str, Any]:
    """A run of the trainer on pictures of noise."""
    sys.path.insert(0, str(ROOT / "tests"))
    from boresight.models.fake import FakeShape, fake_llava
    from boresight.models.loading import Lora, load_policy, make_policy
    from boresight.training.forest import shared_tokens
    from engine_examples import dpo, item, item_encoder, make_trainer

    lora = Lora(rank=16, alpha=32) if case.lora else None
    if case.model == "nano":
        policy = load_policy(ROOT / "src" / "boresight" / "models" / "nano", lora=lora)
    else:
        side = round(case.media_tokens**0.5)
        shape = FakeShape(
            hidden=case.hidden, layers=case.layers, heads=8, image_px=14 * side, vocab=32_000, max_tokens=4096
        )
        policy = make_policy(*fake_llava(shape), lora=lora)
    count = 3 * case.micro_batches * case.pairs
    lengths = [5 + 76 * n // count if case.varied else len(WORDS) for n in range(count)]
    items = [
        item(f"i{n}", chosen=" ".join(words), rejected=" ".join([*words, "under", "a", "sky"]))
        for n, words in enumerate([WORDS[i % len(WORDS)] for i in range(length)] for length in lengths)
    ]
    frozen = () if case.tower else ("vision_tower",)
    method = dpo(batch_items=case.micro_batches * case.pairs, epochs=4 / 3, frozen=frozen, lora=lora)
    with tempfile.TemporaryDirectory() as folder:
        reset_peak()
        encoder = item_encoder(policy)
        each = max(shared_tokens(method.objective.views, i, encoder.check(i), encoder) for i in items)
        trainer = make_trainer(
            Path(folder), policy=policy, items=items, method=method, checkpoint_every=1000,
            micro_batch_tokens=case.pairs * each, gradient_checkpointing=case.checkpoints, precision=case.precision,
            reference=case.reference, reference_folder=Path(folder) / "reference",
        )  # fmt: skip
        for _ in range(trainer.total_steps):
            trainer.step()
        return figures(policy, trainer.memory)


def figures(policy: Any, plan: Any) -> dict[str, Any]:
    return {
        "parameters": sum(p.numel() for p in policy.parameters()),
        "tokens": plan.tokens,
        "start": next(iter(plan.parts.values())),
        "estimated": plan.peak,
        "measured": peak_bytes(),
        "parts": dict(plan.parts),
    }


def measure_rows(case: Case) -> dict[str, Any]:
    """The same step on rows of tensors, for families whose processors need files from elsewhere."""
    import copy

    import torch

    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "models")]
    from family_zoo import FAMILIES

    from boresight.models.loading import Lora
    from boresight.training.planner import plan_memory

    policy = large_policy(FAMILIES[case.model], case, Lora(rank=16, alpha=32) if case.lora else None)
    make = rows_of(FAMILIES[case.model], case)
    rows = [next(make) for _ in range(case.micro_batches * case.pairs)]
    each = rows[0].prompt.num_tokens + sum(map(len, rows[0].answers))
    trained = [p for p in policy.parameters() if p.requires_grad]
    reset_peak()
    reference = None if case.lora else copy.deepcopy(policy).requires_grad_(False)

    def micro_batch(part: Sequence[Any]) -> None:
        with torch.no_grad(), policy.adapter_off():
            base = (reference or policy)(part)
        signs = torch.cat([(-1.0) ** i * torch.ones(len(a)) for row in part for i, a in enumerate(row.answers)])
        margin = (signs * (policy(part) - base)).sum()
        (-torch.nn.functional.logsigmoid(0.1 * margin)).backward()

    plan = plan_memory(
        micro_batch, [(row, each) for row in rows], trained, batch_items=len(rows),
        micro_batch_tokens=case.pairs * each,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    for _ in range(4):
        for start in range(0, len(rows), case.pairs):
            micro_batch(rows[start : start + case.pairs])
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return figures(policy, plan)


def large_policy(family: Any, case: Case, lora: Any) -> Any:
    """A family of the zoo at a size where its own memory shows."""
    import torch
    import transformers

    from boresight.models.fake import fake_llava
    from boresight.models.loading import make_policy

    text = {
        "hidden_size": case.hidden,
        "intermediate_size": 1376,
        "num_hidden_layers": case.layers,
        "vocab_size": 32_000,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "max_position_embeddings": 4096,
    }
    config = dict(family.config)
    config["text_config"] = {**config["text_config"], **text}
    if "layer_types" in config["text_config"]:
        config["text_config"] |= {"layer_types": ["full_attention"] * case.layers, "sliding_window": 512}
    if "rope_parameters" in config["text_config"] and "mrope_section" in str(config["text_config"]):
        config["text_config"]["rope_parameters"] = {
            "rope_type": "default",
            "mrope_section": [8, 12, 12],
            "rope_theta": 1e4,
        }
    if "out_hidden_size" in config["vision_config"]:
        config["vision_config"] = {**config["vision_config"], "out_hidden_size": case.hidden}
    kind = getattr(transformers, family.model)
    torch.manual_seed(0)
    model = kind(kind.config_class(**config)).eval()
    _, processor = fake_llava()
    policy = make_policy(model, processor, lora=lora)
    if lora is None:
        for name, parameter in policy.named_parameters():
            parameter.requires_grad_("vis" not in name)
    return policy


def rows_of(family: Any, case: Case) -> Iterator[Any]:
    """Prompts of media of about so many tokens, each with two answers."""
    import torch

    from boresight.models.encoding import EncodedPrompt
    from boresight.models.policy import Answered

    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    while True:
        ids: list[int] = [1, 5, 6]
        tensors: dict[str, Sequence[torch.Tensor]] = {}
        while len(ids) < case.media_tokens:
            media_ids, inputs = family.media["image"](draw)
            ids += media_ids
            for name, value in inputs.items():
                tensors[name] = [*tensors.get(name, []), value]
        ids += [7, 8, 9]
        marks = {name: torch.tensor([of.get(i, 0) for i in ids]) for name, of in family.marks.items()}
        prompt = EncodedPrompt(
            input_ids=torch.tensor(ids),
            token_inputs=marks,
            media_inputs={n: torch.cat(list(v)) for n, v in tensors.items()},
        )
        yield Answered(prompt, tuple(torch.randint(10, 300, (n,), generator=generator) for n in (24, 30)))


def reset_peak() -> None:
    """Begin a new largest resident set."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))


if __name__ == "__main__":
    main()
