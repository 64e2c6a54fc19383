"""What differs between model families, read from the configuration. Everything else is one code path."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from boresight.models.answer_head import LogitTransform
from boresight.models.reach import Reach
from boresight.records.record import MediaKind

_STATELESS_LAYERS = {"full_attention", "attention", "sliding_attention", "chunked_attention"}
_MEDIA_PARTS = ("vision_config", "visual", "vision_tower", "audio_config")
_MEDIA_TOKENS = tuple(f"{kind}_token_{suffix}" for kind in ("image", "video", "audio") for suffix in ("id", "index"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoWay:
    """Prompt tokens that see each other in both directions."""

    token_input: str
    """The per-token input that marks them."""
    marks: tuple[int, ...]
    each_run: bool
    """Every run of marked tokens is a block of its own; otherwise all marked tokens are one block."""
    layers: tuple[str, ...] = ("full_attention", "sliding_attention")
    within_window: bool
    """A layer's window limits blocks too."""
    answer_mark: int = 0
    """What the token input holds for answers."""


_TWO_WAY = {
    "gemma3": TwoWay(token_input="token_type_ids", marks=(1,), each_run=True, within_window=True),
    "gemma4": TwoWay(
        token_input="mm_token_type_ids", marks=(1, 2), each_run=True, layers=("sliding_attention",), within_window=True
    ),
    "molmo2": TwoWay(token_input="mm_token_type_ids", marks=(1,), each_run=False, within_window=False),
    "paligemma": TwoWay(  # a prefix language model: the whole prompt is one block
        token_input="token_type_ids", marks=(0,), each_run=False, within_window=False, answer_mark=1
    ),
}
# Inputs that name patches by number, over all crops of a prompt, and where those lie; below zero they name none.
_COUNTS_PATCHES = {"image_token_pooling": "pixel_values", "video_token_pooling": "pixel_values_videos"}
_FIRST_POSITION = {"paligemma": 1}
# Their pictures and clips share a placeholder token or an input.
_ALIKE = {"glm4v", "glm4v_moe", "glm46v", "glm_ocr", "molmo2", "smolvlm"}
# They read their tower at `vision_feature_layer` and nowhere else.
_READ_AT_LAYERS = {"aya_vision", "internvl", "llava", "llava_next", "llava_onevision", "mistral3"}
_CAPPED_WRAPPERS = {"gemma3n", "gemma4", "paligemma"}


def text_config(config: Any) -> Any:
    """The configuration of the language model, also for models that have nothing else."""
    return config.get_text_config()


def answering(config: Any) -> Any:
    """The configuration of the part that answers in text, in checkpoints that hold further parts to speak aloud."""
    return getattr(config, "thinker_config", None) or config


def takes_media(config: Any) -> bool:
    """Whether the model has an input for pictures, video or sound."""
    return any(getattr(config, name, None) is not None for name in _MEDIA_PARTS)


def without(config: Any) -> frozenset[MediaKind]:
    """Kinds of media that other models of the family take, and their common processor reads, but this one does not."""
    return frozenset({"audio"} if getattr(config, "audio_config", ...) is None else ())


def mixes_clips(config: Any) -> bool:
    """Whether the model can tell pictures from clips where both are there."""
    return config.model_type not in _ALIKE


def media_tokens(config: Any) -> frozenset[int]:
    """Ids of the tokens that stand for media in a prompt."""
    found = (getattr(config, name, None) for name in _MEDIA_TOKENS)
    return frozenset(id for id in found if isinstance(id, int))


def tower_layers(config: Any) -> tuple[int, int]:
    """How many layers the picture tower has, and how many of them say something that is read."""
    num_layers = int(getattr(getattr(config, "vision_config", None), "num_hidden_layers", 0))
    if config.model_type not in _READ_AT_LAYERS:
        return num_layers, num_layers
    named = config.vision_feature_layer
    places = [named] if isinstance(named, int) else named
    # 0 is what goes into the first layer, so that -1 is what comes out of the last.
    return num_layers, max(place if place >= 0 else num_layers + 1 + place for place in places)


def max_tokens(config: Any) -> int | None:
    """Longest row the model was built for, if it says."""
    value = getattr(text_config(config), "max_position_embeddings", None)
    return None if value is None else int(value)


def max_packed_tokens(config: Any) -> int | None:
    """Longest row in which answers may share their prompt, where a family counts tokens by their place in the row."""
    text = text_config(config)
    if getattr(text, "attn_temperature_tuning", None):  # Llama-4 scales queries by floor((index + 1) / floor_scale)
        return int(text.floor_scale) - 1
    return None


def why_not_shared(config: Any) -> str | None:
    """Why prompts cannot be shared between answers for this model, or None when they can."""
    stateful = set(layer_types(config)) - _STATELESS_LAYERS
    if stateful:
        return f"layers of type {', '.join(sorted(stateful))} carry state along the row"
    if reads_media_across(config):
        return "media are read by layers of cross-attention, which see the media of one prompt per row"
    return None


def reads_media_across(config: Any) -> bool:
    """Whether media enter by layers of cross-attention instead of the prompt."""
    return bool(getattr(text_config(config), "cross_attention_layers", None))


