"""OPA-DPO: true and revised answers, made likely first, before the model's own, under the picture and a masked one.

Source: Yang et al. 2025, arXiv:2501.09695; zhyang2226/OPA-DPO@db90180,
opadpo/dpo_models/dpo_trainer.py:428-475, 583-710, opadpo/utils/data_utils_sft.py:225-249.
Differs from the authors' code: the default compares and anchors whole answers, as the paper writes, and its spans'
weights, where the scores of tokens go, count in all of it. The variant `corrected` is the code token by token, without
its faults: padding is not counted, and revised answers are anchored upwards as true ones are, where the code pushes
them down. As there, each anchor counts twice and scores count only where a revised answer is compared with the own one;
its further weights, by how much a token has to do with the picture, are not read. Both take half of the mean likelihood
of true answers and half of that of revised ones in the first stage, the code one mean over the tokens of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from boresight.media.transforms import pixel_mask
from boresight.methods._pieces import CHOSEN, REJECTED, TRUTH
from boresight.models.loading import Lora
from boresight.objectives import Objective, Term, TermLoss, TokenLogps, View, anchor, nll, pairwise, view
from boresight.objectives.objective import all_present, keep
from boresight.objectives.rewards import log_ratio
from boresight.training.spec import Data, Method, Stage
from boresight.training.token_weights import MarkedSpans

MASKED = "masked"
TRUTH_MASKED, CHOSEN_MASKED = view("truth", MASKED), view("chosen", MASKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPairwise(Term):
    """DPO's loss at every position of two answers, averaged over positions that either of them has.

    1/T sum_t -log sigmoid(beta * (ratio of better at t - ratio of worse at t)), an absent token having ratio 0
    """

    better: View
    worse: View
    beta: float = 0.1
    is_scored: bool = False
    """Whether ratios are multiplied by the weights of their tokens."""
    weight: float = 1.0

    @property
    def views(self) -> tuple[View, ...]:
        return (self.better, self.worse)

    @property
    def label(self) -> str:
        return f"{self.better}>{self.worse} by token"

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        counted = all_present({v: logps[v].lengths for v in self.views}, self.views)
        width = max(logps[v].policy.shape[1] for v in self.views)
        margin = self.beta * (self._ratios(self.better, logps, width) - self._ratios(self.worse, logps, width))
        has = [_widened(logps[v].answer_mask.to(margin.dtype), width) for v in self.views]
        either = (has[0] + has[1]) > 0
        loss = torch.where(either, -F.logsigmoid(margin), 0.0).sum(dim=1) / either.sum(dim=1).clamp(min=1)
        return TermLoss(
            loss=keep(loss, counted, fill=0.0),
            metrics={f"margin/{self.label}": keep(margin.detach().sum(dim=1), counted)},
        )

    def _ratios(self, target: View, logps: Mapping[View, TokenLogps], width: int) -> Float[Tensor, "item token"]:
        values = logps[target]
        ratios = torch.where(values.answer_mask, log_ratio(target, logps), 0.0)
        return _widened(ratios * values.weights if self.is_scored and values.weights is not None else ratios, width)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnchor(Term):
    """Every token of an answer should gain on the reference: 1/T sum_t -log sigmoid(beta * ratio at t)."""

    target: View
    beta: float = 0.1
    weight: float = 1.0

    @property
    def views(self) -> tuple[View, ...]:
        return (self.target,)

    @property
    def label(self) -> str:
        return f"anchor({self.target}) by token"

    def __call__(self, logps: Mapping[View, TokenLogps]) -> TermLoss:
        values = logps[self.target]
        gained = self.beta * torch.where(values.answer_mask, log_ratio(self.target, logps), 0.0)
        loss = torch.where(values.answer_mask, -F.logsigmoid(gained), 0.0).sum(dim=1) / values.lengths.clamp(min=1)
        return TermLoss(
            loss=keep(loss, values.present, fill=0.0),
            metrics={f"reward/{self.label}": keep(gained.detach().sum(dim=1), values.present)},
        )


def _widened(values: Float[Tensor, "item _token"], width: int) -> Float[Tensor, "item token"]:
    return F.pad(values, (0, width - values.shape[1]))


def _with(objective: Objective) -> Method:
    return Method(
        inputs={MASKED: pixel_mask.MEMBER(share=0.3)},
        objective=objective,
        token_weights=MarkedSpans(outside=1.0),
        stages=(
            Stage(
                name="on_policy_sft",
                objective=0.5 * nll(TRUTH) + 0.5 * nll(CHOSEN),
                learning_rate=2e-5,
                epochs=2,
                batch_items=128,
                lora=Lora(rank=256, alpha=512.0),
            ),
            Stage(
                name="dpo", learning_rate=1e-6, epochs=4, batch_items=32, warmup=0.01, lora=Lora(rank=256, alpha=512.0)
            ),
        ),
        data=Data(
            construction="revised_own_output",
            texts={
                "truth": "the right answer",
                "chosen": "the own answer as GPT-4V revised it",
                "rejected": "the model's own answer",
            },
        ),
    )


MEMBER = _with(
    pairwise(TRUTH, REJECTED, beta=0.1)
    + pairwise(CHOSEN, REJECTED, beta=0.1)
    + 0.2 * pairwise(TRUTH, TRUTH_MASKED, beta=0.1)
    + 0.2 * pairwise(CHOSEN, CHOSEN_MASKED, beta=0.1)
    + anchor(TRUTH, beta=0.1)
    + anchor(CHOSEN, beta=0.1)
)
VARIANTS = {
    "corrected": _with(
        TokenPairwise(better=TRUTH, worse=REJECTED)
        + TokenPairwise(better=CHOSEN, worse=REJECTED, is_scored=True)
        + TokenPairwise(better=TRUTH, worse=TRUTH_MASKED, weight=0.2)
        + TokenPairwise(better=CHOSEN, worse=CHOSEN_MASKED, weight=0.2)
        + TokenAnchor(target=TRUTH, weight=2.0)
        + TokenAnchor(target=CHOSEN, weight=2.0)
    )
}
