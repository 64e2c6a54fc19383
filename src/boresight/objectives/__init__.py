"""Views, terms and objectives: pure functions on tensors, usable without a trainer."""

from boresight.objectives.baselines import MISMATCHED, MismatchedKl, RunningMean
from boresight.objectives.objective import Objective, Reduced, Statistic, Term, TermLoss
from boresight.objectives.rehearsal import example_logps, rehearse
from boresight.objectives.rewards import Credited, Detached, Guided, Modified, Side
from boresight.objectives.strengths import Linear, Saturating, Strength
from boresight.objectives.terms import (
    Anchor,
    KlMargin,
    Margin,
    Nll,
    OddsRatio,
    Pairwise,
    RewardPair,
    Unpaired,
    anchor,
    nll,
    pairwise,
    unpaired,
)
from boresight.objectives.views import CLEAN, TokenLogps, View, view

__all__ = [
    "CLEAN",
    "MISMATCHED",
    "Anchor",
    "Credited",
    "Detached",
    "Guided",
    "KlMargin",
    "Linear",
    "Margin",
    "MismatchedKl",
    "Modified",
    "Nll",
    "Objective",
    "OddsRatio",
    "Pairwise",
    "Reduced",
    "RewardPair",
    "RunningMean",
    "Saturating",
    "Side",
    "Statistic",
    "Strength",
    "Term",
    "TermLoss",
    "TokenLogps",
    "Unpaired",
    "View",
    "anchor",
    "example_logps",
    "nll",
    "pairwise",
    "rehearse",
    "unpaired",
    "view",
]
