"""Which device a run takes, and what is said where there is none such."""

from __future__ import annotations

import pytest
import torch

from boresight.errors import UsageError
from boresight.models.device import describe_devices, pick_device

CUDA = torch.device("cuda")


def accelerators(patch: pytest.MonkeyPatch, *, built_for: torch.device | None, count: int) -> None:
    """A build of torch for this accelerator, on a machine with so many of them."""

    def current(check_available: bool = False) -> torch.device | None:
        return built_for if count or not check_available else None

    patch.setattr(torch.accelerator, "current_accelerator", current)
    patch.setattr(torch.accelerator, "device_count", lambda: count)


def test_a_build_for_cuda_runs_on_a_machine_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `pip install torch` gives on Linux, on a laptop."""
    accelerators(monkeypatch, built_for=CUDA, count=0)
    assert pick_device() == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device() == torch.device("cpu")
    assert describe_devices()["accelerator"].startswith("none")


def test_a_process_of_a_launcher_takes_an_accelerator_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four processes on two devices, the third takes the first device."""
    accelerators(monkeypatch, built_for=CUDA, count=2)
    assert pick_device() == CUDA
    for place, index in (("1", 1), ("2", 0)):
        monkeypatch.setenv("LOCAL_RANK", place)
        assert pick_device() == torch.device("cuda", index)
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("cuda", 0, "run.device=cuda: torch .* finds no such accelerator here. Use run.device=auto or cpu"),
        ("mps", 1, "run.device=mps: torch .* finds no such accelerator here"),
        ("cuda:2", 2, "run.device=cuda:2: there are 2 of them, numbered from 0"),
        ("gpu", 1, "run.device must be auto, cpu or an accelerator such as cuda or cuda:1, got 'gpu'"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    name: str, count: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    accelerators(monkeypatch, built_for=CUDA, count=count)
    with pytest.raises(UsageError, match=message):
        pick_device(name)
