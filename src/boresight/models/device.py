"""Where tensors live."""

from __future__ import annotations

import os
from typing import Literal

import torch


def pick_device(name: str = "auto") -> torch.device:
    """The device of this name; `auto` takes an accelerator when there is one."""
    if name != "auto":
        return torch.device(name)
    return torch.accelerator.current_accelerator() or torch.device("cpu")


def usual_precision(device: torch.device) -> Literal["float32", "bfloat16"]:
    """What people train in there: bfloat16 where an accelerator computes it, float32 elsewhere."""
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def describe_devices() -> dict[str, str]:
    """What there is to compute with, in words."""
    found = {"processor": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads for torch"}
    device = torch.accelerator.current_accelerator()
    if device is None:
        found["accelerator"] = "none; the demo and small models run on the processor"
    elif device.type == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        bfloat16 = "with" if torch.cuda.is_bf16_supported() else "without"
        found["accelerator"] = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, {bfloat16} bfloat16"
    else:
        found["accelerator"] = str(device)
    return found
