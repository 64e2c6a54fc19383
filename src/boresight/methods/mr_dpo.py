"""MrDPO: video-SALMONN 2's rounds of DPO with the true caption beside, each with a fresh adapter and reference.

Source: Tang et al. 2025, arXiv:2506.15220; bytedance/video-SALMONN-2@61faec0,
llava/train/dpo_trainer.py:1245-1354 and llava/train/train.py:269.
Differs from the authors' code: the likelihood of the true caption is a mean over tokens of the step, and rows that have
only that weigh it 0.1 like all others, where the code weighs them 1; their last round adds question-answer data, which
ours does not.
"""

from boresight.methods._pieces import TRUTH, preferred
from boresight.models.loading import Lora
from boresight.objectives import nll
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred() + 0.1 * nll(TRUTH),
    stages=(
        Stage(
            name="dpo",
            rounds=6,
            learning_rate=2e-5,
            epochs=3,
            batch_items=8,
            warmup=0.03,
            lora=Lora(rank=128, alpha=256.0, dropout=0.05, targets=("q_proj", "k_proj", "v_proj")),
        ),
    ),
    data=Data(
        modality=("video", "audio"),
        construction="event_scored_samples",
        texts={
            "chosen": "the own caption with fewer missing and made-up events",
            "rejected": "the own caption with more",
            "truth": "the true caption; a row may have only this",
        },
    ),
)
