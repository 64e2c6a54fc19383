"""Views, terms and objectives: pure functions on tensors, usable without a trainer."""

from boresight.objectives.objective import Objective, Reduced, Term, TermLoss
from boresight.objectives.terms import Anchor, Nll, Pairwise, anchor, nll, pairwise
from boresight.objectives.views import CLEAN, TokenLogps, View, view

__all__ = [
    "CLEAN",
    "Anchor",
    "Nll",
    "Objective",
    "Pairwise",
    "Reduced",
    "Term",
    "TermLoss",
    "TokenLogps",
    "View",
    "anchor",
    "nll",
    "pairwise",
    "view",
]
