"""Fact-RLHF: supervised tuning, then a reward model that reads the picture's facts.

Source: Sun et al. 2023 (LLaVA-RLHF), arXiv:2309.14525; llava-rlhf/LLaVA-RLHF@830a083,
RLHF/models/reward_model.py:311-315.
Differs from the paper: its last stage, PPO against this reward, is not here yet. The authors train the reward model
from another, larger model than the policy; here each stage starts from what the one before left. Ratings are centered
by their mean over the step, in the code over each micro-batch.
"""

from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.models.loading import Lora
from boresight.objectives import Objective, RewardPair, nll
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=Objective((RewardPair(better=CHOSEN, worse=REJECTED, centering=1e-3),)),
    stages=(
        Stage(
            name="sft",
            objective=Objective((nll(CHOSEN),)),
            data=Data(reads="singles", construction="mixed_instructions", texts={"chosen": "the instruction's answer"}),
            learning_rate=2e-5,
            epochs=3,
            batch_items=128,
            warmup=0.03,
        ),
        Stage(
            name="reward_model",
            learning_rate=2e-5,
            epochs=1,
            batch_items=32,
            schedule="constant_with_warmup",
            warmup=0.03,
            lora=Lora(rank=64, alpha=16.0),
        ),
    ),
    data=Data(
        construction="fact_augmented_pairs",
        texts={
            "chosen": "the answer that people found less hallucinated",
            "rejected": "the other one; both after a prompt that lists the picture's captions",
        },
    ),
)
