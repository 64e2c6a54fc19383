"""A rehearsal: an objective on made-up numbers, so that a mistake in a term shows before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from boresight.errors import UsageError
from boresight.objectives.objective import Objective, Term, mean_of
from boresight.objectives.views import TokenLogps, View

_LENGTHS = (3, 1, 0, 5)


def example_logps(objective: Objective, *, lengths: Sequence[int] = (3, 1, 5), seed: int = 0) -> dict[View, TokenLogps]:
    """Random log-probabilities (float64, with gradient) for everything that an objective reads.

    Args:
        lengths: Answer tokens of each item; an item of length 0 lacks every view.
    """
    draw = torch.Generator().manual_seed(seed)

    def numbers(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=draw, dtype=torch.float64)

    items, width = len(lengths), max(lengths)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    names = [*objective.signals, *(s.name for s in objective.statistics)]
    signals = {name: numbers(0.5, 1.5, items) for name in names}
    found = {}
    for view in dict.fromkeys([*objective.views, *objective.statistic_views]):
        found[view] = TokenLogps(
            policy=torch.where(mask, numbers(-3.0, -0.1, items, width), 0.0).requires_grad_(),
            reference=torch.where(mask, numbers(-3.0, -0.1, items, width), 0.0),
            kl=torch.where(mask, numbers(0.0, 1.0, items, width), 0.0).requires_grad_(),
            head=numbers(-1.0, 1.0, items).requires_grad_(),
            answer_mask=mask,
            signals=signals,
        )
    return found


def rehearse(objective: Objective) -> None:
    """Try every term: one finite loss per item that has a gradient, asks nothing of the other items and is 0 for an
    item without answers.

    Raises:
        UsageError: Names the term, and says what is wrong with it.
    """
    logps = example_logps(objective, lengths=_LENGTHS)
    for statistic in objective.statistics:
        statistic.settle({name: mean_of([values]) for name, values in statistic.measure(logps).items()}, {})
    for term in objective:
        loss = _loss(term, logps)
        _check(term, loss, logps)
        alone = torch.cat([_loss(term, _only(logps, item)) for item in range(len(_LENGTHS))])
        if not torch.allclose(alone, loss):
            raise UsageError(
                f"term {term.label} gives an item another loss alone than among other items. "
                "Return one loss per item without a mean or sum over items; the trainer divides."
            )


def _loss(term: Term, logps: Mapping[View, TokenLogps]) -> Float[Tensor, " item"]:
    items = len(next(iter(logps.values())).policy)
    loss = term(logps).loss
    if loss.shape != (items,):
        raise UsageError(
            f"term {term.label} must give one loss per item, shape ({items},), got shape {tuple(loss.shape)}. "
            "Do not reduce over items; the trainer divides."
        )
    return loss


def _check(term: Term, loss: Float[Tensor, " item"], logps: Mapping[View, TokenLogps]) -> None:
    if not loss.requires_grad:
        raise UsageError(f"term {term.label} has no gradient: something detaches all that it reads of the policy.")
    inputs = [values for table in logps.values() for values in (table.policy, table.kl, table.head)]
    slopes = torch.autograd.grad(loss.sum(), [v for v in inputs if v is not None], allow_unused=True)
    if not all(values.isfinite().all() for values in (loss, *(s for s in slopes if s is not None))):
        raise UsageError(
            f"term {term.label} gives a loss or gradient that is not finite on ordinary log-probabilities: "
            f"{loss.tolist()} for answers of {', '.join(map(str, _LENGTHS))} tokens."
        )
    absent = float(loss.detach()[_LENGTHS.index(0)])
    if absent:
        raise UsageError(
            f"term {term.label} must be 0 for an item that lacks its views, got {absent:.3g}. "
            "Wrap the loss in keep(loss, all_present(...), fill=0.0)."
        )


def _only(logps: Mapping[View, TokenLogps], item: int) -> dict[View, TokenLogps]:
    """The tables of one item."""

    def row(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[item : item + 1]

    return {
        view: replace(
            table,
            policy=table.policy[item : item + 1],
            answer_mask=table.answer_mask[item : item + 1],
            reference=row(table.reference),
            kl=row(table.kl),
            head=row(table.head),
            signals={name: values[item : item + 1] for name, values in table.signals.items()},
        )
        for view, table in logps.items()
    }
