"""KTO: answers that are only known to be good or bad, held against how far the policy has moved.

Source: Ethayarajh et al. 2024, arXiv:2402.01306, Eq. 7; TRL 1.16, trl/trainer/kto_trainer.py.
Differs from the paper: the baseline is estimated over the whole step, before any of it is trained on, and from an
answer to another prompt that is drawn once per record; the authors' code (ContextualAI/HALOs@4831988) takes each
micro-batch by itself, and leaves answers whose log-ratio is exactly 0 out of it.
"""

from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.objectives import MISMATCHED, MismatchedKl, Objective, unpaired
from boresight.training.spec import Data, Method, Stage

MEMBER = Method(
    objective=Objective(
        (unpaired(CHOSEN, REJECTED, beta=0.1, link="sigmoid", baseline=MismatchedKl(of=MISMATCHED)),),
    ),
    stages=(Stage(learning_rate=5e-7, epochs=1, batch_items=32),),
    data=Data(
        modality=("text",),
        reads="unpaired",
        texts={"chosen": "an answer known to be good", "rejected": "an answer known to be bad"},
    ),
)
