"""Compute the losses of the authors' own code on shared random log-probabilities, for our tests to be held against.

    python scripts/authors_losses.py --peers DIR [--out tests/parity/authors_losses.json]
    python scripts/authors_losses.py --peers DIR --draws 1000     compare with ours on as many tables; writes nothing

DIR holds one checkout per repository, named `owner+name`, and `owner+name@tag` where a case names a tag. Single
functions are taken out of the authors' files and run as they are, with what they read from their trainer put beside
them; nothing of theirs is stored but the numbers.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import io
import itertools
import json
import math
import sys
import textwrap
import typing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from authors_cases import CASES, Case
from torch.nn import functional as F

from boresight.objectives import TokenLogps, View

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from shared_tables import edge_tables, gradients, our_loss, run_of, tables, token_pair  # noqa: E402

DRAWN = {"tables": tables, "edge_tables": edge_tables}


def take(source: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Functions and classes of a source file, wherever they are defined, without the rest of it."""
    space: dict[str, Any] = {
        "torch": torch, "F": F, "nn": torch.nn, "Optional": typing.Optional, "Union": typing.Union,
        "Tuple": tuple, "List": list, "Dict": dict, "Literal": typing.Literal, "Any": Any, "math": math,
        "LogSigmoid": torch.nn.LogSigmoid, "LogSoftmax": torch.nn.LogSoftmax, "dataclass": dataclass,
        "Accelerator": Any, "random": SimpleNamespace(choices=lambda population, k: list(population)[:k]),
        "FDivergenceType": SimpleNamespace(
            ALPHA_DIVERGENCE=SimpleNamespace(value="alpha"), JS_DIVERGENCE=SimpleNamespace(value="js")
        ),
        "all_gather_if_needed": lambda values, rank, size: values,
        "log1mexp": lambda x: torch.log(-torch.expm1(x)),
    }  # fmt: skip
    tree = ast.parse(source)
    inside = {id(f): c.name for c in ast.walk(tree) if isinstance(c, ast.ClassDef) for f in c.body}
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if node.name in names or f"{inside.get(id(node))}.{node.name}" in names:
            node.decorator_list = []
            text = "from __future__ import annotations\n" + textwrap.dedent(ast.unparse(node))
            exec(compile(text, node.name, "exec"), space)
            found[node.name] = space[node.name]
    missing = {name.rpartition(".")[2] for name in names} - set(found)
    if missing:
        raise ValueError(f"the file has no {sorted(missing)}")
    return found


def functions(case: Case, peers: Path) -> SimpleNamespace:
    """All that a case calls; every function finds the others beside it."""
    tagged = f"@{case.commit}" if case.commit.startswith("v") else ""
    path = peers / (case.repository.replace("/", "+") + tagged) / case.path
    source = ast.unparse(ast.parse(path.read_text()))
    for before, after in case.edits.items():
        if before not in source:
            raise ValueError(f"{path}: nothing reads {before!r}")
        source = source.replace(before, after)
    found = take(source, case.functions)
    for further, names in case.also.items():
        found |= take((peers / further).read_text(), names)
    return SimpleNamespace(**found)


def theirs(
    case: Case, code: SimpleNamespace, shared: dict[View, TokenLogps]
) -> tuple[torch.Tensor, dict[str, list[list[float]]]]:
    """Their loss and its gradients."""
    with contextlib.redirect_stdout(io.StringIO()):
        loss = case.loss(code, shared)
    loss.sum().backward()
    return loss.detach(), gradients(shared)


def verdicts(case: Case, peers: Path) -> dict[str, Any]:
    code, run = functions(case, peers), run_of(case.method, case.stage)
    found = []
    for seed, drawn in ((0, "tables"), (1, "tables"), (2, "tables"), (3, "edge_tables")):
        if drawn in case.never:
            continue
        shared = DRAWN[drawn](run, seed, even=case.even, items=case.items, weighted=case.weighted)
        loss, slopes = theirs(case, code, shared)
        found.append({"seed": seed, "drawn": drawn, "losses": loss.tolist(), "gradients": slopes})
    facts = ("method", "stage", "repository", "commit", "path", "functions", "edits", "without", "items", "even",
             "weighted", "digits")  # fmt: skip
    return {name: getattr(case, name) for name in facts} | {"verdicts": found}


def widest_gap(case: Case, peers: Path, draws: int) -> tuple[float, float]:
    """The largest difference of a loss and of a gradient over many tables, relative to their size or 1."""
    code, run = functions(case, peers), run_of(case.method, case.stage)
    of_loss = of_gradient = 0.0
    kinds = [make for name, make in DRAWN.items() if name not in case.never]
    for seed, make in itertools.product(range(1000, 1000 + draws), kinds):
        first, shared = (make(run, seed, even=case.even, items=case.items, weighted=case.weighted) for _ in range(2))
        loss, slopes = theirs(case, code, first)
        ours = our_loss(run, shared, without=case.without, whole=loss.dim() == 0)
        ours.sum().backward()
        of_loss = max(of_loss, float(((ours.detach() - loss).abs() / loss.abs().clamp(min=1)).max()))
        for name, values in gradients(shared).items():
            slope = torch.tensor(slopes[name], dtype=torch.float64)
            gap = (torch.tensor(values, dtype=torch.float64) - slope).abs() / slope.abs().clamp(min=1)
            of_gradient = max(of_gradient, float(gap.max()))
    return of_loss, of_gradient


def diffs(peers: Path) -> dict[str, Any]:
    """Which tokens RLHF-V's code takes for changed, on random pairs of token sequences."""
    path, names = "utils/diff_lib.py", (
        "get_match_info", "complete_modification_spans", "span_not_empty", "join_by_space", "spans2ids",
        "generate_modification_mapping_impl", "generate_modification_mapping", "get_diff_ids",
    )  # fmt: skip
    source = (peers / "RLHF-V+RLAIF-V" / path).read_text()
    space = take(source, names) | {"difflib": difflib}
    for name in names:
        space[name].__globals__.update(space)
    found = []
    for seed in range(40):
        rejected, chosen = token_pair(seed)
        changed = space["get_diff_ids"](rejected, chosen, min_match_size=3)
        found.append({"seed": seed, "rejected": changed[0], "chosen": changed[1]})
    return {"repository": "RLHF-V/RLAIF-V", "commit": "83d917b", "path": path, "verdicts": found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "parity" / "authors_losses.json")
    parser.add_argument("--draws", type=int, default=0, help="compare with ours on this many tables instead")
    parser.add_argument("--only", default="", help="cases whose method or repository holds this word")
    args = parser.parse_args()
    chosen = [case for case in CASES if args.only in case.name]
    if args.draws:
        for case in chosen:
            loss, gradient = widest_gap(case, args.peers, args.draws)
            print(f"{case.name:<120} loss {loss:.1e}  gradient {gradient:.1e}")
        return 0
    found = {case.name: verdicts(case, args.peers) for case in chosen}
    args.out.write_text(json.dumps(found) + "\n")
    args.out.with_name("authors_diffs.json").write_text(json.dumps(diffs(args.peers)) + "\n")
    print(f"{len(found)} cases, {sum(len(c['verdicts']) for c in found.values())} tables -> {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
