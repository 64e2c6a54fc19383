"""Tiny models of many families with random weights, made from their real configuration classes, and prompts for them.

Prompts are made as tensors, in the form in which each family's processor gives them: one medium, two in two turns of
one prompt, none. Sizes are small enough that windows and chunks are shorter than a prompt with its answer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import ProcessorMixin

from boresight.models.encoding import EncodedPrompt
from boresight.models.fake import fake_llava
from boresight.models.loading import make_policy
from boresight.models.policy import Answered, Policy
from engine_examples import TINY, gradients
from float64 import Float64

VOCAB = 400
IMAGE, VIDEO, AUDIO, VISION_START, VISION_END, OTHER_START, OTHER_END = range(390, 397)

TEXT = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TOWER = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
CLIP = {"model_type": "clip_vision_model", **TOWER}
SIGLIP = {"model_type": "siglip_vision_model", **TOWER}
PATCHES = {"depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": 32}
ROPE_3D = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
QWEN_TOKENS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
}
QWEN_TEXT = {**TEXT, "rope_parameters": ROPE_3D}
GLM4V = {
    "text_config": {**TEXT, "rope_parameters": {**ROPE_3D, "partial_rotary_factor": 1.0}},
    "vision_config": {**PATCHES, "image_size": 28, "patch_size": 14},
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "image_start_token_id": VISION_START,
    "image_end_token_id": VISION_END,
    "video_start_token_id": OTHER_START,
    "video_end_token_id": OTHER_END,
}
WINDOWS = {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"]}

Draw = Callable[..., Tensor]
Medium = tuple[list[int], Mapping[str, Tensor]]
"""Tokens of one medium in the prompt, and what the processor gives for it."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """How to make one tiny model and its media."""

    model: str
    config: Mapping[str, Any]
    media: Mapping[str, Callable[[Draw], Medium]]
    """Kind of medium to one of that kind."""
    marks: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Per-token input to what it holds for each media token; 0 for all others."""
    expected: str = "split"
    """How the preflight is to settle: split, dense or separate."""
    keeps_media: bool = True
    """Whether features of media can be kept."""


def picture(tokens: int, *shape: int, **more: Any) -> Callable[[Draw], Medium]:
    """A picture of so many tokens, with pixel values of a shape."""
    return lambda draw: (
        [IMAGE] * tokens,
        {"pixel_values": draw(1, *shape), **{k: torch.tensor(v) for k, v in more.items()}},
    )


def grid(token: int, name: str, frames: int, channels: int = 14, **more: Any) -> Callable[[Draw], Medium]:
    """A picture or clip of 4 x 4 patches per pair of frames, which are 2 x 2 tokens."""
    values, shape = f"pixel_values{'' if name == 'image' else '_videos'}", 3 * 2 * channels**2
    return lambda draw: (
        [VISION_START, *[token] * 4 * frames, VISION_END],
        {
            values: draw(16 * frames, shape),
            f"{name}_grid_thw": torch.tensor([[frames, 4, 4]]),
            **{k: torch.tensor(v) for k, v in more.items()},
        },
    )


def timed_frames(frames: int, channels: int, token: int = VIDEO) -> Callable[[Draw], Medium]:
    """A clip whose frames lie apart in the prompt, each behind its time stamp, as Qwen3-VL and GLM-4V write them."""
    one = [7, VISION_START, *[token] * 4, VISION_END]
    return lambda draw: (
        one * frames,
        {
            "pixel_values_videos": draw(16 * frames, 3 * 2 * channels**2),
            "video_grid_thw": torch.tensor([[frames, 4, 4]]),
        },
    )


def sound(tokens: int, mel: int, length: int, padded: int) -> Callable[[Draw], Medium]:
    """A recording of `length` spectrogram frames in a window of `padded`."""
    mask = (torch.arange(padded) < length).long()[None]
    return lambda draw: (
        [OTHER_START, *[AUDIO] * tokens, OTHER_END],
        {"input_features": draw(1, mel, padded) * mask[:, None], "feature_attention_mask": mask},
    )


