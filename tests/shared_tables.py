"""Random log-probabilities per token that our losses and the authors' own are both computed on."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from boresight import registry
from boresight.objectives import Objective, TokenLogps, View
from boresight.training.spec import Method


def run_of(name: str, stage: int = 0) -> Method:
    """One run of a method or a variant."""
    method = registry.load("boresight.methods", name)
    assert isinstance(method, Method)
    return method.runs()[stage]


def tables(
    run: Method, seed: int, *, even: bool = False, items: int = 4, weighted: bool = True
) -> dict[View, TokenLogps]:
    """Tables with reference, divergences, ratings, weights and signals; equal texts have equal lengths.

    Args:
        even: Whether all answers are of one length, for code that cannot tell padding from tokens.
        weighted: Whether tokens differ in weight.
    """
    objective = run.objective
    views = tuple(dict.fromkeys([*objective.views, *objective.statistic_views]))
    numbers = random.Random(f"signals/{seed}")
    signals = {
        name: torch.tensor([numbers.uniform(0, 2) for _ in range(items)], dtype=torch.float64)
        for name in ("margin", "clip_similarity")
    }
    lengths: dict[str, list[int]] = {}
    weights: dict[str, torch.Tensor] = {}
    for text in dict.fromkeys(v.text for v in views):
        draw = random.Random(f"{text}/{seed}")
        lengths[text] = [5 if even else draw.randint(1, 7) for _ in range(items)]
        weights[text] = padded([[draw.choice([1.0, 4.0]) for _ in range(n)] for n in lengths[text]])
    found = {}
    for view in views:
        draw = random.Random(f"{view}/{seed}")

        def rows(low: float, high: float, of: View = view, by: random.Random = draw) -> torch.Tensor:
            return padded([[by.uniform(low, high) for _ in range(n)] for n in lengths[of.text]])

        found[view] = TokenLogps(
            policy=rows(-4.0, -0.01).requires_grad_(),
            reference=rows(-4.0, -0.01),
            kl=rows(0.0, 1.0).requires_grad_(),
            weights=weights[view.text] if weighted else None,
            answer_mask=padded([[1.0] * n for n in lengths[view.text]]) > 0,
            head=torch.tensor([draw.uniform(-3, 3) for _ in range(items)], dtype=torch.float64).requires_grad_(),
            signals=signals,
        )
    return found


def edge_tables(
    run: Method, seed: int, *, even: bool = False, items: int = 4, weighted: bool = True
) -> dict[View, TokenLogps]:
    """As `tables`, with items at the edges: the last has log-probabilities from -1e4 to -1e-6, the one before is where
    the reference is, the one before that has the same values in every view, and the first has one token. Some tokens
    count nothing."""
    found = {}
    for view, table in tables(run, seed, even=even, items=items, weighted=weighted).items():
        draw = random.Random(f"edges/{view}/{seed}")
        policy, reference = table.policy.detach(), table.reference
        assert reference is not None
        mask = table.answer_mask.clone()
        for values in (policy, reference):
            values[-1] = torch.tensor([-(10 ** draw.uniform(-6, 4)) for _ in values[-1]])
        if items > 1:
            policy[2] = reference[2]
            policy[1], reference[1] = -0.5, -0.7
            mask[:2, 1:] = even
        weights = None
        if table.weights is not None:
            again = random.Random(f"weights/{view.text}/{seed}")
            weights = table.weights * torch.tensor([again.choice([0.0, 1.0]) for _ in mask[0]], dtype=torch.float64)
        assert table.kl is not None
        found[view] = dataclasses.replace(
            table,
            kl=torch.where(mask, table.kl.detach(), 0.0).requires_grad_(),
            policy=torch.where(mask, policy, 0.0).requires_grad_(),
            reference=torch.where(mask, reference, 0.0),
            weights=weights,
            answer_mask=mask,
        )
    return found


def our_loss(
    run: Method, logps: Mapping[View, TokenLogps], *, without: Sequence[str] = (), whole: bool = False
) -> torch.Tensor:
    """Our loss, one number per item or that of the whole batch, without some kinds of terms."""
    terms = Objective(tuple(t for t in run.objective if type(t).__name__ not in without))
    if whole:
        return terms.reduce(logps, terms.counts({v: t.lengths for v, t in logps.items()})).loss
    return sum((t.weight * t(logps).loss for t in terms), start=torch.zeros(()))


def gradients(logps: Mapping[View, TokenLogps]) -> dict[str, list[Any]]:
    """Of whatever a model gives, after a backward pass; 0 on padding, over which authors' sums run too."""
    found = {}
    for view, table in logps.items():
        for name in ("policy", "kl", "head"):
            values = getattr(table, name)
            slopes = torch.zeros_like(values) if values.grad is None else values.grad
            counted = slopes if name == "head" else torch.where(table.answer_mask, slopes, 0.0)
            found[f"{view} {name}"] = counted.tolist()
    return found


def padded(rows: Sequence[Sequence[float]]) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows], dtype=torch.float64)


def token_pair(seed: int) -> tuple[list[int], list[int]]:
    """A sequence of tokens, and the same with some replaced, inserted or deleted."""
    draw = random.Random(f"tokens/{seed}")
    first = [draw.randint(0, 30) for _ in range(draw.randint(5, 40))]
    second: list[int] = []
    for token in first:
        kind = draw.choice(["keep"] * 8 + ["replace", "insert", "delete"])
        if kind == "insert":
            second += [draw.randint(0, 30) for _ in range(draw.randint(1, 3))]
        if kind != "delete":
            second.append(draw.randint(31, 60) if kind == "replace" else token)
    return first, second
