"""Pairs as a view of candidates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from boresight.data.pairing import pairs
from boresight.errors import RecordError, UsageError
from boresight.records import AspectScore, Candidate, Message, Part, Preference, Record


def record(standings: dict[str, int | None] | None = None, **scores: dict[str, float | None]) -> Record:
    candidates = tuple(
        Candidate(
            id=id,
            messages=(Message(role="assistant", parts=(Part(type="text", text=id),)),),
            rank=(standings or {}).get(id),
            scores=tuple(AspectScore(aspect=aspect, value=value) for aspect, value in scores.get(id, {}).items()),
        )
        for id in (standings or scores)
    )
    return Record(id="r", task="ranking", messages=(), candidates=candidates)


def shown(record: Record, rule: str) -> list[tuple[str, str, float | None]]:
    return [(pair.chosen.id, pair.rejected.id, pair.margin) for pair in pairs(record, rule)]


def test_stated_preferences_are_taken_as_they_are_even_when_they_disagree() -> None:
    stated = (Preference(chosen="a", rejected="b", margin=2.0), Preference(chosen="b", rejected="a", aspect="style"))
    both = replace(record({"a": None, "b": None}), preferences=stated)
    assert shown(both, "preferences") == [("a", "b", 2.0), ("b", "a", None)]
    assert shown(record({"a": 1, "b": 2}), "preferences") == []


def test_the_best_rank_is_paired_with_the_worst() -> None:
    assert shown(record({"a": 2, "b": 4, "c": 1}), "best_vs_worst") == [("c", "b", 3.0)]


def test_ties_for_best_and_worst_are_broken_by_order() -> None:
    assert shown(record({"a": 2, "b": 1, "c": 1, "d": 2}), "best_vs_worst") == [("b", "a", 1.0)]


def test_all_makes_every_unequal_pair_best_first() -> None:
    """Ranks 2, 1, 1, 3 give five unequal pairs out of six; the two firsts make none."""
    expected = [("b", "d", 2.0), ("c", "d", 2.0), ("b", "a", 1.0), ("c", "a", 1.0), ("a", "d", 1.0)]
    assert shown(record({"a": 2, "b": 1, "c": 1, "d": 3}), "all") == expected


def test_a_margin_drops_the_narrow_pairs_and_keeps_the_bound() -> None:
    """Means 3, 2 and 1: margins 1, 2 and 1."""
    scored = record(a={"x": 2, "y": 4}, b={"x": 1, "y": 3}, c={"x": 1, "y": 1})
    assert shown(scored, "margin>=2") == [("a", "c", 2.0)]
    assert len(shown(scored, "margin>=1")) == 3
    assert shown(scored, "margin>=2.5") == []


def test_only_aspects_that_everyone_was_scored_on_count() -> None:
    """Aspect y lacks a value for b, so x alone decides, and b wins."""
    assert shown(record(a={"x": 1, "y": 9}, b={"x": 2, "y": None}), "all") == [("b", "a", 1.0)]


def test_ranks_decide_before_scores() -> None:
    ranked = record({"a": 2, "b": 1}, a={"x": 9}, b={"x": 0})
    assert shown(ranked, "all") == [("b", "a", 1.0)]


def test_equal_standings_make_no_pair() -> None:
    for rule in ("all", "best_vs_worst", "margin>=0"):
        assert shown(record({"a": 1, "b": 1}), rule) == []


def test_fewer_than_two_candidates_make_no_pair() -> None:
    assert shown(record({"a": 1}), "all") == []


def test_candidates_without_common_ground_are_refused() -> None:
    with pytest.raises(RecordError, match="share neither ranks nor a scored aspect"):
        pairs(record(a={"x": 1}, b={"y": 1}), "all")


@pytest.mark.parametrize("rule", ["best", "margin>=", "margin>=-1", "margin>1", "margin>=K"])
def test_an_unknown_rule_is_refused(rule: str) -> None:
    with pytest.raises(UsageError, match="no pairing rule"):
        pairs(record({"a": 1, "b": 2}), rule)
