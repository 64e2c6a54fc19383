"""DPO: direct preference optimization.

Source: Rafailov et al. 2023, arXiv:2305.18290, Eq. 7.
Differs from the paper: AdamW with a cosine schedule instead of RMSprop with linear warmup, as every multimodal
follow-up trains it.
"""

from boresight.objectives import Objective, pairwise, view
from boresight.training.spec import Method, Stage

MEMBER = Method(
    objective=Objective((pairwise(view("chosen"), view("rejected"), beta=0.1),)),
    stages=(Stage(learning_rate=1e-6, epochs=1, batch_items=32),),
)
