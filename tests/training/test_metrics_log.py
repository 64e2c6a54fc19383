"""The log is valid JSON whatever a step computed."""

from __future__ import annotations

import json
from pathlib import Path

from boresight.training.metrics import append_row


def test_values_that_are_not_finite_become_null_at_any_depth(tmp_path: Path) -> None:
    append_row(tmp_path / "log", {"step": 1, "kl": float("inf"), "more": {"a": float("nan"), "b": 2.0}})
    assert json.loads((tmp_path / "log").read_text()) == {"step": 1, "kl": None, "more": {"a": None, "b": 2.0}}
