"""Geometry of the page's drawings: small multiples of training curves and the bars of intervals.

Numbers in, coordinates out; the templates draw. All charts are inline SVG without any style of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from boresight.reports.stored import Step
from boresight.reports.text import number
from boresight.scoring import ResultRow

WIDTH, HEIGHT = 372, 214
LEFT, RIGHT, TOP, BOTTOM = 46, 272, 12, 180  # of the plot; value, line and step labels lie around it
_MAX_POINTS = 80  # more cannot be told apart at this width; further steps are averaged
_LABEL_GAP = 12.5  # between the baselines of two line labels
_TICKS = 5

BAR_WIDTH, BAR_HEIGHT = 132, 18
_BAR_PAD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A labelled position on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One run's curve with its label at the right end."""

    run: int
    """Index of the run; it picks the color."""
    is_dashed: bool
    points: str
    label: str
    label_y: float
    end_x: float
    end_y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One small chart."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero_y: float | None
    """Height of the zero line, where zero lies within the chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """An interval as a bar with a dot; positions along x."""

    low: float
    high: float
    value: float
    mark: float | None
    """Where the base run's value lies, or zero on the scale of differences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    """Which stored values a chart shows: one key is solid, a second one dashed."""

    title: str
    unit: str
    keys: tuple[str, ...]
    names: tuple[str, ...] = ("",)
    is_per_run: bool = False
    """One chart per run, on one scale, because two lines per run would tangle."""


_CHOSEN_REJECTED = ("chosen", "rejected")
_SPECS = (
    _Spec(title="Margin", unit="chosen over rejected reward", keys=("margin",)),
    _Spec(title="Preference accuracy", unit="share of pairs", keys=("accuracy",)),
    _Spec(title="Loss", unit="per pair", keys=("loss",)),
    _Spec(
        title="Log-probability",
        unit="nats per answer",
        keys=("chosen_logp", "rejected_logp"),
        names=_CHOSEN_REJECTED,
        is_per_run=True,
    ),
    _Spec(title="KL from the reference", unit="nats", keys=("kl",)),
    _Spec(
        title="Answer length in the data",
        unit="tokens",
        keys=("length_chosen_tokens", "length_rejected_tokens"),
        names=_CHOSEN_REJECTED,
    ),
    _Spec(title="Response length", unit="tokens", keys=("length_tokens",)),
    _Spec(title="Gradient norm", unit="before clipping", keys=("grad_norm",)),
)

_Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    run: int
    is_dashed: bool
    label: str
    points: _Points


def panels(curves: Mapping[str, Sequence[Step]], colors: Mapping[str, int]) -> list[Panel]:
    """Every chart that has data, in reading order; the terms of a summed objective come last."""
    term_keys = sorted({key for steps in curves.values() for s in steps for key in s.values if "terms." in key})
    terms = [_Spec(title=key.removeprefix("terms."), unit="term of the loss", keys=(key,)) for key in term_keys[:6]]
    found: list[Panel] = []
    for spec in (*_SPECS, *(terms if len(terms) > 1 else ())):
        series = _series(spec, curves, colors)
        if not series:
            continue
        if spec.is_per_run and len({one.run for one in series}) > 1:
            limits = _limits(series)
            for run, steps in curves.items():
                own = _series(spec, {run: steps}, colors)
                if own:
                    found.append(_panel(f"{spec.title}: {run}", spec, own, limits))
        else:
            found.append(_panel(spec.title, spec, series, _limits(series)))
    return found


def steps_per_point(num_steps: int) -> int:
    """How many optimizer steps one drawn point averages."""
    return max(1, math.ceil(num_steps / _MAX_POINTS))


def value_bars(rows: Sequence[ResultRow], base: ResultRow | None) -> list[Bar | None]:
    """Bars for the values of one metric, on one scale, marked at the base's value."""
    ends = [end for row in rows for end in (row.low, row.high, row.value) if end is not None]
    scale = _bar_scale(ends)
    mark = None if base is None or base.value is None else base.value
    return [_bar(row.low, row.high, row.value, mark, scale) for row in rows]


def difference_bars(rows: Sequence[ResultRow]) -> list[Bar | None]:
    """Bars for the differences of one metric, on one scale that is symmetric about zero."""
    ends = [end for row in rows for end in (row.difference_low, row.difference_high, row.difference) if end is not None]
    scale = _bar_scale([*ends, *(-end for end in ends)])
    return [_bar(row.difference_low, row.difference_high, row.difference, 0.0, scale) for row in rows]


