"""LLaVA-NeXT-Interleave-DPO: plain DPO of all weights on judged answers about videos.

Source: Li et al. 2024, arXiv:2407.07895; LLaVA-VL/LLaVA-NeXT@df17966, scripts/train/dpo.sh.
Differs from the authors' code: none known in the loss; the batch is that of one device, whose number the
script leaves open. One seed of data is the 17k pairs of LLaVA-Hound.
"""

from boresight.methods._pieces import preferred
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=preferred(),
    stages=(Stage(name="dpo", learning_rate=5e-7, epochs=3, batch_items=16, schedule="linear", frozen=()),),
    data=Data(
        modality=("video", "images"),
        construction="caption_judged_samples",
        texts={"chosen": "the own sample judged best", "rejected": "the own sample judged worst"},
    ),
)
