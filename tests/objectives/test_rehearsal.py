"""Terms of one's own that cannot be trained on are found on made-up numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from boresight.errors import UsageError
from boresight.objectives import (
    MISMATCHED,
    Guided,
    KlMargin,
    MismatchedKl,
    Objective,
    OddsRatio,
    Pairwise,
    RewardPair,
    Term,
    TermLoss,
    TokenLogps,
    View,
    anchor,
    example_logps,
    nll,
    pairwise,
    rehearse,
    unpaired,
    view,
)
from boresight.objectives.objective import all_present
from boresight.objectives.rewards import reward

CHOSEN, REJECTED = view("chosen"), view("rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked(Pairwise):
    """A link that a test makes up."""

    of: Callable[[Tensor], Tensor] = field(default=torch.neg)

    def linked(self, margin: Tensor, better: Tensor, worse: Tensor, beta: Tensor) -> Tensor:
        return self.of(margin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw(Term):
    """One view's reward, as a test changes it."""

    of: Callable[[Tensor], Tensor]
    label = "raw"
    views = (CHOSEN,)

    def __call__(self, logps: Mapping[view, TokenLogps]) -> TermLoss:  # type: ignore[valid-type]
        return TermLoss(loss=self.of(reward(CHOSEN, logps)))


@pytest.mark.parametrize(
    ("link", "why"),
    [
        (lambda margin: torch.sigmoid(-margin).mean().expand_as(margin), "another loss alone than among other items"),
        (lambda margin: margin - margin.max(), "another loss alone than among other items"),
        (lambda margin: -margin.detach(), "has no gradient"),
        (torch.log, "not finite"),
        (lambda margin: (margin - margin.detach()).sqrt(), "not finite"),
    ],
)
def test_a_link_that_cannot_be_trained_on_is_refused(link: Callable[[Tensor], Tensor], why: str) -> None:
    """The last one has the finite value 0, and an infinite slope there."""
    with pytest.raises(UsageError, match=f"term chosen>rejected .*{why}"):
        rehearse(Objective((Linked(better=CHOSEN, worse=REJECTED, of=link),)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda values: values[:2], r"shape \(4,\), got shape \(2,\)"),
        (lambda values: values + 1.0, "must be 0 for an item that lacks chosen, got 1"),
    ],
)
def test_a_term_that_counts_wrongly_is_refused(change: Callable[[Tensor], Tensor], why: str) -> None:
    with pytest.raises(UsageError, match=f"term raw .*{why}"):
        rehearse(Objective((Raw(of=change),)))


def test_a_bounded_link_a_baseline_and_a_reward_head_pass() -> None:
    terms = (
        Linked(better=CHOSEN, worse=REJECTED, of=lambda margin: torch.sigmoid(-margin) ** 2),
        unpaired(CHOSEN, REJECTED, baseline=MismatchedKl()),
        RewardPair(better=CHOSEN, worse=REJECTED),
        Raw(of=torch.neg),
    )
    rehearse(Objective(terms))
    assert MISMATCHED in example_logps(Objective(terms))


def test_example_numbers_have_the_lengths_that_are_asked_for_and_one_seed_repeats_them() -> None:
    objective = Objective((pairwise(CHOSEN, REJECTED, scale_by="margin"),))
    logps = example_logps(objective, lengths=(2, 0))
    assert list(logps) == [CHOSEN, REJECTED]
    assert logps[CHOSEN].lengths.tolist() == [2, 0] and logps[CHOSEN].signals["margin"].shape == (2,)
    assert logps[CHOSEN].policy.requires_grad and logps[CHOSEN].policy.dtype == torch.float64
    assert not logps[CHOSEN].policy[1].any() and (logps[CHOSEN].policy[0] < 0).all()
    assert example_logps(objective, lengths=(2, 0))[REJECTED].policy.equal(logps[REJECTED].policy)
    assert not example_logps(objective, lengths=(2, 0), seed=1)[REJECTED].policy.equal(logps[REJECTED].policy)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: pairwise(CHOSEN, REJECTED, betta=1.0), "no option 'betta'. Did you mean 'beta'?"),
        (lambda: nll(CHOSEN, beta=1.0), "nll has no option 'beta'."),
        (lambda: pairwise(CHOSEN, REJECTED, beta="0.1"), "pairwise.beta must be > 0, got '0.1'"),
        (lambda: pairwise(CHOSEN, REJECTED, beta=float("inf")), "must be > 0, and finite, got inf"),
        (lambda: pairwise(CHOSEN, REJECTED, beta=float("nan")), "must be > 0, got nan"),
        (lambda: pairwise(CHOSEN, REJECTED, reduction="avg"), "pairwise.reduction must be sum or mean, got 'avg'"),
        (lambda: anchor(CHOSEN, reduction="avg"), "anchor.reduction must be sum or mean, got 'avg'"),
        (lambda: nll(CHOSEN, average="item"), "nll.average must be token or sequence, got 'item'"),
        (lambda: unpaired(CHOSEN, REJECTED, link="hinge"), "unpaired.link must be log_sigmoid or sigmoid, got 'hinge'"),
        (lambda: pairwise("chosen", REJECTED), "pairwise.better must be a view such as view(\"chosen\"), got 'chosen'"),
        (lambda: anchor("chosen"), "anchor.target must be a view"),
        (lambda: nll("chosen"), "nll.target must be a view"),
        (lambda: pairwise(CHOSEN, CHOSEN), "pairwise compares chosen with itself"),
        (lambda: unpaired(CHOSEN, CHOSEN), "unpaired compares chosen with itself"),
        (lambda: OddsRatio(better=CHOSEN, worse=CHOSEN), "OddsRatio compares chosen with itself"),
        (lambda: RewardPair(better=CHOSEN, worse=CHOSEN), "RewardPair compares chosen with itself"),
        (lambda: Objective(pairwise(CHOSEN, REJECTED)), "a tuple of terms, got Pairwise; write Objective((term,))"),
        (lambda: Objective(()), "a tuple of terms, got none"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], object], why: str) -> None:
    with pytest.raises(UsageError) as refused:
        make()
    assert why in str(refused.value)


