"""DPO: direct preference optimization, and the links that replace its logistic one.

Source: Rafailov et al. 2023, arXiv:2305.18290, Eq. 7. Each link names its own source in `boresight.objectives.links`;
`ipo` averages over tokens, as its authors told the authors of TRL, and `ipo_sum` is the paper's Eq. 17 to the letter.
Differs from the paper: AdamW with a cosine schedule instead of RMSprop with linear warmup, as every multimodal
follow-up trains it. `bco` shifts rewards by their running mean, which the paper describes and TRL's pair loss lost.
`sppo` takes the sum over both answers, as TRL does; the authors' code (uclaml/SPPO@5e61c4e) takes half of it, and
estimated preferences instead of certain ones. `exo` is TRL's form, with a label smoothing of 1e-3; the authors' code
(haozheji/exact-optimization@a8ab360, src/align_stage/loss.py) has exp(-10) and leaves the smoothed target unnormalized.
"""

from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.objectives import Objective, RunningMean, Term, pairwise, unpaired
from boresight.training.spec import Data, Method, Stage

STAGE = Stage(learning_rate=1e-6, epochs=1, batch_items=32)


def _with(term: Term) -> Method:
    return Method(objective=Objective((term,)), stages=(STAGE,), data=Data(modality=("text",)))


MEMBER = _with(pairwise(CHOSEN, REJECTED, beta=0.1))
VARIANTS = {
    "hinge": _with(pairwise(CHOSEN, REJECTED, beta=0.1, link="hinge")),
    "ipo": _with(pairwise(CHOSEN, REJECTED, beta=0.1, link="ipo", reduction="mean")),
    "ipo_sum": _with(pairwise(CHOSEN, REJECTED, beta=0.1, link="ipo")),
    "conservative": _with(pairwise(CHOSEN, REJECTED, beta=0.1, label_smoothing=0.1)),
    "robust": _with(pairwise(CHOSEN, REJECTED, beta=0.1, link="robust", label_smoothing=0.1)),
    "exo": _with(pairwise(CHOSEN, REJECTED, beta=0.1, link="exo", label_smoothing=1e-3)),
    "nca": _with(pairwise(CHOSEN, REJECTED, beta=0.1, link="nca")),
    "apo_zero": _with(pairwise(CHOSEN, REJECTED, beta=0.1, link="apo_zero")),
    "apo_down": _with(pairwise(CHOSEN, REJECTED, beta=0.1, link="apo_down")),
    "sppo": _with(pairwise(CHOSEN, REJECTED, beta=0.1, link="sppo")),
    "bco": _with(unpaired(CHOSEN, REJECTED, beta=0.1, baseline=RunningMean(of=(CHOSEN, REJECTED)))),
}
