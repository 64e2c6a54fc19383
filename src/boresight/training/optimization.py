"""Which weights move, how, and how the optimizer's state is stored."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from boresight.errors import UsageError
from boresight.models.policy import Policy
from boresight.training.sharding import like
from boresight.training.spec import TOWERS, Stage

Parameters = Mapping[str, torch.nn.Parameter]


def freeze(policy: Policy, stage: Stage) -> None:
    """Keep the weights that the stage names as they are; adapters decide for themselves.

    Raises:
        UsageError: If nothing is left to train, or a word is in no parameter's name; names of towers are each of some
            families only.
    """
    if policy.has_adapter:
        return
    names = [name for name, _ in policy.model.named_parameters()]
    for setting, words in (("frozen", stage.frozen), ("trained", stage.trained)):
        unused = [word for word in words if word not in TOWERS and not any(word in name for name in names)]
        if unused:
            raise UsageError(f"stage.{setting} names {unused}, which is in no parameter's name. {_like(names)}")
    for name, parameter in policy.model.named_parameters():
        is_named = not stage.trained or any(word in name for word in stage.trained)
        parameter.requires_grad_(is_named and not any(word in name for word in stage.frozen))
    if not any(parameter.requires_grad for parameter in policy.model.parameters()):
        raise UsageError(f"stage.frozen and stage.trained leave nothing to train. {_like(names)}")


def _like(names: Sequence[str]) -> str:
    parts = list(dict.fromkeys(re.split(r"\.\d+\.", name)[0] for name in names))
    return f"Names begin with {', '.join(parts[:8])}{'...' if len(parts) > 8 else '.'}"


def make_optimizer(parameters: Parameters, stage: Stage) -> torch.optim.Optimizer:
    """AdamW; weight decay acts on matrices only (biases and norms have no scale to shrink).

    The first group has the stage's own rate, if any parameter has.

    Raises:
        UsageError: If a word of `stage.rates` is in no trained parameter's name.
    """
    words = {name: next((word for word in stage.rates if word in name), None) for name in parameters}
    unused = set(stage.rates) - {word for name in parameters for word in stage.rates if word in name}
    if unused:
        raise UsageError(
            f"stage.rates names {sorted(unused)}, which no trained parameter has in its name. "
            f"Names are like {next(iter(parameters))!r}."
        )
    groups = [
        {
            "params": [p for name, p in parameters.items() if words[name] == word and (p.ndim >= 2) == is_matrix],
            "lr": stage.learning_rate * (1.0 if word is None else stage.rates[word]),
            "weight_decay": stage.weight_decay if is_matrix else 0.0,
        }
        for word in (None, *stage.rates)
        for is_matrix in (True, False)
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=stage.learning_rate, betas=stage.betas, fused=True)


def num_steps(stage: Stage, num_items: int) -> int:
    """Optimizer steps of a stage, at least 1."""
    return max(1, math.ceil(stage.epochs * num_items / stage.batch_items))


def step_indices(step: int, stage: Stage, num_items: int, seed: int) -> list[int]:
    """Which items a step (from 0) takes: a function of its arguments alone, so a resumed run sees the same.

    Every epoch is a permutation of its own; a step that ends an epoch goes on with the next.
    """
    first = step * stage.batch_items
    last = min(first + stage.batch_items, math.ceil(stage.epochs * num_items))
    orders: dict[int, list[int]] = {}
    indices = []
    for position in range(first, last):
        epoch, index = divmod(position, num_items)
        if epoch not in orders:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
            orders[epoch] = torch.randperm(num_items, generator=generator).tolist()
        indices.append(orders[epoch][index])
    return indices


def optimizer_tensors(optimizer: Any, parameters: Parameters) -> dict[str, Tensor]:
    """The optimizer's state by parameter name, which does not depend on how parameters are grouped."""
    names = {id(p): name for name, p in parameters.items()}
    return {
        f"{names[id(p)]}/{key}": value
        for p, state in _inner(optimizer).state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def load_optimizer_tensors(optimizer: Any, parameters: Parameters, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    for name, parameter in parameters.items():
        prefix = f"{name}/"
        state = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
        _inner(optimizer).state[parameter] = {
            key: value.to(parameter.device) if key == "step" else like(value, parameter) for key, value in state.items()
        }


def _inner(optimizer: Any) -> torch.optim.Optimizer:
    return getattr(optimizer, "optimizer", optimizer)  # type: ignore[no-any-return]
