"""What the page claims in words."""

import pytest

from boresight.reports.finding import banners, headline_run, run_verdicts, sentence, verdict_of
from boresight.reports.stored import Stored, Warned
from boresight.scoring import ResultRow


def row(run, metric, value, difference=None, low=None, high=None):
    return ResultRow(
        run=run,
        metric=metric,
        n=100,
        value=value,
        low=None,
        high=None,
        difference=difference,
        difference_low=low,
        difference_high=high,
    )


def stored(*rows, warnings=()):
    return Stored(folder=None, manifest={}, results=list(rows), warnings=list(warnings))


BASE = row("base", "chair_i", 0.274)
BETTER = row("dpo", "chair_i", 0.091, -0.183, -0.21, -0.154)
UNSURE = row("dpo", "chair_i", 0.25, -0.024, -0.06, 0.01)
WORSE = row("dpo", "chair_i", 0.4, 0.126, 0.1, 0.15)


@pytest.mark.parametrize(
    ("metric", "low", "high", "expected"),
    [
        ("chair_i", -0.3, -0.1, "better"),
        ("chair_i", 0.1, 0.3, "worse"),
        ("coverage", -0.3, -0.1, "worse"),
        ("coverage", 0.1, 0.3, "better"),
        ("coverage", -0.1, 0.3, "same"),
        ("length_tokens", 0.1, 0.3, "shifted"),
        ("made_up", 0.1, 0.3, "shifted"),
        ("coverage@null", 0.1, 0.3, "better"),
        ("coverage", None, None, "unknown"),
    ],
)
def test_a_verdict_follows_the_direction_of_the_metric(metric, low, high, expected):
    middle = None if low is None else (low + high) / 2
    assert verdict_of(row("dpo", metric, 0.5, middle, low, high)) == expected


def test_an_improvement_is_told_with_its_interval():
    minus, space = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
    assert sentence([BASE, BETTER]) == (
        "dpo lowers false mentions (CHAIR-i) from 27.4% to 9.1% "
        f"({minus}18.3 pp, 95% interval {minus}21.0{space}to{space}{minus}15.4)."
    )


def test_no_significant_change_is_said_when_the_interval_includes_zero():
    text = sentence([BASE, UNSURE])
    assert text.startswith("No significant change in false mentions (CHAIR-i): dpo from 27.4% to 25.0%")
    assert "lowers" not in text


def test_a_run_that_got_worse_is_called_worse():
    text = sentence([BASE, WORSE])
    assert text.startswith("dpo raises false mentions (CHAIR-i), which is worse, from 27.4% to 40.0%")
    assert text.endswith("no run improves it.")


def test_an_improvement_is_never_told_without_its_cost():
    rows = [BASE, BETTER, row("dpo", "coverage", 0.7, -0.2, -0.25, -0.15), row("dpo", "f1", 0.9, -0.01, -0.1, 0.1)]
    assert sentence(rows).endswith(", at the cost of coverage (\N{MINUS SIGN}20.0 pp).")
    assert [one.reading for one in run_verdicts(rows)] == ["mixed"]


def test_kept_coverage_is_mentioned():
    rows = [BASE, BETTER, row("dpo", "coverage", 0.9, -0.01, -0.05, 0.02)]
    assert sentence(rows).endswith("; coverage did not change significantly (\N{MINUS SIGN}1.0 pp).")


def test_the_largest_improvement_is_the_headline():
    other = row("mdpo", "chair_i", 0.05, -0.224, -0.25, -0.2)
    assert headline_run([BASE, BETTER, other]) == "mdpo"
    assert headline_run([BASE, UNSURE]) == "dpo"
    assert headline_run([BASE]) is None


def test_a_collapsed_run_is_no_headline_while_another_one_improved():
    rows = [
        BASE,
        BETTER,
        row("sft", "chair_i", 0.2, -0.074, -0.1, -0.05),
        row("base", "length_tokens", 40.0),
        row("dpo", "length_tokens", 9.0, -31.0, -33.0, -29.0),
    ]
    assert headline_run(rows) == "sft"
    assert [one.reading for one in run_verdicts(rows)] == ["collapsed", "better"]


def test_a_collapsed_run_alone_is_no_evidence():
    rows = [BASE, BETTER, row("base", "empty_rate", 0.0), row("dpo", "empty_rate", 0.4, 0.4, 0.3, 0.5)]
    assert "collapsed in length: this is no evidence" in sentence(rows)


def test_without_a_base_nothing_is_claimed():
    assert "nothing can be said" in sentence([row("dpo", "chair_i", 0.1)])
    assert "nothing can be said" in sentence([])


@pytest.mark.parametrize(
    ("metric", "before", "after", "titles"),
    [
        ("length_tokens", 40.0, 23.9, ["Length collapse: dpo"]),
        ("length_tokens", 40.0, 24.1, []),
        ("length_tokens", 40.0, 66.0, []),
        ("length_tokens", 40.0, 67.0, ["Length inflation: dpo"]),
        ("length_tokens", 0.0, 0.0, []),
        ("empty_rate", 0.01, 0.07, ["Length collapse: dpo answers nothing"]),
        ("empty_rate", 0.01, 0.05, []),
    ],
)
def test_a_length_collapse_is_found_in_the_results_alone(metric, before, after, titles):
    found = banners(stored(row("base", metric, before), row("dpo", metric, after)))
    assert [banner.title for banner in found] == titles
    assert [banner.is_grave for banner in found] == ["collapse" in title for title in titles]


def test_a_length_collapse_is_told_with_its_numbers():
    (banner,) = banners(stored(row("base", "length_tokens", 40.0), row("dpo", "length_tokens", 10.0)))
    assert "25% of the base (40.0 in base, 10.0 in dpo, in tokens)" in banner.text


def test_warnings_of_one_name_are_one_banner_and_grave_ones_come_first():
    warnings = [
        Warned(run="dpo", step=90, name="chosen_logp_falling", message="second"),
        Warned(run="dpo", step=30, name="media_not_used", message="same loss without the picture."),
        Warned(run="dpo", step=120, name="chosen_logp_falling", message="last."),
    ]
    first, second = banners(stored(warnings=warnings))
    assert (first.title, first.is_grave) == ("Media not used: dpo", True)
    assert first.text == "same loss without the picture. First at step 30."
    assert (second.title, second.is_grave) == ("Chosen logp falling: dpo", False)
    assert second.text == "last. First at step 90, 2 times."
