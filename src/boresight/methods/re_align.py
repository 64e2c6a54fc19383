"""Re-Align (rDPO): mDPO with a similar picture that was retrieved instead of a crop, and no anchor.

Source: Xing et al. 2025, arXiv:2502.13146; taco-group/Re-Align@a82ce56, rDPOtrainer.py:147-191.
Differs from the authors' code: every log-probability is that of the answer's own tokens, as the paper writes; the code
takes the likeliest tokens instead, for the rejected answer and under the retrieved picture.
"""

from boresight.methods._pieces import CHOSEN, preferred
from boresight.models.loading import Lora
from boresight.objectives import pairwise, view
from boresight.training.inputs import Stored
from boresight.training.spec import Data, Method, Stage

RETRIEVED = "retrieved"
LORA = Lora(rank=128, alpha=256.0, dropout=0.05, targets=("q_proj", "k_proj", "v_proj", "o_proj"))

MEMBER = Method(
    inputs={RETRIEVED: Stored(transform="retrieved")},
    objective=preferred() + pairwise(CHOSEN, view("chosen", RETRIEVED), beta=0.1),
    stages=(Stage(name="dpo", learning_rate=1e-6, epochs=1, batch_items=16, warmup=0.03, lora=LORA),),
    data=Data(
        construction="retrieved_refill",
        texts={
            "chosen": "the answer of the instruction data",
            "rejected": "the same with masked spans refilled by the model under the retrieved picture",
        },
    ),
)
