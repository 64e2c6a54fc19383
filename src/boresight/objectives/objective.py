"""An objective is a weighted sum of terms, divided by global counts in one place."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from boresight.errors import UsageError
from boresight.objectives.views import TokenLogps, View

State = Mapping[str, float]
"""What a statistic keeps from step to step; part of a checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermLoss:
    """What one term says about a batch of items."""

    loss: Float[Tensor, " item"]
    """Not reduced; 0 where the item lacks a view."""
    metrics: Mapping[str, Float[Tensor, " item"]] = field(default_factory=dict)
    """Detached, one value per item; NaN where the item lacks a view."""


class Statistic(Protocol):
    """A number about the whole step that a term reads as a signal, such as a running mean of rewards.

    The trainer measures it over all micro-batches before the first one is trained on, so that no split of the step
    can change it. Without a trainer a term takes it from the batch at hand.
    """

    @property
    def name(self) -> str:
        """Of the signal; unique within an objective."""
        ...

    @property
    def views(self) -> tuple[View, ...]:
        """What must be scored, without gradient, to measure it."""
        ...

    def measure(self, logps: Mapping[View, TokenLogps]) -> Mapping[str, Float[Tensor, " _value"]]:
        """Values whose means over the step are wanted, by name; NaN counts for nothing."""
        ...

    def settle(self, means: Mapping[str, float], state: State) -> tuple[float, State]:
        """The number for this step, and what to keep for the next."""
        ...


class Term(Protocol):
    """What the trainer asks of a term. Subclasses get `2.0 * term`, `term + term` and the defaults below."""

    __slots__ = ()

    @property
    def views(self) -> tuple[View, ...]:
        """What the term reads, with gradient."""
        ...

    @property
    def label(self) -> str:
        """Unique within an objective."""
        ...

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss: ...

    @property
    def weight(self) -> float:
        return 1.0

    @property
    def needs_reference(self) -> bool:
        return True

    @property
    def kl_views(self) -> tuple[View, ...]:
        """The views whose full-vocabulary KL it reads."""
        return ()

    @property
    def needs_head(self) -> bool:
        """Whether it reads a reward head."""
        return False

    @property
    def signals(self) -> tuple[str, ...]:
        """Numbers that every item must carry."""
        return ()

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        return ()

    def count(self, lengths: Mapping[View, Int[Tensor, " item"]]) -> Float[Tensor, " item"]:
        """What each item adds to the divisor, known before any forward pass from answer lengths in tokens."""
        return all_present(lengths, self.views).float()

    def __rmul__(self, factor: float) -> Self:
        return replace(self, weight=factor * self.weight)  # type: ignore[type-var]

    def __add__(self, other: Term | Objective) -> Objective:
        return Objective((self,)) + other

    def __radd__(self, start: int) -> Objective:
        """`sum(terms)` starts from 0."""
        return Objective((self,)) if start == 0 else NotImplemented


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """The objective's share from one micro-batch."""

    loss: Float[Tensor, ""]
    """Sums to the loss of the whole step over its micro-batches."""
    per_term: Mapping[str, float]
    """The same share by term, before weighting."""
    metrics: Mapping[str, Float[Tensor, " item"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Objective:
    """Terms to be summed. Build one with `+`; iterate to see them."""

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.terms, tuple) or not self.terms:
            got = "none" if self.terms == () else type(self.terms).__name__
            raise UsageError(
                f"an objective holds a tuple of terms, got {got}; write Objective((term,)) for a single one."
            )
        named: dict[str, Statistic] = {}
        for term in self.terms:
            _check_term(term)
            for statistic in term.statistics:
                if named.setdefault(statistic.name, statistic) != statistic:
                    raise UsageError(
                        f"two different statistics are called {statistic.name!r}, so that terms would read each "
                        "other's. Put what they differ in into the name, and make them frozen dataclasses."
                    )

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)

    def __add__(self, other: Term | Objective) -> Objective:
        more = other.terms if isinstance(other, Objective) else (other,)
        return Objective(self.terms + more)

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for every term: its label, numbered where several terms have the same."""
        said = [name_of(term) for term in self.terms]
        return tuple(
            label if said.count(label) == 1 else f"{label} #{said[: i + 1].count(label)}"
            for i, label in enumerate(said)
        )

    @property
    def views(self) -> tuple[View, ...]:
        """Every view that a term reads, in order of first mention."""
        return tuple(dict.fromkeys(v for term in self.terms for v in term.views))

    @property
    def reference_views(self) -> tuple[View, ...]:
        """The views for which reference log-probabilities are needed."""
        return tuple(dict.fromkeys(v for t in self.terms if t.needs_reference for v in t.views))

    @property
    def kl_views(self) -> tuple[View, ...]:
        """The views for which the full-vocabulary KL is needed."""
        return tuple(dict.fromkeys(v for t in self.terms for v in t.kl_views))

    @property
    def needs_head(self) -> bool:
        return any(t.needs_head for t in self.terms)

    @property
    def signals(self) -> tuple[str, ...]:
        """Numbers that every item must carry."""
        return tuple(dict.fromkeys(s for t in self.terms for s in t.signals))

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        return tuple({s.name: s for t in self.terms for s in t.statistics}.values())

    @property
    def statistic_views(self) -> tuple[View, ...]:
        """What must be scored before a step, without gradient."""
        return tuple(dict.fromkeys(v for s in self.statistics for v in s.views))

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that an item may have, in order of first mention."""
        return tuple(dict.fromkeys(v.text for v in (*self.views, *self.statistic_views)))

    def counts(self, lengths: Mapping[View, Int[Tensor, " item"]]) -> tuple[float, ...]:
        """What each term divides by, for items with these answer lengths (tokens).

        Sum over the micro-batches and processes of a step before dividing by it.
        """
        return tuple(float(term.count(lengths).sum()) for term in self.terms)

    def reduce(self, logps: Mapping[View, TokenLogps], counts: tuple[float, ...]) -> Reduced:
        """Weighted sum of the terms' losses, each divided by its count over the whole step.

        loss = sum_k weight_k * (sum_i loss_k[i]) / counts[k]
        """
        outputs: list[TermLoss] = [term(logps) for term in self.terms]
        shares = [
            output.loss.sum() / count if count else output.loss.sum() * 0.0
            for output, count in zip(outputs, counts, strict=True)
        ]
        total = sum((t.weight * s for t, s in zip(self.terms, shares, strict=True)), start=shares[0] * 0.0)
        metrics = {name: values for output in outputs for name, values in output.metrics.items()}
        per_term = {name: float(s.detach()) for name, s in zip(self.labels, shares, strict=True)}
        return Reduced(loss=total, per_term=per_term, metrics=metrics)


