"""What a run says of itself while it goes on: metrics, warnings, and whoever listens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boresight.errors import GateError
from boresight.training.health import HealthMonitor, HealthWarning
from boresight.training.metrics import append_row, drop_rows_after

_METRICS, _HEALTH = "metrics.jsonl", "health.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """What a run tells whoever watches it. Every field may be left out."""

    started: Callable[[Mapping[str, Any]], None] = lambda facts: None
    stage: Callable[[int, int, str], None] = lambda number, total, name: None
    step: Callable[[int, int, Mapping[str, Any]], None] = lambda step, total, metrics: None
    warning: Callable[[HealthWarning], None] = lambda warning: None
    work: Callable[[str, int, int], None] = lambda what, done, total: None


class RunLog:
    """Writes down what every step reports, and warns where that looks wrong.

    Args:
        folder: Where the files lie; None in processes that write none.
        stop_on: Names of warnings that end the run.
    """

    def __init__(self, folder: Path | None, listener: Listener, stop_on: Sequence[str]) -> None:
        self.warnings: list[HealthWarning] = []
        self._folder, self._listener, self._stop_on = folder, listener, stop_on
        self._monitor = HealthMonitor()

    def resume(self, step: int) -> None:
        """Forget what was written of later steps."""
        if self._folder is not None:
            drop_rows_after(self._folder / _METRICS, step)

    def step(self, step: int, total_steps: int, metrics: Mapping[str, Any]) -> None:
        """Take in the metrics of a step.

        Raises:
            GateError: If they bring up a warning that ends the run.
        """
        if self._folder is not None:
            append_row(self._folder / _METRICS, metrics)
        self._listener.step(step, total_steps, metrics)
        for warning in self._monitor.observe(step, metrics):
            self.warn(warning)

    def warn(self, warning: HealthWarning) -> None:
        """Write a warning down.

        Raises:
            GateError: If it is one that ends the run.
        """
        self.warnings.append(warning)
        if self._folder is not None:
            append_row(self._folder / _HEALTH, dataclasses.asdict(warning))
        self._listener.warning(warning)
        if warning.name in self._stop_on:
            raise GateError(f"step {warning.step}: {warning.name}: {warning.message} (asked for by --stop-on)")
