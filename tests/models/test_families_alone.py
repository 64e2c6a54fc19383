"""Families that differ from the others in how they are loaded, or that are refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from family_zoo import FAMILIES, IMAGE, TEXT, largest, official, zoo_policy, zoo_rows
from transformers import (
    AutoTokenizer,
    MllamaConfig,
    MllamaForConditionalGeneration,
    Qwen2_5OmniConfig,
    Qwen2_5OmniForConditionalGeneration,
)

from boresight.errors import ModelError
from boresight.models import loading
from boresight.models.encoding import EncodedPrompt
from boresight.models.fake import fake_llava
from boresight.models.loading import load_policy, make_policy
from boresight.models.policy import Answered, Policy
from engine_examples import TINY


@pytest.fixture
def mllama() -> Policy:
    text = {**TEXT, "num_hidden_layers": 3, "cross_attention_layers": [1]}
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4}
    vision = {
        "hidden_size": 16, "num_hidden_layers": 2, "num_global_layers": 1, "attention_heads": 2,
        "intermediate_size": 24, "vision_output_dim": 32, "image_size": 28, "patch_size": 14, "max_num_tiles": 1,
        "intermediate_layers_indices": [0], "supported_aspect_ratios": [[1, 1]],
    }  # fmt: skip
    del text["head_dim"]
    torch.manual_seed(0)
    model = MllamaForConditionalGeneration(
        MllamaConfig(text_config=text, vision_config=vision, image_token_index=IMAGE)
    )
    return make_policy(model, fake_llava(TINY)[1].tokenizer, name="mllama").to(torch.float64).eval()


def row(**media: torch.Tensor) -> Answered:
    tokens = torch.tensor([1, IMAGE if media else 3, 5, 6, 7])
    return Answered(EncodedPrompt(input_ids=tokens, token_inputs={}, media_inputs=media), (torch.tensor([8, 9]),))


def test_a_picture_that_is_read_by_cross_attention_is_refused_in_every_way_of_computing(mllama: Policy) -> None:
    shown = row(
        pixel_values=torch.randn(1, 1, 1, 3, 28, 28),
        aspect_ratio_ids=torch.tensor([[1]]),
        aspect_ratio_mask=torch.ones(1, 1, 1, dtype=torch.long),
        cross_attention_mask=torch.ones(1, 5, 1, 1, dtype=torch.long),
    )
    reason = "mllama reads media by layers of cross-attention, which is not supported"
    for compute in (
        lambda: mllama.official(shown.prompt, shown.answers[0]),
        lambda: mllama([shown], shared=True),
        lambda: mllama([shown], shared=False),
        lambda: mllama.media_inputs([shown.prompt]),
    ):
        with pytest.raises(ModelError, match=reason):
            compute()


def test_text_of_such_a_model_is_scored_as_transformers_scores_it(mllama: Policy) -> None:
    rows = [row()]
    with torch.no_grad():
        assert largest(mllama(rows, shared=False), official(mllama, rows)) < 1e-10


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_checkpoint_that_also_speaks_is_loaded_as_the_part_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Qwen2_5OmniConfig(thinker_config=FAMILIES["qwen2_5_omni_thinker"].config, enable_audio_output=False)
    whole = Qwen2_5OmniForConditionalGeneration(config)
    whole.thinker.load_state_dict(zoo_policy("qwen2_5_omni_thinker", dtype=torch.float32).bare.state_dict())
    whole.save_pretrained(tmp_path)
    fake_llava(TINY)[1].tokenizer.save_pretrained(tmp_path)
    monkeypatch.setattr(loading, "AutoProcessor", AutoTokenizer)  # the prompts are tensors
    loaded, expected = load_policy(tmp_path, precision="float64"), zoo_policy("qwen2_5_omni_thinker")
    rows = zoo_rows("qwen2_5_omni_thinker")
    with torch.no_grad():
        assert largest(loaded.eval()(rows), expected(rows)) < 1e-5


def test_a_processor_that_needs_another_package_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Absent:
        @staticmethod
        def from_pretrained(name: str, **options: object) -> None:
            raise ImportError("\nQwen2VLVideoProcessor requires the Torchvision library\nmore")

    zoo_policy("llava", dtype=torch.float32).bare.save_pretrained(tmp_path)
    monkeypatch.setattr(loading, "AutoProcessor", Absent)
    reason = r"\(Qwen2VLVideoProcessor requires the Torchvision library\).* pip install 'boresight\[video\]'$"
    with pytest.raises(ModelError, match=reason):
        load_policy(tmp_path)
