"""Terms: each maps the log-probabilities of named views to one loss per item.

A term neither averages nor weights over items. It says what each item adds (`loss`) and what it counts for
(`count`); the trainer alone divides, by the count over the whole optimizer step. So neither accumulation nor sharding
can change a gradient. A term whose views an item lacks adds nothing for that item and does not count it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from boresight.errors import UsageError
from boresight.objectives.objective import Objective, Term, TermLoss
from boresight.objectives.views import TokenLogps, View

Reduction = Literal["sum", "mean"]
Link = Literal["sigmoid", "hinge", "ipo"]


class _Composable:
    """`2.0 * term` and `term + term`, shared by all terms."""

    __slots__ = ()

    def __rmul__(self, factor: float) -> Self:
        return replace(self, weight=factor * self.weight)  # type: ignore[type-var,attr-defined]

    def __add__(self, other: Term | Objective) -> Objective:
        return Objective((self,)) + other  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairwise(_Composable):
    """`better` should gain more over the reference than `worse` does.

        margin = beta * ((log pi(b) - log ref(b)) - (log pi(w) - log ref(w)))
        sigmoid: -(1 - e) log sigmoid(margin) - e log sigmoid(-margin)      e = label_smoothing
        hinge:   max(0, 1 - margin)
        ipo:     (margin / beta - 1 / (2 beta))^2

    Source: arXiv:2305.18290, Eq. 7 (sigmoid); arXiv:2309.06657, Eq. 7 (hinge); arXiv:2310.12036, Eq. 17 (ipo).
    """

    better: View
    worse: View
    beta: float = 0.1
    """Strength of the pull towards the reference, > 0."""
    link: Link = "sigmoid"
    label_smoothing: float = 0.0
    """Assumed share of flipped preferences, in [0, 0.5); only for `sigmoid`."""
    reduction: Reduction = "sum"
    """Over an answer's tokens."""
    needs_reference: bool = True
    """False gives the log-probabilities themselves as rewards."""
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_beta(self.beta, "pairwise")
        if not 0 <= self.label_smoothing < 0.5:
            raise UsageError(f"pairwise.label_smoothing must be in [0, 0.5), got {self.label_smoothing}.")
        if self.label_smoothing and self.link != "sigmoid":
            raise UsageError(f"pairwise.label_smoothing works with link 'sigmoid' only, got {self.link!r}.")
        if self.link not in _LINKS:
            raise UsageError(f"pairwise.link must be one of {', '.join(_LINKS)}, got {self.link!r}.")

    @property
    def views(self) -> tuple[View, ...]:
        return (self.better, self.worse)

    @property
    def label(self) -> str:
        return f"{self.better}>{self.worse}"

    def count(self, lengths: Mapping[View, Int[Tensor, " item"]]) -> Float[Tensor, " item"]:
        return _all_present(lengths, self.views).float()

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        counted = _all_present({v: logps[v].lengths for v in self.views}, self.views)
        better = _reward(logps[self.better], self)
        worse = _reward(logps[self.worse], self)
        margin = self.beta * (better - worse)
        loss = _LINKS[self.link](margin, self)
        return TermLoss(
            loss=_keep(loss, counted, fill=0.0),
            metrics={
                f"margin/{self.label}": _keep(margin.detach(), counted),
                # A tie is half right: before the first step every pair is one.
                f"accuracy/{self.label}": _keep(0.5 + 0.5 * margin.detach().sign(), counted),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor(_Composable):
    """The view's own reward should stay above `delta`, so that a pair is not won by lowering both sides.

        -log sigmoid(beta * (log pi(y) - log ref(y)) - delta)

    Source: arXiv:2406.11839, Eq. 6.
    """

    target: View
    beta: float = 0.1
    """> 0."""
    delta: float = 0.0
    """In units of reward."""
    reduction: Reduction = "sum"
    needs_reference: bool = True
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_beta(self.beta, "anchor")

    @property
    def views(self) -> tuple[View, ...]:
        return (self.target,)

    @property
    def label(self) -> str:
        return f"anchor({self.target})"

    def count(self, lengths: Mapping[View, Int[Tensor, " item"]]) -> Float[Tensor, " item"]:
        return _all_present(lengths, self.views).float()

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        counted = logps[self.target].present
        reward = self.beta * _reward(logps[self.target], self)
        loss = -F.logsigmoid(reward - self.delta)
        return TermLoss(
            loss=_keep(loss, counted, fill=0.0),
            metrics={f"reward/{self.label}": _keep(reward.detach(), counted)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nll(_Composable):
    """Negative log-likelihood of the view's answer.

        token:    sum over all answer tokens of the step of -log pi, divided by how many there are
        sequence: mean over items of -sum_t log pi

    Source: definition; `token` is the usual supervised fine-tuning loss.
    """

    target: View
    average: Literal["token", "sequence"] = "token"
    needs_reference: bool = False
    weight: float = 1.0

    @property
    def views(self) -> tuple[View, ...]:
        return (self.target,)

    @property
    def label(self) -> str:
        return f"nll({self.target})"

    def count(self, lengths: Mapping[View, Int[Tensor, " item"]]) -> Float[Tensor, " item"]:
        tokens = lengths[self.target]
        return tokens.float() if self.average == "token" else (tokens > 0).float()

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        values = logps[self.target]
        loss = -values.policy.sum(dim=1)
        per_token = loss.detach() / values.lengths.clamp(min=1)
        return TermLoss(
            loss=_keep(loss, values.present, fill=0.0),
            metrics={f"nll_per_token/{self.target}": _keep(per_token, values.present)},
        )


def pairwise(better: View, worse: View, **options: object) -> Pairwise:
    """A `Pairwise` term; options are its fields."""
    return Pairwise(better=better, worse=worse, **options)  # type: ignore[arg-type]


def anchor(target: View, **options: object) -> Anchor:
    """An `Anchor` term; options are its fields."""
    return Anchor(target=target, **options)  # type: ignore[arg-type]


def nll(target: View, **options: object) -> Nll:
    """An `Nll` term; options are its fields."""
    return Nll(target=target, **options)  # type: ignore[arg-type]


def _sigmoid(margin: Float[Tensor, " item"], term: Pairwise) -> Float[Tensor, " item"]:
    e = term.label_smoothing
    return -(1 - e) * F.logsigmoid(margin) - e * F.logsigmoid(-margin)


def _hinge(margin: Float[Tensor, " item"], term: Pairwise) -> Float[Tensor, " item"]:
    return F.relu(1 - margin)


def _ipo(margin: Float[Tensor, " item"], term: Pairwise) -> Float[Tensor, " item"]:
    return (margin / term.beta - 1 / (2 * term.beta)) ** 2


_LINKS: Mapping[str, Callable[[Tensor, Pairwise], Tensor]] = {
    "sigmoid": _sigmoid,
    "hinge": _hinge,
    "ipo": _ipo,
}


def _reward(values: TokenLogps, term: Pairwise | Anchor) -> Float[Tensor, " item"]:
    """Log-ratio to the reference, or the log-probability itself, reduced over tokens (nats)."""
    per_token = values.policy
    if term.needs_reference:
        if values.reference is None:
            raise UsageError(f"term {term.label} needs reference log-probabilities; none were given.")
        per_token = per_token - values.reference
    total = torch.where(values.answer_mask, per_token, 0.0).sum(dim=1)
    return total if term.reduction == "sum" else total / values.lengths.clamp(min=1)


def _all_present(lengths: Mapping[View, Int[Tensor, " item"]], views: tuple[View, ...]) -> Bool[Tensor, " item"]:
    return torch.stack([lengths[v] > 0 for v in views]).all(dim=0)


def _keep(
    values: Float[Tensor, " item"], counted: Bool[Tensor, " item"], fill: float = float("nan")
) -> Float[Tensor, " item"]:
    return torch.where(counted, values, fill)


def _check_beta(beta: float, name: str) -> None:
    if not beta > 0:
        raise UsageError(f"{name}.beta must be > 0, got {beta}. Use 0.1 if unsure.")
