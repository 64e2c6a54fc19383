"""Weights of which every process holds a part (FSDP2), and weights that not every pass reads."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from boresight.errors import UsageError
from boresight.models.policy import Policy, Scored

_Output = TypeVar("_Output", Tensor, Scored)


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether weights are spread over the processes."""
    return bool(accelerator.distributed_type == DistributedType.FSDP)


def check_launch(accelerator: Accelerator, *, probes: bool, attacks: bool, clips_apart: bool) -> None:
    """Refuse what cannot work the way the launcher was told to spread the weights.

    Args:
        clips_apart: Whether pictures and clips of one batch need a pass each.

    Raises:
        UsageError: Says what to choose instead.
    """
    if not is_sharded(accelerator):
        return
    if not accelerator.is_fsdp2:
        raise UsageError("FSDP 1 merges weights beyond recognition; set fsdp_version: 2, as in configs/fsdp2.yaml.")
    if probes:
        raise UsageError("probes need whole weights, and FSDP spreads them; use --set run.probe_every=0.")
    if attacks:
        raise UsageError("adversarial inputs need whole weights, and FSDP spreads them; launch with configs/ddp.yaml.")
    if clips_apart:  # a process that has both would gather layers for which the others do not come
        raise UsageError(
            "the data have pictures and clips, which this model takes in passes of their own, and FSDP needs as many "
            "passes in every process; launch with configs/ddp.yaml, or train on them in runs of their own."
        )


def twin_to_shard(policy: Policy, accelerator: Accelerator) -> Policy:
    """A copy whose weights may be spread over the processes; the policy itself stays whole, on the CPU.

    Each layer of the language model is gathered by itself when it is computed. All else (tower, projector, embeddings)
    is gathered once per pass: whether a process reads it depends on its items, and gathering waits for all processes.
    """
    device = policy.device
    twin = copy.deepcopy(policy.cpu())
    policy.to(device)
    names = {type(module).__name__ for module in policy.bare.get_decoder().modules()}
    layers = sorted(names & set(policy.bare._no_split_modules or ()))
    plugin = accelerator.state.fsdp_plugin
    plugin.transformer_cls_names_to_wrap = layers
    plugin.mixed_precision_policy = None  # autocast decides, so that policy and reference round alike
    return twin


def whole(tensor: Tensor) -> Tensor:
    """All of it. Where it is spread, every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, place: Tensor) -> Tensor:
    """Whole values, laid out as those of `place` are: on its device, and spread as it is."""
    if isinstance(place, DTensor):
        return distribute_tensor(tensor.to(place.device), place.device_mesh, place.placements)
    return tensor.to(place.device)


class _Weight(NamedTuple):
    module: nn.Module
    name: str


def read_all_weights(policy: Policy) -> None:
    """Let every pass read every trained weight, times zero where it is not needed.

    Processes add up the gradients of all weights, in one order: those of a tower too, when one of them has items
    without pictures.
    """
    language = {id(parameter) for parameter in policy.bare.get_decoder().parameters()}
    spare = [
        _Weight(module, name)  # not the weight itself: sharding puts another in its place
        for module in policy.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.requires_grad and id(parameter) not in language
    ]

    def add(module: nn.Module, inputs: Any, output: _Output) -> _Output:
        if not spare or not torch.is_grad_enabled():
            return output
        nothing = torch.stack([getattr(weight.module, weight.name).sum() for weight in spare]).sum() * 0.0
        if not isinstance(output, Scored):
            return output + nothing
        ratings = None if output.ratings is None else output.ratings + nothing
        return output._replace(logps=output.logps + nothing, ratings=ratings)

    policy.register_forward_hook(add)
