"""BPO: true answers against ones bootstrapped from the model, with a weakened picture or with injected errors.

Source: Pi et al. 2024, arXiv:2403.08730; pipilurj/bootstrapped-preference-optimization-BPO@ecaf280.
Differs from the authors' code: none in the loss, which is that of the TRL of its time (plain DPO).
"""

from boresight.methods._pieces import preferred
from boresight.models.loading import Lora
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred(),
    stages=(
        Stage(
            name="dpo",
            learning_rate=2e-6,
            epochs=2,
            batch_items=4,
            warmup=0.03,
            lora=Lora(rank=32, alpha=256.0, dropout=0.05),
        ),
    ),
    data=Data(
        construction="weakened_picture",
        texts={
            "chosen": "the answer of the instruction data",
            "rejected": "an own answer under noise of step 900, or the true one with injected errors",
        },
    ),
)
