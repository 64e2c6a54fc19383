"""Pairs per second of one full DPO step, Boresight against TRL, alternately in one run.

    python -m perf.preference_step [--rounds 5] [--pairs 2] [--threads N] [--out FILE]

Both train the same LLaVA-shaped model on the same rows with the same optimizer: hidden 256, 6 layers, 336-px pictures
(576 media tokens), answers of 100 tokens, vocabulary 32,064, all weights trained, a frozen reference copy. A step is
everything from raw rows to updated weights: processor, forward passes, backward, clipping, AdamW. The media tower is
trained by both, so neither may skip its backward pass. Prints one JSON object; the ratio is of medians over rounds.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
import trl
from PIL import Image

import boresight
from boresight.methods.dpo import MEMBER as DPO
from boresight.models.fake import FakeShape, fake_llava
from boresight.models.policy import make_policy
from boresight.records import Media, Message, Part, Record
from boresight.training.items import Item, ItemEncoder
from boresight.training.loop import Trainer
from boresight.training.spec import RunSettings, override

SHAPE = FakeShape(hidden=256, layers=6, heads=4, image_px=336, patch_px=14, vocab=32064, max_tokens=4096)
ANSWER_TOKENS = 100
WORDS = ["red", "blue", "cube", "sphere", "left", "right", "of", "the", "a", "is", "on", "under", "user"]
PROMPT = "describe the picture in detail"


def main() -> None:
    args = _arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    model, processor = fake_llava(SHAPE)
    rows = make_rows(args.pairs * (args.rounds + 2), processor.tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        steps = {
            "trl": trl_steps(copy.deepcopy(model), processor, rows, args.pairs, Path(folder) / "trl"),
            "boresight": boresight_steps(copy.deepcopy(model), processor, rows, args.pairs, Path(folder), "copy"),
            "boresight_cached_reference": boresight_steps(
                copy.deepcopy(model), processor, rows, args.pairs, Path(folder), "cached"
            ),
        }
        seconds = alternate(steps, args.rounds)
    text = json.dumps(summary(seconds, args), indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


def make_rows(count: int, tokenizer: Any) -> list[dict[str, Any]]:
    """Rows of noise pictures and answers of exactly `ANSWER_TOKENS` tokens."""
    rng = np.random.default_rng(0)
    return [
        {
            "image": Image.fromarray(rng.integers(0, 255, (336, 336, 3), dtype=np.uint8)),
            "chosen": _text(rng, tokenizer),
            "rejected": _text(rng, tokenizer),
        }
        for _ in range(count)
    ]


def trl_steps(model: Any, processor: Any, rows: list[dict[str, Any]], pairs: int, folder: Path) -> Iterator[float]:
    """Runs one TRL step each time it is asked; gives its loss."""
    data = datasets.Dataset.from_list(
        [
            {
                "images": [row["image"]],
                "prompt": [{"role": "user", "content": PROMPT}],
                "chosen": [{"role": "assistant", "content": row["chosen"]}],
                "rejected": [{"role": "assistant", "content": row["rejected"]}],
            }
            for row in rows
        ]
    )
    trainer = trl.DPOTrainer(
        model=model,
        ref_model=copy.deepcopy(model),
        args=trl.DPOConfig(
            output_dir=str(folder),
            per_device_train_batch_size=pairs,
            max_steps=len(rows) // pairs,
            max_length=None,
            learning_rate=1e-6,
            report_to=[],
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            save_strategy="no",
            disable_tqdm=True,
            seed=0,
        ),
        train_dataset=data,
        processing_class=processor,
    )
    trainer.current_gradient_accumulation_steps = 1  # `train()` sets it; steps are taken one by one here
    optimizer = trainer.create_optimizer()
    for batch in trainer.get_train_dataloader():
        loss = trainer.training_step(trainer.model, batch, num_items_in_batch=None)
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield float(loss)


def boresight_steps(
    model: Any, processor: Any, rows: list[dict[str, Any]], pairs: int, folder: Path, reference: str
) -> Iterator[float]:
    """Runs one Boresight step each time it is asked; gives its loss."""
    method = override(DPO, "stages.0.batch_items", str(pairs))
    method = override(method, "stages.0.frozen", "[]")
    policy = make_policy(model, processor)
    pictures = {str(i): row["image"] for i, row in enumerate(rows)}
    encoder = ItemEncoder(encoder=policy.encoder, pictures=lambda medium: pictures[medium.id])
    out = folder / reference
    out.mkdir()
    trainer = Trainer(
        policy,
        method,
        [to_item(i, row) for i, row in enumerate(rows)],
        encoder,
        RunSettings(device="cpu", reference=reference),  # type: ignore[arg-type]
        out,
        reference_folder=out / "reference",
    )
    while trainer.step_number < trainer.total_steps:
        yield trainer.step()["loss"]


def to_item(number: int, row: dict[str, Any]) -> Item:
    """A row as Boresight takes it."""
    record = Record(
        id=str(number),
        task="preference",
        media=(Media(id=str(number), kind="image"),),
        messages=(Message(role="user", parts=(Part(type="media", media=str(number)), Part(type="text", text=PROMPT))),),
    )
    texts = {
        name: (Message(role="assistant", parts=(Part(type="text", text=row[name]),)),)
        for name in ("chosen", "rejected")
    }
    return Item(id=str(number), record=record, texts=texts)


def alternate(steps: dict[str, Iterator[float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each peer's steps, taken in turn; the first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, source in steps.items():
            took = _timed(lambda source=source: next(source))
            if number:
                seconds[name].append(took)
            print(f"round {number} {name} {took:.2f} s", file=sys.stderr)
    return seconds


def summary(seconds: dict[str, list[float]], args: argparse.Namespace) -> dict[str, Any]:
    """Figures and what they were measured on."""
    rate = {name: args.pairs / statistics.median(values) for name, values in seconds.items()}
    return {
        "benchmark": "preference_step",
        "pairs_per_s": {name: round(value, 4) for name, value in rate.items()},
        "ratio": round(rate["boresight"] / rate["trl"], 3),
        "ratio_cached_reference": round(rate["boresight_cached_reference"] / rate["trl"], 3),
        "seconds": {name: [round(v, 3) for v in values] for name, values in seconds.items()},
        "shape": {"hidden": 256, "layers": 6, "media_tokens": 576, "answer_tokens": ANSWER_TOKENS, "vocab": 32064},
        "pairs_per_step": args.pairs,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "versions": {
            "boresight": boresight.__version__,
            "trl": trl.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


def _text(rng: np.random.Generator, tokenizer: Any) -> str:
    ids = tokenizer(" ".join(rng.choice(WORDS, 2 * ANSWER_TOKENS)), add_special_tokens=False)["input_ids"]
    return str(tokenizer.decode(ids[:ANSWER_TOKENS]))


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
