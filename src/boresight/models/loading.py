"""From a model's folder or id to a policy, adapted or not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMultimodalLM,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedModel,
)

from boresight.errors import ModelError
from boresight.models import families
from boresight.models.encoding import Encoder
from boresight.models.policy import HEAD_FILE, Policy

_ORIGIN = {"_name_or_path", "architectures", "dtype", "transformers_version", "_attn_implementation"}
Precision = Literal["float32", "bfloat16", "float16", "float64"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Low-rank adapters on the language model's linear layers (arXiv:2106.09685)."""

    rank: int = 64
    """> 0."""
    alpha: float = 128.0
    """Scale of the update is alpha / rank."""
    dropout: float = 0.0
    """In [0, 1)."""
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """Names of linear layers of the language model. Layers of other parts with these names stay untouched."""


def load_policy(
    source: str | Path,
    *,
    precision: Precision = "float32",
    device: str | torch.device = "cpu",
    lora: Lora | None = None,
    revision: str | None = None,
) -> Policy:
    """Load a model folder, or a model id that transformers can resolve, ready to train or score.

    A folder that holds an adapter gives its base model with the adapter merged in; one that holds a reward head, a
    policy that rates.

    Raises:
        ModelError: If there is no such model, or its processor cannot be loaded.
    """
    name = str(source)
    adapter = Path(name) / "adapter_config.json"
    if adapter.is_file():
        base = json.loads(adapter.read_text())["base_model_name_or_path"]
        policy = load_policy(base, precision=precision, device=device)
        merged = PeftModel.from_pretrained(policy.bare, name).merge_and_unload()
        return _with_head(make_policy(merged, policy.encoder.processor, lora=lora, name=name), Path(name))
    try:
        config = families.answering(AutoConfig.from_pretrained(name, revision=revision))
        takes_media = families.takes_media(config)
        loader = AutoModelForMultimodalLM if takes_media else AutoModelForCausalLM
        dtype = getattr(torch, precision)
        model = loader.from_pretrained(name, config=config, revision=revision, dtype=dtype).to(device)
        make_processor = AutoProcessor if takes_media else AutoTokenizer
        processor = make_processor.from_pretrained(name, revision=revision)
    except ImportError as error:
        raise ModelError(
            f"cannot load model {name!r}: its processor needs a package that is not installed ({_first_line(error)}). "
            "Families that can read clips need, for pictures too: pip install 'boresight[video]'"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot load model {name!r}: {_first_line(error)}") from error
    return _with_head(make_policy(model, processor, lora=lora, name=name), Path(name))


def _with_head(policy: Policy, folder: Path) -> Policy:
    """The policy with the reward head that lies beside its weights, if one does."""
    if (folder / HEAD_FILE).is_file():
        policy.add_reward_head()
        assert policy.reward_head is not None
        policy.reward_head.load_state_dict(load_file(folder / HEAD_FILE))
    return policy


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def make_policy(model: PreTrainedModel, processor: Any, *, lora: Lora | None = None, name: str | None = None) -> Policy:
    """A policy from a model and a processor that are already in memory."""
    encoder = Encoder(
        processor,
        takes_media=families.takes_media(model.config),
        max_tokens=families.max_tokens(model.config),
        name=name or type(model).__name__,
        end_ids=_end_ids(model),
        without=families.without(model.config),
        mixes_clips=families.mixes_clips(model.config),
    )
    return Policy(model if lora is None else _adapt(model, lora), encoder)


def fingerprint(policy: Policy, *, adapter: bool = True) -> str:
    """Hash of the configuration and the weights; equal for equal models, whatever they are called.

    Args:
        adapter: Whether the adapter's weights count. Without them it is the base model's own hash.
    """
    digest = hashlib.sha256(json.dumps(_without_origin(policy.config.to_dict()), sort_keys=True).encode())
    weights = {name.replace(".base_layer.", "."): value for name, value in policy.bare.state_dict().items()}
    for name, value in sorted(weights.items()):
        if adapter or ".lora_" not in name:
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def _without_origin(config: Any) -> Any:
    """A configuration without what saving and loading write into it."""
    if isinstance(config, dict):
        return {k: _without_origin(v) for k, v in config.items() if k not in _ORIGIN}
    return config


def _end_ids(model: PreTrainedModel) -> tuple[int, ...]:
    ends = model.generation_config.eos_token_id if model.generation_config is not None else None
    return () if ends is None else (int(ends),) if isinstance(ends, int) else tuple(int(e) for e in ends)


def _adapt(model: PreTrainedModel, lora: Lora) -> PeftModel:
    text_model = next(n for n, m in model.named_modules() if m is model.get_decoder())
    names = [
        name
        for name, module in model.named_modules()
        if name.startswith(f"{text_model}.") and name.rsplit(".", 1)[-1] in lora.targets
        if isinstance(module, nn.Linear)
    ]
    if not names:
        raise ModelError(
            f"no linear layer of the language model is named one of {', '.join(lora.targets)}. "
            "Name its layers with --set stages.0.lora.targets=[...]."
        )
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=names, bias="none"
    )
    return get_peft_model(model, config)