def placed_patches(kind: str) -> Callable[[Draw], Medium]:
    """4 x 4 patches, each with its place, which are 2 x 2 tokens; a clip has two such frames."""
    places = torch.tensor([[(x, y) for y in range(4) for x in range(4)]])
    frames, token, suffix = (1, IMAGE, "") if kind == "image" else (2, VIDEO, "_videos")
    more = {} if kind == "image" else {"num_frames_per_video": torch.tensor([frames])}
    return lambda draw: (
        [VISION_START, *[token] * 4 * frames, VISION_END],
        {
            f"pixel_values{suffix}": draw(frames, 16, 3 * 14 * 14),
            f"{kind}_position_ids": places.repeat(frames, 1, 1),
            **more,
        },
    )


def pooled_crops(draw: Draw) -> Medium:
    """Two crops of 2 x 2 patches, each pooled to one token by the numbers of its patches."""
    return [VISION_START, IMAGE, IMAGE, VISION_END], {
        "pixel_values": draw(2, 4, 3 * 14 * 14),
        "image_token_pooling": torch.tensor([[0, 1, 2, 3], [4, 5, 6, -1]]),
        "image_grids": torch.tensor([[1, 1, 1, 1]]),
        "image_num_crops": torch.tensor([2]),
    }


def gemma4(**text: Any) -> dict[str, Any]:
    return {
        "text_config": {
            **TEXT,
            **WINDOWS,
            "global_head_dim": 16,
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": VOCAB,
            "max_position_embeddings": 1024,  # a picture is up to 70 tokens
            **text,
        },
        "vision_config": {
            **TOWER,
            "head_dim": 8,
            "num_key_value_heads": 2,
            "pooling_kernel_size": 2,
            "position_embedding_size": 64,
        },
        "image_token_id": IMAGE,
        "video_token_id": VIDEO,
        "audio_token_id": AUDIO,
        "boi_token_id": VISION_START,
        "eoi_token_id": VISION_END,
    }


def llama4_text() -> dict[str, Any]:
    return {
        **TEXT,
        "intermediate_size_mlp": 48,
        "num_local_experts": 2,
        "attention_chunk_size": 6,
        "layer_types": ["chunked_attention", "full_attention"],
        "no_rope_layers": [1, 0],
        "moe_layers": [],
    }


