"""LLaVA-Hound-DPO: video answers judged against a detailed caption that stands for the video.

Source: Zhang et al. 2024, arXiv:2404.01258; RifleZhang/LLaVA-Hound-DPO@ec2381f,
llava_hound_dpo/trl/trainer/dpo_trainer.py:882.
Differs from the authors' code: none in the loss, whose optional likelihood has weight 0 in their script. The variant
`ppllava` has the settings of farewellthree/PPLLaVA@d5766c8 on the same data.
"""

from boresight.methods._pieces import preferred
from boresight.training.spec import TOWERS, Data, Method, Stage

DATA = Data(
    modality=("video",),
    construction="caption_judged_samples",
    texts={"chosen": "the own sample judged best", "rejected": "the own sample judged worst"},
)
FROZEN = (*TOWERS, "multi_modal_projector")
MEMBER = Method(
    objective=preferred(),
    stages=(Stage(name="dpo", learning_rate=5e-7, epochs=3, batch_items=128, schedule="linear", frozen=FROZEN),),
    data=DATA,
)
VARIANTS = {
    "ppllava": Method(
        objective=preferred(),
        stages=(Stage(name="dpo", learning_rate=5e-6, epochs=2, batch_items=64, schedule="linear", frozen=FROZEN),),
        data=DATA,
    )
}
