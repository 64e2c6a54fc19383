"""AdPO: adversarial robustness, where only the picture's encoder learns.

Source: Liu et al. 2025, arXiv:2504.01735, its later version with dynamic fine-tuning.
Differs from the paper: there is no code. Answers come as data, made once per round from the clean and the adversarial
picture, where the paper makes them at every step; the encoder is trained inside the model that will use it, so nothing
needs to be transplanted. Likelihoods are summed over an answer's tokens, as the formula is written. The variant `first`
has the earlier version's plain likelihood.
"""

from boresight.methods._pieces import CHOSEN
from boresight.objectives import nll, pairwise, view
from boresight.training.inputs import Adversarial
from boresight.training.spec import VISION_TOWERS, Data, Method, Stage

ATTACKED = "adversarial"


def _with(sure: bool) -> Method:
    return Method(
        inputs={ATTACKED: Adversarial(epsilon=4 / 255, steps=10)},
        objective=pairwise(CHOSEN, view("rejected", ATTACKED), beta=0.1)
        + nll(view("chosen", ATTACKED), sure=sure, average="sequence"),
        stages=(
            Stage(
                name="encoder",
                learning_rate=1e-5,
                epochs=2,
                batch_items=128,
                weight_decay=1e-4,
                frozen=(),
                trained=VISION_TOWERS,
            ),
        ),
        data=Data(
            construction="adversarial_samples",
            texts={
                "chosen": "the own answer to the clean picture",
                "rejected": "the own answer to the adversarial one",
            },
        ),
    )


MEMBER = _with(sure=True)
VARIANTS = {"first": _with(sure=False)}
