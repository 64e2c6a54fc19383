"""CHiP: answer, segment, token and picture preferences in one.

Source: Fu et al. 2025, arXiv:2501.16629, and its public review, openreview 7lpDn2MhM2; LVUGAI/CHiP@e7f5193,
llava/train/llava_trainer.py:446-608.
Differs from the paper: it writes a sum of losses, the variant `paper`, while its code, the default here, adds margins
inside one link, with segment weight 4 and a token factor of 0.1. The paper's equations were not at hand, so the
variant is put together. Its review names the four parts, a weight of 1 for answers, a lambda of 3 (1 for Muffin), taken
here for segments, and 0.5 and 0.1, taken for beta and for tokens. That segments count nothing but changed tokens is
read off the code, where a changed token's weight is 1 + 3 (1 + 1 for Muffin); tokens are compared as there. In the code
the reference's log-probability under the noised picture is multiplied by the sum of the token weights, by a slip of
shapes; here it is weighted token by token, like the policy's. Changed tokens are found in the answers alone, in the
code in prompt and answer together: there one or two equal tokens at the start count as unchanged, and difflib's rule
for long sequences sets in earlier.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from boresight.media.transforms import diffusion_noise
from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.objectives import KlMargin, Margin, Objective, Term, TermLoss, TokenLogps, View, pairwise, view
from boresight.objectives.objective import all_present, keep
from boresight.training.spec import Data, Method, Stage
from boresight.training.token_weights import ChangedTokens

NOISED = view("chosen", "noised")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift(Term):
    """The policy should drift from the reference along the worse answer no further than along the better one.

    -beta * margin, see `KlMargin`
    """

    margin: KlMargin
    beta: float = 0.5
    weight: float = 1.0

    @property
    def views(self) -> tuple[View, ...]:
        return self.margin.views

    @property
    def kl_views(self) -> tuple[View, ...]:
        return self.margin.kl_views

    @property
    def label(self) -> str:
        return f"drift({self.margin.worse})"

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        counted = all_present({v: logps[v].lengths for v in self.views}, self.views)
        loss = -self.beta * self.margin(logps, "sum", needs_reference=True)
        return TermLoss(loss=keep(loss, counted, fill=0.0))


MEMBER = Method(
    inputs={"noised": diffusion_noise.MEMBER(step=500)},
    objective=Objective(
        (
            pairwise(
                CHOSEN,
                REJECTED,
                beta=0.1,
                plus=(Margin(better=CHOSEN, worse=NOISED), KlMargin(better=CHOSEN, worse=REJECTED, factor=0.1)),
            ),
        ),
    ),
    token_weights=ChangedTokens(weight=4.0, min_match_tokens=3, pure_edits=False),
    stages=(
        Stage(name="dpo", learning_rate=5e-7, epochs=1, batch_items=32, warmup=0.03, max_grad_norm=20.0, frozen=()),
    ),
    data=Data(
        construction="segment_correction",
        texts={"chosen": "the answer as people corrected it", "rejected": "the model's own answer"},
    ),
)
VARIANTS = {
    "paper": replace(
        MEMBER,
        objective=pairwise(CHOSEN, REJECTED, beta=0.5, weighs_tokens=False)
        + 3.0 * pairwise(CHOSEN, REJECTED, beta=0.5)
        + 0.1 * Drift(margin=KlMargin(better=CHOSEN, worse=REJECTED))
        + pairwise(CHOSEN, NOISED, beta=0.5, weighs_tokens=False),
        token_weights=ChangedTokens(weight=1.0, unchanged=0.0, min_match_tokens=3, pure_edits=False),
    )
}
