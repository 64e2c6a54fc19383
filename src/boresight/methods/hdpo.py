"""HDPO: plain DPO on three kinds of hallucination, each provoked in its own way.

Source: Fu et al. 2024, arXiv:2411.10436: distracted sight, long contexts, and text against picture.
Differs from the paper: hyperparameters are ours, as no code was found.
"""

from boresight.methods._pieces import preferred
from boresight.models.loading import Lora
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred(),
    stages=(Stage(name="dpo", learning_rate=1e-6, epochs=1, batch_items=32, lora=Lora(rank=128, alpha=256.0)),),
    data=Data(
        construction="provoked_hallucinations",
        texts={"chosen": "the right description", "rejected": "the own answer with sight, length or prompt disturbed"},
    ),
)