# Older versions take the frames of Gemma-4's clips clip by clip.
_FLAT_CLIPS = "num_frames_per_video" in inspect.signature(transformers.Gemma4Model.forward).parameters
QWEN_MARKS = {"mm_token_type_ids": {IMAGE: 1, VIDEO: 2}}
FAMILIES: dict[str, Family] = {
    "llava": Family(
        model="LlavaForConditionalGeneration",
        config={"text_config": {**TEXT, "model_type": "llama"}, "vision_config": CLIP, "image_token_index": IMAGE},
        media={"image": picture(4, 3, 28, 28)},
    ),
    "llava_next": Family(
        model="LlavaNextForConditionalGeneration",
        config={
            "text_config": {**TEXT, "model_type": "mistral", "sliding_window": None},
            "vision_config": CLIP,
            "image_token_index": IMAGE,
            "image_grid_pinpoints": [[28, 56], [56, 28]],
        },
        media={"image": picture(4 + 2 * 5, 3, 3, 28, 28, image_sizes=[[28, 56]])},
    ),
    "llava_onevision": Family(
        model="LlavaOnevisionForConditionalGeneration",
        config={
            "text_config": {**TEXT, "model_type": "qwen2"},
            "vision_config": SIGLIP,
            "image_token_index": IMAGE,
            "video_token_index": VIDEO,
            "image_grid_pinpoints": [[28, 56], [56, 28]],
        },
        media={
            "image": picture(4 + 2 * 5, 3, 3, 28, 28, image_sizes=[[28, 56]], batch_num_images=[1]),
            "video": lambda draw: ([VIDEO] * 3, {"pixel_values_videos": draw(1, 2, 3, 28, 28)}),
        },
    ),
    "internvl": Family(
        model="InternVLForConditionalGeneration",
        config={
            "text_config": {**TEXT, "model_type": "qwen2"},
            "vision_config": {**TOWER, "image_size": [28, 28], "patch_size": [14, 14]},
            "image_token_id": IMAGE,
        },
        media={"image": lambda draw: ([IMAGE] * 3, {"pixel_values": draw(3, 3, 28, 28)})},
    ),
    "idefics3": Family(
        model="Idefics3ForConditionalGeneration",
        config={
            "text_config": {**TEXT, "model_type": "llama"},
            "vision_config": TOWER,
            "image_token_id": IMAGE,
            "scale_factor": 2,
        },
        media={"image": picture(1, 1, 3, 28, 28)},
    ),
    "smolvlm": Family(
        model="SmolVLMForConditionalGeneration",
        config={
            "text_config": {**TEXT, "model_type": "llama"},
            "vision_config": TOWER,
            "image_token_id": IMAGE,
            "scale_factor": 2,
        },
        media={"image": picture(1, 1, 3, 28, 28)},
    ),
    "mistral3": Family(
        model="Mistral3ForConditionalGeneration",
        config={
            "text_config": {**TEXT, "model_type": "mistral", "sliding_window": None},
            "vision_config": {"model_type": "pixtral", **TOWER, "image_size": 84},
            "image_token_index": IMAGE,
            "spatial_merge_size": 2,
        },
        media={"image": picture(4, 3, 56, 56, image_sizes=[[56, 56]])},
    ),
    "qwen2_vl": Family(
        model="Qwen2VLForConditionalGeneration",
        config={
            "text_config": QWEN_TEXT,
            "vision_config": {"depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2},
            **QWEN_TOKENS,
        },
        media={"image": grid(IMAGE, "image", 1), "video": grid(VIDEO, "video", 2)},
        marks=QWEN_MARKS,
    ),
    "qwen2_5_vl": Family(
        model="Qwen2_5_VLForConditionalGeneration",
        config={
            "text_config": QWEN_TEXT,
            "vision_config": {**PATCHES, "fullatt_block_indexes": [1], "window_size": 56},
            **QWEN_TOKENS,
        },
        media={"image": grid(IMAGE, "image", 1), "video": grid(VIDEO, "video", 2, second_per_grid_ts=[1.0])},
        marks=QWEN_MARKS,
    ),
    "qwen3_vl": Family(
        model="Qwen3VLForConditionalGeneration",
        config={
            "text_config": QWEN_TEXT,
            "vision_config": {
                **PATCHES,
                "patch_size": 16,
                "deepstack_visual_indexes": [0, 1],
                "num_position_embeddings": 16,
            },
            **QWEN_TOKENS,
        },
        media={"image": grid(IMAGE, "image", 1, 16), "video": timed_frames(2, 16)},
        marks=QWEN_MARKS,
    ),
    "glm4v": Family(
        model="Glm4vForConditionalGeneration",
        config=GLM4V,
        media={"image": grid(IMAGE, "image", 1)},
        marks=QWEN_MARKS,
    ),
    "glm4v_video": Family(  # whose frames stand for themselves as pictures do
        model="Glm4vForConditionalGeneration",
        config=GLM4V,
        media={"video": timed_frames(2, 14, IMAGE)},
        marks={"mm_token_type_ids": {IMAGE: 2}},
    ),
    "gemma3": Family(
        model="Gemma3ForConditionalGeneration",
        config={
            "text_config": {**TEXT, **WINDOWS},
            "vision_config": SIGLIP,
            "image_token_index": IMAGE,
            "boi_token_index": VISION_START,
            "eoi_token_index": VISION_END,
            "mm_tokens_per_image": 4,
        },
        media={"image": picture(4, 3, 28, 28)},
        marks={"token_type_ids": {IMAGE: 1}},
    ),
    "aya_vision": Family(
        model="AyaVisionForConditionalGeneration",
        config={
            "text_config": {**TEXT, **WINDOWS, "model_type": "cohere2"},
            "vision_config": SIGLIP,
            "image_token_index": IMAGE,
        },
        media={"image": picture(1, 3, 28, 28)},
    ),
    "paligemma": Family(
        model="PaliGemmaForConditionalGeneration",
        config={
            "text_config": {**TEXT, **WINDOWS, "model_type": "gemma2", "attn_logit_softcapping": 0.5},
            "vision_config": SIGLIP,
            "image_token_index": IMAGE,
            "projection_dim": 32,
        },
        media={"image": picture(4, 3, 28, 28)},
        marks={"token_type_ids": {}},
    ),
    "gemma4": Family(
        model="Gemma4ForConditionalGeneration",
        config={
            **gemma4(use_bidirectional_attention="vision"),
            "audio_config": {
                "hidden_size": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "subsampling_conv_channels": [8, 4],
                "output_proj_dims": 16,
            },
        },
        media={"image": placed_patches("image"), **({"video": placed_patches("video")} if _FLAT_CLIPS else {})},
        marks=QWEN_MARKS,
    ),
    "gemma4_small": Family(
        model="Gemma4ForConditionalGeneration",
        config=gemma4(
            hidden_size_per_layer_input=8,
            num_hidden_layers=4,
            num_kv_shared_layers=2,
            layer_types=["sliding_attention", "full_attention"] * 2,
        ),
        media={"image": placed_patches("image")},
        marks=QWEN_MARKS,
        keeps_media=False,  # each layer reads the tokens once more
    ),
    "molmo2": Family(
        model="Molmo2ForConditionalGeneration",
        config={
            "text_config": {**TEXT, "additional_vocab_size": 8},
            "vision_config": {**TOWER, "head_dim": 8, "num_key_value_heads": 2, "image_size": [28, 28]},
            "adapter_config": {
                "vision_feature_layer": [0, 1],
                "hidden_size": 16,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "head_dim": 8,
                "intermediate_size": 24,
                "text_hidden_size": 32,
            },
            "image_patch_id": IMAGE,
            "image_start_token_id": VISION_START,
            "image_end_token_id": VISION_END,
        },
        media={"image": pooled_crops},
        marks={"mm_token_type_ids": {IMAGE: 1}},
    ),
    "llama4": Family(
        model="Llama4ForConditionalGeneration",
        config={
            "text_config": llama4_text(),
            "vision_config": {
                **TOWER,
                "intermediate_size": 64,
                "vision_output_dim": 16,
                "projector_input_dim": 16,
                "projector_output_dim": 16,
                "pixel_shuffle_ratio": 0.5,
            },
            "image_token_index": IMAGE,
        },
        media={"image": picture(1, 3, 28, 28)},
    ),
    "qwen2_audio": Family(
        model="Qwen2AudioForConditionalGeneration",
        config={
            "text_config": {**TEXT, "model_type": "qwen2"},
            "audio_config": {
                "model_type": "qwen2_audio_encoder",
                "d_model": 16,
                "encoder_layers": 2,
                "encoder_attention_heads": 2,
                "encoder_ffn_dim": 24,
                "num_mel_bins": 8,
                "max_source_positions": 10,
            },
            "audio_token_index": AUDIO,
        },
        media={"audio": sound(4, 8, 16, 20)},
    ),
    "qwen2_5_omni_thinker": Family(
        model="Qwen2_5OmniThinkerForConditionalGeneration",
        config={
            "text_config": QWEN_TEXT,
            "vision_config": {**PATCHES, "fullatt_block_indexes": [1], "window_size": 56},
            "audio_config": {
                "d_model": 16,
                "encoder_layers": 2,
                "encoder_attention_heads": 2,
                "encoder_ffn_dim": 24,
                "output_dim": 32,
                "num_mel_bins": 8,
                "n_window": 20,
            },
            "image_token_index": IMAGE,
            "video_token_index": VIDEO,
            "audio_token_index": AUDIO,
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "audio_token_id": AUDIO,
            "vision_start_token_id": VISION_START,
            "vision_end_token_id": VISION_END,
            "audio_start_token_id": OTHER_START,
            "audio_end_token_id": OTHER_END,
        },
        media={
            "image": grid(IMAGE, "image", 1),
            "video": grid(VIDEO, "video", 2, video_second_per_grid=[1.0]),
            "audio": sound(4, 8, 16, 20),
        },
    ),
    "qwen3_5": Family(
        model="Qwen3_5ForConditionalGeneration",
        config={
            "text_config": {
                **TEXT,
                "rope_parameters": {**ROPE_3D, "partial_rotary_factor": 1.0},
                "layer_types": ["linear_attention", "full_attention"],
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 4,
                "linear_key_head_dim": 8,
                "linear_value_head_dim": 8,
            },
            "vision_config": {**PATCHES, "patch_size": 16, "num_position_embeddings": 16},
            **QWEN_TOKENS,
        },
        media={"image": grid(IMAGE, "image", 1, 16)},
        marks=QWEN_MARKS,
        expected="separate",
    ),
    "lfm2_vl": Family(
        model="Lfm2VlForConditionalGeneration",
        config={
            "text_config": {**TEXT, "model_type": "lfm2", "layer_types": ["conv", "full_attention"]},
            "vision_config": {"model_type": "siglip2_vision_model", **TOWER, "num_patches": 16},
            "image_token_id": IMAGE,
        },
        media={
            "image": lambda draw: (
                [IMAGE] * 4,
                {
                    "pixel_values": draw(1, 16, 3 * 14 * 14),
                    "spatial_shapes": torch.tensor([[4, 4]]),
                    "pixel_attention_mask": torch.ones(1, 16, dtype=torch.long),
                },
            )
        },
        expected="separate",
    ),
}


NATS = GRADIENT = 1e-10
"""How far two right ways may be apart: log-probabilities, and gradients as `differing` measures them."""

# The oldest transformers that is supported lacks some of them.
FAMILIES = {name: family for name, family in FAMILIES.items() if family.model in dir(transformers)}


def zoo_policy(
    name: str, *, dtype: torch.dtype = torch.float64, seed: int = 0, processor: ProcessorMixin | None = None
) -> Policy:
    """A tiny model with random weights, all of them large enough that every part has an effect."""
    family = FAMILIES[name]
    model_class = getattr(transformers, family.model)
    torch.manual_seed(seed)
    model = model_class(model_class.config_class(**family.config))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    model._apply(lambda value: value.to(dtype) if value.is_floating_point() else value)  # leave complex tables whole
    return make_policy(model, processor or fake_llava(TINY)[1].tokenizer, name=name).eval()


def zoo_rows(name: str, kinds: tuple[str, ...] | None = None, *, seed: int = 1) -> list[Answered]:
    """Prompts with one medium of each kind, with two of a kind in two turns, with all kinds at once and with none."""
    family = FAMILIES[name]
    generator = torch.Generator().manual_seed(seed)
    kinds = tuple(family.media) if kinds is None else kinds

    def ids(count: int) -> Tensor:
        return torch.randint(10, 380, (count,), generator=generator)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    prompts = [(kind,) for kind in kinds] + [(kinds[0], kinds[0])] + ([kinds] if len(kinds) > 1 else []) + [()]
    rows = []
    for number, shown in enumerate(prompts):
        pieces, media = [ids(3)], []
        for kind in shown:
            tokens, inputs = family.media[kind](draw)
            pieces += [torch.tensor(tokens), ids(2)]
            media.append(inputs)
        tokens = torch.cat(pieces)
        names = dict.fromkeys(n for inputs in media for n in inputs)
        prompt = EncodedPrompt(
            input_ids=tokens,
            token_inputs={n: _marked(tokens, values) for n, values in family.marks.items()},
            media_inputs={n: torch.cat([m[n] for m in media if n in m]) for n in names},
        )
        rows.append(Answered(prompt, tuple(ids(length) for length in ((4, 7), (1, 3, 6), (9,))[number % 3])))
    return rows


def _marked(tokens: Tensor, values: Mapping[int, int]) -> Tensor:
    marks = torch.zeros_like(tokens)
    for token, value in values.items():
        marks[tokens == token] = value
    return marks


def official(policy: Policy, rows: Any) -> torch.Tensor:
    return torch.cat([policy.official(row.prompt, answer) for row in rows for answer in row.answers])


def skip_if_misjudged(policy: Policy) -> None:
    """Skip where this transformers cannot say what is right."""
    is_prefix = policy.config.model_type == "paligemma"
    if is_prefix and "final_logit_softcapping" not in inspect.getsource(type(policy.bare).forward):
        pytest.skip("this transformers leaves out the last soft cap of PaliGemma; the preflight refuses it")
    if policy.config.model_type == "llama4" and transformers.__version__ == "5.24.0":
        pytest.skip("this transformers asks Llama-4's language model for its pictures; the preflight refuses it")


def scored(
    policy: Policy, rows: Any, weights: torch.Tensor | None = None, *, exact: bool = True, **options: Any
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Log-probabilities, and gradients of a sum with a different weight for each.

    Args:
        exact: Compute in float64 throughout, which checkpointing does not allow.
    """
    policy.zero_grad(set_to_none=True)
    with Float64() if exact else nullcontext():
        logps = policy(rows, **options)
    weights = torch.linspace(-1, 1, len(logps), dtype=logps.dtype) if weights is None else weights
    (logps * weights).sum().backward()
    return logps.detach(), gradients(policy)


def largest(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).abs().max())
