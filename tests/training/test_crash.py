from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "crash_loop.py"


def test_ten_kills_at_random_moments_change_no_bit_of_the_result() -> None:
    """In a process of its own, because it forks before any work and this one has worked already."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "10", "--seed", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["kills"] == 10 and found["final_weights_equal"] and found["log_has_every_step_once"]
    assert len(set(found["newest_step_after_each_kill"])) > 3  # the kills hit different moments
