"""Models that compute in float64 throughout.

Norms, softmax and rotary angles of most families are computed in float32, whatever the model's precision. Gradients
of two right ways differ by up to 2e-6 then, by what happens to be rounded up, and a fault of that size hides there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Float64(TorchFunctionMode):
    """Inside, models get float64 where they ask for float32. Recomputation of checkpoints does not see it."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        func = torch.Tensor.double if func is torch.Tensor.float else func
        given = {name: _wide(value) for name, value in (kwargs or {}).items()}
        return func(*map(_wide, args), **given)


def _wide(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value
