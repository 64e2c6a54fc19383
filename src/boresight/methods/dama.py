"""DAMA: beta follows how hard the pair is for a picture-text model, and how well the batch is told apart already.

Source: Lu et al. 2025, arXiv:2502.01943; injadlu/DAMA@d60515f,
DAMA/llava/train/train_dpo.py:1252-1285.
Differs from the authors' code: the batch's factor is taken over all pairs of a step, where the code draws 80 % of them
and leaves the others out of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from boresight.methods._pieces import CHOSEN, REJECTED
from boresight.objectives import Objective, Statistic, Strength, TokenLogps, View, pairwise
from boresight.objectives.objective import State, all_present, keep, statistic_value
from boresight.objectives.rewards import reward
from boresight.objectives.strengths import SMALLEST_BETA, signal
from boresight.training.spec import Data, Method, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFactor:
    """Mean sigmoid of the step's gaps over the sigmoid of their moving average before this step."""

    decay: float = 0.9

    @property
    def name(self) -> str:
        return "batch_factor"

    @property
    def views(self) -> tuple[View, ...]:
        return (CHOSEN, REJECTED)

    def measure(self, logps: Mapping[View, TokenLogps]) -> Mapping[str, Float[Tensor, " _value"]]:
        gap = reward(CHOSEN, logps) - reward(REJECTED, logps)
        gap = keep(gap, all_present({v: logps[v].lengths for v in self.views}, self.views))
        return {"gap": gap, "sigmoid": torch.sigmoid(gap)}

    def settle(self, means: Mapping[str, float], state: State) -> tuple[float, State]:
        average = state.get("gap", 0.0)
        moved = self.decay * average + (1 - self.decay) * means["gap"]
        return means["sigmoid"] / _sigmoid(average), {"gap": moved}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAndModelAware(Strength):
    """beta * sigmoid(gap of the data) / sigmoid(its mean) * batch factor, at least `SMALLEST_BETA`."""

    signal: str = "clip_similarity"
    """Aspect on which both answers were scored against the picture."""
    mean_gap: float = 0.0482190464911681
    """Mean of the signal over the authors' data."""
    batch: BatchFactor = BatchFactor()

    @property
    def signals(self) -> tuple[str, ...]:
        return (self.signal,)

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        return (self.batch,)

    def __call__(self, beta: float, logps: Mapping[View, TokenLogps], target: View) -> Float[Tensor, " item"]:
        gap = signal(self.signal, logps, target)
        data = torch.sigmoid(gap) / _sigmoid(self.mean_gap)
        return (beta * data * statistic_value(self.batch, logps, gap)).clamp(min=SMALLEST_BETA)


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(min(-value, 700.0)))  # exp(709) is the largest that a float holds


MEMBER = Method(
    objective=Objective((pairwise(CHOSEN, REJECTED, beta=0.1, strength=DataAndModelAware()),)),
    stages=(Stage(name="dpo", learning_rate=5e-7, epochs=4, batch_items=16, frozen=()),),
    data=Data(
        construction="claim_checked_samples",
        texts={"chosen": "the own sample with fewer rejected claims", "rejected": "the own sample with more"},
    ),
)
