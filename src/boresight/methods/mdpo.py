"""mDPO: conditional preference optimization for multimodal models.

Source: Wang et al. 2024, arXiv:2406.11839, Eq. 5, 6, 8.
Differs from the authors' code: the crop is drawn once per record, so policy and reference see the same picture; it
is cut from the picture itself and resized by the model's processor, not from the preprocessed tensor.
"""

from boresight.media.transforms import random_crop
from boresight.models.loading import Lora
from boresight.objectives import anchor, pairwise, view
from boresight.training.spec import Data, Method, Stage

CROPPED = "cropped"

MEMBER = Method(
    inputs={CROPPED: random_crop.MEMBER(area=(0.01, 0.20))},
    objective=(
        pairwise(view("chosen"), view("rejected"), beta=0.1)
        + pairwise(view("chosen"), view("chosen", CROPPED), beta=0.1)
        + anchor(view("chosen"), beta=0.1, delta=0.0)
    ),
    data=Data(
        construction="scored_pool",
        texts={"chosen": "the answer with the higher score", "rejected": "the answer with the lower one"},
    ),
    stages=(
        Stage(
            learning_rate=1e-5,
            epochs=3,
            batch_items=32,
            weight_decay=0.05,
            betas=(0.9, 0.98),
            lora=Lora(rank=64, alpha=128.0, dropout=0.05),
        ),
    ),
)
