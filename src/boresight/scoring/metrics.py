"""What is measured, from plain per-item numbers: hallucination, coverage, yes/no answers, length, preference.

Each metric returns a `Ratio`, so that every one gets the same interval and the same paired difference.
`METRICS` says how to read a number: its title, its unit and which direction is better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from boresight.errors import UsageError
from boresight.scoring.statistics import Ratio, mean_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCounts:
    """What one description says, counted against the facts of its picture."""

    item_id: str
    group: str
    """Picture or scene; items of one group are resampled together."""
    false_mentions: int
    mentions: int
    """Objects mentioned, true or false."""
    covered: int
    """Objects present that are mentioned."""
    present: int
    num_tokens: int
    """Tokens of the stripped response, end marker not counted; 0 is an empty response."""

    def __post_init__(self) -> None:
        if not (0 <= self.false_mentions <= self.mentions and 0 <= self.covered <= self.present):
            raise UsageError(
                f"item {self.item_id!r}: expected 0 <= false_mentions <= mentions and "
                f"0 <= covered <= present, got {self.false_mentions}, {self.mentions}, "
                f"{self.covered}, {self.present}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer to a yes/no question."""

    item_id: str
    group: str
    said: Literal["yes", "no"] | None
    """None when the response is neither; that is a status, not a "no"."""
    target: Literal["yes", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """By how much the chosen answer beats the rejected one, in nats or in the unit of a reward."""

    item_id: str
    group: str
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How to read a number of this name."""

    title: str
    better: Literal["lower", "higher", "neither"]
    unit: Literal["rate", "tokens", "nats"]
    meaning: str


METRICS: Mapping[str, Metric] = {
    "chair_i": Metric(
        title="False mentions (CHAIR-i)",
        better="lower",
        unit="rate",
        meaning="mentioned objects that are not in the picture / mentioned objects",
    ),
    "chair_s": Metric(
        title="Responses with a false mention (CHAIR-s)",
        better="lower",
        unit="rate",
        meaning="responses with at least one false object / responses",
    ),
    "coverage": Metric(
        title="Coverage",
        better="higher",
        unit="rate",
        meaning="objects of the picture that are mentioned / objects of the picture",
    ),
    "accuracy": Metric(
        title="Yes/no accuracy",
        better="higher",
        unit="rate",
        meaning="right answers / questions; an unparsed answer counts as wrong",
    ),
    "f1": Metric(
        title="Yes/no F1",
        better="higher",
        unit="rate",
        meaning="2 TP / (2 TP + FP + FN), yes is positive; an unparsed answer to a yes question is a miss",
    ),
    "yes_ratio": Metric(
        title="Yes ratio",
        better="neither",
        unit="rate",
        meaning="answers that say yes / answers that say yes or no",
    ),
    "unparsed_rate": Metric(
        title="Unparsed answers",
        better="lower",
        unit="rate",
        meaning="answers that are neither yes nor no / questions",
    ),
    "preference_accuracy": Metric(
        title="Preference accuracy",
        better="higher",
        unit="rate",
        meaning="pairs with a positive margin / pairs; a tie counts one half",
    ),
    "margin": Metric(
        title="Preference margin",
        better="higher",
        unit="nats",
        meaning="mean margin of the chosen over the rejected answer",
    ),
    "length_tokens": Metric(
        title="Response length",
        better="neither",
        unit="tokens",
        meaning="mean number of tokens of a response",
    ),
    "empty_rate": Metric(
        title="Empty responses",
        better="lower",
        unit="rate",
        meaning="responses without any token / responses",
    ),
}


class _Grouped(Protocol):
    @property
    def item_id(self) -> str: ...
    @property
    def group(self) -> str: ...


_Item = TypeVar("_Item", bound=_Grouped)


def chair_i(items: Sequence[ItemCounts]) -> Ratio:
    """Share of mentioned objects that are not in the picture.

    Source: Rohrbach et al. 2018, arXiv:1809.02156, section 2.1.
    """
    return _ratio(items, lambda item: item.false_mentions, lambda item: item.mentions)


def chair_s(items: Sequence[ItemCounts]) -> Ratio:
    """Share of responses with at least one false mention.

    Source: Rohrbach et al. 2018, arXiv:1809.02156, section 2.1.
    """
    return _ratio(items, lambda item: item.false_mentions > 0)


def coverage(items: Sequence[ItemCounts]) -> Ratio:
    """Share of the objects present that are mentioned."""
    return _ratio(items, lambda item: item.covered, lambda item: item.present)


def length_tokens(items: Sequence[ItemCounts]) -> Ratio:
    """Mean number of response tokens."""
    return _ratio(items, lambda item: item.num_tokens)


def empty_rate(items: Sequence[ItemCounts]) -> Ratio:
    """Share of responses without any token."""
    return _ratio(items, lambda item: item.num_tokens == 0)


def accuracy(items: Sequence[Answer]) -> Ratio:
    """Share of right answers among all questions; an unparsed answer is wrong."""
    return _ratio(items, lambda item: item.said == item.target)


def f1(items: Sequence[Answer]) -> Ratio:
    """F1 with "yes" as the positive class; an unparsed answer to a "yes" question is a miss.

    f1 = 2 TP / (2 TP + FP + FN), a ratio of sums over items.
    """
    return _ratio(
        items,
        lambda item: 2 * (item.said == "yes" and item.target == "yes"),
        lambda item: (item.said == "yes") + (item.target == "yes"),
    )


def yes_ratio(items: Sequence[Answer]) -> Ratio:
    """Share of "yes" among the answers that could be read."""
    return _ratio(items, lambda item: item.said == "yes", lambda item: item.said is not None)


def unparsed_rate(items: Sequence[Answer]) -> Ratio:
    """Share of answers that are neither yes nor no."""
    return _ratio(items, lambda item: item.said is None)


def preference_accuracy(items: Sequence[Margin]) -> Ratio:
    """Share of pairs with a positive margin; a tie counts one half, so an untrained model scores one half."""
    return _ratio(items, lambda item: 0.5 * (item.margin > 0) + 0.5 * (item.margin >= 0))


def margin(items: Sequence[Margin]) -> Ratio:
    """Mean margin."""
    return _ratio(items, lambda item: item.margin)


def descriptions(items: Sequence[ItemCounts]) -> dict[str, Ratio]:
    """Every metric of a run of descriptions, by name. Length stands beside hallucination, always."""
    return {
        "chair_i": chair_i(items),
        "chair_s": chair_s(items),
        "coverage": coverage(items),
        "length_tokens": length_tokens(items),
        "empty_rate": empty_rate(items),
    }


def answers(items: Sequence[Answer]) -> dict[str, Ratio]:
    """Every metric of a run of yes/no questions, by name."""
    return {
        "accuracy": accuracy(items),
        "f1": f1(items),
        "yes_ratio": yes_ratio(items),
        "unparsed_rate": unparsed_rate(items),
    }


def preferences(items: Sequence[Margin]) -> dict[str, Ratio]:
    """Every metric of a run of preference pairs, by name."""
    return {"preference_accuracy": preference_accuracy(items), "margin": margin(items)}


def answer_statuses(items: Iterable[Answer]) -> dict[str, int]:
    """How many answers were scored and how many could not be read."""
    counts = Counter("unparsed" if item.said is None else "scored" for item in items)
    return {status: counts[status] for status in ("scored", "unparsed")}


def _ratio(
    items: Sequence[_Item],
    numerator: Callable[[_Item], float],
    denominator: Callable[[_Item], float] | None = None,
) -> Ratio:
    ids = [item.item_id for item in items]
    groups = [item.group for item in items]
    numerators = [float(numerator(item)) for item in items]
    if denominator is None:
        return mean_of(ids, groups, numerators)
    return Ratio(
        items=tuple(ids),
        groups=tuple(groups),
        numerators=tuple(numerators),
        denominators=tuple(float(denominator(item)) for item in items),
    )
