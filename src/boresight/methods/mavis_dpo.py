"""MAVIS DPO: annotated solutions of visual mathematics against the model's own that end wrong.

Source: Zhang et al. 2024, arXiv:2407.08739, section 3.4.
Differs from the paper: beta is not given there (0.1 here); no training code is public.
"""

from boresight.methods._pieces import preferred
from boresight.models.loading import Lora
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred(),
    stages=(Stage(name="dpo", learning_rate=2e-6, epochs=1, batch_items=32, lora=Lora(rank=128, alpha=256.0)),),
    data=Data(
        construction="wrong_final_answers",
        texts={"chosen": "the annotated chain of thought", "rejected": "an own chain whose final answer is wrong"},
    ),
)
