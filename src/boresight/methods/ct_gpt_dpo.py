"""3D-CT-GPT++: DPO on sampled radiology reports, every good one against every bad one.

Source: "3D-CT-GPT++", ICLR 2025 submission (OpenReview), as its reviews describe it: 6 samples, those
rated 3 or more of 5 against the others.
Differs from the paper: there is no code; rate, epochs and batch size are ours, beta is the paper's.
"""

from boresight.methods._pieces import preferred
from boresight.models.loading import Lora
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred(),
    stages=(Stage(name="dpo", learning_rate=1e-6, epochs=1, batch_items=32, lora=Lora(rank=128, alpha=256.0)),),
    data=Data(
        modality=("volume",),
        construction="threshold_scored_samples",
        texts={"chosen": "a sampled report rated 3 or more", "rejected": "a sampled report rated less than 3"},
    ),
)
