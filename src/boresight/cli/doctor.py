"""What this machine can run."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_NEEDED = {
    "torch": "2.11",
    "transformers": "5.17",
    "accelerate": "1.10",
    "peft": "0.18",
    "pillow": "13",
    "pyarrow": "20",
}
_MIN_FREE_GB = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    found: str
    is_fine: bool = True
    fix: str = ""


def examine() -> Sequence[Check]:
    """Look at versions, processors, memory and disk."""
    checks = [Check(name="python", found=platform.python_version())]
    checks += [_package(name, least) for name, least in _NEEDED.items()]
    checks.append(_torchvision())
    checks += _devices()
    checks.append(_disk())
    return checks


def _package(name: str, least: str) -> Check:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name=name, found="missing", is_fine=False, fix=f"pip install '{name}>={least}'")
    is_fine = _numbers(version) >= _numbers(least)
    return Check(name=name, found=version, is_fine=is_fine, fix="" if is_fine else f"pip install '{name}>={least}'")


def _torchvision() -> Check:
    """One built for another torch breaks every import of a processor, with a message that hides the cause."""
    if importlib.util.find_spec("torchvision") is None:
        return Check(name="torchvision", found="not installed; pictures are prepared with Pillow")
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        fix = "pip uninstall torchvision, or install the build that belongs to your torch"
        return Check(name="torchvision", found=f"broken: {str(error).splitlines()[0]}", is_fine=False, fix=fix)
    return Check(name="torchvision", found=importlib.metadata.version("torchvision"))


def _devices() -> list[Check]:
    if importlib.util.find_spec("torch") is None:
        return []
    from boresight.models.device import describe_devices

    return [Check(name=name, found=found) for name, found in describe_devices().items()]


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    is_fine = free >= _MIN_FREE_GB
    return Check(
        name="disk", found=f"{free:.0f} GB free here", is_fine=is_fine, fix="" if is_fine else "free some space"
    )


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("+")[0].split(".")
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in parts)
