"""Train many methods on the scenes world with equal data and steps, and say which of them helped.

    python scripts/compare_methods.py --out FOLDER [--seeds 0 1 2] [--methods NAME ...] [--json FILE]

Each seed is a demo of its own (`boresight.studies.demo`): pairs from the base model's own samples, one pass over them
in steps of 16 pairs, every method with the same learning rate. It goes on where it was stopped. The JSON file holds for
every method and metric the mean over seeds, the mean difference from the base with a 95 % interval, and what each seed
gave. `scripts/make_method_docs.py` puts it into docs/methods/README.md.

The interval allows for both sources of chance: 1.96 * sqrt(w^2 + s^2 / n), with w the mean standard error within a seed
(paired, by scene; not divided by n, since all seeds are measured on the same scenes) and s the standard deviation
between the n seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from boresight.models.device import keep_freed_memory
from boresight.scoring.results import ResultRow, read_results
from boresight.studies.demo import Demo, run_demo
from boresight.training.run_log import Listener
from boresight.training.spec import RunSettings

METHODS = (
    "sft", "dpo", "dpo:ipo", "kto", "orpo", "simpo", "ddpo", "mdpo", "image_dpo", "v_dpo", "token_tpo", "csr",
)  # fmt: skip
METRICS = ("chair_i", "coverage", "f1", "yes_ratio", "margin", "margin@null", "length_tokens")
BASE = "base"


def main() -> None:
    args = _arguments()
    keep_freed_memory()
    demos = [
        Demo(
            out=args.out / f"seed{seed}",
            methods=tuple(args.methods),
            seed=seed,
            train_scenes=args.train_scenes,
            held_out_pair_scenes=args.held_out_pair_scenes,
            test_scenes=args.test_scenes,
            settings=RunSettings(device="cpu", checkpoint_every=1000),
        )
        for seed in args.seeds
    ]
    found: list[tuple[Sequence[ResultRow], Mapping[str, float]]] = []
    manifests: list[dict[str, Any]] = []
    for demo in demos:
        print(f"seed {demo.seed}", flush=True)
        folder = run_demo(demo, Listener(started=lambda facts: print(facts["folder"], facts["steps"], flush=True)))
        manifests.append(json.loads((folder / "manifest.json").read_text()))
        found.append((read_results(folder / "results.json"), manifests[-1]["seconds"]))
    text = json.dumps(
        {
            "command": "python scripts/compare_methods.py",
            "commit": ", ".join(dict.fromkeys(str(manifest["git"].get("commit"))[:7] for manifest in manifests)),
            "seeds": args.seeds,
            "pairs": [manifest["data"]["train"]["pairs"] for manifest in manifests],
            "test_scenes": args.test_scenes,
            "methods": {name: summary(name, found) for name in (BASE, *args.methods)},
        },
        indent=1,
    )
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def summary(name: str, found: Sequence[tuple[Sequence[ResultRow], Mapping[str, float]]]) -> dict[str, Any]:
    """One method over all seeds."""
    metrics = {}
    for metric in METRICS:
        rows = [row for rows, _ in found for row in rows if row.run == name and row.metric == metric]
        if rows:
            metrics[metric] = {"value": _mean([row.value for row in rows]), **_difference(rows)}
    seconds = [times[f"train_{name}"] for _, times in found if f"train_{name}" in times]
    return {"metrics": metrics, "train_s": round(statistics.median(seconds), 1) if seconds else None}


def _difference(rows: Sequence[ResultRow]) -> dict[str, Any]:
    """Mean difference from the base over seeds, with its interval."""
    known = [row for row in rows if row.difference is not None]
    if not known:
        return {}
    by_seed = [float(row.difference) for row in known]  # type: ignore[arg-type]
    errors = [(row.difference_high - row.difference_low) / (2 * 1.96) for row in known]  # type: ignore[operator]
    between = statistics.variance(by_seed) / len(by_seed) if len(by_seed) > 1 else 0.0
    half = 1.96 * math.sqrt(statistics.fmean(errors) ** 2 + between)
    mean = statistics.fmean(by_seed)
    return {
        "difference": round(mean, 4),
        "interval": [round(mean - half, 4), round(mean + half, 4)],
        "by_seed": [round(value, 4) for value in by_seed],
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 4) if known else None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--train-scenes", type=int, default=400)
    parser.add_argument("--held-out-pair-scenes", type=int, default=60)
    parser.add_argument("--test-scenes", type=int, default=300)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