def name_of(term: Term) -> str:
    """What messages call a term: its label, or its class where it gives itself none."""
    return str(term.label or type(term).__name__)


_TUPLES = (
    ("views", View, "views"),
    ("kl_views", View, "views"),
    ("signals", str, "names"),
    ("statistics", object, "statistics"),
)


def _check_term(term: Term) -> None:
    """Terms may come from anybody's file, where nothing else says what one is."""
    kind = type(term)
    if Term not in kind.__mro__:
        got = f"the class {term.__name__}" if isinstance(term, type) else kind.__name__
        advice = f"{term.__name__}(...)" if isinstance(term, type) else "pairwise(...), nll(...) or a class of your own"
        raise UsageError(f"an objective adds up terms, which inherit from Term, got {got}. Write {advice}.")
    made = getattr(kind, "__dataclass_params__", None)
    inherits_decorator = "__dataclass_params__" not in vars(kind)
    has_lost_fields = inherits_decorator and any(
        "ClassVar" not in str(h) for h in inspect.get_annotations(kind).values()
    )
    if made is None or not made.frozen or has_lost_fields:
        raise UsageError(
            f"{kind.__name__} must be a frozen dataclass, so that a run can store it and --set change it. "
            "Put @dataclass(frozen=True, slots=True, kw_only=True) above the class."
        )
    for name, of, words in _TUPLES:
        value = getattr(term, name)
        if not isinstance(value, tuple) or not all(isinstance(part, of) for part in value):
            raise UsageError(f"{kind.__name__}.{name} must be a tuple of {words}, got {value!r}. Write (ONE,) for one.")
    if not term.views:
        raise UsageError(f'{kind.__name__}.views must name at least one view, such as (view("chosen"),), got ().')
    if not isinstance(term.weight, int | float):
        raise UsageError(f"{kind.__name__}.weight must be a number, got {term.weight!r}. Give it a field weight = 1.0.")


def shaped(values: object, like: Tensor, source: str) -> Tensor:
    """What a part of anybody's file returned, if it has the shape of `like`.

    Raises:
        UsageError: Names the source, and what it must return.
    """
    if not isinstance(values, Tensor) or values.shape != like.shape:
        got = f"one of shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise UsageError(f"{source} must return a tensor of shape {tuple(like.shape)}, got {got}.")
    return values


def statistic_value(
    statistic: Statistic, logps: Mapping[View, TokenLogps], like: Float[Tensor, " item"]
) -> Float[Tensor, " item"]:
    """The trainer's number for this step; without one, what the batch at hand gives as a first step."""
    given = next(iter(logps.values())).signals.get(statistic.name)
    if given is not None:
        return given.to(like.dtype)
    with torch.no_grad():
        means = {name: mean_of([values]) for name, values in statistic.measure(logps).items()}
    return torch.full_like(like, statistic.settle(means, {})[0])


def mean_of(parts: Sequence[Float[Tensor, " _value"]]) -> float:
    """Mean over several vectors without their NaNs; 0 if nothing is left."""
    joined = torch.cat([part.detach().double() for part in parts])
    joined = joined[~joined.isnan()]
    return float(joined.mean()) if len(joined) else 0.0


def all_present(lengths: Mapping[View, Int[Tensor, " item"]], views: tuple[View, ...]) -> Bool[Tensor, " item"]:
    """Which items have all of these views."""
    return torch.stack([lengths[v] > 0 for v in views]).all(dim=0)


def keep(
    values: Float[Tensor, " item"], counted: Bool[Tensor, " item"], fill: float = float("nan")
) -> Float[Tensor, " item"]:
    """`values` where an item counts, else `fill`."""
    return torch.where(counted, values, fill)
