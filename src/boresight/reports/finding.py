"""What the numbers say, in words: the sentence on top of the page, a verdict per run, and the banners.

A change counts only when the interval of its paired difference excludes zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from boresight.reports.stored import Stored, Warned
from boresight.reports.text import amount, change, listed, span
from boresight.scoring import METRICS, ResultRow
from boresight.scoring.results import BASE

Verdict = Literal["better", "worse", "shifted", "same", "unknown"]
RunReading = Literal["better", "worse", "shifted", "same", "unknown", "mixed", "collapsed"]

_SHORT = 0.6  # a mean length below this share of the base's is a collapse: the answers no longer say the same
_LONG = 1.67  # and above this one it is inflation; both make every other number hard to compare
_EMPTY_GAIN = 0.05  # share of responses that became empty
# Warnings that void the comparison, rather than ask for a second look.
_GRAVE = frozenset({"length_collapse", "gradient_zero", "media_not_used"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """Something the reader must not miss."""

    is_grave: bool
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunVerdict:
    """One run in one line."""

    run: str
    reading: RunReading
    """The headline metric's verdict; `mixed` when another metric got worse, `collapsed` when nothing can be said."""
    headline: str
    """The change of the headline metric, with its interval."""
    side_effects: tuple[str, ...]
    """Other metrics that changed, each with direction."""


def verdict_of(row: ResultRow) -> Verdict:
    """Whether the run is better than the base on this metric, as far as the interval can tell."""
    if row.difference is None or row.difference_low is None:
        return "unknown"
    if not row.is_change:
        return "same"
    metric = METRICS.get(row.metric_name)
    if metric is None or metric.better == "neither":
        return "shifted"
    return "better" if (row.difference < 0) == (metric.better == "lower") else "worse"


def headline_metric(rows: Sequence[ResultRow]) -> str | None:
    """The first metric of `METRICS` that the table has; its order is the order of interest."""
    present = {row.metric for row in rows}
    return next((name for name in METRICS if name in present), None)


def headline_run(rows: Sequence[ResultRow]) -> str | None:
    """The run the page speaks about: the largest improvement of the headline metric, else the first run.

    A run whose length collapsed is taken only if no other one improved.
    """
    name = headline_metric(rows)
    compared = [row for row in rows if row.metric == name and row.run != BASE]
    better = [row for row in compared if verdict_of(row) == "better"]
    collapsed = collapsed_runs(rows)
    better = [row for row in better if row.run not in collapsed] or better
    if better:
        return max(better, key=lambda row: abs(row.difference or 0.0)).run
    return compared[0].run if compared else None


def collapsed_runs(rows: Sequence[ResultRow]) -> set[str]:
    """Runs whose responses became so short, or so often empty, that other metrics do not compare."""
    return {run for run, problem in _length_problems(rows) if problem.is_grave}


def run_verdicts(rows: Sequence[ResultRow]) -> list[RunVerdict]:
    """One verdict for each run but the base, in table order."""
    name, collapsed = headline_metric(rows), collapsed_runs(rows)
    verdicts = []
    for row in rows:
        if row.metric != name or row.run == BASE:
            continue
        others = _others(row, rows)
        reading: RunReading = verdict_of(row)
        if row.run in collapsed:
            reading = "collapsed"
        elif reading == "better" and any(verdict_of(other) == "worse" for other in others):
            reading = "mixed"
        effects = tuple(_effect(other) for other in others if other.is_change)
        headline = f"{_title(row.metric)}{_numbers(row, rows)}"
        verdicts.append(RunVerdict(run=row.run, reading=reading, headline=headline, side_effects=effects))
    return verdicts


def sentence(rows: Sequence[ResultRow]) -> str:
    """The finding in one sentence; it claims a change only where the interval excludes zero."""
    name, run = headline_metric(rows), headline_run(rows)
    row = next((row for row in rows if (row.run, row.metric) == (run, name)), None)
    if name is None or row is None or row.difference is None:
        return "There is no comparison with a base run, so nothing can be said about a change."
    title = _lower_first(_title(name))
    if not any(other.is_change for other in rows if other.metric == name):
        return f"No significant change in {title}: {run}{_numbers(row, rows)}."
    if verdict_of(row) == "better":
        if run in collapsed_runs(rows):
            return (
                f"{run} {_verb(row)} {title}{_numbers(row, rows)}, but its responses collapsed in length: "
                "this is no evidence of better answers."
            )
        return f"{run} {_verb(row)} {title}{_numbers(row, rows)}{_cost(row, rows)}."
    worst = max(
        (other for other in rows if other.metric == name and other.is_change),
        key=lambda other: abs(other.difference or 0.0),
    )
    kind = ", which is worse," if verdict_of(worst) == "worse" else ""
    return f"{worst.run} {_verb(worst)} {title}{kind}{_numbers(worst, rows)}; no run improves it."