def own_attention(config: Any) -> str:
    """The attention function of transformers that computes what the configuration says."""
    text = text_config(config)
    if getattr(text, "attn_logit_softcapping", None):
        return "eager"  # "sdpa" leaves the cap out, before transformers 5.18 without a word
    return str(text._attn_implementation)


def layer_types(config: Any) -> tuple[str, ...]:
    """The kind of attention of each layer of the language model."""
    text = text_config(config)
    named = getattr(text, "layer_types", None)
    if named:
        return tuple(named)
    only = "sliding_attention" if getattr(text, "sliding_window", None) else "full_attention"
    return (only,) * int(text.num_hidden_layers)


def reach(config: Any, layer_type: str) -> Reach:
    """What tokens see in layers of one type."""
    text, blocks = text_config(config), two_way(config)
    has_blocks = blocks is not None and layer_type in blocks.layers
    return Reach(
        window=getattr(text, "sliding_window", None) if layer_type == "sliding_attention" else None,
        chunk=getattr(text, "attention_chunk_size", None) if layer_type == "chunked_attention" else None,
        has_blocks=has_blocks,
        window_limits_blocks=has_blocks and blocks is not None and blocks.within_window,
    )


def two_way(config: Any) -> TwoWay | None:
    """Which prompt tokens see each other in both directions, if any do."""
    found = _TWO_WAY.get(config.model_type)
    if config.model_type == "gemma4" and text_config(config).use_bidirectional_attention != "vision":
        return None  # only its larger models read pictures in both directions
    return found


def blocks(config: Any, token_inputs: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Block of each token of a prompt, -1 for tokens in none; empty where the family has no blocks."""
    rule = two_way(config)
    if rule is None or rule.token_input not in token_inputs:
        return ()
    values = token_inputs[rule.token_input]
    marked = torch.isin(values, torch.tensor(rule.marks, device=values.device))
    if not rule.each_run:
        return tuple(torch.where(marked, 0, -1).tolist())
    starts = marked & ~torch.cat([marked.new_zeros(1), marked[:-1]])
    return tuple(torch.where(marked, starts.long().cumsum(0), -1).tolist())


def answer_mark(config: Any, token_input: str) -> int:
    """What a per-token input holds for the tokens of an answer."""
    rule = two_way(config)
    return rule.answer_mark if rule is not None and rule.token_input == token_input else 0


def repointed(media_inputs: Mapping[str, Sequence[Tensor]]) -> dict[str, list[Tensor]]:
    """Inputs of several prompts, ready to be put one behind the other: what counts patches goes on counting."""
    found = {name: list(values) for name, values in media_inputs.items()}
    for name, patches in _COUNTS_PATCHES.items():
        before = 0
        for i, value in enumerate(found.get(name, ())):
            found[name][i] = torch.where(value >= 0, value + before, value)
            before += found[patches][i].shape[:-1].numel()
    return found


def logit_transform(config: Any) -> LogitTransform | None:
    """What the family does to logits after the output embedding.

    In transformers, models that wrap a language model use its output embedding alone, whatever its own configuration
    says, but for a few that cap logits as it does.
    """
    text = text_config(config)
    is_wrapped = text is not config
    cap = getattr(text, "final_logit_softcapping", None)
    scale = getattr(text, "logit_scale", None)  # Cohere multiplies
    divisor = getattr(text, "logits_scaling", None)  # Granite divides
    if cap and (not is_wrapped or config.model_type in _CAPPED_WRAPPERS):
        return lambda logits: torch.tanh(logits / cap) * cap
    if scale and not is_wrapped:
        return lambda logits: logits * scale
    if divisor and not is_wrapped:
        return lambda logits: logits / divisor
    return None


def trunk_positions(
    base: Any,
    input_ids: Int[Tensor, "1 token"],
    token_inputs: Mapping[str, Tensor],
    media_inputs: Mapping[str, Tensor],
) -> Int[Tensor, "axis token"]:
    """Positions of a prompt's tokens: one axis, or three for models whose rotary positions are in time and space.

    Args:
        base: The model without its head.
        token_inputs: Per-token inputs of the processor, such as `mm_token_type_ids`.
        media_inputs: The processor's other inputs.
    """
    if not hasattr(base, "get_rope_index"):  # a capability of the family, not of a library version
        first = _FIRST_POSITION.get(base.config.model_type, 0)
        return torch.arange(first, first + input_ids.shape[1], device=input_ids.device)[None]
    offered: dict[str, Any] = {
        "attention_mask": torch.ones_like(input_ids),
        "mm_token_type_ids": torch.zeros_like(input_ids),
        **token_inputs,
        **media_inputs,
    }
    if "video_second_per_grid" in offered:
        offered["second_per_grids"] = offered["video_second_per_grid"]
    if "feature_attention_mask" in offered:
        offered["audio_seqlens"] = offered["feature_attention_mask"].sum(-1)
    wanted = inspect.signature(base.get_rope_index).parameters
    positions, _ = base.get_rope_index(
        input_ids=input_ids, **{name: value for name, value in offered.items() if name in wanted}
    )
    return positions[:, 0]  # type: ignore[no-any-return]
