"""A merged model says what the model with its adapter said, also when plain transformers loads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from boresight.errors import ModelError
from boresight.models.loading import Lora
from boresight.models.policy import Policy
from boresight.training import export
from boresight.training.export import merge, merged_weights
from engine_examples import item_encoder, mixed_items, picture, same, tiny_policy, weights

ITEMS = mixed_items(3)  # one picture, two pictures in two turns, none


@pytest.fixture
def policy() -> Policy:
    return tiny_policy(lora=Lora(rank=4, alpha=8, dropout=0.3)).train()


def test_plain_transformers_loads_the_merged_model_to_the_same_logits(policy: Policy, tmp_path: Path) -> None:
    before = weights(policy)
    merged = merge(policy, tmp_path / "merged", ITEMS, item_encoder(policy))
    model = AutoModelForImageTextToText.from_pretrained(merged.folder).eval()
    processor = AutoProcessor.from_pretrained(merged.folder)
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "describe the picture"}]}]
    prompt = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    inputs = processor(text=[prompt], images=[picture(ITEMS[0].record.media[0])], return_tensors="pt")
    with torch.no_grad():
        expected = policy.eval().model(**inputs).logits
        found = model(**inputs).logits
    assert float((found - expected).abs().max()) < 1e-5
    assert not any("lora" in name for name in model.state_dict())
    assert same(before, weights(policy))  # the policy keeps its adapter apart


def test_the_comparison_says_how_much_the_adapter_does_and_how_little_merging_does(
    policy: Policy, tmp_path: Path
) -> None:
    merged = merge(policy, tmp_path / "merged", ITEMS, item_encoder(policy))
    assert 0 < merged.difference < 1e-5 < 1e-2 < merged.adapter_effect
    assert merged.items == 3
    assert policy.training


@pytest.mark.parametrize("layer", ["layers.0.self_attn.v_proj", "layers.1.mlp.down_proj"])
def test_a_merge_that_misses_one_layer_is_noticed_and_not_kept(
    policy: Policy, tmp_path: Path, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(policy: Policy) -> dict[str, torch.Tensor]:
        found = merged_weights(policy)
        base = policy.bare.state_dict()
        name = next(name for name in found if layer in name and "vision" not in name)
        return {**found, name: base[name.replace(".weight", ".base_layer.weight")]}

    monkeypatch.setattr(export, "merged_weights", spoilt)
    with pytest.raises(ModelError, match=r"logits differ .* so it was not kept"):
        merge(policy, tmp_path / "merged", ITEMS, item_encoder(policy))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_spoilt_on_its_way_to_disk_is_noticed(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = export.load_policy

    def damage(folder: Path, **options: object) -> Policy:
        tensors = load_file(folder / "model.safetensors")
        name = next(name for name in tensors if "v_proj" in name and "vision" not in name)
        tensors[name] *= 1.1
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return load(folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(export, "load_policy", damage)
    with pytest.raises(ModelError, match="logits differ"):
        merge(policy, tmp_path / "merged", ITEMS, item_encoder(policy))


def test_a_processor_that_says_something_else_is_noticed(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = export.load_policy

    def other_template(folder: Path, **options: object) -> Policy:
        template = folder / "chat_template.jinja"
        template.write_text(template.read_text().replace("<image>\n", "<image> "))
        return load(folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(export, "load_policy", other_template)
    with pytest.raises(ModelError, match="logits differ"):
        merge(policy, tmp_path / "merged", ITEMS, item_encoder(policy))


def test_an_earlier_merged_model_is_replaced(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "old.txt").touch()
    merge(policy, tmp_path / "merged", ITEMS, item_encoder(policy))
    assert not (tmp_path / "merged" / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]  # nothing staged is left


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_merge_within_their_rounding(dtype: torch.dtype, tmp_path: Path) -> None:
    policy = tiny_policy(lora=Lora(rank=4, alpha=8), dtype=dtype)
    merged = merge(policy, tmp_path / "merged", ITEMS, item_encoder(policy))
    limit = {torch.float64: 1e-12, torch.bfloat16: 0.02}[dtype]
    assert merged.difference < limit < merged.adapter_effect
    tensors = load_file(merged.folder / "model.safetensors")
    assert {t.dtype for t in tensors.values()} == {dtype}
