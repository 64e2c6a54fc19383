"""Text from data reaches a judge without anything that a model would read as a command."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from boresight.judges.neutral import neutralize, neutralize_all

# Of LLaVA, Qwen-VL, InternVL, Idefics, SmolVLM, Gemma, Mistral, Llama, GLM, DeepSeek, Phi, Aya and their tokenizers.
RESERVED = (
    "<image>", "<video>", "<audio>", "<s>", "</s>", "<pad>", "<unk>", "<bos>", "<eos>", "<mask>", "<|im_start|>",
    "<|im_end|>", "<|endoftext|>", "<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>", "<img>",
    "</img>", "<IMG_CONTEXT>", "<ref>", "</ref>", "<box>", "<quad>", "<fake_token_around_image>", "<global-img>",
    "<row_1_col_2>", "<end_of_utterance>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>",
    "<image_soft_token>", "<unused42>", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "<<SYS>>",
    "<</SYS>>", "<|begin_of_text|>", "<|start_header_id|>", "<|eot_id|>", "<|image|>", "<|begin_of_image|>", "[gMASK]",
    "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<|user|>", "<|assistant|>", "<|end|>", "<|START_OF_TURN_TOKEN|>",
    "<think>", "</think>", "<answer>", "<tool_call>", "<0x0A>", "<extra_id_0>", "<image 1>", "<|AUDIO|>", "<loc0001>",
    "[[A]]", "[[B]]", "[[10]]", "[[A>>B]]", "\\boxed{A}", "<IMAGE>", "<im_start>",
)  # fmt: skip


@pytest.mark.parametrize("token", RESERVED)
def test_a_reserved_sequence_does_not_survive_but_its_word_does(token: str) -> None:
    changed = neutralize(f"before {token} after")
    assert token not in changed
    assert changed.startswith("before ") and changed.endswith(" after")
    word = "".join(c for c in token if c.isalnum())
    assert word in "".join(c for c in changed if c.isalnum())


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d", "x = [1, 2]; y << 2; cout << x << endl;", "<div class='a'>html</div>", "5 > 3 < 4",
        "\\frac{1}{2}", "He said: verdict.", "I <3 you", "vector<int> v; map<string, list<int>>", "[A] is right", "",
    ],
)  # fmt: skip
def test_ordinary_text_code_and_formulas_stay_as_they_are(text: str) -> None:
    assert neutralize(text) == text


@example(["<|", "<image>", "|>"])
@given(st.lists(st.one_of(st.sampled_from(RESERVED), st.text("<>|[]/\\ aAs_1\uff5c", max_size=4)), max_size=8))
def test_no_mixture_of_pieces_builds_a_reserved_sequence_again(pieces: list[str]) -> None:
    text = "".join(pieces)
    changed = neutralize(text)
    assert not [token for token in RESERVED if token in changed]
    assert neutralize(changed) == changed


def test_a_models_own_tokens_are_neutralized_too() -> None:
    assert neutralize("a ^^USR^^ b", also=("^^USR^^", "")) == "a ^ ^USR^^ b"


def test_long_hostile_text_is_read_in_a_moment() -> None:
    for text in (
        "<" * 300_000,
        "<|" * 150_000,
        "<a_" * 100_000,
        "[[" * 150_000,
        "</s" * 100_000,
        "<a" + "-a" * 150_000,
    ):
        neutralize(text)  # quadratic reading would take minutes


def test_every_text_in_a_json_value_is_neutralized_and_nothing_else_changes() -> None:
    value = {"<image>": ["<image>", 1, None, {"deep": "[[A]]"}], "n": 2.5}
    assert neutralize_all(value) == {"<image>": ["\u2039image\u203a", 1, None, {"deep": "[ [A]]"}], "n": 2.5}
