"""What a step costs, counted the same way for every peer. Needs torch alone: peers live in other environments."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def flop_counter() -> FlopCounterMode:
    """Counts matrix products, convolutions and attention, also on a processor, two per multiply-add."""
    return FlopCounterMode(display=False, custom_mapping=_cpu_attention_flops() | _onednn_flops())


def peak_mib() -> float:
    """Most memory that this process has held so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def product_flops_per_s(multiply: Callable[[Tensor, Tensor], Tensor], matrix: Tensor) -> float:
    """What a product of a square matrix with itself reaches, at best of eight."""
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        float(multiply(matrix, matrix)[0, 0])  # reading a value waits for the device
        seconds.append(time.perf_counter() - began)
    return float(2 * len(matrix) ** 3 / min(seconds))


def _onednn_flops() -> dict[Any, Any]:
    """The counter does not know oneDNN's products, which only Boresight asks for by name."""

    def product(a: Any, b_transposed: Any, *_: Any, **__: Any) -> int:
        rows, inner = a
        return 2 * int(rows) * int(inner) * int(b_transposed[0])

    return {torch.ops.mkldnn._linear_pointwise: product}


def _cpu_attention_flops() -> dict[Any, Any]:
    """The counter knows attention on accelerators only. A causal mask halves the work, as the kernel does."""

    def forward(query: Any, key: Any, value: Any, dropout: float = 0.0, is_causal: bool = False, **_: Any) -> int:
        batch, heads, length, width = query
        products: int = 2 * batch * heads * length * key[2] * (width + value[3])
        return products // 2 if is_causal else products

    def backward(
        grad: Any, query: Any, key: Any, value: Any, out: Any, lse: Any, dropout: float, is_causal: bool, **_: Any
    ) -> int:
        return 5 * forward(query, key, value, is_causal=is_causal) // 2

    aten = torch.ops.aten
    return {
        aten._scaled_dot_product_flash_attention_for_cpu: lambda *a, out_val=None, **k: forward(*a, **k),
        aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda *a, out_val=None, **k: backward(*a, **k),
    }
