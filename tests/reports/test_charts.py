"""Geometry and numbers of the drawings."""

import math
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boresight.reports import charts, text
from boresight.reports.stored import Step
from boresight.scoring import METRICS, ResultRow

patient = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])


def steps(*values, key="loss"):
    return [Step(step=i, values={key: value}) for i, value in enumerate(values, 1)]


def points(line):
    return [tuple(map(float, pair.split(","))) for pair in line.points.split()]


def test_a_curve_spans_the_plot_and_larger_values_are_higher():
    (panel,) = charts.panels({"dpo": steps(1.0, 3.0, 2.0)}, {"dpo": 1})
    (line,) = panel.lines
    (x1, y1), (x2, y2), (x3, y3) = points(line)
    assert (x1, x3) == (charts.LEFT, charts.RIGHT)
    assert x2 == pytest.approx((charts.LEFT + charts.RIGHT) / 2)
    assert charts.TOP < y2 < y3 < y1 < charts.BOTTOM


def test_ticks_lie_at_the_values_they_name():
    (panel,) = charts.panels({"dpo": steps(0.0, 4.0)}, {"dpo": 1})
    by_label = {tick.label: tick.at for tick in panel.y_ticks}
    (_, bottom), (_, top) = points(panel.lines[0])
    assert by_label["0"] == pytest.approx(bottom, abs=0.1)
    assert by_label["4"] == pytest.approx(top, abs=0.1)
    assert panel.zero_y == by_label["0"]


def test_zero_is_not_drawn_where_it_lies_outside():
    (panel,) = charts.panels({"dpo": steps(-30.0, -33.0, key="kl")}, {"dpo": 1})
    assert panel.zero_y is None


def test_chosen_and_rejected_are_apart_and_runs_share_one_scale():
    def run(rejected):
        return [Step(step=i, values={"chosen_logp": -30.0, "rejected_logp": -30.0 - rejected * i}) for i in range(1, 5)]

    first, second = charts.panels({"dpo": run(1), "mdpo": run(5)}, {"dpo": 1, "mdpo": 2})
    assert (first.title, second.title) == ("Log-probability: dpo", "Log-probability: mdpo")
    assert [(line.label, line.is_dashed) for line in first.lines] == [("chosen", False), ("rejected", True)]
    assert first.y_ticks == second.y_ticks
    assert first.lines[0].end_y == second.lines[0].end_y
    assert first.lines[1].end_y < second.lines[1].end_y


def test_long_runs_are_averaged_and_not_sampled():
    """Alternating 0 and 2 over 800 steps: every point is the mean of ten of them, 1."""
    (panel,) = charts.panels({"dpo": steps(*[0.0, 2.0] * 400)}, {"dpo": 1})
    drawn = points(panel.lines[0])
    assert charts.steps_per_point(800) == 10
    assert len(drawn) == 80
    assert len({y for _, y in drawn}) == 1


def test_terms_are_drawn_when_there_is_more_than_one():
    one = [Step(step=1, values={"terms.pairwise": 0.1})]
    two = [Step(step=1, values={"terms.pairwise": 0.1, "terms.anchor": 0.3})]
    assert charts.panels({"dpo": one}, {"dpo": 1}) == []
    assert [panel.title for panel in charts.panels({"dpo": two}, {"dpo": 1})] == ["anchor", "pairwise"]


@patient
@given(st.lists(st.floats(12, 180), min_size=1, max_size=9))
def test_labels_never_overlap_nor_leave_the_plot_and_keep_their_order(heights):
    placed = charts.spread(heights)
    ordered = sorted(placed)
    assert all(b - a >= 12.5 - 1e-6 for a, b in pairwise(ordered))
    assert all(charts.TOP <= height <= charts.BOTTOM + 4 for height in placed)
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    assert order == sorted(range(len(heights)), key=lambda i: placed[i])


@patient
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_within_the_limits(low, width):
    high = low + width
    if high - low < 1e-9 * max(1.0, abs(low)):
        return
    found = charts.ticks(low, high)
    slack = 1e-6 * (high - low) + 1e-9 * abs(low)
    assert 1 <= len(found) <= 7
    assert all(low - slack <= tick <= high + slack for tick in found)


@patient
@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=30))
def test_any_finite_curve_can_be_drawn(values):
    for panel in charts.panels({"dpo": steps(*values)}, {"dpo": 1}):
        for line in panel.lines:
            assert all(math.isfinite(x) and -1 <= y <= charts.HEIGHT for x, y in points(line))


def row(value, low, high, difference=None):
    return ResultRow(
        run="r", metric="chair_i", n=9, value=value, low=low, high=high,
        difference=difference, difference_low=difference, difference_high=difference,
    )  # fmt: skip


def test_bars_share_one_scale_and_mark_the_base():
    base = row(0.4, 0.3, 0.5)
    first, second = charts.value_bars([base, row(0.1, 0.0, 0.2)], base)
    assert second.low < second.value < second.high < first.low < first.value < first.high
    assert first.mark == second.mark == first.value
    assert first.high - first.low == pytest.approx(second.high - second.low, abs=0.2)


def test_bars_of_differences_are_symmetric_about_zero():
    down, up = charts.difference_bars([row(1, 1, 1, -0.2), row(1, 1, 1, 0.1)])
    assert down.mark == up.mark == charts.BAR_WIDTH / 2
    assert down.value < down.mark < up.value


def test_a_missing_value_has_no_bar():
    assert charts.value_bars([row(None, None, None)], None) == [None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (-40.0, "\N{MINUS SIGN}40"),
        (1500, "1,500"),
        (1e-5, "1e\N{MINUS SIGN}5"),
        (2.5e7, "2.5e7"),
        (0.1, "0.1"),
    ],
)
def test_axis_numbers_are_short(value, expected):
    assert text.number(value) == expected


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        (0.12345, "chair_i", "+12.3 pp"),
        (-0.0004, "chair_i", "0.0 pp"),
        (-5.25, "length_tokens", "\N{MINUS SIGN}5.2"),
        (-0.05, "margin", "\N{MINUS SIGN}0.050"),
        (2.5, "made_up", "+2.50"),
        (None, "chair_i", "n/a"),
    ],
)
def test_changes_carry_their_sign(value, name, expected):
    assert text.change(value, METRICS.get(name)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.42, "0.4 s"), (61, "1 min 1 s"), (3725, "1 h 2 min"), (200_000, "2.3 days")],
)
def test_durations_read_as_people_say_them(seconds, expected):
    assert text.duration(seconds) == expected


def test_a_time_that_is_none_stays_as_it_is():
    assert text.moment("yesterday") == "yesterday"
    assert text.moment("2026-11-23T06:25:47Z") == "2026-11-23 06:25 UTC"
