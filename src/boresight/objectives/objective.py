"""An objective is a weighted sum of terms, divided by global counts in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from jaxtyping import Float, Int
from torch import Tensor

from boresight.objectives.views import TokenLogps, View


@dataclass(frozen=True, slots=True, kw_only=True)
class TermLoss:
    """What one term says about a batch of items."""

    loss: Float[Tensor, " item"]
    """Not reduced; 0 where the item lacks a view."""
    metrics: Mapping[str, Float[Tensor, " item"]] = field(default_factory=dict)
    """Detached, one value per item; NaN where the item lacks a view."""


class Term(Protocol):
    """What the trainer asks of a term."""

    @property
    def views(self) -> tuple[View, ...]: ...
    @property
    def needs_reference(self) -> bool: ...
    @property
    def weight(self) -> float: ...
    @property
    def label(self) -> str: ...

    def count(self, lengths: Mapping[View, Int[Tensor, " item"]]) -> Float[Tensor, " item"]:
        """What each item adds to the divisor, known before any forward pass from answer lengths in tokens."""
        ...

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss: ...


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

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)

    def __add__(self, other: Term | Objective) -> Objective:
        more = other.terms if isinstance(other, Objective) else (other,)
        return Objective(self.terms + more)

    @property
    def views(self) -> tuple[View, ...]:
        """Every view that a term reads, in order of first mention."""
        return tuple(dict.fromkeys(v for term in self.terms for v in term.views))

    @property
    def reference_views(self) -> tuple[View, ...]:
        """The views for which reference log-probabilities are needed."""
        return tuple(dict.fromkeys(v for t in self.terms if t.needs_reference for v in t.views))

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
        per_term = {t.label: float(s.detach()) for t, s in zip(self.terms, shares, strict=True)}
        return Reduced(loss=total, per_term=per_term, metrics=metrics)
