"""SimPO: mean log-probabilities as rewards, a margin to be passed, and no reference.

Source: Meng et al. 2024, arXiv:2405.14734, princeton-nlp/SimPO@1b3e8f3, scripts/simpo_trainer.py and
training_configs/llama-3-8b-instruct-simpo.yaml.
Differs from the paper: none; beta 2.5 and a margin of 0.55 beta are those of this configuration, the paper tunes both;
the code's own defaults are 2 and 0.25 beta.
"""

from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.objectives import Objective, pairwise
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=Objective(
        (pairwise(CHOSEN, REJECTED, beta=2.5, target=0.55 * 2.5, reduction="mean", needs_reference=False),)
    ),
    stages=(Stage(learning_rate=1e-6, epochs=1, batch_items=128),),
    data=Data(modality=("text",)),
)
