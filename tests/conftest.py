"""Runs before any first-party import: shape checks for tensor code, one thread, and where public files are."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

from command_line import Outcome, Run

# Only where tensors are handled: checking every first-party call doubles the time to import.
install_import_hook(
    [
        "boresight.objectives",
        "boresight.models.answer_head",
        "boresight.models.tree_attention",
        "boresight.training.forest",
    ],
    "shape_checks.check",
)

settings.register_profile("short", deadline=None)  # a deadline measures the machine, not the code
settings.register_profile("thorough", deadline=None, max_examples=3000)  # pytest --hypothesis-profile thorough
settings.load_profile("short")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums in another order are not bit-equal
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a background job starts, and tests interrupt their children
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Folder of real public files with published numbers."""
    default = Path(__file__).parents[2] / "shared" / "fixtures"
    folder = Path(os.environ.get("BORESIGHT_FIXTURES", default))
    if not folder.is_dir():
        pytest.skip(f"no fixture folder {folder}; set BORESIGHT_FIXTURES to the folder of public files")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `boresight ARGUMENTS` in this process."""
    from boresight.cli.main import main  # not above: the shape checks must be installed first

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["boresight", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        found = capsys.readouterr()
        return Outcome(code, found.out, found.err)

    return call


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what other packages say about names that must stay for the oldest transformers that is supported."""
    config.addinivalue_line("filterwarnings", "ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")
