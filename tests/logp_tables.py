"""Tables of log-probabilities for the tests of objectives."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from boresight.objectives import TokenLogps, View, view

CHOSEN, REJECTED = view("chosen"), view("rejected")

Rows = Sequence[Sequence[float]]


def table(
    policy: Rows, reference: Rows | None = None, *, width: int = 0, dtype: torch.dtype = torch.float64
) -> TokenLogps:
    """One view's log-probabilities; an empty row is an item that lacks the view."""
    width = max(width, *(len(row) for row in policy), 1)
    mask = torch.tensor([[t < len(row) for t in range(width)] for row in policy])
    return TokenLogps(
        policy=_padded(policy, width, dtype).requires_grad_(),
        answer_mask=mask,
        reference=None if reference is None else _padded(reference, width, dtype),
    )


def pair(
    chosen: Rows, rejected: Rows, chosen_ref: Rows | None = None, rejected_ref: Rows | None = None
) -> dict[View, TokenLogps]:
    return {CHOSEN: table(chosen, chosen_ref), REJECTED: table(rejected, rejected_ref)}


def random_pairs(count: int = 5, *, seed: int = 0) -> dict[View, TokenLogps]:
    """Answers of 1 to 6 tokens with random log-probabilities."""
    generator = torch.Generator().manual_seed(seed)

    def rows() -> list[list[float]]:
        return [(-3 * torch.rand(n, generator=generator)).tolist() for n in lengths]

    found = {}
    for name in (CHOSEN, REJECTED):
        lengths = torch.randint(1, 7, (count,), generator=generator).tolist()
        found[name] = table(rows(), rows())
    return found


def take(logps: dict[View, TokenLogps], items: Sequence[int]) -> dict[View, TokenLogps]:
    """Some items of a table, in this order."""
    return {
        v: TokenLogps(
            policy=t.policy[list(items)],
            answer_mask=t.answer_mask[list(items)],
            reference=None if t.reference is None else t.reference[list(items)],
        )
        for v, t in logps.items()
    }


def lengths(logps: dict[View, TokenLogps]) -> dict[View, torch.Tensor]:
    return {v: t.lengths for v, t in logps.items()}


def _padded(rows: Rows, width: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows], dtype=dtype)
