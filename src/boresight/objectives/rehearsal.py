"""A rehearsal: an objective on made-up numbers, so that a mistake in a term shows before a model is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from boresight.errors import UsageError
from boresight.objectives.objective import Objective, Statistic, Term, TermLoss, mean_of, name_of
from boresight.objectives.views import TokenLogps, View

_LENGTHS = (3, 1, 0, 5)


def example_logps(
    objective: Objective, *, lengths: Sequence[int] | Mapping[View, Sequence[int]] = (3, 1, 5), seed: int = 0
) -> dict[View, TokenLogps]:
    """Random log-probabilities (float64, with gradient) for everything that an objective reads, and for no more.

    Args:
        lengths: Answer tokens of each item, of every view alike or by view; an item of length 0 lacks the view.

    Raises:
        UsageError: If a view has no lengths, or views have differently many.
    """
    draw = torch.Generator().manual_seed(seed)

    def numbers(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=draw, dtype=torch.float64)

    read = dict.fromkeys([*objective.views, *objective.statistic_views])
    tokens = lengths if isinstance(lengths, Mapping) else dict.fromkeys(read, lengths)
    if left_out := read.keys() - tokens.keys():
        raise UsageError(f"lengths must name every view that is read, also {', '.join(sorted(map(str, left_out)))}.")
    counts = dict.fromkeys(len(tokens[view]) for view in read)
    if len(counts) > 1:
        raise UsageError(f"lengths must be of as many items for every view, got {' and '.join(map(str, counts))}.")
    (items,) = counts
    names = [*objective.signals, *(s.name for s in objective.statistics)]
    signals = {name: numbers(0.5, 1.5, items) for name in names}
    found = {}
    for view in read:
        width = max(tokens[view])
        mask = torch.arange(width) < torch.tensor(tokens[view])[:, None]
        policy, reference = (torch.where(mask, numbers(-3.0, -0.1, items, width), 0.0) for _ in range(2))
        kl, head = torch.where(mask, numbers(0.0, 1.0, items, width), 0.0), numbers(-1.0, 1.0, items)
        found[view] = TokenLogps(
            policy=policy.requires_grad_(),
            reference=reference if objective.reference_views else None,
            kl=kl.requires_grad_() if objective.kl_views else None,
            head=head.requires_grad_() if objective.needs_head else None,
            answer_mask=mask,
            signals=signals,
        )
    return found


def rehearse(objective: Objective, *, weighs: bool = False) -> None:
    """Try every term: one finite loss per item that has a gradient, asks nothing of the other items and is 0 for an
    item without answers.

    Args:
        weighs: Whether tokens have weights, as those of a method with `token_weights`.

    Raises:
        UsageError: Names the term and where its class stands, and says what is wrong with it.
    """
    logps = _drawn(objective, weighs)
    for statistic in objective.statistics:
        with _placed(statistic):
            _check_statistic(statistic, logps)
    for term in objective:
        with _placed(term):
            _rehearse(term, logps)


@contextmanager
def _placed(part: object) -> Iterator[None]:
    """Puts file and line of a class before what is said about it, where it is somebody's own."""
    kind = type(part)
    try:
        yield
    except UsageError as error:
        if kind.__module__.startswith("boresight."):
            raise
        try:
            place = f"{inspect.getsourcefile(kind)}, line {inspect.getsourcelines(kind)[1]}"
        except (OSError, TypeError):  # made in an interactive session
            raise error from None
        raise UsageError(f"{place}: {error}") from error


def _rehearse(term: Term, logps: Mapping[View, TokenLogps]) -> None:
    loss = _loss(term, logps)
    _check(term, loss, logps)
    _check_absent(term, logps)
    if not torch.equal(_loss(term, logps), loss):
        raise UsageError(
            f"term {name_of(term)} gives another loss at every call. Draw no random numbers in a term: a resumed "
            "run could not repeat them."
        )
    alone = torch.cat([_loss(term, _only(logps, item)) for item in range(len(_LENGTHS))])
    if not torch.allclose(alone, loss, rtol=1e-4, atol=1e-6):
        raise UsageError(
            f"term {name_of(term)} gives an item another loss alone than among other items. "
            "Return one loss per item without a mean or sum over items; the trainer divides."
        )


def _loss(term: Term, logps: Mapping[View, TokenLogps]) -> Float[Tensor, " item"]:
    items = len(next(iter(logps.values())).policy)
    output = term(logps)
    if not isinstance(output, TermLoss) or not isinstance(output.loss, Tensor):
        got = output.loss if isinstance(output, TermLoss) else output
        raise UsageError(f"term {name_of(term)} must return TermLoss(loss=TENSOR), got {type(got).__name__}.")
    for name, values in output.metrics.items():
        if not isinstance(values, Tensor) or values.shape != (items,):
            raise UsageError(f"metric {name} of term {name_of(term)} must be a tensor of one number per item.")
    loss = output.loss
    if loss.shape != (items,):
        raise UsageError(
            f"term {name_of(term)} must give one loss per item, shape ({items},), got shape {tuple(loss.shape)}. "
            "Do not reduce over items; the trainer divides."
        )
    return loss


