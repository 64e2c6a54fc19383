"""HA-DPO: corrected against hallucinated captions, both rewritten in one style.

Source: Zhao et al. 2023, arXiv:2311.16839; opendatalab/HA-DPO@42f72c5,
ha_dpo/trainer/minigpt4_dpo_trainer.py:115-142.
Differs from the authors' code: none in the loss. The variant `minigpt4` adds 0.5 times the likelihood of caption rows,
as their MiniGPT-4 trainer does (for 1,000 steps, here one epoch); LLaVA-1.5 and InstructBLIP are trained without.
"""

from boresight.methods._pieces import LLAVA_LORA, TRUTH, preferred
from boresight.models.loading import Lora
from boresight.objectives import nll
from boresight.training.spec import Data, Method, Stage

TEXTS = {"chosen": "the caption as GPT-4 corrected it", "rejected": "the model's own caption; both rewritten alike"}
MEMBER = Method(
    objective=preferred(),
    stages=(Stage(name="dpo", learning_rate=2e-6, epochs=1, batch_items=128, warmup=0.0, lora=LLAVA_LORA),),
    data=Data(construction="corrected_captions", texts=TEXTS),
)
VARIANTS = {
    "minigpt4": Method(
        objective=preferred() + 0.5 * nll(TRUTH),
        stages=(
            Stage(
                name="dpo",
                learning_rate=1e-4,
                epochs=1,
                batch_items=32,
                lora=Lora(rank=64, alpha=16.0, dropout=0.05, targets=("q_proj", "k_proj", "v_proj")),
            ),
        ),
        data=Data(construction="corrected_captions", texts=TEXTS | {"truth": "captions of other pictures, by people"}),
    )
}
