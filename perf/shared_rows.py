"""How much every method gains from sharing prompts: one training step shared, and with each answer in a row of its own.

    python -m perf.shared_rows [--media-tokens 576] [--rounds 3] [--pairs 2] [--methods NAME ...]
        [--matmul torch|onednn] [--out FILE]

Both are ours, take the same rows of the shape that `perf.preference_step` describes, and live in processes of their own
that are asked for a step in turn. Of a method with stages the last one is measured, with all weights trained. Methods
that score the same views by the same terms compute the same: one of them is measured, and the others stand beside it
under `same`. `ratio` is of medians over rounds, `peak_mib` of the whole process, `tokens` what one step computes.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from boresight import registry
from boresight.models.device import keep_freed_memory
from boresight.models.fake import fake_llava
from boresight.models.loading import make_policy
from boresight.models.matmul import Matmul
from boresight.records import (
    AspectScore,
    Candidate,
    Derivation,
    Media,
    MediaSwap,
    Message,
    Origin,
    Part,
    Preference,
    Record,
    Span,
)
from boresight.training.forest import plan
from boresight.training.inputs import ShownWith
from boresight.training.items import ItemEncoder
from boresight.training.loop import Trainer
from boresight.training.making_items import make_items
from boresight.training.spec import Method, RunSettings
from perf.counting import peak_mib
from perf.peer import Peer
from perf.shapes import PROMPT, WORDS, fake_shape, noise

PACKAGE = "boresight.methods"
WAYS = {"shared": "required", "separate": "never"}


def main() -> None:
    args = _arguments()
    if args.way:
        work(args.methods[0], args)
        return
    shape = fake_shape("small", args.media_tokens)
    found: dict[str, Any] = {}
    for name, *same in alike(args.methods):
        found[name] = {**measure(name, args), "same": same}
        text = json.dumps(
            {
                "benchmark": "shared_rows",
                "shape": {**dataclasses.asdict(shape), "media_tokens": shape.media_tokens, "answer_words": 100},
                "pairs_per_step": args.pairs,
                "rounds": args.rounds,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "matmul": args.matmul,
                "methods": found,
            },
            indent=1,
        )
        if args.out:
            args.out.write_text(text + "\n")
    print(text)


def alike(names: Sequence[str]) -> list[list[str]]:
    """The methods in groups that compute the same."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: (name not in ("dpo", "sft"), name)):  # named after the plainest
        method: Method = registry.load(PACKAGE, name).runs()[-1]
        objective = method.objective
        computed = (
            [type(term).__name__ for term in objective],
            sorted(map(str, objective.views)),
            sorted(map(str, objective.statistic_views)),
            bool(objective.kl_views),
            bool(objective.reference_views),
            objective.needs_head,
            method.token_weights is not None,
            method.data.reads,
        )
        groups.setdefault(str(computed), []).append(name)
    return list(groups.values())


def measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """One method both ways, in turn; the first round warms up and is not counted."""
    sizes = ["--media-tokens", args.media_tokens, "--rounds", args.rounds, "--pairs", args.pairs]
    sizes += ["--matmul", args.matmul]
    command = [sys.executable, "-m", "perf.shared_rows", *map(str, sizes), "--methods", name, "--way"]
    peers: dict[str, Peer] = {}
    said: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    try:
        for way in WAYS:  # one after the other: two that start at once wait for each other's threads, for minutes
            peers[way] = Peer([*command, way])
            peers[way].ask("step")
        for _ in range(args.rounds):
            for way, peer in peers.items():
                said[way].append(peer.ask("step"))
    finally:
        for peer in peers.values():
            peer.end()
    medians = {way: statistics.median(step["seconds"] for step in steps) for way, steps in said.items()}
    peaks = {way: round(steps[-1]["peak_mib"]) for way, steps in said.items()}
    print(f"{name} {medians} {peaks}", file=sys.stderr)
    return {
        "ratio": round(medians["separate"] / medians["shared"], 3),
        "pairs_per_s": {way: round(args.pairs / seconds, 3) for way, seconds in medians.items()},
        "peak_mib": peaks,
        "tokens": {way: steps[-1]["tokens"] for way, steps in said.items()},
    }


