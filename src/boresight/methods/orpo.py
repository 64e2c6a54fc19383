"""ORPO: supervised fine-tuning with an odds ratio, without any reference.

Source: Hong et al. 2024, arXiv:2403.07691, Eq. 4 and 7.
Differs from the authors' code: the likelihood is that of the answer alone, where the code (and TRL) counts the prompt's
tokens too, and the authors' (xfactlab/orpo@208d2d6, src/orpo_trainer.py:32-36) one token of padding in the mean of each
answer that has padding. Rate and batch size are the paper's, its scripts differ from model to model.
"""

from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.objectives import OddsRatio, nll
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=nll(CHOSEN) + OddsRatio(better=CHOSEN, worse=REJECTED, weight=0.1),
    stages=(Stage(learning_rate=8e-6, epochs=1, batch_items=32),),
    data=Data(modality=("text",)),
)
