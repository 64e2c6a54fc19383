"""The nano model that ships: ordinary Auto classes, a lossless tokenizer, a stable template, and eyes that see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForImageTextToText, AutoProcessor

import boresight.models
from boresight.worlds._scene_content import COLORS, SHAPES
from boresight.worlds.scenes import MEMBER

NANO = Path(boresight.models.__path__[0]) / "nano"


@pytest.fixture(scope="module")
def processor() -> Any:
    return AutoProcessor.from_pretrained(NANO)


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForImageTextToText.from_pretrained(NANO).eval()


def user(text: str, *, has_image: bool = True) -> dict[str, Any]:
    image = [{"type": "image"}] if has_image else []
    return {"role": "user", "content": [*image, {"type": "text", "text": text}]}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def test_it_loads_as_an_ordinary_class_of_two_to_five_million_parameters(model: Any) -> None:
    assert type(model).__name__ == "LlavaForConditionalGeneration"
    assert 2e6 <= model.num_parameters() <= 5e6


def test_the_whole_folder_stays_below_12_megabytes() -> None:
    assert sum(file.stat().st_size for file in NANO.iterdir()) <= 12e6


def test_a_picture_takes_as_many_places_as_the_tower_gives(processor: Any, model: Any) -> None:
    text = processor.apply_chat_template([user("What do you see?")], add_generation_prompt=True)
    inputs = processor(text=text, images=MEMBER.draw(MEMBER.scene(0)), return_tensors="pt")

    assert (inputs["input_ids"] == model.config.image_token_id).sum() == 36
    assert inputs["pixel_values"].shape == (1, 3, 96, 96)


def test_the_processor_maps_bytes_to_minus_one_to_one(processor: Any) -> None:
    picture = MEMBER.draw(MEMBER.scene(0))
    pixels = processor.image_processor(picture, return_tensors="pt")["pixel_values"][0]
    red, green, blue = picture.getpixel((0, 0))

    assert pixels[:, 0, 0].tolist() == pytest.approx([c / 127.5 - 1 for c in (red, green, blue)], abs=1e-6)


@given(st.text())
def test_the_tokenizer_loses_nothing(processor: Any, text: str) -> None:
    tokenizer = processor.tokenizer

    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_words_of_the_world_are_single_tokens(processor: Any) -> None:
    words = [f" {word}" for word in (*COLORS, *SHAPES)]

    assert [len(processor.tokenizer(word)["input_ids"]) for word in words] == [1] * len(words)


@pytest.mark.parametrize("answer", ["Yes.", "A red star.", " padded", "\nnew line", "42", ""])
@pytest.mark.parametrize("has_image", [True, False])
def test_a_prompt_is_a_prefix_of_the_prompt_with_its_answer(processor: Any, answer: str, has_image: bool) -> None:
    prompt = [user("Is there a red star?", has_image=has_image)]
    short = processor.apply_chat_template(prompt, add_generation_prompt=True)
    long = processor.apply_chat_template([*prompt, assistant(answer)])
    ids_short, ids_long = (processor.tokenizer(text)["input_ids"] for text in (short, long))

    assert long == short + answer + "</s>"
    assert ids_long[: len(ids_short)] == ids_short


def test_content_may_be_a_plain_string(processor: Any) -> None:
    typed = processor.apply_chat_template([user("Hello", has_image=False), assistant("Yes.")])
    plain = processor.apply_chat_template(
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes."}]
    )

    assert typed == plain == "<s>user:\nHello\nassistant:\nYes.</s>"


def test_it_answers_without_a_picture(processor: Any, model: Any) -> None:
    text = processor.apply_chat_template([user("Are there two objects?", has_image=False)], add_generation_prompt=True)
    inputs = processor(text=text, return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=8, do_sample=False)

    assert output.shape[1] > inputs["input_ids"].shape[1]


def describe(model: Any, processor: Any, count: int) -> list[tuple[frozenset[str], frozenset[str], frozenset[str]]]:
    """Objects present, mentioned truly and mentioned falsely, for greedy descriptions of held-out scenes."""
    items = list(MEMBER.items("test", count))
    prompt = [user("Describe the picture.")]
    text = processor.apply_chat_template(prompt, add_generation_prompt=True)
    inputs = processor(text=[text] * count, images=[[item.image] for item in items], return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(**inputs, do_sample=False, max_new_tokens=128)
    answers = processor.tokenizer.decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return [
        (item.facts.names, *MEMBER.mentioned(item.facts, answer)) for item, answer in zip(items, answers, strict=True)
    ]


def test_it_names_most_objects_of_held_out_scenes_and_adds_some_that_are_not_there(model: Any, processor: Any) -> None:
    """Over 600 scenes the model card has the figures; over 32, coverage above 0.8 and hallucinations in 0.1 to 0.5."""
    described = describe(model, processor, 32)
    present, true, false = (sum(len(one[i]) for one in described) for i in range(3))

    assert true / present >= 0.8
    assert 0.1 <= false / (true + false) <= 0.5
