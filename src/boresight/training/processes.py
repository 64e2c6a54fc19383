"""Several processes that train one model: how they meet, and how all end when one fails."""

from __future__ import annotations

import atexit
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from types import TracebackType
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    gather_object,
    is_deepspeed_available,
    parse_flag_from_env,
)

from boresight.errors import BoresightError, UsageError
from boresight.models.device import pick_device
from boresight.models.loading import Precision

_AUTOCAST = {"bfloat16": "bf16", "float16": "fp16"}
_PATIENCE = timedelta(hours=12)  # while the first process measures and the others wait; a dead one is noticed at once


def meet(device: str) -> bool:
    """Wait for the other processes of this run, if a launcher has started several, and leave them in order at exit.

    Args:
        device: As in the run's settings.

    Returns:
        Whether this is the process that writes files and speaks to people.

    Raises:
        UsageError: If the launcher asks for DeepSpeed, which is not installed.
    """
    if not asks_for_deepspeed():
        return _join(PartialState(cpu=pick_device(device).type == "cpu", timeout=_PATIENCE))
    if not is_deepspeed_available():
        raise UsageError("the launcher asks for DeepSpeed, which is not installed; pip install 'boresight[deepspeed]'.")
    # Without an accelerator accelerate must be told how processes meet, and that this is not its `cpu` mode.
    backend = {"backend": "gloo"} if pick_device("auto").type == "cpu" else {}
    return _join(PartialState(timeout=_PATIENCE, **backend))


def _join(state: PartialState) -> bool:
    if state.num_processes > 1:
        atexit.unregister(_leave)
        atexit.register(_leave)
    return bool(state.is_main_process)


def _leave() -> None:
    """Let go of the other processes while there is an interpreter.

    gloo's threads hold the tensors of the last exchange. One that drops them while the interpreter goes down aborts
    the process, after all work is done (pytorch/pytorch#190489).
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        time.sleep(0.1)  # the threads live on where a caller still holds the model; they wait for the interpreter only


def make_accelerator(device: str, precision: Precision) -> Accelerator:
    """What this process trains with.

    Raises:
        UsageError: If the process has trained with other settings before.
    """
    try:
        return Accelerator(
            mixed_precision="no" if asks_for_deepspeed() else _AUTOCAST.get(precision, "no"),
            cpu=pick_device(device).type == "cpu" and not asks_for_deepspeed(),
            kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
        )
    except ValueError as error:  # accelerate keeps its settings for the life of a process
        raise UsageError(
            f"this process has trained in another precision or on another device than {precision} on {device}; "
            "start this run in a process of its own."
        ) from error


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Computation in this precision, whoever has started the processes."""
    return torch.autocast(device.type, getattr(torch, precision)) if precision in _AUTOCAST else nullcontext()


def asks_for_deepspeed() -> bool:
    """Whether the launcher was told to use DeepSpeed."""
    return bool(parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"))


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return any(gather_object([flag]))


class Together:
    """No process leaves the block before all have reached its end, and none goes on if one failed.

    Each of them raises what the first that failed has raised, so that none waits for one that is gone. Only errors
    that a person can act on are passed on: after a defect the process dies, and the launcher ends the others. Inside
    the block processes must not wait for each other in any other way.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if PartialState().num_processes == 1 or (error is not None and not isinstance(error, BoresightError)):
            return
        if error is not None and error.is_everywhere:
            return
        failed = [other for other in gather_object([error]) if other is not None]
        if failed:
            failed[0].is_everywhere = True
            raise failed[0] from error
