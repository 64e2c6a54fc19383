"""Where tensors live."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Literal

import torch

from boresight.errors import UsageError

# From <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4


def pick_device(name: str = "auto") -> torch.device:
    """The device of this name; `auto` takes an accelerator when there is one.

    Of processes that `torchrun` or `accelerate launch` has started side by side, each takes one of its own.

    Raises:
        UsageError: If the machine has no such device.
    """
    found = _accelerator()
    if name != "auto":
        return _asked(name, found)
    if found is None:
        return torch.device("cpu")
    place = os.environ.get("LOCAL_RANK")
    return found if place is None else torch.device(found.type, int(place) % torch.accelerator.device_count())


def _accelerator() -> torch.device | None:
    """What is there: most builds of torch are for CUDA, also on machines without."""
    return torch.accelerator.current_accelerator(check_available=True)


def _asked(name: str, found: torch.device | None) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(
            f"run.device must be auto, cpu or an accelerator such as cuda or cuda:1, got {name!r}."
        ) from None
    if device.type == "cpu":
        return device
    if found is None or device.type != found.type:
        raise UsageError(
            f"run.device={name}: torch {torch.__version__} finds no such accelerator here. Use run.device=auto or cpu; "
            "boresight doctor says what there is."
        )
    count = torch.accelerator.device_count()
    if device.index is not None and device.index >= count:
        raise UsageError(f"run.device={name}: there are {count} of them, numbered from 0.")
    return device


def usual_precision(device: torch.device) -> Literal["float32", "bfloat16"]:
    """What people train in there: bfloat16 where an accelerator computes it, float32 elsewhere."""
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def describe_devices() -> dict[str, str]:
    """What there is to compute with, in words."""
    found = {"processor": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads for torch"}
    device = _accelerator()
    if device is None:
        found["accelerator"] = "none; the demo and small models run on the processor"
    elif device.type == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        bfloat16 = "with" if torch.cuda.is_bf16_supported() else "without"
        found["accelerator"] = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, {bfloat16} bfloat16"
    else:
        found["accelerator"] = str(device)
    return found


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed tensors for the next ones, where the C library is glibc.

    By default glibc gives every large block back to the system when it is freed and gets it again page by page, each
    page cleared by the kernel: a tenth of a training step on a processor. Affects the whole process, so only commands
    call it, never the library.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    libc.mallopt(_M_TOP_PAD, 64 * 2**20)


def used_bytes(device: torch.device) -> int:
    """Memory that this process holds: on an accelerator there, else all of the process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return resident_pages * os.sysconf("SC_PAGE_SIZE")


def free_bytes(device: torch.device) -> int | None:
    """Memory that this process can have beyond what it holds; None where nobody can be asked."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type != "cpu":
        return None
    limits = [_of_machine(), container_bytes()]
    return min((limit for limit in limits if limit is not None), default=None)


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kibibytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if kibibytes is None else int(kibibytes) * 1024


def container_bytes(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Memory left under a control group's limit; None without a group, or without a limit."""
    try:
        limit, used = ((root / name).read_text().strip() for name in ("memory.max", "memory.current"))
        inactive = next(
            int(line.split()[1]) for line in (root / "memory.stat").read_text().splitlines() if "inactive_file" in line
        )
    except (OSError, StopIteration):
        return None
    return None if limit == "max" else int(limit) - int(used) + inactive  # files in its cache make room
