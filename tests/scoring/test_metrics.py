"""Metrics on degenerate and hand-counted runs."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boresight.errors import UsageError
from boresight.scoring.metrics import (
    METRICS,
    Answer,
    ItemCounts,
    Margin,
    answer_statuses,
    answers,
    descriptions,
    preferences,
)
from boresight.scoring.statistics import interval

patient = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])


def item(i, false, mentions, covered, present, tokens=10):
    return ItemCounts(
        item_id=f"i{i}",
        group=f"g{i}",
        false_mentions=false,
        mentions=mentions,
        covered=covered,
        present=present,
        num_tokens=tokens,
    )


def yes_no(*pairs):
    return [Answer(item_id=f"q{i}", group="g", said=said, target=t) for i, (said, t) in enumerate(pairs)]


def values(ratios):
    return {name: interval(ratio).value for name, ratio in ratios.items()}


def test_descriptions_counted_by_hand():
    """chair_i = (1 + 0 + 2) / (4 + 0 + 2); chair_s = 2 of 3; coverage = (3 + 0 + 0) / (4 + 2 + 3)."""
    run = [item(0, 1, 4, 3, 4, tokens=20), item(1, 0, 0, 0, 2, tokens=0), item(2, 2, 2, 0, 3, tokens=4)]
    assert values(descriptions(run)) == pytest.approx(
        {"chair_i": 3 / 6, "chair_s": 2 / 3, "coverage": 3 / 9, "length_tokens": 8.0, "empty_rate": 1 / 3}
    )


def test_a_model_that_says_nothing_has_no_hallucination_rate_rather_than_a_perfect_one():
    found = values(descriptions([item(i, 0, 0, 0, 3, tokens=0) for i in range(4)]))
    assert found["chair_i"] is None
    assert found["coverage"] == 0.0
    assert found["empty_rate"] == 1.0


@pytest.mark.parametrize("counts", [(2, 1, 0, 0), (0, 0, 3, 2), (-1, 0, 0, 0), (0, 0, -1, 0)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(UsageError, match="item 'i0'"):
        item(0, *counts)


def test_yes_no_counted_by_hand():
    """TP 2, FP 1, FN 1 (said no) + 1 (unparsed): F1 = 4 / (4 + 1 + 2); one of seven unparsed."""
    run = yes_no(
        ("yes", "yes"),
        ("yes", "yes"),
        ("yes", "no"),
        ("no", "yes"),
        (None, "yes"),
        ("no", "no"),
        ("no", "no"),
    )
    assert values(answers(run)) == pytest.approx(
        {"accuracy": 4 / 7, "f1": 4 / 7, "yes_ratio": 3 / 6, "unparsed_rate": 1 / 7}
    )


def test_an_unparsed_answer_to_a_no_question_is_wrong_but_no_false_positive():
    assert values(answers(yes_no(("yes", "yes"), (None, "no")))) == pytest.approx(
        {"accuracy": 0.5, "f1": 1.0, "yes_ratio": 1.0, "unparsed_rate": 0.5}
    )


def test_always_yes_scores_one_half_on_balanced_questions_and_two_thirds_f1():
    found = values(answers(yes_no(("yes", "yes"), ("yes", "no"))))
    assert (found["accuracy"], found["yes_ratio"]) == (0.5, 1.0)
    assert found["f1"] == pytest.approx(2 / 3)


def test_nothing_readable_leaves_the_yes_ratio_without_a_value():
    found = values(answers(yes_no((None, "yes"), (None, "no"))))
    assert found["yes_ratio"] is None
    assert found["accuracy"] == 0.0


def test_statuses_count_every_answer():
    run = yes_no(("yes", "yes"), (None, "no"), ("no", "no"))
    assert answer_statuses(run) == {"scored": 2, "unparsed": 1}
    assert answer_statuses([]) == {"scored": 0, "unparsed": 0}


def test_a_tied_pair_counts_one_half():
    pairs = [Margin(item_id=f"p{i}", group="g", margin=m) for i, m in enumerate([2.0, -1.0, 0.0, 0.5])]
    assert values(preferences(pairs)) == {"preference_accuracy": 2.5 / 4, "margin": 1.5 / 4}


def test_every_metric_says_how_to_read_it():
    run = [item(0, 0, 1, 1, 1)]
    names = {*descriptions(run), *answers(yes_no(("yes", "yes")))}
    names |= set(preferences([Margin(item_id="p", group="g", margin=1.0)]))
    assert names == set(METRICS)


def test_less_hallucination_is_better_and_more_coverage_is_better():
    assert {name: m.better for name, m in METRICS.items()} == {
        "chair_i": "lower",
        "chair_s": "lower",
        "coverage": "higher",
        "accuracy": "higher",
        "f1": "higher",
        "yes_ratio": "neither",
        "unparsed_rate": "lower",
        "preference_accuracy": "higher",
        "margin": "higher",
        "length_tokens": "neither",
        "empty_rate": "lower",
    }


@patient
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=20))
def test_rates_stay_rates(rows):
    run = [item(i, min(a, b), max(a, b), min(a, b), max(a, b), tokens) for i, (a, b, tokens) in enumerate(rows)]
    found = values(descriptions(run))
    for name, value in found.items():
        if METRICS[name].unit == "rate" and value is not None:
            assert 0 <= value <= 1
