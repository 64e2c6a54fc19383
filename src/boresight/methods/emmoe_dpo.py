"""EMMOE DPO: plans of embodied tasks against the same plans with one rule broken.

Source: Li et al. 2025, arXiv:2503.08604 (HomieBot); silence143/EMMOE@377c14d, scripts/train/dpo.py.
Differs from the authors' code: pictures are shown where the rows have some, while the released script loads text only;
weights are not quantized to 4 bits.
"""

from boresight.methods._pieces import preferred
from boresight.models.loading import Lora
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred(),
    stages=(
        Stage(
            name="dpo",
            learning_rate=6e-6,
            epochs=1,
            batch_items=16,
            warmup=0.03,
            max_grad_norm=0.3,
            lora=Lora(rank=8, alpha=8.0, dropout=0.05),
        ),
    ),
    data=Data(
        modality=("video",),
        construction="plan_edits",
        texts={"chosen": "the right plan", "rejected": "with its order, action, model or logic changed"},
    ),
)
