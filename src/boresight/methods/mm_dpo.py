"""MM-DPO: DPO whose beta grows with how much better the chosen answer is.

Source: Zhang et al. 2025 (MM-RLHF), arXiv:2502.10391; Kwai-YuanQi/MM-RLHF@7c8af1d,
trl/trainer/dpo_trainer.py:792-820.
Differs from the authors' code: the default is the paper's saturating beta with w = k = 0.5; the variant `code` is
linear in a precomputed factor, with weight 0.1, as the code has it without `implicit_beta`, which it leaves switched on
and which overwrites that beta by one for the whole batch. Both add 0.25 times the likelihood, the code's value; the
paper searches it; it is a mean over the tokens of the step, in the code over those of a micro-batch, of one pair. A
pair's stated margin is the signal: the reward model's difference. The batch is that of one device.
"""

from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.objectives import Linear, Saturating, Strength, nll, pairwise
from boresight.training.spec import Data, Method, Stage


def _with(strength: Strength) -> Method:
    return Method(
        objective=pairwise(CHOSEN, REJECTED, beta=0.1, strength=strength) + 0.25 * nll(CHOSEN),
        stages=(Stage(name="dpo", learning_rate=1e-6, epochs=1, batch_items=12),),
        data=Data(
            modality=("image", "video"),
            construction="ranked_answers",
            texts={"chosen": "the answer of higher rank", "rejected": "any answer of lower rank"},
        ),
    )


MEMBER = _with(Saturating(weight=0.5, rate=0.5))
VARIANTS = {"code": _with(Linear(weight=0.1))}
