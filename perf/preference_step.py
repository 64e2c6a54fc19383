"""Pairs per second and peak memory of one full DPO step, Boresight against its peers, alternately in one run.

    python -m perf.preference_step [--media-tokens 576] [--rounds 10] [--pairs 2] [--threads N] [--out FILE]
        [--llama-factory PYTHON] [--shape small|1b|7b] [--lora RANK] [--frozen-media]
        [--device cpu|cuda] [--precision float32|bfloat16] [--peers trl,boresight,boresight_cached_reference]
        [--peers-checkpoint] [--matmul torch|onednn] [--answer-tokens 50 150]

All train the same LLaVA-shaped model on the same rows with the same optimizer: answers of 50 to 150 tokens, evenly
drawn one by one (`--answer-tokens 100 100` gives all the same length), vocabulary 32,064, all weights trained, a frozen
reference copy (or cached reference log-probabilities). TRL and Boresight take the rows in one order, LLaMA-Factory in
its own. With --frozen-media tower and projector stay as they are, which is LLaMA-Factory's default; with --lora only
adapters on the language model are trained, and the model without them is the reference. With --peers-checkpoint TRL and
LLaMA-Factory compute activations anew in the backward pass to save memory, as both do by default; Boresight never does
here. A step is everything from raw rows to updated weights: processor, forward passes, backward, clipping, AdamW. Each
peer lives in a process of its own, set up as its own users' processes are, and computes only when it is its turn.
LLaMA-Factory, which needs other versions, takes part where the interpreter of its environment is given. All stay in
memory from first to last; where that is too much for one device, `--peers` takes some of them. Prints one JSON object;
a ratio is of medians over rounds.

No row comes twice, so what is kept of a picture for later epochs gains nothing here. It is kept within a step, and
where a reference is cached, the pass that made it has looked at the pictures too.

`flops` counts the matrix products, attention and convolutions of one step (two per multiply-add); `share_of_peak` holds
them against a large matrix product of the same threads, the most that this machine could do: the fastest of all rounds
and of torch's own and oneDNN's. `matmul` is what Boresight multiplied by; the peers take torch's own.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import datasets
import numpy as np
import peft
import torch
import transformers
import trl

import boresight
from boresight.methods.dpo import MEMBER as DPO
from boresight.models import matmul
from boresight.models.device import keep_freed_memory
from boresight.models.fake import FakeShape, fake_llava
from boresight.models.loading import Lora, make_policy
from boresight.models.matmul import Matmul
from boresight.records import Media, Message, Part, Record
from boresight.training.items import Item, ItemEncoder
from boresight.training.loop import Trainer
from boresight.training.spec import RunSettings, override
from perf.counting import flop_counter, peak_mib, product_flops_per_s
from perf.peer import Peer
from perf.shapes import PROMPT, SHAPES, WORDS, fake_shape, noise

ANSWER_TOKENS = (50, 150)
"""Fewest and most that an answer has."""
OURS = ("boresight", "boresight_cached_reference")
PEERS = ("trl", *OURS)
MEDIA_PARTS = ("vision_tower", "multi_modal_projector")


def main() -> None:
    args = _arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.peer:
        work(args.peer, args)
        return
    with tempfile.TemporaryDirectory() as folder:
        text = run(args, Path(folder))
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


def run(args: argparse.Namespace, folder: Path) -> str:
    """All peers in turn; gives the figures as JSON."""
    shape = fake_shape(args.shape, args.media_tokens)
    here = [sys.executable, "-m", "perf.preference_step", *sys.argv[1:], "--peer"]
    commands = {name: [*here, name] for name in args.peers.split(",")}
    if args.llama_factory:
        write_rows(folder, shape, args)
        steps = ["--pairs", str(args.pairs), "--steps", str(args.rounds + 3), "--cutoff", str(shape.max_tokens)]
        steps += ["--frozen-media"] if args.frozen_media else []
        steps += ["--checkpoint"] if args.peers_checkpoint else []
        commands["llama_factory"] = [args.llama_factory, "-m", "perf.llama_factory_step", str(folder), *steps]
    peers = {name: Peer(command) for name, command in commands.items()}
    try:
        said, peak_flops = measure(peers, args)
        return json.dumps(summary(said, peak_flops, shape, args), indent=1)
    finally:
        for peer in peers.values():
            peer.end()


def measure(peers: dict[str, Peer], args: argparse.Namespace) -> tuple[dict[str, list[dict[str, float]]], float]:
    """What each peer says of its steps, taken in turn, and what the machine could do at best (FLOP/s).

    The first round warms up and is not counted. Others may use the machine too, so its best is asked for every round.
    """
    said: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
    peak_flops = 0.0
    for number in range(args.rounds + 1):
        peak_flops = max(peak_flops, _peak_flops_per_s(args))
        for name, peer in peers.items():
            step = peer.ask("step")
            if number:
                said[name].append(step)
            print(f"round {number} {name} {step['seconds']:.2f} s", file=sys.stderr)
    for name, peer in peers.items():
        said[name][-1] |= peer.ask("count")
    return said, peak_flops


def work(name: str, args: argparse.Namespace) -> None:
    """What a peer's process does: one step per line of standard input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    shape = fake_shape(args.shape, args.media_tokens)
    model, processor = fake_llava(shape)
    if args.lora:  # frozen weights need no more than they compute with
        model = model.to(getattr(torch, args.precision))
    rows = make_rows(args, processor.tokenizer, shape.image_px)
    with tempfile.TemporaryDirectory() as folder:
        if name == "trl":
            steps = trl_steps(model, processor, rows, args, Path(folder))
        else:
            reference = "cached" if name == "boresight_cached_reference" else "auto"
            steps = boresight_steps(model, processor, rows, args, Path(folder), reference)
        for line in sys.stdin:
            if line.strip() == "count":
                with flop_counter() as counter:
                    next(steps)
                answers.write(json.dumps({"flops": float(counter.get_total_flops())}) + "\n")
                continue
            began = time.perf_counter()
            loss = next(steps)  # reading its value waits for the device
            seconds = time.perf_counter() - began
            peak = torch.cuda.max_memory_allocated() / 2**20 if args.device == "cuda" else peak_mib()
            answers.write(json.dumps({"seconds": seconds, "loss": loss, "peak_mib": peak}) + "\n")


