"""The command line that users rely on: its verbs, its flags, its speed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import typer

from boresight import registry
from boresight.cli.main import app
from command_line import Run

FLAGS = {
    "demo": {"--out", "--short", "--seed"},
    "align": {
        "--model", "--data", "--method", "--out", "--set", "--resume", "--dry-run", "--pairing", "--media-root",
        "--allow-outside", "--holdout", "--samples", "--max-new-tokens", "--stop-on", "--merge", "--stage",
    },
    "generate": {
        "target", "--model", "--out", "--limit", "--max-new-tokens", "--temperature", "--batch-size", "--seed",
        "--media-root", "--assets", "--frames", "--shard", "--retry-failed",
    },
    "judge": {
        "benchmark", "--responses", "--judge", "--out", "--rubric", "--assets", "--limit", "--budget-calls",
        "--budget-usd", "--price-prompt", "--price-completion", "--key-variable", "--concurrency", "--deadline",
        "--batch-size", "--cache", "--canaries", "--allow-failing-judge",
    },
    "eval": {
        "benchmarks", "--model", "--out", "--limit", "--scorer", "--judge", "--rubric", "--allow-failing-judge",
        "--budget-calls", "--budget-usd", "--price-prompt", "--price-completion", "--assets", "--frames",
        "--batch-size", "--shard", "--retry-failed",
    },
    "score": {"benchmark", "--responses", "--judgements", "--native", "--scorer", "--assets", "--json"},
    "compare": {"runs", "--out"},
    "assets list": {"benchmark", "--out"},
    "assets get": {"benchmark", "--out", "--accept-licence"},
    "report": {"folder", "--out"},
    "list": {"kind", "--json"},
    "doctor": {"--json"},
    "data import": {
        "source", "--out", "--format", "--media-root", "--allow-outside", "--license", "--strict", "--yes",
    },
    "data check": {"source", "--format", "--media-root"},
    "data show": {"source", "--first", "--id", "--format"},
    "data export": {"source", "--format", "--out"},
}  # fmt: skip


def test_verbs_and_flags_are_the_ones_that_were_promised() -> None:
    root: Any = typer.main.get_command(app)
    found = {}
    for name, command in root.commands.items():
        verbs = getattr(command, "commands", None)  # `data` and `assets` have verbs of their own
        leaves = {name: command} if verbs is None else {f"{name} {sub}": leaf for sub, leaf in verbs.items()}
        for path, leaf in leaves.items():
            found[path] = {p.opts[0] for p in leaf.params if p.name != "help"}
    assert found == FLAGS


def test_asking_for_help_loads_no_torch_and_takes_a_moment() -> None:
    code = (
        "import sys, time\n"
        "began = time.perf_counter()\n"
        "from boresight.cli.main import main\n"
        "sys.argv = ['boresight', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = [m for m in ('torch', 'transformers', 'pyarrow', 'numpy') if m in sys.modules]\n"
        "print('HEAVY', heavy)\n"
    )
    best = 9.0
    for _ in range(3):
        began = time.process_time_ns(), time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        best = min(best, time.perf_counter() - began[1])
        assert "HEAVY []" in done.stdout
        assert "align" in done.stdout
    assert best < 1.5  # 0.25 s on a quiet machine; other tests run beside this one


def test_importing_the_package_is_light() -> None:
    code = "import sys, boresight; print([m for m in ('torch', 'numpy', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_member_of_every_registry_loads_and_names_its_source(run: Run) -> None:
    packages = {
        "methods": "boresight.methods",
        "benchmarks": "boresight.benchmarks",
        "formats": "boresight.data.formats",
        "transforms": "boresight.media.transforms",
        "worlds": "boresight.worlds",
    }
    for kind, package in packages.items():
        listed = json.loads(run("list", kind, "--json").out)
        assert [entry["name"] for entry in listed] == registry.names(package)
        assert [entry["name"] for entry in listed if not entry["summary"]] == []
        for entry in listed:
            assert registry.load(package, entry["name"]) is not None
        if kind in ("methods", "benchmarks"):
            assert [entry["name"] for entry in listed if not entry["source"]] == []


def test_doctor_finds_this_machine_fit(run: Run) -> None:
    outcome = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(outcome.out)}
    assert checks["torch"]["is_fine"] and checks["transformers"]["is_fine"]
    assert "threads" in checks["processor"]["found"]


def test_a_wrong_flag_is_a_usage_error(run: Run) -> None:
    assert run("align", "--modle", "x").code == 2


def test_control_characters_in_data_do_not_reach_the_screen(run: Run, tmp_path: Any) -> None:
    outcome = run("report", f"{tmp_path}/\x1b[2J")
    assert outcome.code == 2
    assert "\x1b[2J" not in outcome.err
