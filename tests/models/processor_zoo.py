"""Policies of tiny models behind their family's own processor, built offline from its classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from family_zoo import AUDIO, FAMILIES, IMAGE, OTHER_END, OTHER_START, VIDEO, VISION_END, VISION_START, zoo_policy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from boresight.models.policy import Policy

SPECIAL = {
    "image_token": IMAGE,
    "video_token": VIDEO,
    "audio_token": AUDIO,
    "vision_bos_token": VISION_START,
    "vision_eos_token": VISION_END,
    "audio_bos_token": OTHER_START,
    "audio_eos_token": OTHER_END,
}
SPELLED = {
    IMAGE: "<image>",
    VIDEO: "<video>",
    AUDIO: "<audio>",
    VISION_START: "<vision>",
    VISION_END: "</vision>",
    OTHER_START: "<sound>",
    OTHER_END: "</sound>",
}
INTERNVL = {
    "context_image_token": "<image>",
    "start_image_token": "<vision>",
    "end_image_token": "</vision>",
}
PLACES = {
    "image": "<vision><image></vision>",
    "video": "<vision><video></vision>",
    "audio": "<sound><audio></sound>",
}
PATCHES = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
FEW_PIXELS = {"shortest_edge": 28 * 28, "longest_edge": 4 * 28 * 28}
SMALL = {"height": 28, "width": 28}
TILES = {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}}
IDEFICS = (
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
    *(f"<row_{row}_col_{col}>" for row in (1, 2) for col in (1, 2)),
)


@dataclass(frozen=True, kw_only=True)
class Processing:
    """How to make a family's processor."""

    processor: str
    parts: Callable[[], Mapping[str, Any]]
    kinds: tuple[str, ...]
    places: Mapping[str, str]
    """What its chat template writes for a kind of medium."""
    options: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    """What it calls special tokens, besides the usual names."""
    spelled: Mapping[int, str] = field(default_factory=dict)
    """Special tokens of the zoo's configurations that this family spells in one way only."""
    further: tuple[str, ...] = ()
    """Special tokens that no configuration names."""
    packages: tuple[str, ...] = ()
    """What it cannot be made without."""
    needs_media: bool = False
    """Whether it refuses a prompt of text alone."""
    most: Mapping[str, int] = field(default_factory=dict)
    """How many of a kind it takes in a prompt, where it takes few."""


def qwen_parts(image: str, video: str, **more: Any) -> Callable[[], Mapping[str, Any]]:
    return lambda: {
        "image_processor": part(image)(**PATCHES, size=FEW_PIXELS),
        "video_processor": part(video)(**PATCHES, size={"shortest_edge": 28 * 28, "longest_edge": 8 * 4 * 28 * 28}),
        **{name: make() for name, make in more.items()},
    }


def spectrogram() -> Any:
    """One second of sound is 20 frames of 8 bands, as the zoo's towers hear it."""
    return transformers.WhisperFeatureExtractor(feature_size=8, hop_length=800, chunk_length=1, n_fft=400)


def part(name: str) -> Any:
    return getattr(transformers, name)


