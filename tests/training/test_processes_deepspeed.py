"""Optimizer states that DeepSpeed spreads over processes (`configs/deepspeed.yaml`) train as whole ones do.

DeepSpeed keeps weights in float32, so the runs that are compared do as well.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from process_cases import CASES, Outcome, apart, in_two_processes, outcome, stop_alone
from test_processes_launched import ENVIRONMENT, alone, arguments, assert_close, dpo, write_jobs

from boresight.errors import UsageError
from boresight.training.processes import meet
from boresight.training.spec import RunSettings
from boresight.training.zero import check_zero

CLOSE = 2e-6  # of the largest value; float32, sums in another order. Measured: 3.4e-7 for gradients, 6.8e-7 for weights
RESTARTED = ("resumed", "stopped")
EQUAL = [name for name in CASES if name not in RESTARTED]
STAGES = {"zero1": EQUAL, "zero2": ["copy/single", "adapter_off/some", "a picture in one process"]}
needs_deepspeed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="needs DeepSpeed: pip install 'boresight[deepspeed]'"
)


@pytest.fixture(scope="module", params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def runs_folder(stage: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(stage) / "runs"


@pytest.fixture(scope="module")
def spread_runs(stage: str, runs_folder: Path) -> list[Mapping[str, Outcome]]:
    """The cases as the two processes saw them; one of them goes on where one process alone has stopped."""
    stop_alone(runs_folder / "resumed", "float32")
    return in_two_processes(runs_folder.parent, [*STAGES[stage], *RESTARTED], stage)


@pytest.fixture(scope="module")
def single_runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """The same cases in one process, without DeepSpeed."""
    folder = tmp_path_factory.mktemp("alone")
    return {name: outcome(CASES[name], folder / name, "float32") for name in CASES if name != "stopped"}


@needs_deepspeed
def test_two_processes_with_spread_states_train_as_one(
    stage: str, spread_runs: list[Mapping[str, Outcome]], single_runs: Mapping[str, Outcome]
) -> None:
    for name in STAGES[stage]:
        one = single_runs[name]
        for found in spread_runs:
            assert apart(found[name].gradients, one.gradients) <= CLOSE, name
            assert apart(found[name].weights, one.weights) <= CLOSE, name
        assert len(one.rows) > 1
        for key in ("loss", "grad_norm", "learning_rate"):
            expected = [pytest.approx(row[key], rel=1e-5, abs=1e-7) for row in one.rows]
            assert [row[key] for row in spread_runs[0][name].rows] == expected, (name, key)


@needs_deepspeed
def test_each_process_holds_about_half_of_the_optimizers_state(spread_runs: list[Mapping[str, Outcome]]) -> None:
    first, second = (found["copy/single"] for found in spread_runs)
    total = 2 * sum(weight.numel() for weight in first.weights.values())  # two moments
    assert first.num_states == second.num_states
    assert total / 2 <= first.num_states < total / 2 * 1.01


@needs_deepspeed
def test_a_checkpoint_of_one_process_is_read_by_two_that_spread_it(
    spread_runs: list[Mapping[str, Outcome]], single_runs: Mapping[str, Outcome]
) -> None:
    resumed = spread_runs[0]["resumed"]
    assert [row["step"] for row in resumed.rows] == [1, 2, 3]
    assert apart(resumed.weights, single_runs["resumed"].weights) <= CLOSE


@needs_deepspeed
def test_a_signal_to_one_of_two_stops_both_with_a_checkpoint_that_a_plain_run_reads(
    spread_runs: list[Mapping[str, Outcome]], runs_folder: Path, single_runs: Mapping[str, Outcome]
) -> None:
    for found in spread_runs:
        assert found["stopped"].stopped.startswith("stopped after step 2 of 3; go on")
    folder = runs_folder / "stopped"
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000002"]
    resumed = outcome(CASES["resumed"], folder, "float32")
    assert [row["step"] for row in resumed.rows] == [1, 2, 3]
    assert apart(resumed.weights, single_runs["resumed"].weights) <= CLOSE


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jobs(tmp_path_factory.mktemp("launched"))


def launch(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """`accelerate launch` needs no more than the configuration to start DeepSpeed on a processor."""
    here = Path(__file__).parent
    options = ["--config_file", str(here.parents[1] / "configs" / "deepspeed.yaml"), "--num_processes", "2"]
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", *options, "--main_process_port", "0",
         str(here / "cli_without_compiling.py"), *arguments],
        env={**ENVIRONMENT, "DS_ACCELERATOR": "cpu"}, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip


@needs_deepspeed
def test_accelerate_launch_trains_to_the_model_of_one_process_and_speaks_once(jobs: Path, tmp_path: Path) -> None:
    done = launch(arguments(jobs, tmp_path / "two", "--set=run.precision=float32"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step     1/6") == 1 and done.stdout.count("report: ") == 1
    steps = [json.loads(line)["step"] for line in (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]
    one = alone(jobs, tmp_path / "one", dpo(), "float32")
    assert_close(tmp_path / "two" / "model" / "model.safetensors", one / "model.safetensors", CLOSE)


@needs_deepspeed
def test_a_run_that_diverges_ends_in_both_with_one_message_and_no_spoiled_checkpoint(
    jobs: Path, tmp_path: Path
) -> None:
    """At such a rate the first step that is taken (the second: warmup begins at 0) leaves no finite loss."""
    rate = ("--set=stages.0.learning_rate=1e30", "--set=run.checkpoint_every=1")
    done = launch(arguments(jobs, tmp_path, "--set=run.precision=float32", *rate))
    assert done.returncode != 0
    assert done.stderr.count("step 3: ") == 1 and "start again" in done.stderr, done.stderr
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == ["step-00000001", "step-00000002"]


def launched(stage: int = 1, device: str = "cpu", **config: Any) -> Any:
    plain = {"zero_optimization": {"stage": stage}, "fp16": {"enabled": False}, "bf16": {"enabled": False}}
    plugin = SimpleNamespace(deepspeed_config={**plain, **config})
    return SimpleNamespace(deepspeed_plugin=plugin, device=SimpleNamespace(type=device))


@pytest.mark.parametrize(
    ("accelerator", "settings", "message"),
    [
        (launched(stage=3), {}, r"zero_stage must be 1 or 2, got 3; configs/fsdp2\.yaml"),
        (launched(stage=0), {}, "zero_stage must be 1 or 2, got 0"),
        (launched(), {"precision": "float64"}, r"run\.precision=float64; use float32 or bfloat16"),
        (launched(), {"precision": "float16"}, r"run\.precision=float16"),
        (launched(optimizer={"type": "AdamW"}), {}, "sets optimizer, which the method"),
        (launched(bf16={"enabled": True}), {}, "sets bf16, which the method"),
        (launched(device="cuda"), {"device": "cpu"}, r"DeepSpeed runs on cuda here, but run\.device=cpu"),
    ],
)
def test_what_deepspeed_cannot_do_is_refused(accelerator: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_zero(accelerator, RunSettings(**{"device": "cpu", **settings}))


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_deepspeed_can_do_is_let_through(stage: int, precision: Any) -> None:
    check_zero(launched(stage=stage), RunSettings(device="cpu", precision=precision))


@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is not None, reason="DeepSpeed is installed here")
def test_a_launch_that_asks_for_a_missing_deepspeed_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(UsageError, match=r"boresight\[deepspeed\]"):
        meet("cpu")
