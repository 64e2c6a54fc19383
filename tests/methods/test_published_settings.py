"""Rates, batches and adapters as the authors' own scripts set them, at the commits that the methods name."""

from __future__ import annotations

import pytest
from method_examples import load

from boresight.models.loading import Lora

LLAVA = Lora(rank=128, alpha=256.0, dropout=0.05)
"""LLaVA-1.5's default dropout, which scripts that name only rank and alpha leave as it is."""
QKV, QKVO = ("q_proj", "k_proj", "v_proj"), ("q_proj", "k_proj", "v_proj", "o_proj")


def said(learning_rate: float, epochs: float, batch_items: int | None = None, **more: object) -> dict[str, object]:
    """What a script says; the batch over all devices, where it names their number."""
    batch = {"batch_items": batch_items} if batch_items else {}
    return {"learning_rate": learning_rate, "epochs": epochs, "schedule": "cosine", **batch, **more}


SCRIPTS = {
    # scripts/finetune_bpo.sh
    "bpo/dpo": said(2e-6, 2, warmup=0.03, lora=Lora(rank=32, alpha=256.0, dropout=0.05)),
    # scripts/chip.sh: 4 devices, 1 row, 8 times
    "chip/dpo": said(5e-7, 1, 32, warmup=0.03, max_grad_norm=20.0, lora=None),
    # scripts/run_train.sh
    "csr/dpo": said(1e-7, 1, warmup=0.03, lora=LLAVA),
    # DAMA/scripts/run_dpo.sh: 4 devices, 4 rows
    "dama/dpo": said(5e-7, 4, 16, warmup=0.1, lora=None),
    # scripts/train/dpo.py
    "emmoe_dpo/dpo": said(6e-6, 1, 16, warmup=0.03, max_grad_norm=0.3, lora=Lora(rank=8, alpha=8.0, dropout=0.05)),
    # SFT/scripts/7b-v1.5-224/sft.sh; RLHF/scripts/13b-v1.5-336/train_reward_model.sh: 8 devices, 4 rows
    "fact_rlhf/sft": said(2e-5, 3, warmup=0.03, lora=None),
    "fact_rlhf/reward_model": said(
        2e-5, 1, 32, schedule="constant_with_warmup", warmup=0.03, lora=Lora(rank=64, alpha=16.0)
    ),
    # ha_dpo/models/llava-v1_5/README.md: 8 devices, 16 rows; ha_dpo/models/minigpt4/README.md: 8, 1, 4 times
    "ha_dpo/dpo": said(2e-6, 1, 128, warmup=0.0, lora=LLAVA),
    "ha_dpo:minigpt4/dpo": said(1e-4, 1, 32, warmup=0.1, lora=Lora(rank=64, alpha=16.0, dropout=0.05, targets=QKV)),
    # external/LLaVA-Plus/image_dpo.sh
    "image_dpo/dpo": said(5e-7, 1, warmup=0.03, lora=LLAVA),
    # llava_hound_dpo/dpo_scripts/train_dpo.sh; PPLLaVA's config/dpo/dpo_ppllava_vicuna7b.yaml: 8 devices, 2 rows, 4x
    "llava_hound_dpo/dpo": said(5e-7, 3, schedule="linear", warmup=0.1, lora=None),
    "llava_hound_dpo:ppllava/dpo": said(5e-6, 2, 64, schedule="linear", warmup=0.1, lora=None),
    # scripts/train/dpo.sh
    "llava_next_interleave_dpo/dpo": said(5e-7, 3, schedule="linear", warmup=0.1, frozen=(), lora=None),
    # bunny/config.yaml
    "mdpo/train": said(
        1e-5, 3, 32, warmup=0.1, weight_decay=0.05, betas=(0.9, 0.98), lora=Lora(rank=64, alpha=128.0, dropout=0.05)
    ),
    # LLaVA-Hound-DPO/llava_hound_dpo/dpo_scripts/train_dpo_multi.sh: 8 devices, 1 row, 8 times
    "mia_dpo/dpo": said(5e-5, 1, 64, schedule="linear", warmup=0.1, lora=LLAVA),
    # scripts/train/dpo_ov7b.sh
    "mm_dpo/dpo": said(1e-6, 1, warmup=0.1, lora=None),
    # internvl_chat/shell/internvl2.0_mpo/preference_optimization/internvl2_8b_internlm2_7b_dynamic_res_mpo_full.sh
    "mpo/mpo": said(5e-6, 1, 256, warmup=0.03, weight_decay=0.05, frozen=(), lora=None),
    # scripts/train_dpo.sh and scripts/run.sh
    "mr_dpo/dpo": said(2e-5, 3, warmup=0.03, lora=Lora(rank=128, alpha=256.0, dropout=0.05, targets=QKV)),
    # run/train_opa.sh: 4 devices, 4 rows, 8 times; run/train_opa_dpo.sh
    "opa_dpo/on_policy_sft": said(2e-5, 2, 128, lora=Lora(rank=256, alpha=512.0)),
    "opa_dpo/dpo": said(1e-6, 4, 32, lora=Lora(rank=256, alpha=512.0)),
    # scripts/run_dpo.sh and scripts/run_povid.sh
    "povid/injected": said(1e-7, 3, warmup=0.03, lora=LLAVA),
    "povid/drifted": said(1e-7, 1, warmup=0.03, lora=LLAVA),
    # train_lora_rdpo.sh: 2 devices, 1 row, 8 times; train_rdpo.py:915
    "re_align/dpo": said(1e-6, 1, 16, warmup=0.03, lora=Lora(rank=128, alpha=256.0, dropout=0.05, targets=QKVO)),
    # script/train/llava15_train.sh
    "rlaif_v/dpo": said(5e-7, 4, 8, warmup=0.05, weight_decay=0.01, lora=None),
    # run_svco_example.sh: 8 devices, 1 row, 4 times
    "s_vco/dpo": said(1e-6, 1, 32, warmup=0.05, weight_decay=0.02, betas=(0.9, 0.95), lora=None),
    # dpo_config/example.yaml and run_dpo.py
    "silkie/dpo": said(
        1e-5, 3, warmup=0.1, weight_decay=0.05, betas=(0.9, 0.98), lora=Lora(rank=64, alpha=16.0, dropout=0.05)
    ),
    # scripts/run_dpo.sh
    "sima/dpo": said(1e-7, 3, warmup=0.03, lora=LLAVA),
    # training_configs/llama-3-8b-instruct-simpo.yaml
    "simpo/train": said(1e-6, 1, 128, warmup=0.1, lora=None),
    # scripts/dpo_finetune.sh: 4 devices, 1 row, twice; scripts/finetune_lora.sh: 2 devices, 16 rows
    "stic/dpo": said(1e-7, 1, 8, warmup=0.03, lora=LLAVA),
    "stic/described_sft": said(2e-5, 1, 32, warmup=0.03, lora=LLAVA),
    # open_flamingo/scripts/train_dpo.sh: 8 devices, 1 row
    "symdpo/dpo": said(
        5e-6, 1, 8, schedule="linear", warmup=0.01, weight_decay=0.1, lora=Lora(rank=64, alpha=16.0, dropout=0.05)
    ),
    # config/config.yaml and README.md
    "tdpo/train": said(5e-6, 1, 64, max_grad_norm=10.0, lora=None),
    # scripts/token_tpo.sh: 8 devices, 2 rows
    "token_tpo/tpo": said(5e-8, 4, 16, lora=None),
    # scripts/v1_5/vdpo.sh: 2 devices, 4 rows, 8 times
    "v_dpo/dpo": said(1e-6, 4, 64, warmup=0.03, weight_decay=0.05, lora=None),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_stage_is_set_as_the_authors_script_sets_it(name: str) -> None:
    method, _, stage_name = name.partition("/")
    (stage,) = (s for s in load(method).stages if s.name == stage_name)
    assert {field: getattr(stage, field) for field in SCRIPTS[name]} == SCRIPTS[name]


def test_rounds_are_the_papers() -> None:
    """CSR trains 3 times, RLAIF-V 4 and video-SALMONN 2 6."""
    rounds = {name: load(name).stages[0].rounds for name in ("csr", "rlaif_v", "mr_dpo")}
    assert rounds == {"csr": 3, "rlaif_v": 4, "mr_dpo": 6}
