"""A LLaVA with random weights, made small from its real configuration classes: for tests, timings and dry runs.

It has no downloads and no meaning, but everything that holds for it (shapes, masks, positions, gradients, formats)
holds for `llava-hf/llava-1.5-7b-hf`, which is the same class with larger numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}</s>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
"""Marks turns, closes the assistant's with the end token, and only ever appends."""

_TRAINING_TEXT = (
    "user: describe the picture\nassistant: a small red circle is left of the large blue square. "
    "there is a dog near the window and a child on the road, under a clear sky.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeShape:
    """Sizes of a fake LLaVA."""

    hidden: int = 32
    layers: int = 2
    heads: int = 2
    image_px: int = 28
    patch_px: int = 14
    vocab: int = 400
    """Rows of the output embedding; the tokenizer uses at most as many."""
    max_tokens: int = 2048
    tower_hidden: int | None = None
    """Of the media tower; None is as wide as the language model."""
    tower_layers: int | None = None
    """None is as deep as the language model."""

    @property
    def media_tokens(self) -> int:
        """Tokens that one picture takes."""
        return (self.image_px // self.patch_px) ** 2


def fake_llava(
    shape: FakeShape | None = None, *, seed: int = 0
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """A model with random weights and the processor that feeds it."""
    shape = shape or FakeShape()
    tokenizer = _tokenizer(min(shape.vocab, 1000))
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": shape.image_px}, crop_size={"height": shape.image_px, "width": shape.image_px}
        ),
        tokenizer=tokenizer,
        patch_size=shape.patch_px,
        vision_feature_select_strategy="default",
        image_token="<image>",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(_config(shape, tokenizer))
    return model.eval(), processor


def _config(shape: FakeShape, tokenizer: Any) -> LlavaConfig:
    tower_hidden = shape.tower_hidden or shape.hidden
    vision = CLIPVisionConfig(
        hidden_size=tower_hidden,
        intermediate_size=4 * tower_hidden,
        num_hidden_layers=shape.tower_layers or shape.layers,
        num_attention_heads=shape.heads if shape.tower_hidden is None else max(1, shape.tower_hidden // 64),
        image_size=shape.image_px,
        patch_size=shape.patch_px,
    )
    text = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=43 * shape.hidden // 16,  # Llama's ratio, 11008 to 4096
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.max_tokens,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
    )


def _tokenizer(vocab: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=["<pad>", "<s>", "</s>", "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_TRAINING_TEXT], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
        chat_template=CHAT_TEMPLATE,
    )