def test_a_view_may_be_compared_with_itself_under_guidance() -> None:
    guided = Guided(target=CHOSEN, null=view("chosen", "null"))
    assert pairwise(guided, CHOSEN).views == (CHOSEN, view("chosen", "null"))


def test_a_pair_is_told_apart_whether_or_not_it_reaches_the_target() -> None:
    """Log-ratios of 1 and 0 with beta 1 give a gap of 1, which misses a target of 3 by 2."""
    logps = example_logps(Objective((pairwise(CHOSEN, REJECTED),)), lengths=(1,))
    logps = {
        v: replace(table, policy=torch.tensor([[gained - 2.0]]), reference=torch.tensor([[-2.0]]))
        for (v, table), gained in zip(logps.items(), (1.0, 0.0), strict=True)
    }
    metrics = pairwise(CHOSEN, REJECTED, beta=1.0, target=3.0)(logps).metrics
    assert metrics["accuracy/chosen>rejected"].tolist() == [1.0]
    assert metrics["margin/chosen>rejected"].tolist() == [-2.0]


def all_of_both(lengths: Mapping[View, Tensor]) -> Tensor:
    return all_present(lengths, (CHOSEN, REJECTED)).float()


@dataclass(frozen=True, slots=True, kw_only=True)
class Given(Term):
    """A term that returns what a test says."""

    gives: Callable[[Mapping[View, TokenLogps]], Any]
    counts: Callable[[Mapping[View, Tensor]], Any] = all_of_both
    label = "given"
    views = (CHOSEN, REJECTED)

    def count(self, lengths: Mapping[View, Tensor]) -> Tensor:
        counted: Tensor = self.counts(lengths)
        return counted

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        output: TermLoss = self.gives(logps)
        return output


def _margin(logps: Mapping[View, TokenLogps]) -> Tensor:
    return reward(CHOSEN, logps) - reward(REJECTED, logps)


