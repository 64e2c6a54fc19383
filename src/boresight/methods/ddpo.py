"""DDPO: dense DPO of RLHF-V, where the tokens that people corrected weigh more.

Source: Yu et al. 2023 (RLHF-V), arXiv:2312.00849, Eq. 5; RLHF-V/RLAIF-V@83d917b,
muffin/train/trainers.py:67-137.
Differs from the authors' code: the default is the paper's weighted mean, weight 5, beta 0.5. The variant `code` is what
the released script does: a weighted sum, weight 1.1, beta 0.1, runs of fewer than 3 equal tokens count as changed, and
pure insertions and deletions do not count. It finds changes in prompt and answer together, so that one or two equal
tokens at the start of an answer do not count, and difflib's rule for long sequences sets in earlier; here they are
found in the answers alone. The first stage of supervised tuning on VQAv2 is left to `sft`.
"""

from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.objectives import Objective, pairwise
from boresight.training.spec import Data, Method, Stage
from boresight.training.token_weights import ChangedTokens

DATA = Data(
    construction="segment_correction",
    texts={"chosen": "the answer as people corrected it", "rejected": "the model's own answer"},
)
MEMBER = Method(
    objective=Objective((pairwise(CHOSEN, REJECTED, beta=0.5, reduction="mean"),)),
    token_weights=ChangedTokens(weight=5.0),
    stages=(Stage(name="ddpo", learning_rate=5e-7, epochs=7, batch_items=32),),
    data=DATA,
)
VARIANTS = {
    "code": Method(
        objective=Objective((pairwise(CHOSEN, REJECTED, beta=0.1),)),
        token_weights=ChangedTokens(weight=1.1, min_match_tokens=3, pure_edits=False),
        stages=(Stage(name="ddpo", learning_rate=5e-7, epochs=7, batch_items=32),),
        data=DATA,
    )
}
