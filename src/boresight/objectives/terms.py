"""Terms: each maps the log-probabilities of named views to one loss per item.

A term neither averages nor weights over items. It says what each item adds (`loss`) and what it counts for
(`count`); the trainer alone divides, by the count over the whole optimizer step. So neither accumulation nor sharding
can change a gradient. A term whose views an item lacks adds nothing for that item and does not count it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from boresight.errors import UsageError, known_names
from boresight.objectives import links
from boresight.objectives.baselines import Baseline, MeanRating, rating
from boresight.objectives.objective import Statistic, Term, TermLoss, all_present, keep, shaped, statistic_value
from boresight.objectives.rewards import Modified, Reduction, Side, reward, target_of, views_of
from boresight.objectives.strengths import Strength, signal
from boresight.objectives.views import TokenLogps, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """A further margin that is added inside the link, in units of log-ratio."""

    better: Side
    worse: Side
    factor: float = 1.0

    @property
    def views(self) -> tuple[View, ...]:
        return views_of(self.better, self.worse)

    @property
    def kl_views(self) -> tuple[View, ...]:
        return ()

    def __call__(
        self, logps: Mapping[View, TokenLogps], reduction: Reduction, needs_reference: bool
    ) -> Float[Tensor, " item"]:
        def value(side: Side) -> Float[Tensor, " item"]:
            return reward(side, logps, reduction=reduction, needs_reference=needs_reference)

        return self.factor * (value(self.better) - value(self.worse))


@dataclass(frozen=True, slots=True, kw_only=True)
class KlMargin:
    """How much further the policy moved from the reference along the better answer than along the worse.

        -factor * (KL(worse) - KL(better)),  KL(y) = sum_t KL(ref || pi at token t)

    Source: Zeng et al. 2024 (TDPO), arXiv:2404.11999.
    """

    better: View
    worse: View
    factor: float = 1.0
    stops_better: bool = True
    """Whether the better answer's divergence passes no gradient."""

    @property
    def views(self) -> tuple[View, ...]:
        return (self.better, self.worse)

    @property
    def kl_views(self) -> tuple[View, ...]:
        return self.views

    def __call__(
        self, logps: Mapping[View, TokenLogps], reduction: Reduction, needs_reference: bool
    ) -> Float[Tensor, " item"]:
        better = _divergence(self.better, logps)
        return self.factor * ((better.detach() if self.stops_better else better) - _divergence(self.worse, logps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairwise(Term):
    """`better` should gain more over the reference than `worse` does.

    margin = beta * (reward(better) - reward(worse) + further margins) - target
    loss   = link(margin), or link(reward(better), reward(worse)); see `links`
    """

    better: Side
    worse: Side
    beta: float = 0.1
    """Strength of the pull towards the reference, > 0."""
    link: links.Link = "sigmoid"
    label_smoothing: float = 0.0
    """Assumed share of flipped preferences, in [0, 0.5); for `sigmoid`, `robust` and `exo`, which needs some."""
    target: float = 0.0
    """Margin that must be passed, in units of reward."""
    plus: tuple[Margin | KlMargin, ...] = ()
    """Further margins, added before the link."""
    strength: Strength | None = None
    """Gives each item a beta of its own."""
    scale_by: str | None = None
    """Signal that multiplies the loss of each item."""
    reduction: Reduction = "sum"
    """Over an answer's tokens."""
    needs_reference: bool = True
    """False gives the log-probabilities themselves as rewards."""
    weighs_tokens: bool = True
    """False counts every token once, whatever the data say."""
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_beta(self.beta, "pairwise")
        _check_sides("pairwise", better=self.better, worse=self.worse)
        _check_reduction(self.reduction, "pairwise")
        known = (*links.OF_MARGIN, *links.OF_SIDES)
        if self.link not in known:
            raise UsageError(f"pairwise.link must be one of {', '.join(known)}, got {self.link!r}.")
        if not 0 <= self.label_smoothing < 0.5:
            raise UsageError(f"pairwise.label_smoothing must be in [0, 0.5), got {self.label_smoothing}.")
        if self.label_smoothing and self.link not in links.SMOOTHED:
            raise UsageError(f"pairwise.label_smoothing works with {', '.join(links.SMOOTHED)}, not {self.link!r}.")
        if self.link == "exo" and not self.label_smoothing:
            raise UsageError("pairwise.label_smoothing must be > 0 with link 'exo': it takes its logarithm. Use 0.001.")
        if self.link in links.OF_SIDES and (self.plus or self.target):
            raise UsageError(f"pairwise.link {self.link!r} reads no margin, so `plus` and `target` cannot be added.")

    @property
    def views(self) -> tuple[View, ...]:
        return tuple(dict.fromkeys([*views_of(self.better, self.worse), *(v for m in self.plus for v in m.views)]))

    @property
    def label(self) -> str:
        label = f"{target_of(self.better)}>{target_of(self.worse)}"
        return label if self.weighs_tokens else f"{label} unweighted"

    @property
    def kl_views(self) -> tuple[View, ...]:
        return tuple(dict.fromkeys(v for m in self.plus for v in m.kl_views))

    @property
    def signals(self) -> tuple[str, ...]:
        asked = self.strength.signals if self.strength else ()
        return (*asked, self.scale_by) if self.scale_by else asked

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        return self.strength.statistics if self.strength else ()

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        if not self.weighs_tokens:
            logps = {v: replace(values, weights=None) for v, values in logps.items()}
        counted = all_present({v: logps[v].lengths for v in self.views}, self.views)
        better = reward(self.better, logps, reduction=self.reduction, needs_reference=self.needs_reference)
        worse = reward(self.worse, logps, reduction=self.reduction, needs_reference=self.needs_reference)
        beta = self._betas(logps, better)
        gap = better - worse
        for more in self.plus:
            further = more(logps, self.reduction, self.needs_reference)
            gap = gap + shaped(further, gap, type(more).__name__)
        margin = beta * gap - self.target
        loss = shaped(self.linked(margin, better, worse, beta), margin, f"{type(self).__name__}.linked")
        if self.scale_by:
            loss = loss * signal(self.scale_by, logps, target_of(self.better))
        return TermLoss(
            loss=keep(loss, counted, fill=0.0),
            metrics={
                f"margin/{self.label}": keep(margin.detach(), counted),
                # Told apart the right way, target reached or not. A tie is half right: before the first step every pair
                # is one.
                f"accuracy/{self.label}": keep(0.5 + 0.5 * gap.detach().sign(), counted),
            },
        )

    def linked(
        self,
        margin: Float[Tensor, " item"],
        better: Float[Tensor, " item"],
        worse: Float[Tensor, " item"],
        beta: Float[Tensor, " item"],
    ) -> Float[Tensor, " item"]:
        """The loss from the margin, or from both rewards. A link of one's own overrides this."""
        if self.link in links.OF_SIDES:
            return links.OF_SIDES[self.link](better, worse, beta)
        return links.OF_MARGIN[self.link](margin, beta, self.label_smoothing)

    def _betas(self, logps: Mapping[View, TokenLogps], like: Float[Tensor, " item"]) -> Float[Tensor, " item"]:
        if self.strength is None:
            return torch.full_like(like, self.beta)
        betas = self.strength(self.beta, logps, target_of(self.better))
        return shaped(betas, like, type(self.strength).__name__).detach()


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor(Term):
    """The view's own reward should stay above `delta`, so that a pair is not won by lowering both sides.

        raises: -log sigmoid(beta * reward - delta);  else: -log sigmoid(delta - beta * reward)

    Source: arXiv:2406.11839, Eq. 6.
    """

    target: Side
    beta: float = 0.1
    """> 0."""
    delta: float = 0.0
    """In units of reward."""
    raises: bool = True
    """False keeps the reward below `delta`."""
    reduction: Reduction = "sum"
    needs_reference: bool = True
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_beta(self.beta, "anchor")
        _check_sides("anchor", target=self.target)
        _check_reduction(self.reduction, "anchor")

    @property
    def views(self) -> tuple[View, ...]:
        return views_of(self.target)

    @property
    def label(self) -> str:
        return f"anchor({target_of(self.target)})"

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        counted = all_present({v: logps[v].lengths for v in self.views}, self.views)
        gained = self.beta * reward(self.target, logps, reduction=self.reduction, needs_reference=self.needs_reference)
        above = gained - self.delta
        loss = -F.logsigmoid(above if self.raises else -above)
        return TermLoss(
            loss=keep(loss, counted, fill=0.0),
            metrics={f"reward/{self.label}": keep(gained.detach(), counted)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaired(Term):
    """Good answers should gain more than a baseline and bad ones less, each for itself; an item may have only one.

        log_sigmoid: -good_weight * log sigmoid(r - z)      -bad_weight * log sigmoid(z - r)
        sigmoid:      good_weight * (1 - sigmoid(r - z))     bad_weight * (1 - sigmoid(z - r))

    with r = beta * reward and z = beta * baseline. An item counts once, whether it has one answer or both.

    Source: arXiv:2404.04656 (log_sigmoid); arXiv:2402.01306 (sigmoid).
    """

    good: View
    bad: View
    beta: float = 0.1
    """> 0."""
    link: Literal["log_sigmoid", "sigmoid"] = "log_sigmoid"
    baseline: Baseline | None = None
    """None is 0."""
    good_weight: float = 1.0
    bad_weight: float = 1.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_beta(self.beta, "unpaired")
        _check_sides("unpaired", good=self.good, bad=self.bad)
        if self.link not in ("log_sigmoid", "sigmoid"):
            raise UsageError(f"unpaired.link must be log_sigmoid or sigmoid, got {self.link!r}.")

    @property
    def views(self) -> tuple[View, ...]:
        return (self.good, self.bad)

    @property
    def label(self) -> str:
        return f"{self.good}|{self.bad}"

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        return (self.baseline,) if self.baseline else ()

    def count(self, lengths: Mapping[View, Int[Tensor, " item"]]) -> Float[Tensor, " item"]:
        return ((lengths[self.good] > 0) | (lengths[self.bad] > 0)).float()

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        good, bad = self.beta * reward(self.good, logps), self.beta * reward(self.bad, logps)
        shift = torch.zeros_like(good)
        if self.baseline is not None:
            shift = self.beta * statistic_value(self.baseline, logps, good)
        has_good, has_bad = logps[self.good].present, logps[self.bad].present
        loss = keep(self.good_weight * self._fall(good - shift), has_good, fill=0.0)
        loss = loss + keep(self.bad_weight * self._fall(shift - bad), has_bad, fill=0.0)
        return TermLoss(
            loss=loss,
            metrics={
                f"reward/{self.good}": keep(good.detach(), has_good),
                f"reward/{self.bad}": keep(bad.detach(), has_bad),
                f"baseline/{self.label}": shift.detach(),
            },
        )

    def _fall(self, above: Float[Tensor, " item"]) -> Float[Tensor, " item"]:
        return -F.logsigmoid(above) if self.link == "log_sigmoid" else torch.sigmoid(-above)


@dataclass(frozen=True, slots=True, kw_only=True)
class OddsRatio(Term):
    """The better answer's odds should exceed the worse one's, with no reference.

        -log sigmoid(log odds(better) - log odds(worse)),  odds = p / (1 - p),  p = exp(mean_t log pi)

    Source: Hong et al. 2024 (ORPO), arXiv:2403.07691, Eq. 4 and 7.
    """

    better: View
    worse: View
    needs_reference: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_sides("OddsRatio", better=self.better, worse=self.worse)

    @property
    def views(self) -> tuple[View, ...]:
        return (self.better, self.worse)

    @property
    def label(self) -> str:
        return f"odds({self.better}>{self.worse})"

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        counted = all_present({v: logps[v].lengths for v in self.views}, self.views)
        ratio = self._log_odds(self.better, logps) - self._log_odds(self.worse, logps)
        return TermLoss(
            loss=keep(-F.logsigmoid(ratio), counted, fill=0.0),
            metrics={f"log_odds_ratio/{self.better}>{self.worse}": keep(ratio.detach(), counted)},
        )

    def _log_odds(self, view: View, logps: Mapping[View, TokenLogps]) -> Float[Tensor, " item"]:
        mean = reward(view, logps, reduction="mean", needs_reference=False)
        return mean - torch.log(-torch.expm1(mean.clamp(max=_ALMOST_ZERO)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardPair(Term):
    """A reward head should rate the better answer higher, and rate around 0 overall.

        -log sigmoid(r(better) - r(worse)) + centering * |mean over the step of r(better) + r(worse)|

    Source: Sun et al. 2023 (Fact-RLHF), arXiv:2309.14525; the second part as in llava-rlhf/LLaVA-RLHF@830a083,
    RLHF/models/reward_model.py.
    """

    better: View
    worse: View
    centering: float = 1e-3
    needs_reference: bool = False
    needs_head: bool = True
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_sides("RewardPair", better=self.better, worse=self.worse)

    @property
    def views(self) -> tuple[View, ...]:
        return (self.better, self.worse)

    @property
    def label(self) -> str:
        return f"rating({self.better}>{self.worse})"

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        return (MeanRating(of=self.views),)

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        counted = all_present({v: logps[v].lengths for v in self.views}, self.views)
        better, worse = rating(self.better, logps), rating(self.worse, logps)
        (mean,) = self.statistics
        # The sign of the step's mean makes the absolute value a sum over items, which any split keeps.
        off_center = (better + worse) * statistic_value(mean, logps, better).sign()
        loss = -F.logsigmoid(better - worse) + self.centering * off_center
        return TermLoss(
            loss=keep(loss, counted, fill=0.0),
            metrics={f"margin/{self.label}": keep((better - worse).detach(), counted)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nll(Term):
    """Negative log-likelihood of the view's answer.

        token:    sum over all answer tokens of the step of -log pi, divided by how many there are
        sequence: mean over items of -sum_t log pi
        sure:     every token is multiplied by its own probability, which passes no gradient

    Source: definition; `token` is the usual supervised fine-tuning loss. `sure` is dynamic fine-tuning,
    as AdPO uses it, arXiv:2504.01735.
    """

    target: View
    average: Literal["token", "sequence"] = "token"
    sure: bool = False
    needs_reference: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_sides("nll", target=self.target)
        if self.average not in ("token", "sequence"):
            raise UsageError(f"nll.average must be token or sequence, got {self.average!r}.")

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
        per_token = torch.where(values.answer_mask, -values.policy, 0.0)
        loss = (per_token * torch.exp(-per_token.detach()) if self.sure else per_token).sum(dim=1)
        mean = per_token.detach().sum(dim=1) / values.lengths.clamp(min=1)
        return TermLoss(
            loss=keep(loss, values.present, fill=0.0),
            metrics={f"nll_per_token/{self.target}": keep(mean, values.present)},
        )


_ALMOST_ZERO = -1e-7  # p = 1 has infinite odds, and an absent answer has p = 1; float32 cannot tell 1 - 1e-8 from 1


def pairwise(better: Side, worse: Side, **options: object) -> Pairwise:
    """A `Pairwise` term; options are its fields."""
    return Pairwise(better=better, worse=worse, **_options("pairwise", Pairwise, options))


def anchor(target: Side, **options: object) -> Anchor:
    """An `Anchor` term; options are its fields."""
    return Anchor(target=target, **_options("anchor", Anchor, options))


def unpaired(good: View, bad: View, **options: object) -> Unpaired:
    """An `Unpaired` term; options are its fields."""
    return Unpaired(good=good, bad=bad, **_options("unpaired", Unpaired, options))


def nll(target: View, **options: object) -> Nll:
    """An `Nll` term; options are its fields."""
    return Nll(target=target, **_options("nll", Nll, options))


def _options(name: str, kind: Any, options: dict[str, object]) -> dict[str, Any]:
    known = [f.name for f in fields(kind)]
    for option in options.keys() - set(known):
        raise UsageError(f"{name} has no option {option!r}. {known_names(option, known)}")
    return options


def _divergence(view: View, logps: Mapping[View, TokenLogps]) -> Float[Tensor, " item"]:
    values = logps[view]
    if values.kl is None:
        raise UsageError(f"{view} needs the full-vocabulary KL to the reference; none was given.")
    return torch.where(values.answer_mask, values.kl, 0.0).sum(dim=1)


def _check_beta(beta: float, name: str) -> None:
    if not isinstance(beta, float | int) or not 0 < beta < math.inf:
        raise UsageError(
            f"{name}.beta must be > 0{', and finite' if beta == math.inf else ''}, got {beta!r}. Use 0.1 if unsure."
        )


def _check_reduction(reduction: str, name: str) -> None:
    if reduction not in ("sum", "mean"):
        raise UsageError(f"{name}.reduction must be sum or mean, got {reduction!r}.")


def _check_sides(term: str, **sides: Side) -> None:
    for name, side in sides.items():
        if not isinstance(side, View | Modified):
            raise UsageError(f'{term}.{name} must be a view such as view("chosen"), got {side!r}.')
    if len(set(map(repr, sides.values()))) < len(sides):
        raise UsageError(f"{term} compares {target_of(next(iter(sides.values())))} with itself, which teaches nothing.")