def work(name: str, args: argparse.Namespace) -> None:
    """What one process does: a step per line of standard input."""
    warnings.simplefilter("ignore")
    keep_freed_memory()
    method = _whole(registry.load(PACKAGE, name).runs()[-1], args.pairs)
    with tempfile.TemporaryDirectory() as folder:
        one = trainer(method, args.way, Path(folder), args)
        for _ in sys.stdin:
            began = time.perf_counter()
            one.step()
            step = {"seconds": time.perf_counter() - began, "peak_mib": peak_mib(), "tokens": _tokens(one, args)}
            print(json.dumps(step), flush=True)


def _tokens(one: Trainer, args: argparse.Namespace) -> int:
    forest = plan(one.views, one.items[: one.stage.batch_items], one.encoder)
    if args.way == "shared":
        return forest.num_tokens
    return sum(row.prompt.num_tokens + len(answer) for row in forest.rows for answer in row.answers)


def trainer(method: Method, way: str, folder: Path, args: argparse.Namespace) -> Trainer:
    """One that has the rows of this measurement and has checked them."""
    shape = fake_shape("small", args.media_tokens)
    policy = make_policy(*fake_llava(shape))
    rng = np.random.default_rng(0)
    count = args.pairs * (args.rounds + 1)
    pictures = {f"{kind}{i}": noise(rng, shape.image_px) for i in range(count) for kind in ("shown", "other")}
    encoder = ItemEncoder(
        encoder=policy.encoder,
        pictures=lambda medium: pictures[medium.id],
        inputs=method.inputs,
        token_weights=method.token_weights,
    )
    objective = method.objective
    swaps = any(isinstance(input, ShownWith) for input in method.inputs.values())
    rows = [_record(i, rng, swaps) for i in range(count)]
    items = make_items(rows, objective.texts, reads=method.data.reads, signals=objective.signals)
    settings = RunSettings(device="cpu", share=WAYS[way], matmul=args.matmul)  # type: ignore[arg-type]
    return Trainer(policy, method, items, encoder, settings, folder)


def _record(number: int, rng: np.random.Generator, swaps: bool) -> Record:
    """Whatever any method reads: two answers with spans and scores, a true one, a drifted one, a second picture."""
    shown, other = f"shown{number}", f"other{number}"

    def answer(name: str, *, origin: str = "model", verdict: str = "true", swap: bool = False) -> Candidate:
        text = " ".join(rng.choice(WORDS, 100))
        return Candidate(
            id=name,
            messages=(Message(role="assistant", parts=(Part(type="text", text=text),)),),
            spans=(Span(start=0, end=len(text), verdict=verdict),),  # type: ignore[arg-type]
            origin=Origin(kind=origin),
            scores=(AspectScore(aspect="clip_similarity", value=float(rng.random())),),
            media_map=(MediaSwap(slot=shown, use=other),) if swap else (),
        )

    return Record(
        id=str(number),
        task="preference",
        media=(
            Media(id=shown, kind="image", sha256=f"{2 * number:064d}"),
            Media(
                id=other,
                kind="image",
                sha256=f"{2 * number + 1:064d}",
                derived=Derivation(source=shown, transform="retrieved"),
            ),
        ),
        messages=(Message(role="user", parts=(Part(type="media", media=shown), Part(type="text", text=PROMPT))),),
        candidates=(
            answer("good"),
            answer("bad", verdict="false", swap=swaps),
            answer("right", origin="ground_truth"),
            answer("drifted"),
        ),
        preferences=(Preference(chosen="good", rejected="bad", margin=1.0),),
    )


def _whole(method: Method, pairs: int) -> Method:
    """The method with all weights trained, a few pairs at a time."""
    stage = dataclasses.replace(method.stages[0], lora=None, frozen=(), trained=(), epochs=1.0)
    batch_items = pairs * (2 if method.data.reads in ("unpaired", "segments") else 1)
    return dataclasses.replace(method, stages=(dataclasses.replace(stage, batch_items=batch_items),))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media-tokens", type=int, default=576)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=registry.names(PACKAGE))
    parser.add_argument("--matmul", choices=get_args(Matmul), default="torch")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