def make_rows(args: argparse.Namespace, tokenizer: Any, image_px: int) -> list[dict[str, Any]]:
    """Rows of noise pictures and answers, enough for the rounds, one to warm up and one to count."""
    rng = np.random.default_rng(0)
    fewest, most = args.answer_tokens

    def answer() -> str:
        return _text(rng, tokenizer, int(rng.integers(fewest, most + 1)))

    return [
        {"image": noise(rng, image_px), "chosen": answer(), "rejected": answer()}
        for _ in range(args.pairs * (args.rounds + 3))
    ]


def write_rows(folder: Path, shape: FakeShape, args: argparse.Namespace) -> None:
    """Model and rows as LLaMA-Factory reads them."""
    model, processor = fake_llava(shape)
    model.save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    rows = make_rows(args, processor.tokenizer, shape.image_px)
    for number, row in enumerate(rows):
        row["image"].save(folder / f"{number}.png")
    data = [
        {
            "conversations": [{"from": "human", "value": f"<image>{PROMPT}"}],
            "chosen": {"from": "gpt", "value": row["chosen"]},
            "rejected": {"from": "gpt", "value": row["rejected"]},
            "images": [f"{number}.png"],
        }
        for number, row in enumerate(rows)
    ]
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected", "images": "images"}
    described = {"file_name": "pairs.json", "ranking": True, "formatting": "sharegpt", "columns": columns}
    (folder / "pairs.json").write_text(json.dumps(data))
    (folder / "dataset_info.json").write_text(json.dumps({"pairs": described}))


def trl_steps(
    model: Any, processor: Any, rows: list[dict[str, Any]], args: argparse.Namespace, folder: Path
) -> Iterator[float]:
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
    reference = None if args.lora else copy.deepcopy(model)
    if args.frozen_media:
        for part in MEDIA_PARTS:
            getattr(model.model, part).requires_grad_(False)
    trainer = trl.DPOTrainer(
        model=model,
        ref_model=reference,
        args=trl.DPOConfig(
            output_dir=str(folder),
            per_device_train_batch_size=args.pairs,
            max_steps=len(rows) // args.pairs,
            max_length=None,
            learning_rate=1e-6,
            report_to=[],
            bf16=args.precision == "bfloat16",
            use_cpu=args.device == "cpu",
            gradient_checkpointing=args.peers_checkpoint,
            save_strategy="no",
            disable_tqdm=True,
            seed=0,
        ),
        train_dataset=data,
        processing_class=processor,
        peft_config=_adapter(args.lora) if args.lora else None,
    )
    trainer.current_gradient_accumulation_steps = 1  # `train()` does both; steps are taken one by one here
    if args.peers_checkpoint:
        trainer.model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    optimizer = trainer.create_optimizer()
    for batch in trainer.get_train_dataloader():
        loss = trainer.training_step(trainer.model, batch, num_items_in_batch=None)
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield float(loss)


def boresight_steps(
    model: Any, processor: Any, rows: list[dict[str, Any]], args: argparse.Namespace, folder: Path, reference: str
) -> Iterator[float]:
    """Runs one Boresight step each time it is asked; gives its loss."""
    keep_freed_memory()  # as `boresight align` does
    method = override(DPO, "stages.0.batch_items", str(args.pairs))
    method = override(method, "stages.0.frozen", json.dumps(MEDIA_PARTS if args.frozen_media else ()))
    lora = Lora(rank=args.lora, alpha=2.0 * args.lora) if args.lora else None
    policy = make_policy(model, processor, lora=lora)
    pictures = {str(i): row["image"] for i, row in enumerate(rows)}
    encoder = ItemEncoder(encoder=policy.encoder, pictures=lambda medium: pictures[medium.id])
    trainer = Trainer(
        policy,
        method,
        [to_item(i, row) for i, row in enumerate(rows)],
        encoder,
        RunSettings(
            device=args.device,
            precision=args.precision,
            reference=reference,  # type: ignore[arg-type]
            matmul=args.matmul,
        ),
        folder,
        reference_folder=folder / "reference",
    )
    while trainer.step_number < trainer.total_steps:
        yield trainer.step()["loss"]