def _drawn(objective: Objective, weighs: bool) -> dict[View, TokenLogps]:
    """As in training: float32, and no two texts equally long, so that tokens of one do not fit those of the other."""
    views, texts = [*objective.views, *objective.statistic_views], objective.texts
    lengths = {view: [n and n + texts.index(view.text) for n in _LENGTHS] for view in views}
    drawn = example_logps(objective, lengths=lengths)
    return {view: _as_trained(table, weighs) for view, table in drawn.items()}


def _as_trained(table: TokenLogps, weighs: bool) -> TokenLogps:
    def single(values: Tensor | None) -> Tensor | None:
        return None if values is None else values.detach().float().requires_grad_(values.requires_grad)

    return replace(
        table,
        policy=table.policy.detach().float().requires_grad_(),
        reference=single(table.reference),
        kl=single(table.kl),
        head=single(table.head),
        weights=torch.where(table.answer_mask, 1.0 + torch.arange(table.policy.shape[1]) % 2, 0.0) if weighs else None,
    )


def _check(term: Term, loss: Float[Tensor, " item"], logps: Mapping[View, TokenLogps]) -> None:
    if not loss.requires_grad:
        raise UsageError(f"term {name_of(term)} has no gradient: something detaches all that it reads of the policy.")
    # Behind the ends of answers it may be anything: nothing there comes from a model.
    read = [(v, t.answer_mask) for t in logps.values() for v in (t.policy, t.kl) if v is not None]
    read += [(t.head, t.present) for t in logps.values() if t.head is not None]
    slopes = torch.autograd.grad(loss.sum(), [values for values, _ in read], allow_unused=True)
    kept = [slope[mask] for slope, (_, mask) in zip(slopes, read, strict=True) if slope is not None]
    if not all(values.isfinite().all() for values in (loss, *kept)):
        lengths = ", ".join(f"{view} {logps[view].lengths.tolist()}" for view in term.views)
        raise UsageError(
            f"term {name_of(term)} gives a loss or gradient that is not finite on ordinary log-probabilities: "
            f"{loss.tolist()} for answers of {lengths} tokens."
        )


def _check_absent(term: Term, logps: Mapping[View, TokenLogps]) -> None:
    """An item that a term does not count, as it lacks one text or all, adds nothing."""
    texts = dict.fromkeys(view.text for view in term.views)
    for lacking in ((), *((text,) for text in texts)):
        tables = {view: _without(table) if view.text in lacking else table for view, table in logps.items()}
        items = len(_LENGTHS)
        count = term.count({view: table.lengths for view, table in tables.items()})
        if not isinstance(count, Tensor) or count.shape != (items,):
            raise UsageError(f"term {name_of(term)}: count must give a tensor of one number per item, got {count!r}.")
        over = _loss(term, tables).detach()[count == 0]
        if over.any():
            raise UsageError(
                f"term {name_of(term)} must be 0 for an item that lacks {' or '.join(lacking or texts)}, "
                f"got {float(over[over != 0][0]):.3g}. Wrap the loss in keep(loss, all_present(...), fill=0.0), or "
                "override count if items with some of the texts count too."
            )


def _check_statistic(statistic: Statistic, logps: Mapping[View, TokenLogps]) -> None:
    found = statistic.measure(logps)
    if not isinstance(found, Mapping):
        got = type(found).__name__
        raise UsageError(f"statistic {statistic.name}: measure must give vectors by name, got {got}.")
    for name, values in found.items():
        if not isinstance(values, Tensor) or values.ndim != 1:
            raise UsageError(f"statistic {statistic.name}: measure must give vectors, got {values!r} for {name!r}.")
    settled = statistic.settle({name: mean_of([values]) for name, values in found.items()}, {})
    if not isinstance(settled, tuple) or len(settled) != 2 or not isinstance(settled[0], int | float):
        raise UsageError(f"statistic {statistic.name}: settle must give a number and what to keep, got {settled!r}.")
    if not all(isinstance(value, int | float) for value in settled[1].values()):
        raise UsageError(f"statistic {statistic.name}: settle may keep numbers only, got {settled[1]!r}.")


def _without(table: TokenLogps) -> TokenLogps:
    """A table where no item has the view."""

    def nothing(values: Tensor | None) -> Tensor | None:
        return None if values is None else torch.zeros_like(values)

    return replace(
        table,
        policy=torch.zeros_like(table.policy),
        answer_mask=torch.zeros_like(table.answer_mask),
        reference=nothing(table.reference),
        kl=nothing(table.kl),
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
            weights=row(table.weights),
            kl=row(table.kl),
            head=row(table.head),
            signals={name: values[item : item + 1] for name, values in table.signals.items()},
        )
        for view, table in logps.items()
    }
