"""Which function of which repository belongs to which method of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import torch
from authors_calls import (
    Tables,
    alma,
    bco,
    by_token,
    chip,
    cpo,
    dama,
    drifted,
    exo,
    given_beta,
    halos,
    kto,
    linked,
    mm_dpo,
    mpo,
    opa_tokens,
    orpo,
    orpo_whole,
    plain,
    rated,
    s_vco,
    simpo,
    sppo,
    supervised,
    tdpo,
    three,
    token_tpo,
    v_dpo,
    weighted_dpo,
    whole,
    with_captions,
    with_truth,
)

from boresight.objectives import view


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Functions of one repository, and the method of ours that they belong to."""

    method: str
    repository: str
    commit: str
    path: str
    functions: tuple[str, ...]
    """Names; `Class.name` where several classes have such a function."""
    loss: Callable[[SimpleNamespace, Tables], torch.Tensor]
    """From the functions and the tables: one loss per item, or that of the whole batch."""
    stage: int = 0
    """Which run of the method."""
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Functions of further files, by `owner+name/path`."""
    edits: Mapping[str, str] = field(default_factory=dict)
    """What must be changed for the functions to run here, in words of the source."""
    without: tuple[str, ...] = ()
    """Kinds of our terms that their functions leave to others."""
    items: int = 4
    even: bool = False
    """Whether answers are all of one length, for code that cannot tell padding from tokens."""
    weighted: bool = False
    """Whether the method weights tokens."""
    never: tuple[str, ...] = ()
    """Kinds of tables on which their code gives NaN, or takes a reward of exactly 0 for an absent answer."""
    digits: int = 9
    """To how many digits they agree; fewer where the authors round to float32."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.repository}/{self.path}"