def _adapter(rank: int) -> peft.LoraConfig:
    """The adapters that ours has, on the language model alone."""
    layers = "|".join(Lora().targets)
    return peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=rf".*language_model.*\.({layers})", bias="none")


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


def summary(
    said: dict[str, list[dict[str, float]]], peak_flops: float, shape: FakeShape, args: argparse.Namespace
) -> dict[str, Any]:
    """Figures and what they were measured on."""
    seconds = {name: statistics.median(step["seconds"] for step in steps) for name, steps in said.items()}
    peaks = {name: steps[-1]["peak_mib"] for name, steps in said.items()}
    flops = {name: steps[-1]["flops"] for name, steps in said.items()}
    return {
        "benchmark": "preference_step",
        "pairs_per_s": {name: round(args.pairs / value, 4) for name, value in seconds.items()},
        **_ratios("ratio", seconds),
        "peak_mib": {name: round(value) for name, value in peaks.items()},
        **(
            {"ratio_peak_memory": round(peaks["boresight"] / peaks["trl"], 3)}
            if {"boresight", "trl"} <= peaks.keys()
            else {}
        ),
        "gflop_per_step": {name: round(value / 1e9, 1) for name, value in flops.items()},
        **_ratios("flop_limit_of_ratio", flops),
        "share_of_peak": {name: round(flops[name] / seconds[name] / peak_flops, 3) for name in said},
        "peak_gflop_per_s": round(peak_flops / 1e9, 1),
        "seconds": {name: [round(step["seconds"], 3) for step in steps] for name, steps in said.items()},
        "losses": {name: [round(step["loss"], 6) for step in steps] for name, steps in said.items()},
        "shape": {
            **dataclasses.asdict(shape),
            "lora_rank": args.lora,
            "frozen_media": args.frozen_media,
            "peers_checkpoint": args.peers_checkpoint,
            "media_tokens": shape.media_tokens,
            "answer_tokens": args.answer_tokens,
        },
        "precision": args.precision,
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "pairs_per_step": args.pairs,
        "threads": torch.get_num_threads(),
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "matmul": args.matmul,
        "versions": {
            "boresight": boresight.__version__,
            "trl": trl.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


def _ratios(name: str, cost: dict[str, float]) -> dict[str, float]:
    """How many times as much each peer costs as ours does, with a frozen copy and with a cached reference."""
    ratios = {}
    for peer in (peer for peer in cost if peer not in OURS):
        to = name if peer == "trl" else f"{name}_to_{peer}"
        for ours, ending in zip(OURS, ("", "_cached_reference"), strict=True):
            if ours in cost:
                ratios[f"{to}{ending}"] = round(cost[peer] / cost[ours], 3)
    return ratios


def _peak_flops_per_s(args: argparse.Namespace) -> float:
    """What a large product of two matrices reaches, by whichever library is faster."""
    size = 8192 if args.device == "cuda" else 2048
    matrix = torch.rand(size, size, device=args.device, dtype=getattr(torch, args.precision))
    libraries = get_args(Matmul) if args.device == "cpu" and args.precision == "float32" else ("torch",)
    return max(product_flops_per_s(matmul.by(which), matrix) for which in libraries)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.machine()


def _text(rng: np.random.Generator, tokenizer: Any, tokens: int) -> str:
    ids = tokenizer(" ".join(rng.choice(WORDS, 2 * tokens)), add_special_tokens=False)["input_ids"]
    return str(tokenizer.decode(ids[:tokens]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media-tokens", type=int, default=576)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--answer-tokens", type=int, nargs=2, default=ANSWER_TOKENS, metavar=("FEWEST", "MOST"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--shape", choices=tuple(SHAPES), default="small")
    parser.add_argument("--lora", type=int, default=0, metavar="RANK")
    parser.add_argument("--frozen-media", action="store_true")
    parser.add_argument("--peers-checkpoint", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--llama-factory", metavar="PYTHON", help="interpreter of an environment with LLaMA-Factory")
    parser.add_argument("--matmul", choices=get_args(Matmul), default="torch", help="what ours multiplies by")
    parser.add_argument("--peers", default=",".join(PEERS), help="which of these take part")
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := set(args.peers.split(",")) - set(PEERS):
        parser.error(f"--peers takes {', '.join(PEERS)}, got {', '.join(sorted(unknown))}.")
    return args


if __name__ == "__main__":
    main()
