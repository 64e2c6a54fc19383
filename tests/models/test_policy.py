from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import Gemma3Config, LlamaConfig, LlamaForCausalLM

from boresight.errors import ModelError
from boresight.models import families
from boresight.models.fake import fake_llava
from boresight.models.loading import Lora, fingerprint, load_policy, make_policy
from boresight.models.policy import Policy, trainable
from boresight.objectives import view
from boresight.training.export import save_model
from boresight.training.forest import plan
from engine_examples import TINY, item_encoder, mixed_items, tiny_policy

VIEWS = (view("chosen"), view("rejected"))


def logps(policy: Policy) -> torch.Tensor:
    with torch.no_grad():
        return policy.eval()(plan(VIEWS, mixed_items(3), item_encoder(policy)).rows)


def test_a_saved_model_loads_as_it_was(tmp_path: Path) -> None:
    policy = tiny_policy()
    loaded = load_policy(save_model(policy, tmp_path / "model"))
    torch.testing.assert_close(logps(loaded), logps(policy), rtol=0, atol=0)
    assert fingerprint(loaded) == fingerprint(policy)


def test_a_saved_adapter_loads_merged_into_its_base(tmp_path: Path) -> None:
    save_model(tiny_policy(), tmp_path / "base")
    policy = load_policy(tmp_path / "base", lora=Lora(rank=2, alpha=4.0))
    with torch.no_grad():
        for name, parameter in trainable(policy).items():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    loaded = load_policy(save_model(policy, tmp_path / "adapter"))
    assert not loaded.has_adapter
    torch.testing.assert_close(logps(loaded), logps(policy), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logps(loaded), logps(load_policy(tmp_path / "base")), atol=1e-3)


def test_saving_again_replaces_the_folder(tmp_path: Path) -> None:
    save_model(tiny_policy(seed=0), tmp_path / "model")
    save_model(tiny_policy(seed=1), tmp_path / "model")
    assert fingerprint(load_policy(tmp_path / "model")) == fingerprint(tiny_policy(seed=1))
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot load model") as caught:
        load_policy(tmp_path / "nothing")
    assert "\n" not in str(caught.value)


def test_a_model_of_text_only_loads_without_a_processor(tmp_path: Path) -> None:
    _, processor = fake_llava(TINY)
    config = LlamaConfig(
        vocab_size=TINY.vocab, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2,
    )  # fmt: skip
    save_model(make_policy(LlamaForCausalLM(config), processor.tokenizer), tmp_path / "text")
    policy = load_policy(tmp_path / "text")
    assert not policy.encoder.takes_media


def test_the_adapter_off_is_the_base_model() -> None:
    policy, base = tiny_policy(lora=Lora(rank=2)), tiny_policy()
    assert not torch.allclose(logps(policy), logps(base), atol=1e-3)
    with policy.adapter_off():
        torch.testing.assert_close(logps(policy), logps(base), rtol=0, atol=0)


def test_adapters_sit_in_the_language_model_only() -> None:
    names = list(trainable(tiny_policy(lora=Lora(rank=2))))
    assert names and all("language_model" in n and "lora_" in n for n in names)


def test_adapters_without_a_place_are_refused() -> None:
    with pytest.raises(ModelError, match="no linear layer of the language model is named one of nothing"):
        tiny_policy(lora=Lora(targets=("nothing",)))


def test_the_fingerprint_changes_with_a_single_weight() -> None:
    policy = tiny_policy()
    before = fingerprint(policy)
    with torch.no_grad():
        next(policy.model.parameters()).view(-1)[0] += 1e-6
    assert fingerprint(policy) != before


def test_layers_with_state_are_not_shared() -> None:
    assert families.why_not_shared(Gemma3Config()) is None
    config = LlamaConfig()
    config.layer_types = ["full_attention", "linear_attention"]
    assert families.why_not_shared(config) == "layers of type linear_attention carry state along the row"
    assert families.why_not_shared(fake_llava(TINY)[0].config) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("final_logit_softcapping", 2.0 * math.tanh(1.5)), ("logit_scale", 6.0), ("logits_scaling", 1.5)],
)
def test_what_a_family_does_to_its_logits_is_done(name: str, expected: float) -> None:
    config = LlamaConfig()
    setattr(config, name, 2.0)
    transform = families.logit_transform(config)
    assert transform is not None and transform(torch.tensor(3.0)).item() == pytest.approx(expected)


def test_an_ordinary_family_leaves_logits_alone() -> None:
    assert families.logit_transform(LlamaConfig()) is None


def test_a_policy_is_a_module_whose_weights_train() -> None:
    policy = tiny_policy()
    assert isinstance(policy, nn.Module)
    policy(plan(VIEWS, mixed_items(1), item_encoder(policy)).rows).sum().backward()
    assert all(p.grad is not None for n, p in policy.named_parameters() if "language_model" in n)


def test_the_base_models_fingerprint_does_not_depend_on_its_adapter() -> None:
    policy = tiny_policy(lora=Lora(rank=2))
    assert fingerprint(policy, adapter=False) == fingerprint(tiny_policy())
    assert fingerprint(policy) != fingerprint(tiny_policy())
