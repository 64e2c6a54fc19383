"""From log-probabilities per token to one reward per item: plain views, and views seen through a modifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from boresight.errors import UsageError
from boresight.objectives.objective import shaped
from boresight.objectives.views import TokenLogps, View

Reduction = Literal["sum", "mean"]


@runtime_checkable
class Modified(Protocol):
    """A view whose reward per token is not its plain log-ratio. Stands wherever a view may stand."""

    @property
    def target(self) -> View:
        """The view that is scored."""
        ...

    @property
    def views(self) -> tuple[View, ...]:
        """Everything that is read, the target first."""
        ...

    def per_token(self, logps: Mapping[View, TokenLogps], *, needs_reference: bool) -> Float[Tensor, "item token"]: ...


Side = View | Modified
"""What stands on one side of a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guided:
    """Away from what would be said without the picture, as in classifier-free guidance.

        gamma * log pi(y | v) - (gamma - 1) * sg[log pi(y | null)] - log ref(y | v)

    Source: Xie et al. 2024 (V-DPO), arXiv:2411.02712.
    """

    target: View
    null: View
    """The same text under an input without content."""
    gamma: float = 1.5
    """Strength of the guidance; 1 is none."""

    @property
    def views(self) -> tuple[View, ...]:
        return (self.target, self.null)

    def per_token(self, logps: Mapping[View, TokenLogps], *, needs_reference: bool) -> Float[Tensor, "item token"]:
        values = logps[self.target]
        null = _fitted(logps[self.null].policy, values).detach()
        guided = self.gamma * values.policy - (self.gamma - 1) * null
        return guided - _reference(values, self.target) if needs_reference else guided


@dataclass(frozen=True, slots=True, kw_only=True)
class Credited:
    """Tokens that the picture supports count more: a term that compares the clean with a noised picture.

        s = log p(y_t | v) - log p(y_t | noised v)
        c = floor + sigmoid(s) if raised, else floor + sigmoid(-s)
        log pi - log ref + log c(pi) - log c(ref)

    Source: Gu et al. 2024 (TPO), arXiv:2412.14487.
    """

    target: View
    noised: View
    raised: bool
    """True for the better answer, whose supported tokens gain; False for the worse one."""
    floor: float = 0.5

    @property
    def views(self) -> tuple[View, ...]:
        return (self.target, self.noised)

    def per_token(self, logps: Mapping[View, TokenLogps], *, needs_reference: bool) -> Float[Tensor, "item token"]:
        values, noised = logps[self.target], logps[self.noised]
        credited = values.policy + self._credit(values.policy, _fitted(noised.policy, values))
        if not needs_reference:
            return credited
        reference = _reference(values, self.target)
        return credited - reference - self._credit(reference, _fitted(_reference(noised, self.noised), values))

    def _credit(
        self, clean: Float[Tensor, "item token"], noised: Float[Tensor, "item token"]
    ) -> Float[Tensor, "item token"]:
        gap = clean - noised
        return torch.log(self.floor + torch.sigmoid(gap if self.raised else -gap))


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """The plain log-ratio of a view, without gradient."""

    target: View

    @property
    def views(self) -> tuple[View, ...]:
        return (self.target,)

    def per_token(self, logps: Mapping[View, TokenLogps], *, needs_reference: bool) -> Float[Tensor, "item token"]:
        return log_ratio(self.target, logps, needs_reference=needs_reference).detach()


def views_of(*sides: Side) -> tuple[View, ...]:
    """Every view that some sides read, each once."""
    return tuple(dict.fromkeys(v for side in sides for v in ((side,) if isinstance(side, View) else side.views)))


def target_of(side: Side) -> View:
    """The view that a side scores."""
    return side if isinstance(side, View) else side.target


def reward(
    side: Side, logps: Mapping[View, TokenLogps], *, reduction: Reduction = "sum", needs_reference: bool = True
) -> Float[Tensor, " item"]:
    """One number per item (nats), with every token weighted as the data ask.

        sum:  sum_t weights[t] * per_token[t]
        mean: the same, divided by sum_t weights[t]

    Args:
        needs_reference: False takes log-probabilities instead of their ratio to the reference.
    """
    values = logps[target_of(side)]
    if isinstance(side, View):
        per_token = log_ratio(side, logps, needs_reference=needs_reference)
    else:
        given = side.per_token(logps, needs_reference=needs_reference)
        per_token = shaped(given, values.policy, f"{type(side).__name__}.per_token")
    weights = torch.ones_like(per_token) if values.weights is None else values.weights.to(per_token.dtype)
    # Padding may hold anything, so it is replaced before it is multiplied.
    total = (torch.where(values.answer_mask, per_token, 0.0) * weights).sum(dim=1)
    if reduction == "sum":
        return total
    counted = torch.where(values.answer_mask, weights, 0.0).sum(dim=1)
    return total / torch.where(counted > 0, counted, 1.0)


def log_ratio(
    view: View, logps: Mapping[View, TokenLogps], *, needs_reference: bool = True
) -> Float[Tensor, "item token"]:
    """log pi - log ref of each token, or log pi alone."""
    values = logps[view]
    return values.policy - _reference(values, view) if needs_reference else values.policy


def _reference(values: TokenLogps, view: View) -> Float[Tensor, "item token"]:
    if values.reference is None:
        raise UsageError(
            f"{view} is compared with a reference, so it needs reference log-probabilities; none given. "
            "Leave needs_reference of the term at True, or pass False to reward."
        )
    return values.reference


def _fitted(other: Float[Tensor, "item _width"], values: TokenLogps) -> Float[Tensor, "item token"]:
    """The same text under another input, in a table as wide as `values`: items that lack one view differ in width."""
    missing = values.policy.shape[1] - other.shape[1]
    return F.pad(other, (0, missing)) if missing > 0 else other[:, : values.policy.shape[1]]
