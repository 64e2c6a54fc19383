"""CHiP: answer, segment, token and picture preferences in one.

Source: Fu et al. 2025, arXiv:2501.16629; LVUGAI/CHiP@e7f5193, llava/train/llava_trainer.py:446-608.
Differs from the paper: it writes a sum of losses, while its code, the default here, adds margins inside one link, with
segment weight 4 and a token factor of 0.1. The variant `paper` goes halfway: one link for answers, whose segments and
tokens count as in the code, and one for the picture, each weighted 1; the paper also weighs its parts for the response,
its segments and its tokens apart. In the code the reference's log-probability under the noised picture is multiplied by
the sum of the token weights, by a slip of shapes; here it is weighted token by token, like the policy's. Changed tokens
are found in the answers alone, in the code in prompt and answer together: there one or two equal tokens at the start
count as unchanged, and difflib's rule for long sequences sets in earlier.
"""

from boresight.media.transforms import diffusion_noise
from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.objectives import KlMargin, Margin, Objective, pairwise, view
from boresight.training.spec import Data, Method, Stage
from boresight.training.token_weights import ChangedTokens

NOISED = view("chosen", "noised")
INPUTS = {"noised": diffusion_noise.MEMBER(step=500)}
STAGES = (Stage(name="dpo", learning_rate=5e-7, epochs=1, batch_items=32, warmup=0.03, max_grad_norm=20.0, frozen=()),)
DATA = Data(
    construction="segment_correction",
    texts={"chosen": "the answer as people corrected it", "rejected": "the model's own answer"},
)
WEIGHTS = ChangedTokens(weight=4.0, min_match_tokens=3, pure_edits=False)
TOKENS = KlMargin(better=CHOSEN, worse=REJECTED, factor=0.1)

MEMBER = Method(
    inputs=INPUTS,
    objective=Objective(
        (pairwise(CHOSEN, REJECTED, beta=0.1, plus=(Margin(better=CHOSEN, worse=NOISED), TOKENS)),),
    ),
    token_weights=WEIGHTS,
    stages=STAGES,
    data=DATA,
)
VARIANTS = {
    "paper": Method(
        inputs=INPUTS,
        objective=pairwise(CHOSEN, REJECTED, beta=0.1, plus=(TOKENS,)) + pairwise(CHOSEN, NOISED, beta=0.1),
        token_weights=WEIGHTS,
        stages=STAGES,
        data=DATA,
    )
}
