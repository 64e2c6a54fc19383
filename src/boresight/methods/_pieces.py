"""What many methods share: the usual texts, and the comparison of DPO."""

from boresight.models.loading import Lora
from boresight.objectives import Objective, pairwise, view

CHOSEN = view("chosen")
REJECTED = view("rejected")
TRUTH = view("truth")
LLAVA_LORA = Lora(rank=128, alpha=256.0, dropout=0.05)
"""The adapter of LLaVA-1.5's scripts, which most of its descendants kept."""


def preferred(beta: float = 0.1) -> Objective:
    """The chosen answer before the rejected one, as in DPO (arXiv:2305.18290, Eq. 7)."""
    return Objective((pairwise(CHOSEN, REJECTED, beta=beta),))
