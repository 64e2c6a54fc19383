"""What a stretch of work takes at its peak, as the system counts it."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")
_RESET_PEAK = "5"  # Linux, proc_pid_clear_refs(5)


class PeakMeter:
    """Reads by how much memory grows at most: on CUDA what tensors take, on Linux what the process holds in memory.

    The second is more than tensors take: a C library keeps what it frees in pieces, and many fit nothing that comes
    later. Memory that is free when a measurement starts is given back first, so that all growth shows.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._start = 0

    @property
    def works(self) -> bool:
        """Whether this machine can be asked."""
        if self._device.type == "cuda":
            return True
        try:
            self._reset()
            return self._device.type == "cpu" and self._peak() > 0
        except OSError:
            return False

    def start(self) -> None:
        """Begin to measure."""
        self.release()
        self._reset()
        self._start = self._peak()

    def release(self) -> None:
        """Give back what was freed, so that what is in use is what is needed."""
        if self._device.type == "cpu" and platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)

    def growth(self) -> int:
        """Bytes at the peak beyond those at the start."""
        return self._peak() - self._start

    def _reset(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            (_PROCESS / "clear_refs").write_text(_RESET_PEAK)

    def _peak(self) -> int:
        """Bytes, since the last reset; 0 where they are not counted."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        lines = (_PROCESS / "status").read_text().splitlines()
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
