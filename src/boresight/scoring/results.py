"""The result table on disk: one row per run and metric, with its interval and its difference from the base.

A file holds a JSON list of rows. A number that does not exist is null and `reason` says why; NaN is never
written. A metric under another input than the clean one carries the input's name: `coverage@null` has the
media removed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from boresight.errors import InputError
from boresight.scoring.statistics import RESAMPLES, Estimate, Ratio, interval, paired_difference

BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One metric of one run."""

    run: str
    metric: str
    n: int
    value: float | None
    low: float | None
    high: float | None
    difference: float | None = None
    """From the base run, on the items both have. None for the base itself."""
    difference_low: float | None = None
    difference_high: float | None = None
    reason: str | None = None
    """Why a number is missing, or must be read with care."""

    @property
    def metric_name(self) -> str:
        """The metric without its input."""
        return self.metric.partition("@")[0]

    @property
    def input_name(self) -> str | None:
        """The input it was measured under; None is the clean one."""
        return self.metric.partition("@")[2] or None

    @property
    def is_change(self) -> bool:
        """True when the interval of the difference excludes zero."""
        if self.difference_low is None or self.difference_high is None:
            return False
        return self.difference_low > 0 or self.difference_high < 0

    def to_json(self) -> dict[str, Any]:
        """A JSON object with every field, null where there is no value."""
        return asdict(self)


def results_table(
    runs: Mapping[str, Mapping[str, Ratio]], *, base: str = BASE, seed: int = 0, resamples: int = RESAMPLES
) -> list[ResultRow]:
    """One row per run and metric, in the order given; differences are paired with the run named `base`."""
    base_metrics = runs.get(base, {})
    rows = []
    for run, metrics in runs.items():
        for metric, ratio in metrics.items():
            estimate = interval(ratio, seed=seed, resamples=resamples)
            difference = None
            reasons = [estimate.reason]
            if run != base:
                difference = _difference(ratio, base_metrics.get(metric), base, seed=seed, resamples=resamples)
                reasons.append(difference.reason and f"difference: {difference.reason}")
            rows.append(_row(run, metric, estimate, difference, reasons))
    return rows


def write_results(path: Path, rows: Sequence[ResultRow]) -> None:
    """Write the rows as a JSON list, whole or not at all."""
    text = json.dumps([row.to_json() for row in rows], indent=1, ensure_ascii=False, allow_nan=False)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def read_results(path: Path) -> list[ResultRow]:
    """The rows of a results file.

    Raises:
        InputError: If the file is not a JSON list of rows; names the row.
    """
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"expected a JSON list of result rows: {error}", source=path.name) from None
    if not isinstance(loaded, list):
        raise InputError(f"expected a JSON list of result rows, found {_kind(loaded)}.", source=path.name)
    return [parse_row(item, source=path.name, row=number) for number, item in enumerate(loaded, 1)]


def parse_row(item: object, *, source: str, row: int) -> ResultRow:
    """One row of a results file; keys that no field claims are left alone.

    Raises:
        InputError: If a field is missing or has the wrong type.
    """
    if not isinstance(item, Mapping):
        raise InputError(f"expected an object, found {_kind(item)}.", source=source, row=row)
    values: dict[str, Any] = {}
    for field in fields(ResultRow):
        value = item.get(field.name)
        if field.name in ("run", "metric"):
            is_valid = isinstance(value, str) and value != ""
        elif field.name == "n":
            is_valid = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        elif field.name == "reason":
            is_valid = value is None or isinstance(value, str)
        else:
            is_valid = value is None or _is_number(value)
        if not is_valid:
            raise InputError(f"field {field.name!r} cannot be {value!r:.60}.", source=source, row=row)
        values[field.name] = value
    return ResultRow(**values)


def _difference(ratio: Ratio, base_ratio: Ratio | None, base: str, *, seed: int, resamples: int) -> Estimate:
    if base_ratio is None:
        return Estimate(value=None, low=None, high=None, n=0, reason=f"run {base!r} has no such metric")
    return paired_difference(ratio, base_ratio, seed=seed, resamples=resamples)


def _row(
    run: str, metric: str, estimate: Estimate, difference: Estimate | None, reasons: Sequence[str | None]
) -> ResultRow:
    return ResultRow(
        run=run,
        metric=metric,
        n=estimate.n,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        difference=difference.value if difference else None,
        difference_low=difference.low if difference else None,
        difference_high=difference.high if difference else None,
        reason="; ".join(reason for reason in reasons if reason) or None,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _kind(value: object) -> str:
    return type(value).__name__
