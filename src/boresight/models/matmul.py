"""What multiplies matrices on a processor: whatever torch calls by itself, or oneDNN.

torch hands float32 products on a processor to MKL, which leaves AVX-512 unused on processors of other makers than its
own. oneDNN, which comes with torch too, uses it: on an AMD EPYC of the fifth generation its products take half the
time. But it writes a program for each new size, and keeps a thousand of them (`perf/products.py` shows the cost). It
pays where numbers of tokens repeat, and is only used when asked for. Results and gradients are equal but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Matmul = Literal["torch", "onednn"]
"""torch    whatever torch calls by itself
onednn   oneDNN, for float32 on a processor"""

_MIN_ROWS = 16  # the weights are read once for all rows; with fewer that is all the work
_MIN_PRODUCTS = 2**22  # multiply-adds; a smaller product is over before Python has handed it on


def by(which: Matmul) -> Callable[..., Tensor]:
    """What takes matrices a and b and gives a @ b, without gradient; into `out`, if that is given."""
    return _by_onednn if which == "onednn" else torch.mm


def linear(
    x: Float[Tensor, "*batch channel"], weight: Float[Tensor, "feature channel"], bias: Float[Tensor, " feature"] | None
) -> Float[Tensor, "*batch feature"]:
    """`torch.nn.functional.linear`, by oneDNN where that suits."""
    if x.ndim < 2 or torch.is_autocast_enabled("cpu") or not _suits(x.flatten(0, -2), weight.t()):
        return F.linear(x, weight, bias)
    return _Linear.apply(x, weight, bias)  # type: ignore[no-any-return,no-untyped-call]


def use(model: nn.Module, which: Matmul) -> None:
    """Let the linear layers of a model multiply so from now on, and those of its copies."""
    for module in model.modules():
        if type(module) is not nn.Linear:
            continue
        if which == "onednn":
            module.forward = MethodType(_forward, module)  # type: ignore[method-assign]
        else:
            vars(module).pop("forward", None)


class _Linear(torch.autograd.Function):
    """y = x W^T + b;  dx = dy W,  dW = dy^T x,  db = sum of dy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        needs_x, needs_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(x if needs_weight else None, weight if needs_x else None)
        return _product(x.flatten(0, -2), weight.t(), bias).view(*x.shape[:-1], len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        return (
            None if weight is None else _product(rows, weight).view(*grad.shape[:-1], -1),
            None if x is None else _product(rows.t(), x.flatten(0, -2)),
            rows.sum(dim=0) if ctx.needs_input_grad[2] else None,
        )


def _forward(module: nn.Linear, input: Tensor) -> Tensor:
    return linear(input, module.weight, module.bias)


def _by_onednn(a: Tensor, b: Tensor, *, out: Tensor | None = None) -> Tensor:
    if not _suits(a, b):
        return torch.mm(a, b) if out is None else torch.mm(a, b, out=out)
    return _product(a, b) if out is None else out.copy_(_product(a, b))


def _product(
    a: Float[Tensor, "row inner"], b: Float[Tensor, "inner column"], bias: Float[Tensor, " column"] | None = None
) -> Float[Tensor, "row column"]:
    """a @ b + bias."""
    if not b.t().is_contiguous():
        b = b.contiguous()  # with gaps between its rows or columns it would take a thousand times as long
    return torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, "none", [], "")  # type: ignore[no-any-return]


def _suits(a: Float[Tensor, "row inner"], b: Float[Tensor, "inner column"]) -> bool:
    return (
        len(a) >= _MIN_ROWS
        and len(a) * b.numel() >= _MIN_PRODUCTS
        and a.dtype == b.dtype == torch.float32
        and a.device.type == b.device.type == "cpu"
        and type(a.data) is type(b.data) is Tensor  # weights of quantized models are neither
    )