PROCESSORS: dict[str, Processing] = {
    "qwen2_vl": Processing(
        processor="Qwen2VLProcessor",
        parts=qwen_parts("Qwen2VLImageProcessor", "Qwen2VLVideoProcessor"),
        kinds=("image", "video"),
        places=PLACES,
        packages=("torchvision",),
    ),
    "qwen2_5_vl": Processing(
        processor="Qwen2_5_VLProcessor",
        parts=qwen_parts("Qwen2VLImageProcessor", "Qwen2VLVideoProcessor"),
        kinds=("image", "video"),
        places=PLACES,
        packages=("torchvision",),
    ),
    "qwen3_vl": Processing(
        processor="Qwen3VLProcessor",
        parts=lambda: {
            "image_processor": part("Qwen2VLImageProcessor")(**{**PATCHES, "patch_size": 16}, size=FEW_PIXELS),
            "video_processor": part("Qwen3VLVideoProcessor")(
                **{**PATCHES, "patch_size": 16}, size={"shortest_edge": 28 * 28, "longest_edge": 8 * 4 * 28 * 28}
            ),
        },
        kinds=("image", "video"),
        places=PLACES,
        packages=("torchvision",),
    ),
    "llava_onevision": Processing(
        processor="LlavaOnevisionProcessor",
        parts=lambda: {
            "image_processor": part("LlavaOnevisionImageProcessor")(
                size=SMALL, image_grid_pinpoints=[[28, 56], [56, 28]]
            ),
            "video_processor": part("LlavaOnevisionVideoProcessor")(size=SMALL),
        },
        kinds=("image", "video"),
        places={"image": "<image>", "video": "<video>"},
        options={"num_image_tokens": 4, "vision_feature_select_strategy": "full"},
        packages=("torchvision",),
    ),
    "internvl": Processing(
        processor="InternVLProcessor",
        parts=lambda: {
            "image_processor": part("GotOcr2ImageProcessor")(size=SMALL, crop_to_patches=True, max_patches=2),
            "video_processor": part("InternVLVideoProcessor")(size=SMALL),
        },
        kinds=("image", "video"),
        places={"image": "<image>", "video": "<video>"},
        options={"image_seq_length": 1},
        names=INTERNVL,
        packages=("torchvision",),
    ),
    "qwen2_audio": Processing(
        processor="Qwen2AudioProcessor",
        parts=lambda: {"feature_extractor": spectrogram()},
        kinds=("audio",),
        places=PLACES,
    ),
    "qwen2_5_omni_thinker": Processing(
        processor="Qwen2_5OmniProcessor",
        parts=qwen_parts("Qwen2VLImageProcessor", "Qwen2VLVideoProcessor", feature_extractor=spectrogram),
        kinds=("image", "video", "audio"),
        places=PLACES,
        packages=("torchvision",),
    ),
    "llava_next": Processing(
        processor="LlavaNextProcessor",
        parts=lambda: {
            "image_processor": part("LlavaNextImageProcessor")(
                size={"shortest_edge": 28}, crop_size=SMALL, image_grid_pinpoints=[[28, 56], [56, 28]]
            )
        },
        kinds=("image",),
        places={"image": "<image>"},
        options={"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "smolvlm": Processing(
        processor="SmolVLMProcessor",
        parts=lambda: {
            "image_processor": part("SmolVLMImageProcessor")(**TILES),
            "video_processor": part("SmolVLMVideoProcessor")(**TILES),
        },
        kinds=("image", "video"),
        places={"image": "<image>", "video": "<video>"},
        options={"image_seq_len": 1},
        further=IDEFICS,
        packages=("torchvision", "num2words"),
    ),
    "idefics3": Processing(
        processor="Idefics3Processor",
        parts=lambda: {"image_processor": part("Idefics3ImageProcessor")(**TILES)},
        kinds=("image",),
        places={"image": "<image>"},
        options={"image_seq_len": 1},
        further=IDEFICS,
        # Of transformers 5.17, torchvision.
        packages=tuple(getattr(part("Idefics3ImageProcessorPil"), "_backends", ())),
    ),
    "gemma3": Processing(
        processor="Gemma3Processor",
        parts=lambda: {
            "image_processor": part("Gemma3ImageProcessor")(size=SMALL),
        },
        kinds=("image",),
        places={"image": "<vision>"},
        options={"image_seq_length": 4},
        names={"boi_token": "<vision>", "eoi_token": "</vision>"},
    ),
    "paligemma": Processing(
        processor="PaliGemmaProcessor",
        parts=lambda: {"image_processor": part("SiglipImageProcessor")(size=SMALL, image_seq_length=4)},
        kinds=("image",),
        places={"image": "<image>"},
        needs_media=True,
    ),
    "mistral3": Processing(
        processor="PixtralProcessor",
        parts=lambda: {"image_processor": part("PixtralImageProcessor")(size={"longest_edge": 84}, patch_size=14)},
        kinds=("image",),
        places={"image": "<image>"},
        options={
            "patch_size": 14,
            "spatial_merge_size": 2,
            "image_token": "<image>",
            "image_break_token": "<break>",
            "image_end_token": "</vision>",
        },
        further=("<break>",),
        packages=("torchvision",),
    ),
    "aya_vision": Processing(
        processor="AyaVisionProcessor",
        parts=lambda: {
            "image_processor": part("GotOcr2ImageProcessor")(size=SMALL, crop_to_patches=True, max_patches=2)
        },
        kinds=("image",),
        places={"image": "<picture>"},
        options={
            "patch_size": 14,
            "img_size": 28,
            "downsample_factor": 2,
            "image_token": "<picture>",
            "img_patch_token": "<image>",
            "start_of_img_token": "<vision>",
            "end_of_img_token": "</vision>",
        },
        further=("<picture>", "TILE", "TILE_GLOBAL", "TILE_1", "TILE_2"),
    ),
    "glm4v": Processing(
        processor="Glm4vProcessor",
        parts=qwen_parts("Glm4vImageProcessor", "Glm4vVideoProcessor"),
        kinds=("image", "video"),
        places={
            "image": "<|begin_of_image|><image><|end_of_image|>",
            "video": "<|begin_of_video|><video><|end_of_video|>",
        },
        spelled={
            VISION_START: "<|begin_of_image|>",
            VISION_END: "<|end_of_image|>",
            OTHER_START: "<|begin_of_video|>",
            OTHER_END: "<|end_of_video|>",
        },
        packages=("torchvision",),
    ),
    "llama4": Processing(
        processor="Llama4Processor",
        parts=lambda: {"image_processor": part("Llama4ImageProcessor")(size=SMALL, max_patches=4)},
        kinds=("image",),
        places={"image": "<|image|>"},
        options={"patch_size": 14, "pixel_shuffle_ratio": 0.5},
        spelled={IMAGE: "<|patch|>", VISION_START: "<|image_start|>", VISION_END: "<|image_end|>"},
        further=("<|image|>", "<|tile_x_separator|>", "<|tile_y_separator|>"),
        packages=("torchvision",),
    ),
    "lfm2_vl": Processing(
        processor="Lfm2VlProcessor",
        parts=lambda: {
            "image_processor": part("Lfm2VlImageProcessor")(
                tile_size=28, encoder_patch_size=14, max_tiles=4, min_image_tokens=1, max_image_tokens=1
            )
        },
        kinds=("image",),
        places={"image": "<image>"},
        spelled={VISION_START: "<|image_start|>", VISION_END: "<|image_end|>"},
        further=("<|img_thumbnail|>", *(f"<|img_row_{row}_col_{col}|>" for row in (1, 2) for col in (1, 2))),
        packages=("torchvision",),
    ),
    "gemma4": Processing(
        processor="Gemma4Processor",
        parts=lambda: {
            "image_processor": part("Gemma4ImageProcessor")(patch_size=14, pooling_kernel_size=2, max_soft_tokens=70),
            "video_processor": part("Gemma4VideoProcessor")(patch_size=14, pooling_kernel_size=2, max_soft_tokens=70),
            "feature_extractor": part("Gemma4AudioFeatureExtractor")(feature_size=8),
        },
        kinds=("image", "video", "audio"),
        places={"image": "<image>", "video": "<|video|>", "audio": "<audio>"},
        names={"boi_token": "<vision>", "eoi_token": "</vision>", "boa_token": "<sound>", "eoa_token": "</sound>"},
        spelled={VIDEO: "<|video|>"},
        packages=("torchvision",),
    ),
    "molmo2": Processing(
        processor="Molmo2Processor",
        parts=lambda: {
            "image_processor": part("Molmo2ImageProcessor")(
                size=SMALL, patch_size=14, pooling_size=[2, 2], max_crops=2, overlap_margins=[0, 0]
            ),
            "video_processor": part("Molmo2VideoProcessor")(
                size=SMALL, patch_size=14, pooling_size=[2, 2], do_rescale=True, do_normalize=True
            ),
        },
        kinds=("image", "video"),
        places={"image": "<picture>", "video": "<video>"},
        names={"image_token": "<picture>"},
        spelled={IMAGE: "<im_patch>", VISION_START: "<im_start>", VISION_END: "<im_end>"},
        further=("<picture>", "<im_col>", "<low_res_im_start>", "<frame_start>", "<frame_end>", "<im_low>"),
        packages=("torchvision",),
        most={"video": 1},
    ),
}


PROCESSORS = {name: made for name, made in PROCESSORS.items() if name in FAMILIES}


def tokenizer(made: Processing) -> PreTrainedTokenizerFast:
    """A token for every byte, and every family's special tokens under the ids that the zoo's configurations name."""
    spelled = {**SPELLED, **made.spelled}
    ordinary = ["<pad>", "<s>", "</s>", *made.further, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    fill = [f"unused {number}" for number in range(IMAGE - len(ordinary))]
    vocabulary = [*ordinary, *fill, *spelled.values()]
    backend = Tokenizer(models.BPE(vocab={token: id for id, token in enumerate(vocabulary)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([*made.further, *spelled.values()])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={**{name: spelled[id] for name, id in SPECIAL.items()}, **made.names},
    )


def chat_template(places: Mapping[str, str]) -> str:
    """Marks turns, closes every one, and only ever appends."""
    branches = "".join(f"{{% elif part['type'] == '{kind}' %}}{text}" for kind, text in places.items())
    return (
        "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
        "{% if part['type'] == 'text' %}{{ part['text'] }}" + branches + "{% endif %}{% endfor %}</s>{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )


def real_policy(name: str, *, dtype: torch.dtype = torch.float64) -> Policy:
    """A zoo model that reads through its family's own processor."""
    made = PROCESSORS[name]
    processor = part(made.processor)(
        **made.parts(),
        tokenizer=tokenizer(made),
        chat_template=chat_template(made.places),
        **made.options,
    )
    return zoo_policy(name, dtype=dtype, processor=processor)
