"""CLIP-DPO: the model's own answers ranked by how well CLIP matches them to the picture.

Source: Ouali et al. 2024, arXiv:2408.10433.
Differs from the paper: hyperparameters are ours, as they could not be verified.
"""

from boresight.methods._pieces import preferred
from boresight.models.loading import Lora
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred(),
    stages=(Stage(name="dpo", learning_rate=1e-6, epochs=1, batch_items=32, lora=Lora(rank=128, alpha=256.0)),),
    data=Data(
        construction="clip_ranked",
        texts={"chosen": "the own answer that fits the picture best", "rejected": "one that fits it worse"},
    ),
)
