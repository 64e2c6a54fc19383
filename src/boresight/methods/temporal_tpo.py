"""TPO (temporal): answers from the whole video against answers from a video without the frames that matter.

Source: Li et al. 2025, arXiv:2501.13919; ruili33/TPO@6c43c58 has no training code.
Differs from the paper: the weight of the likelihood term, which the paper adds, is ours (1.0), as are batch size and
rate.
"""

from boresight.methods._pieces import CHOSEN, preferred
from boresight.models.loading import Lora
from boresight.objectives import nll
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred() + nll(CHOSEN),
    stages=(Stage(name="dpo", learning_rate=1e-6, epochs=1, batch_items=32, lora=Lora(rank=128, alpha=256.0)),),
    data=Data(
        modality=("video",),
        construction="dropped_frames",
        texts={
            "chosen": "the own answer to the whole video",
            "rejected": "the own answer without the frames in question",
        },
    ),
)
