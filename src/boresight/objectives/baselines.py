"""Baselines: what a log-ratio is measured against when no second answer is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from boresight.errors import UsageError
from boresight.objectives.objective import State, all_present, keep
from boresight.objectives.rewards import reward
from boresight.objectives.views import TokenLogps, View

MISMATCHED = View("mismatched")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningMean:
    """Mean log-ratio over all steps so far, this one included; every step weighs the same.

    Source: Jung et al. 2024 (BCO), arXiv:2404.04656; the average is that of `RunningMoments` in the pair loss of TRL
    0.10. TRL's `BCOTrainer` weighs steps by how many answers they hold, which is the same while all hold equally many.
    """

    of: tuple[View, ...]

    @property
    def name(self) -> str:
        return f"running_mean({','.join(map(str, self.of))})"

    @property
    def views(self) -> tuple[View, ...]:
        return self.of

    def measure(self, logps: Mapping[View, TokenLogps]) -> Mapping[str, Float[Tensor, " _value"]]:
        rewards = [keep(reward(v, logps), logps[v].present) for v in self.of]
        return {"reward": torch.cat(rewards)}

    def settle(self, means: Mapping[str, float], state: State) -> tuple[float, State]:
        steps, mean = state.get("steps", 0.0) + 1, state.get("mean", 0.0)
        mean += (means["reward"] - mean) / steps
        return mean, {"steps": steps, "mean": mean}


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchedKl:
    """How far the policy is from the reference, from answers that belong to other prompts: max(0, mean).

    Source: Ethayarajh et al. 2024 (KTO), arXiv:2402.01306.
    """

    of: View = MISMATCHED
    """An answer of another item under this item's prompt."""

    @property
    def name(self) -> str:
        return f"mismatched_kl({self.of})"

    @property
    def views(self) -> tuple[View, ...]:
        return (self.of,)

    def measure(self, logps: Mapping[View, TokenLogps]) -> Mapping[str, Float[Tensor, " _value"]]:
        return {"log_ratio": keep(reward(self.of, logps), logps[self.of].present)}

    def settle(self, means: Mapping[str, float], state: State) -> tuple[float, State]:
        return max(0.0, means["log_ratio"]), {}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanRating:
    """Mean sum of what a reward head says about a pair."""

    of: tuple[View, ...]

    @property
    def name(self) -> str:
        return f"mean_rating({','.join(map(str, self.of))})"

    @property
    def views(self) -> tuple[View, ...]:
        return self.of

    def measure(self, logps: Mapping[View, TokenLogps]) -> Mapping[str, Float[Tensor, " _value"]]:
        counted = all_present({v: logps[v].lengths for v in self.of}, self.of)
        return {"rating": keep(sum((rating(v, logps) for v in self.of), start=torch.tensor(0.0)), counted)}

    def settle(self, means: Mapping[str, float], state: State) -> tuple[float, State]:
        return means["rating"], {}


def rating(view: View, logps: Mapping[View, TokenLogps]) -> Float[Tensor, " item"]:
    """What the reward head says about each item's answer."""
    head = logps[view].head
    if head is None:
        raise UsageError(f"{view} is rated by a reward head; the model has none.")
    return head


Baseline = RunningMean | MismatchedKl
