"""What differs between model families, read from the configuration. Everything else is one code path."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from boresight.models.answer_head import LogitTransform

_SHAREABLE_LAYERS = {"full_attention", "attention", "sliding_attention"}  # windows are checked per batch
_BIDIRECTIONAL_MEDIA = {"gemma3", "gemma4", "paligemma", "molmo2"}  # image tokens see each other both ways


def text_config(config: Any) -> Any:
    """The configuration of the language model, also for models that have nothing else."""
    return config.get_text_config()


def why_not_shared(config: Any) -> str | None:
    """Why prompts cannot be shared between answers for this model, or None when they can."""
    layers = set(getattr(text_config(config), "layer_types", None) or ())
    if layers - _SHAREABLE_LAYERS:
        return f"layers of type {', '.join(sorted(layers - _SHAREABLE_LAYERS))} carry state along the row"
    if config.model_type in _BIDIRECTIONAL_MEDIA:
        return f"media tokens of {config.model_type} attend in both directions"
    return None


def sees_images(config: Any) -> bool:
    """Whether the model has an image input."""
    return any(getattr(config, name, None) is not None for name in ("vision_config", "visual", "vision_tower"))


def max_tokens(config: Any) -> int | None:
    """Longest row the model was built for, if it says."""
    value = getattr(text_config(config), "max_position_embeddings", None)
    return None if value is None else int(value)


def logit_transform(config: Any) -> LogitTransform | None:
    """What the family does to logits after the output embedding."""
    text = text_config(config)
    cap = getattr(text, "final_logit_softcapping", None)
    scale = getattr(text, "logit_scale", None)  # Cohere multiplies
    divisor = getattr(text, "logits_scaling", None)  # Granite divides
    if cap:
        return lambda logits: torch.tanh(logits / cap) * cap
    if scale:
        return lambda logits: logits * scale
    if divisor:
        return lambda logits: logits / divisor
    return None


def trunk_positions(
    base: Any,
    input_ids: Int[Tensor, "1 token"],
    token_inputs: dict[str, Tensor],
    media_inputs: dict[str, Tensor],
) -> Int[Tensor, "axis token"]:
    """Positions of a prompt's tokens: one axis, or three for models whose rotary positions are in time and space.

    Args:
        base: The model without its head.
        token_inputs: Per-token inputs of the processor, such as `mm_token_type_ids`.
        media_inputs: The processor's other inputs.
    """
    if not hasattr(base, "get_rope_index"):  # a capability of the family, not of a library version
        return torch.arange(input_ids.shape[1], device=input_ids.device)[None]
    wanted = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts")
    grids = {name: media_inputs[name] for name in wanted if name in media_inputs}
    token_types = token_inputs.get("mm_token_type_ids", torch.zeros_like(input_ids))
    positions, _ = base.get_rope_index(input_ids=input_ids, mm_token_type_ids=token_types, **grids)
    return positions[:, 0]  # type: ignore[no-any-return]
