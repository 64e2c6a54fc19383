"""Silkie: DPO on every two of a pool of twelve models' answers that GPT-4V scored differently.

Source: Li et al. 2023 (VLFeedback), arXiv:2312.10665; vlf-silkie/VLFeedback@de0bff3, run_dpo.py.
Differs from the authors' code: none in the loss, which is that of the TRL of its time; use `--pairing all`.
"""

from boresight.methods._pieces import preferred
from boresight.models.loading import Lora
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred(),
    stages=(
        Stage(
            name="dpo",
            learning_rate=1e-5,
            epochs=3,
            batch_items=16,
            weight_decay=0.05,
            betas=(0.9, 0.98),
            lora=Lora(rank=64, alpha=16.0, dropout=0.05),
        ),
    ),
    data=Data(
        construction="scored_pool",
        texts={"chosen": "the answer with the higher mean score", "rejected": "the answer with the lower one"},
    ),
)