def banners(stored: Stored) -> list[Banner]:
    """Collapsed lengths found in the results, then the warnings of training, grave ones first."""
    found = [problem for _, problem in _length_problems(stored.results)]
    found += [_health(list(group)) for _, group in groupby(_sorted(stored.warnings), key=_run_and_name)]
    found += _partial(stored)
    return sorted(found, key=lambda banner: not banner.is_grave)


def _length_problems(rows: Sequence[ResultRow]) -> list[tuple[str, Banner]]:
    """Runs whose length is out of proportion to the base's, each with what to say about it."""
    base_rows = {row.metric: row for row in rows if row.run == BASE}
    pairs = ((row.run, _length_problem(row, base_rows.get(row.metric))) for row in rows if row.run != BASE)
    return [(run, problem) for run, problem in pairs if problem is not None]


def _length_problem(row: ResultRow, base: ResultRow | None) -> Banner | None:
    if base is None or row.value is None or base.value is None:
        return None
    metric = METRICS.get(row.metric)
    numbers = f"{amount(base.value, metric)} in {base.run}, {amount(row.value, metric)} in {row.run}"
    if row.metric == "length_tokens" and base.value > 0:
        ratio = row.value / base.value
        if ratio < _SHORT:
            text = (
                f"Mean response length fell to {ratio:.0%} of the base ({numbers}, in tokens). "
                "Shorter answers make fewer false claims by saying less; read every other number with that in mind."
            )
            return Banner(is_grave=True, title=f"Length collapse: {row.run}", text=text)
        if ratio > _LONG:
            text = f"Mean response length rose to {ratio:.0%} of the base ({numbers}, in tokens)."
            return Banner(is_grave=False, title=f"Length inflation: {row.run}", text=text)
    if row.metric == "empty_rate" and row.value - base.value >= _EMPTY_GAIN:
        text = f"Empty responses: {numbers}. An empty answer makes no false claim, and no true one."
        return Banner(is_grave=True, title=f"Length collapse: {row.run} answers nothing", text=text)
    return None


def _run_and_name(warned: Warned) -> tuple[str, str]:
    return warned.run, warned.name


def _sorted(warnings: Sequence[Warned]) -> list[Warned]:
    return sorted(warnings, key=_run_and_name)


def _health(group: Sequence[Warned]) -> Banner:
    """All warnings of one name in one run, as one banner with the last message."""
    last = group[-1]
    steps = [warned.step for warned in group if warned.step is not None]
    when = ""
    if steps:
        when = f" First at step {min(steps):,}" + (f", {len(group):,} times." if len(group) > 1 else ".")
    return Banner(
        is_grave=last.name in _GRAVE,
        title=f"{last.name.replace('_', ' ').capitalize()}: {last.run}",
        text=last.message + when,
    )


def _partial(stored: Stored) -> list[Banner]:
    most = max((len(responses) for responses in stored.responses.values()), default=0)
    return [
        Banner(
            is_grave=False,
            title=f"Partial: {run}",
            text=f"{len(responses):,} of {most:,} responses are stored; differences use the shared items only.",
        )
        for run, responses in stored.responses.items()
        if len(responses) < most
    ]


def _verb(row: ResultRow) -> str:
    return "lowers" if (row.difference or 0.0) < 0 else "raises"


def _title(name: str) -> str:
    return METRICS[name].title


def _lower_first(title: str) -> str:
    return title[:1].lower() + title[1:]


def _others(row: ResultRow, rows: Sequence[ResultRow]) -> list[ResultRow]:
    """The same run's other metrics, under the clean input."""
    return [other for other in rows if other.run == row.run and other.metric != row.metric and not other.input_name]


def _numbers(row: ResultRow, rows: Sequence[ResultRow]) -> str:
    """` from 27.4% to 9.1% (-18.3 pp, 95% interval -21.0 to -15.4)`."""
    metric = METRICS.get(row.metric)
    base = next((other for other in rows if (other.run, other.metric) == (BASE, row.metric)), None)
    text = f" from {amount(base.value, metric)} to {amount(row.value, metric)}" if base else ""
    interval = span(row.difference_low, row.difference_high, metric, is_change=True)
    evidence = f"95% interval {interval}" if interval else "no interval"
    return f"{text} ({change(row.difference, metric)}, {evidence})"


def _cost(best: ResultRow, rows: Sequence[ResultRow]) -> str:
    """What got worse in the same run; an improvement is never told without it."""
    others = _others(best, rows)
    costs = [
        f"{_lower_first(_title(other.metric))} ({change(other.difference, METRICS[other.metric])})"
        for other in others
        if verdict_of(other) == "worse"
    ]
    if costs:
        return f", at the cost of {listed(costs)}"
    kept = next((r for r in others if r.metric == "coverage" and verdict_of(r) == "same"), None)
    if kept is None:
        return ""
    return f"; coverage did not change significantly ({change(kept.difference, METRICS['coverage'])})"


def _effect(row: ResultRow) -> str:
    metric = METRICS.get(row.metric)
    title = metric.title if metric else row.metric
    return f"{title} {change(row.difference, metric)}"