_NO_CAST = {
    "policy_chosen_logps.float()": "policy_chosen_logps",
    "policy_rejected_logps.float()": "policy_rejected_logps",
}
_DOUBLE = {"self.accelerator.reduce(torch.Tensor([": "self.accelerator.reduce(torch.tensor(dtype=torch.float64, data=["}
_UPWARDS = {
    f"-chosen_rewards{i} + self.args.Anchor_value": f"chosen_rewards{i} - self.args.Anchor_value" for i in (2, 4)
}
_TRL_MID = "huggingface+trl@v0.10.1"
_MOMENTS = {f"{_TRL_MID}/trl/trainer/utils.py": ("RunningMoments",)}
_SUMS = ("dpo_loss", "_get_batch_logps")
_WHOLE = ("get_batch_loss_metrics", "dpo_loss", "get_batch_logps", "get_sft_loss")
_TDPO = "Vance0124/Token-level-Direct-Preference-Optimization"
CASES = [
    Case(method="mdpo", repository="luka-group/mDPO", commit="2221bb3", path="mdpo_trainer.py", functions=("dpo_loss",),
         loss=three),
    Case(method="re_align", repository="taco-group/Re-Align", commit="a82ce56", path="rDPOtrainer.py",
         functions=("dpo_loss",), loss=three),
    Case(method="s_vco", repository="s-vco/s-vco", commit="bc8f941", path="trainer.py", functions=("dpo_loss",),
         loss=s_vco),
    Case(method="stic", repository="yihedeng9/STIC", commit="993734e", path="stic/dpo_trainer.py",
         functions=("dpo_loss",), loss=plain),
    Case(method="povid", repository="YiyangZhou/POVID", commit="92c7c67", path="tool/dpo_trainer.py",
         functions=("dpo_loss",), loss=plain),
    Case(method="rlaif_v", repository="RLHF-V/RLAIF-V", commit="83d917b", path="muffin/train/trainers.py",
         functions=("dpo_loss",), loss=given_beta()),
    Case(method="ddpo:code", repository="RLHF-V/RLAIF-V", commit="83d917b", path="muffin/train/trainers.py",
         functions=("dpo_loss", "compute_weighted_logp"), loss=weighted_dpo, weighted=True),
    Case(method="tdpo", repository=_TDPO, commit="2a736ec", path="trainers.py", functions=("tdpo_loss",),
         loss=tdpo(True)),
    Case(method="tdpo:first", repository=_TDPO, commit="2a736ec", path="trainers.py", functions=("tdpo_loss",),
         loss=tdpo(False)),
    Case(method="chip", repository="LVUGAI/CHiP", commit="e7f5193", path="llava/train/llava_trainer.py",
         functions=("chip_loss",), loss=chip, weighted=True),
    Case(method="token_tpo", repository="alibaba/TPO", commit="2f87f27", path="trl/trainer/tpo_trainer.py",
         functions=("dpo_loss", "_get_token_batch_logps", "_get_token_batch_logps_reciprocal"), loss=token_tpo),
    Case(method="v_dpo", repository="YuxiXie/V-DPO", commit="ed27c32", path="llava_dpo/utils.py",
         functions=("calculate_log_probs",), loss=v_dpo),
    Case(method="mm_dpo:code", repository="Kwai-YuanQi/MM-RLHF", commit="7c8af1d", path="trl/trainer/dpo_trainer.py",
         functions=("dpo_loss",), loss=mm_dpo, without=("Nll",)),
    Case(method="dama", repository="injadlu/DAMA", commit="d60515f", path="DAMA/llava/train/train_dpo.py",
         functions=("dpo_loss",), loss=dama,
         edits={"device='cuda'": "device='cpu'", "(1 - 0.2)": "1", ".to(torch.float32)": ".to(logits.dtype)",
                "torch.tensor(0.0482190464911681,": "torch.tensor(0.0482190464911681, dtype=torch.float64,"}),
    Case(method="opa_dpo:corrected", repository="zhyang2226/OPA-DPO", commit="db90180",
         path="opadpo/dpo_models/dpo_trainer.py", functions=("dpo_loss", "compute_policy_loss"), loss=opa_tokens,
         edits=_UPWARDS, even=True, weighted=True, stage=1),
    Case(method="simpo", repository="princeton-nlp/SimPO", commit="1b3e8f3", path="scripts/simpo_trainer.py",
         functions=("simpo_loss",), loss=simpo),
    Case(method="cpo", repository="huggingface/trl", commit="1.16.0", path="trl/experimental/cpo/cpo_trainer.py",
         functions=("cpo_loss",), loss=cpo, without=("Nll",)),
    Case(method="orpo", repository="huggingface/trl", commit="1.16.0", path="trl/experimental/orpo/orpo_trainer.py",
         functions=("odds_ratio_loss",), loss=orpo, edits=_NO_CAST, without=("Nll",)),
    Case(method="ha_dpo", repository="opendatalab/HA-DPO", commit="42f72c5", path="ha_dpo/trainer/base_dpo_trainer.py",
         functions=_SUMS, loss=by_token()),
    Case(method="ha_dpo:minigpt4", repository="opendatalab/HA-DPO", commit="42f72c5",
         path="ha_dpo/trainer/minigpt4_dpo_trainer.py", functions=("compute_loss",), loss=with_captions,
         also={"opendatalab+HA-DPO/ha_dpo/trainer/base_dpo_trainer.py": ("dpo_loss",)}),
    Case(method="csr", repository="YiyangZhou/CSR", commit="353de42", path="train_csr/dpo_trainer.py", functions=_SUMS,
         loss=by_token()),
    Case(method="sima", repository="umd-huang-lab/SIMA", commit="ba9e7ed", path="tool/dpo_trainer.py", functions=_SUMS,
         loss=by_token()),
    Case(method="povid", repository="YiyangZhou/POVID", commit="92c7c67", path="tool/dpo_trainer_inherent.py",
         functions=("get_batch_metrics", "dpo_loss"), loss=drifted, stage=1),
    Case(method="bpo", repository="huggingface/trl", commit="v0.7.2", path="trl/trainer/dpo_trainer.py",
         functions=_SUMS, loss=by_token()),
    Case(method="emmoe_dpo", repository="huggingface/trl", commit="v0.10.1", path="trl/trainer/dpo_trainer.py",
         functions=("dpo_loss",), loss=linked()),
    Case(method="silkie", repository="huggingface/trl", commit="v0.7.2", path="trl/trainer/dpo_trainer.py",
         functions=_SUMS, loss=by_token()),
    Case(method="llava_hound_dpo", repository="RifleZhang/LLaVA-Hound-DPO", commit="ec2381f",
         path="llava_hound_dpo/trl/trainer/dpo_trainer.py", functions=_WHOLE, loss=whole(gamma=0.0)),
    Case(method="llava_hound_dpo:ppllava", repository="farewellthree/PPLLaVA", commit="d5766c8",
         path="ppllava/train/dpo_trainer.py", functions=_WHOLE, loss=whole(gamma=0.0)),
    Case(method="llava_next_interleave_dpo", repository="LLaVA-VL/LLaVA-NeXT", commit="df17966",
         path="trl/trainer/dpo_trainer.py", functions=_WHOLE, loss=whole(gamma=0.0)),
    Case(method="mia_dpo", repository="Liuziyu77/MIA-DPO", commit="a85c51a",
         path="LLaVA-Hound-DPO/llava_hound_dpo/trl/trainer/dpo_trainer.py", functions=_WHOLE, loss=whole(gamma=0.1)),
    Case(method="mia_dpo:code", repository="Liuziyu77/MIA-DPO", commit="a85c51a",
         path="LLaVA-Hound-DPO/llava_hound_dpo/trl/trainer/dpo_trainer.py", functions=_WHOLE, loss=whole(gamma=0.0)),
    Case(method="symdpo", repository="APiaoG/SymDPO", commit="31b672a", path="trl/trainer/dpo_trainer.py",
         functions=_WHOLE, loss=whole(gamma=1.0)),
    Case(method="image_dpo", repository="ViLP-team/ImageDPO", commit="f443c42",
         path="external/LLaVA-Plus/llava/train/trl/trainer/image_dpo_trainer.py", functions=_WHOLE,
         loss=whole(view("chosen", "corrupted"), gamma=0.0, beta=0.5)),
    Case(method="mr_dpo", repository="bytedance/video-SALMONN-2", commit="61faec0", path="llava/train/dpo_trainer.py",
         functions=("compute_loss", "dpo_loss", "get_batch_logps"), loss=with_truth, items=1),
    Case(method="mpo", repository="OpenGVLab/InternVL", commit="2410d1d",
         path="internvl_chat/internvl/train/trainer_dpo.py", functions=("get_batch_loss_metrics",), loss=mpo,
         also={f"{_TRL_MID}/trl/trainer/dpo_trainer.py": ("dpo_loss",)} | _MOMENTS, digits=6),
    Case(method="fact_rlhf", repository="llava-rlhf/LLaVA-RLHF", commit="830a083", path="RLHF/models/reward_model.py",
         functions=("compute_loss",), loss=rated, stage=1),
    *(
        Case(method=method, repository="huggingface/transformers", commit="v5.23.0",
             path="src/transformers/loss/loss_utils.py", functions=("ForCausalLMLoss", "fixed_cross_entropy"),
             loss=supervised, stage=stage, edits={"logits = logits.float()": "logits = logits"})
        for method, stage in (
            ("sft", 0), ("lima", 0), ("vlguard", 0), ("vlguard:mixed", 0), ("stic", 1), ("fact_rlhf", 0)
        )
    ),
    Case(method="kto", repository="ContextualAI/HALOs", commit="4831988", path="train/trainers.py",
         functions=("KTOTrainer.loss", "get_sequence_rewards"), loss=kto, edits=_DOUBLE, never=("edge_tables",)),
    Case(method="dpo", repository="eric-mitchell/direct-preference-optimization", commit="f8b8c0f", path="trainers.py",
         functions=("preference_loss",), loss=given_beta("preference_loss")),
    Case(method="dpo:ipo_sum", repository="eric-mitchell/direct-preference-optimization", commit="f8b8c0f",
         path="trainers.py", functions=("preference_loss",), loss=given_beta("preference_loss", ipo=True)),
    Case(method="dpo:conservative", repository="eric-mitchell/direct-preference-optimization", commit="f8b8c0f",
         path="trainers.py", functions=("preference_loss",), loss=given_beta("preference_loss", label_smoothing=0.1)),
    Case(method="dpo:ipo", repository="ContextualAI/HALOs", commit="4831988", path="train/trainers.py",
         functions=("IPOTrainer.loss", "get_sequence_rewards"), loss=halos(tau=0.1), edits=_DOUBLE,
         never=("edge_tables",)),
    Case(method="dpo:nca", repository="thu-ml/Noise-Contrastive-Alignment", commit="cbb9248",
         path="preference_trainer.py", functions=("dpo_loss",), loss=linked(loss_type="NCA")),
    Case(method="dpo:sppo", repository="uclaml/SPPO", commit="5e61c4e", path="sppo/trainer.py",
         functions=("sppo_loss",), loss=sppo),
    Case(method="dpo:exo", repository="haozheji/exact-optimization", commit="a8ab360", path="src/align_stage/loss.py",
         functions=("exact_loss",), loss=exo, edits={"log_epsilon = -10": "log_epsilon = math.log(1e-3 / (1 - 1e-3))"}),
    Case(method="dpo:bco", repository="huggingface/trl", commit="v0.10.1", path="trl/trainer/dpo_trainer.py",
         functions=("dpo_loss",), loss=bco, also=_MOMENTS, digits=6),
    *(
        Case(method=f"dpo:{link}", repository="huggingface/trl", commit="v0.10.1", path="trl/trainer/dpo_trainer.py",
             functions=("dpo_loss",), loss=linked(loss_type=theirs, label_smoothing=smoothing))
        for link, theirs, smoothing in (
            ("hinge", "hinge", 0.0), ("robust", "robust", 0.1), ("exo", "exo_pair", 1e-3), ("sppo", "sppo_hard", 0.0),
            ("nca", "nca_pair", 0.0), ("apo_zero", "apo_zero", 0.0), ("apo_down", "apo_down", 0.0),
        )
    ),
    Case(method="cpo", repository="fe1ixxu/ALMA", commit="10360c3", path="utils/cpo_trainer.py",
         functions=("cpo_loss",), loss=alma, without=("Nll",)),
    Case(method="orpo", repository="xfactlab/orpo", commit="208d2d6", path="src/orpo_trainer.py",
         functions=("compute_loss", "compute_logps"), loss=orpo_whole, even=True,
         edits={"self.alpha * ratio).to(dtype=torch.bfloat16)": "self.alpha * ratio)"},
         never=("edge_tables",)),
]  # fmt: skip