@pytest.mark.parametrize(
    ("term", "why"),
    [
        (Given(gives=_margin), "given must return TermLoss.*got Tensor"),
        (Given(gives=lambda logps: None), "given must return TermLoss.*got NoneType"),
        (
            Given(gives=lambda logps: TermLoss(loss=_margin(logps))),
            "must be 0 for an item that lacks (chosen|rejected), got",
        ),
        (
            Given(gives=lambda logps: TermLoss(loss=_margin(logps)), counts=lambda lengths: 3.0),
            "given: count must give a tensor of one number per item",
        ),
    ],
)
def test_what_a_term_returns_is_looked_at(term: Term, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        rehearse(Objective((term,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """A strength, a side and a further margin that return nothing."""

    target: View = CHOSEN
    views: tuple[View, ...] = (CHOSEN,)
    kl_views: tuple[View, ...] = ()
    signals: tuple[str, ...] = ()
    statistics: tuple[Any, ...] = ()

    def __call__(self, *_: object) -> Any:
        return None

    def per_token(self, *_: object, **__: object) -> Any:
        return None


@pytest.mark.parametrize(
    ("term", "why"),
    [
        (Linked(better=CHOSEN, worse=REJECTED, of=lambda margin: None), "Linked.linked must return .* got NoneType"),
        (Linked(better=CHOSEN, worse=REJECTED, of=torch.mean), r"Linked.linked must return .* got one of shape \(\)"),
        (pairwise(CHOSEN, REJECTED, strength=Nothing()), "Nothing must return a tensor .* got NoneType"),
        (pairwise(CHOSEN, REJECTED, plus=(Nothing(),)), "Nothing must return a tensor .* got NoneType"),
        (pairwise(Nothing(), REJECTED), r"Nothing.per_token must return a tensor of shape \(4, \d\), got NoneType"),
    ],
)
def test_a_part_that_returns_nothing_is_told_what_to_return(term: Term, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        rehearse(Objective((term,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Says(Given):
    """A term whose properties a test makes up."""

    gives: Any = None
    views: Any = (CHOSEN,)  # type: ignore[assignment]
    kl_views: Any = ()
    signals: Any = ()
    statistics: Any = ()
    weight: Any = 1.0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"views": None}, "Says.views must be a tuple of views, got None."),
        ({"views": CHOSEN}, "Says.views must be a tuple of views, got View(text='chosen', input='clean')."),
        ({"views": ()}, "Says.views must name at least one view"),
        ({"kl_views": None}, "Says.kl_views must be a tuple of views, got None."),
        ({"signals": "margin"}, "Says.signals must be a tuple of names, got 'margin'."),
        ({"statistics": None}, "Says.statistics must be a tuple of statistics, got None."),
        ({"weight": None}, "Says.weight must be a number, got None."),
    ],
)
def test_what_a_term_says_of_itself_is_looked_at(said: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as refused:
        Objective((Says(**said),))
    assert why in str(refused.value)


def test_answers_may_be_of_lengths_of_their_own() -> None:
    objective = pairwise(CHOSEN, REJECTED) + nll(CHOSEN)
    logps = example_logps(objective, lengths={CHOSEN: (2, 0), REJECTED: (1, 4)})
    assert [logps[v].lengths.tolist() for v in (CHOSEN, REJECTED)] == [[2, 0], [1, 4]]
    assert [logps[v].policy.shape for v in (CHOSEN, REJECTED)] == [(2, 2), (2, 4)]
    with pytest.raises(UsageError, match=r"lengths must name every view that is read, also rejected\."):
        example_logps(objective, lengths={CHOSEN: (2, 0)})
    with pytest.raises(UsageError, match=r"lengths must be of as many items for every view, got 2 and 1\."):
        example_logps(objective, lengths={CHOSEN: (2, 0), REJECTED: (1,)})


def test_a_term_that_mixes_up_tokens_of_two_answers_is_noticed() -> None:
    """A gap per token fits only while both answers happen to be equally long."""

    def mixed(logps: Mapping[View, TokenLogps]) -> TermLoss:
        gap = logps[CHOSEN].policy - logps[REJECTED].policy
        return TermLoss(loss=torch.where(logps[CHOSEN].present & logps[REJECTED].present, gap.sum(dim=1), 0.0))

    with pytest.raises(RuntimeError, match="must match the size"):
        rehearse(Objective((Given(gives=mixed),)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads(Given):
    """A term that says whether it needs a reference."""

    needs_reference: bool = False  # type: ignore[misc]


def test_a_term_that_reads_what_it_does_not_ask_for_is_found() -> None:
    """Where another term asks for a reference there is one for all, as in training."""
    sly = Reads(gives=lambda logps: TermLoss(loss=_both(logps, _margin(logps))))
    with pytest.raises(UsageError, match=r"none given\. Leave needs_reference of the term at True, or pass False to"):
        rehearse(Objective((sly,)))
    rehearse(sly + pairwise(CHOSEN, REJECTED))
    assert all(table.reference is None for table in example_logps(Objective((sly, nll(CHOSEN)))).values())


@pytest.mark.parametrize("read", ["kl", "head"])
def test_a_distribution_or_a_reward_head_is_given_to_those_who_ask_for_it(read: str) -> None:
    bare = example_logps(pairwise(CHOSEN, REJECTED) + nll(CHOSEN))
    assert getattr(bare[CHOSEN], read) is None
    asked = RewardPair(better=CHOSEN, worse=REJECTED) + pairwise(
        CHOSEN, REJECTED, plus=(KlMargin(better=CHOSEN, worse=REJECTED),)
    )
    assert getattr(example_logps(asked)[CHOSEN], read) is not None


def _both(logps: Mapping[View, TokenLogps], loss: Tensor) -> Tensor:
    return torch.where(logps[CHOSEN].present & logps[REJECTED].present, loss, 0.0)


@pytest.mark.parametrize(
    "link",
    [
        lambda margin: torch.relu(1.0 - margin),
        lambda margin: torch.relu(margin.abs() - 1000.0),
        lambda margin: torch.relu(0.01 - margin.abs()),
    ],
)
def test_a_loss_may_be_flat_wherever_it_is_tried(link: Callable[[Tensor], Tensor]) -> None:
    """Far away (a hinge), until far away (a cap) or but at the start (a tolerance): made-up numbers cannot tell."""
    rehearse(Objective((Linked(better=CHOSEN, worse=REJECTED, of=link),)))


def test_what_lies_behind_the_end_of_an_answer_may_have_any_gradient() -> None:
    """The log-odds of padding are log(1 - e^0); no model has a part in it."""

    def odds(logps: Mapping[View, TokenLogps]) -> TermLoss:
        table = logps[CHOSEN]
        per_token = table.policy - torch.log1p(-table.policy.exp())
        mean = torch.where(table.answer_mask, per_token, 0.0).sum(dim=1) / table.lengths
        return TermLoss(loss=_both(logps, -mean))

    rehearse(Objective((Given(gives=odds),)))


def test_terms_are_tried_in_the_precision_that_they_are_trained_in() -> None:
    def decayed(logps: Mapping[View, TokenLogps]) -> TermLoss:
        table = logps[CHOSEN]
        assert table.reference is not None
        decay = 0.9 ** torch.arange(table.policy.shape[1])
        return TermLoss(loss=_both(logps, table.policy @ decay - table.reference @ decay))

    rehearse(Objective((Given(gives=decayed),)))


def test_tokens_have_weights_where_the_method_gives_them() -> None:
    def weighted(logps: Mapping[View, TokenLogps]) -> TermLoss:
        table = logps[CHOSEN]
        assert table.weights is not None
        return TermLoss(loss=_both(logps, (table.policy * table.weights).sum(dim=1)))

    objective = Objective((Given(gives=weighted),))
    rehearse(objective, weighs=True)
    with pytest.raises(AssertionError):
        rehearse(objective)


def test_a_term_that_draws_random_numbers_is_refused() -> None:
    def drawn(margin: Tensor) -> Tensor:
        return margin * torch.rand_like(margin)

    with pytest.raises(UsageError, match="gives another loss at every call"):
        rehearse(Objective((Linked(better=CHOSEN, worse=REJECTED, of=drawn),)))


def test_a_term_that_counts_items_of_either_answer_may_add_loss_for_one() -> None:
    rehearse(Objective((unpaired(CHOSEN, REJECTED),)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A statistic that a test makes up."""

    measures: Any = None
    settles: Any = (0.0, {})
    name = "made_up"
    views = (CHOSEN,)

    def measure(self, logps: Mapping[View, TokenLogps]) -> dict[str, Any]:
        return {"x": torch.ones(3) if self.measures is None else self.measures}

    def settle(self, means: Mapping[str, float], state: Mapping[str, float]) -> Any:
        return self.settles


class Silent(Measured):
    def measure(self, logps: Mapping[View, TokenLogps]) -> Any:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class WithStatistic(Raw):
    of: Callable[[Tensor], Tensor] = torch.neg
    statistic: Measured = Measured()

    @property
    def statistics(self) -> tuple[Measured, ...]:
        return (self.statistic,)


@pytest.mark.parametrize(
    ("statistic", "why"),
    [
        (Measured(measures=0.5), "made_up: measure must give vectors"),
        (Silent(), "made_up: measure must give vectors by name, got NoneType"),
        (Measured(measures=torch.tensor(0.5)), "made_up: measure must give vectors"),
        (Measured(settles=0.5), "made_up: settle must give a number and what to keep"),
        (Measured(settles=(0.5, {"mean": torch.ones(2)})), "made_up: settle may keep numbers only"),
    ],
)
def test_what_a_statistic_returns_is_looked_at(statistic: Measured, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        rehearse(Objective((WithStatistic(statistic=statistic),)))


def test_two_statistics_of_one_name_would_read_each_other() -> None:
    one, other = (WithStatistic(statistic=Measured(settles=(value, {}))) for value in (0.0, 50.0))
    with pytest.raises(UsageError, match="two different statistics are called 'made_up'"):
        one + other
    assert len((one + one).statistics) == 1


def test_terms_of_one_label_are_numbered_in_what_is_logged() -> None:
    objective = pairwise(CHOSEN, REJECTED, beta=0.1) + pairwise(CHOSEN, REJECTED, beta=0.5) + nll(CHOSEN)
    assert objective.labels == ("chosen>rejected #1", "chosen>rejected #2", "nll(chosen)")
    logps = example_logps(objective)
    reduced = objective.reduce(logps, objective.counts({v: t.lengths for v, t in logps.items()}))
    assert list(reduced.per_term) == list(objective.labels)