def ticks(low: float, high: float, count: int = _TICKS) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) within the limits, about `count` of them."""
    raw = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    size = next(step * power for step in (1, 2, 5, 10) if step * power >= raw * 0.999)
    first = math.ceil(low / size - 1e-9)
    last = math.floor(high / size + 1e-9)
    return [index * size for index in range(first, last + 1)]


def spread(heights: Sequence[float], gap: float = _LABEL_GAP) -> list[float]:
    """The heights moved apart until no two are closer than `gap`, in their order and within the plot."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    low, high = TOP + 4.0, BOTTOM + 2.0
    gap = min(gap, (high - low) / max(1, len(heights) - 1))  # more labels than fit overlap evenly
    placed = list(heights)
    floor = low
    for i in order:
        placed[i] = max(placed[i], floor)
        floor = placed[i] + gap
    ceiling = high
    for i in reversed(order):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed


def _series(spec: _Spec, curves: Mapping[str, Sequence[Step]], colors: Mapping[str, int]) -> list[_Series]:
    found = []
    for run, steps in curves.items():
        for is_dashed, (key, name) in enumerate(zip(spec.keys, spec.names, strict=True)):
            points = [(step.step, step.values[key]) for step in steps if key in step.values]
            if points:
                label = name if spec.is_per_run else f"{run} {name}".strip()
                found.append(_Series(run=colors[run], is_dashed=bool(is_dashed), label=label, points=_thin(points)))
    return found


def _thin(points: _Points) -> _Points:
    size = steps_per_point(len(points))
    chunks = [points[start : start + size] for start in range(0, len(points), size)]
    return [(_mean(x for x, _ in chunk), _mean(y for _, y in chunk)) for chunk in chunks]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)


def _limits(series: Sequence[_Series]) -> tuple[float, float]:
    ys = [y for one in series for _, y in one.points]
    low, high = min(ys), max(ys)
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    # Zero is in view when it is near: a curve that floats above an unseen zero looks larger than it is.
    low = 0.0 if 0 <= low < 0.4 * high else low - pad
    high = 0.0 if 0 >= high > 0.4 * low else high + pad
    return low, high


def _panel(title: str, spec: _Spec, series: Sequence[_Series], limits: tuple[float, float]) -> Panel:
    low, high = limits
    xs = [x for one in series for x, _ in one.points]
    first, last = min(xs), max(xs)
    last = last if last > first else first + 1

    def to_x(step: float) -> float:
        return LEFT + (step - first) / (last - first) * (RIGHT - LEFT)

    def to_y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (BOTTOM - TOP)

    labels = spread([to_y(one.points[-1][1]) for one in series])
    lines = tuple(
        Line(
            run=one.run,
            is_dashed=one.is_dashed,
            points=" ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in one.points),
            label=one.label,
            label_y=round(label_y, 1),
            end_x=round(to_x(one.points[-1][0]), 1),
            end_y=round(to_y(one.points[-1][1]), 1),
        )
        for one, label_y in zip(series, labels, strict=True)
    )
    return Panel(
        title=title,
        unit=spec.unit,
        lines=lines,
        x_ticks=tuple(Tick(at=round(to_x(x), 1), label=number(x)) for x in ticks(first, last, 4)),
        y_ticks=tuple(Tick(at=round(to_y(y), 1), label=number(y)) for y in ticks(low, high)),
        zero_y=round(to_y(0.0), 1) if low <= 0 <= high else None,
    )


def _bar_scale(ends: Sequence[float]) -> tuple[float, float]:
    if not ends:
        return 0.0, 1.0
    low, high = min(ends), max(ends)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _bar(
    low: float | None, high: float | None, value: float | None, mark: float | None, scale: tuple[float, float]
) -> Bar | None:
    if value is None:
        return None

    def to_x(at: float) -> float:
        share = (at - scale[0]) / (scale[1] - scale[0])
        return round(_BAR_PAD + share * (BAR_WIDTH - 2 * _BAR_PAD), 1)

    low, high = (value, value) if low is None or high is None else (low, high)
    return Bar(low=to_x(low), high=to_x(high), value=to_x(value), mark=None if mark is None else to_x(mark))
