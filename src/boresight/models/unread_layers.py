"""Layers of a media tower that nothing reads are left out.

LLaVA reads what its tower says one layer before the last (`vision_feature_layer=-2`), and transformers computes the
last one all the same: 1 of 24 in LLaVA-1.5. What is read, and its gradient, are the same without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from boresight.models import families


def unread_layers(towers: Sequence[nn.Module], config: Any) -> list[nn.Module]:
    """The layers of the towers that only unread ones follow; none where the configuration does not tell."""
    num_layers, num_read = families.tower_layers(config)
    stacks = [module for tower in towers for module in tower.modules() if isinstance(module, nn.ModuleList)]
    return [layer for stack in stacks if len(stack) == num_layers for layer in stack[num_read:]]


@contextmanager
def left_out(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, the layers hand on what they are given."""
    for layer in layers:
        layer.forward = _hand_on
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _hand_on(hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return hidden
