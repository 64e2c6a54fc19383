"""Layers of a media tower that nothing reads are left out.

LLaVA reads what its tower says one layer before the last (`vision_feature_layer=-2`), and transformers computes the
last one all the same: 1 of 24 in LLaVA-1.5. What is read, and its gradient, are the same without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from boresight.models import families

Forward = Callable[..., Any]


def unread_layers(towers: Sequence[nn.Module], config: Any) -> list[nn.Module]:
    """The layers of the towers that only unread ones follow; none where the configuration does not tell."""
    num_layers, num_read = families.tower_layers(config)
    stacks = [module for tower in towers for module in tower.modules() if isinstance(module, nn.ModuleList)]
    return [layer for stack in stacks if len(stack) == num_layers for layer in stack[num_read:]]


@contextmanager
def left_out(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, the layers hand on what they are given."""
    with computing(layers, lambda forward: _hand_on):
        yield


@contextmanager
def computing(modules: Sequence[nn.Module], make: Callable[[Forward], Forward]) -> Iterator[None]:
    """Inside, each module computes what `make` makes of its forward."""
    before = [vars(module).get("forward") for module in modules]
    for module in modules:
        module.forward = make(module.forward)
    try:
        yield
    finally:
        for module, forward in zip(modules, before, strict=True):
            if forward is None:
                del module.forward
            else:
                module.forward = forward


def _hand_on(hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return hidden
