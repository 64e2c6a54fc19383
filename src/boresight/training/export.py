"""A trained adapter as one model that needs nothing but transformers, kept only if it says the same."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from boresight.errors import ModelError
from boresight.models.loading import Precision, load_policy
from boresight.models.policy import Policy
from boresight.objectives import View
from boresight.training.forest import plan
from boresight.training.items import Item, ItemEncoder

_MAX_DIFFERENCE = {"float64": 1e-8, "float32": 1e-3, "float16": 0.05, "bfloat16": 0.5}  # of a logit, by rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A model with its adapter merged in, and how it compares with the two it was made from."""

    folder: Path
    difference: float
    """Largest difference of a logit from the model with its adapter, on the items below."""
    adapter_effect: float
    """Largest difference of a logit that the adapter makes there."""
    items: int
    """How many items were compared."""


def save_model(policy: Policy, folder: Path) -> Path:
    """Write the trained model (or its adapter) with its processor, whole or not at all; loads with transformers."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = folder.with_name(f".tmp-{folder.name}")
    if staged.exists():
        shutil.rmtree(staged)
    policy.save(staged)
    if folder.exists():
        shutil.rmtree(folder)
    staged.rename(folder)
    return folder


def merge(policy: Policy, folder: Path, items: Sequence[Item], encoder: ItemEncoder) -> Merged:
    """Write the model with its adapter merged in, and its processor; whole or not at all.

    What was written is loaded again, with its own processor, and must give the same logits as the model with its
    adapter for every answer of the items. Needs memory for a second model; the policy itself is not changed.

    Raises:
        ModelError: If what was written differs by more than rounding; it is not kept.
    """
    staged = folder.with_name(f".tmp-{folder.name}")
    if staged.exists():
        shutil.rmtree(staged)
    policy.save(staged, weights=merged_weights(policy))
    precision: Precision = str(policy.bare.dtype).removeprefix("torch.")  # type: ignore[assignment]
    saved = load_policy(staged, precision=precision, device=policy.device)
    with_adapter = _logits(policy, items, encoder)
    with policy.adapter_off():
        effect = _largest_difference(_logits(policy, items, encoder), with_adapter)
    # Its own tokens and pictures, so that a processor which was spoilt on its way shows as well.
    again = ItemEncoder(encoder=saved.encoder, pictures=encoder.pictures, inputs=encoder.inputs, seed=encoder.seed)
    difference = _largest_difference(_logits(saved, items, again), with_adapter)
    limit = _MAX_DIFFERENCE[precision]
    if not difference <= limit:
        shutil.rmtree(staged)
        raise ModelError(
            f"the merged model's logits differ from the adapter model's by {difference:.2g} on {len(items)} items "
            f"(limit {limit:g} in {precision}), so it was not kept. The adapter is whole: load it with peft, "
            "or go without with --no-merge."
        )
    if folder.exists():
        shutil.rmtree(folder)
    staged.rename(folder)
    return Merged(folder=folder, difference=difference, adapter_effect=effect, items=len(items))


def merged_weights(policy: Policy) -> dict[str, Tensor]:
    """The base model's weights with what the adapter adds, under the base model's names."""
    weights = {
        name.replace(".base_layer.", "."): value
        for name, value in policy.bare.state_dict().items()
        if ".lora_" not in name
    }
    for name, layer in policy.bare.named_modules():
        if isinstance(layer, LoraLayer):
            base = layer.get_base_layer().weight.detach()
            exact = torch.promote_types(base.dtype, torch.float32)  # one rounding instead of three
            added = [layer.get_delta_weight(adapter).detach().to(exact) for adapter in layer.active_adapters]
            weights[f"{name}.weight"] = torch.stack([base.to(exact), *added]).sum(dim=0).to(base.dtype)
    return weights


@torch.no_grad()
def _logits(policy: Policy, items: Sequence[Item], encoder: ItemEncoder) -> list[Tensor]:
    """Of every answer of every item."""
    was_training = policy.training
    policy.eval()
    try:
        return [
            policy.official_logits(row.prompt, answer).double().cpu()
            for item in items
            for row in plan([View(text) for text in item.texts], [item], encoder).rows
            for answer in row.answers
        ]
    finally:
        policy.train(was_training)


def _largest_difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """Infinite where the two do not even have equally many tokens."""
    if [a.shape for a in first] != [b.shape for b in second]:
        return float("inf")
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))
