"""MIA-DPO: single-picture questions asked amid other pictures, where the model looks at the wrong one.

Source: Liu et al. 2024, arXiv:2410.17637; Liuziyu77/MIA-DPO@a85c51a.
Differs from the authors' code: the default adds 0.1 times the likelihood of the chosen answer, the best value of the
paper's ablation, as a mean over the tokens of the step, where the code takes each micro-batch for itself; the variant
`code` is the released script, which adds none.
"""

from boresight.methods._pieces import CHOSEN, LLAVA_LORA, preferred
from boresight.objectives import nll
from boresight.training.spec import Data, Method, Stage

STAGES = (Stage(name="dpo", learning_rate=5e-5, epochs=1, batch_items=64, schedule="linear", lora=LLAVA_LORA),)
DATA = Data(
    modality=("images",),
    construction="distracting_pictures",
    texts={"chosen": "the right answer", "rejected": "the model's answer amid sequences, collages and insets"},
)
MEMBER = Method(objective=preferred() + 0.1 * nll(CHOSEN), stages=STAGES, data=DATA)
VARIANTS = {"code": Method(objective=preferred(), stages=STAGES, data=DATA)}
