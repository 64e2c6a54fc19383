"""MPO: mixed preference optimization, a pair, each answer's own quality and the likelihood of the chosen one.

Source: Wang et al. 2024, arXiv:2411.10442; OpenGVLab/InternVL@2410d1d,
internvl_chat/internvl/train/trainer_dpo.py:29-285.
Differs from the authors' code: running mean and likelihood are means over the whole step, of rewards and of tokens,
where the code takes each micro-batch for itself (rewards of all devices, tokens of one).
"""

from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.objectives import RunningMean, nll, pairwise, unpaired
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=(
        0.8 * pairwise(CHOSEN, REJECTED, beta=0.1)
        + 0.2 * unpaired(CHOSEN, REJECTED, beta=0.1, baseline=RunningMean(of=(CHOSEN, REJECTED)))
        + nll(CHOSEN)
    ),
    stages=(
        Stage(name="mpo", learning_rate=5e-6, epochs=1, batch_items=256, warmup=0.03, weight_decay=0.05, frozen=()),
    ),
    data=Data(
        construction="wrong_final_answers",
        texts={
            "chosen": "an own chain with the right final answer",
            "rejected": "an own chain with a wrong one, or the chosen one cut in half and finished without the picture",
        },
    ),
)
