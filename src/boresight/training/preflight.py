"""Proof, on the first items and before any long work, that training would not be silently wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from boresight.errors import BoresightError, PreflightError
from boresight.media.transforms import null
from boresight.models import families
from boresight.models.policy import Answered, Policy
from boresight.objectives import View
from boresight.records import Media
from boresight.training.forest import Forest, plan
from boresight.training.items import Item, ItemEncoder, Pictures

_MAX_DIFFERENCE_NATS = {"float64": 1e-9, "float32": 2e-4, "bfloat16": 0.15, "float16": 0.03}  # per token, by rounding
_BLIND_NATS = 1e-9  # blank and real pictures run the same kernels: equal inputs give exactly equal outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What the checks found."""

    shared: bool
    """Whether answers may share their prompt's computation."""
    difference_nats: float | None
    """Largest difference of a token's log-probability between shared and separate rows."""
    media_effect_nats: float | None
    """Largest change of a token's log-probability when pictures are blanked; None without pictures."""
    notes: tuple[str, ...] = ()


@torch.no_grad()
def preflight(
    policy: Policy,
    views: Sequence[View],
    items: Sequence[Item],
    encoder: ItemEncoder,
    *,
    precision: str,
    share: Literal["auto", "required", "never"] = "auto",
) -> Preflight:
    """Check the first items.

    Two things are proved: answers that share a prompt score as they do alone, one row at a time with the model's
    own attention (so masks, positions and the assignment of media to rows are right); and blanking the pictures
    changes some log-probability (so the model is not trained blind).

    Raises:
        PreflightError: If a picture changes nothing, or sharing is required and differs.
    """
    was_training = policy.training
    policy.eval()
    try:
        forest = plan(views, items, encoder)
        alone = torch.cat([policy([_single(row, answer)], shared=False) for row, answer in _answers(forest)])
        _check_finite(alone, items)
        effect = _media_effect(policy, views, items, encoder)
        difference, reason = _sharing_difference(policy, forest, alone, precision)
    finally:
        policy.train(was_training)
    if share == "required" and reason:
        raise PreflightError(f"answers cannot share their prompt: {reason}. Use --set run.share=auto.")
    notes = (f"every answer is computed in a row of its own: {reason}",) if reason and share != "never" else ()
    return Preflight(
        shared=reason is None and share != "never",
        difference_nats=difference,
        media_effect_nats=effect,
        notes=notes,
    )


def _sharing_difference(
    policy: Policy, forest: Forest, alone: Float[Tensor, " scored"], precision: str
) -> tuple[float | None, str | None]:
    """Largest difference (nats), and why sharing is off, if it is."""
    reason = families.why_not_shared(policy.config)
    if reason:
        return None, reason
    try:
        together = policy(forest.rows, shared=True)
    except (BoresightError, RuntimeError, TypeError, ValueError) as error:
        return None, f"the model refused a shared row ({type(error).__name__}: {str(error).splitlines()[0][:200]})"
    difference = float((together - alone).abs().max())
    limit = _MAX_DIFFERENCE_NATS[precision]
    if not difference <= limit:
        return difference, f"shared and separate log-probabilities differ by {difference:.2g} nats (limit {limit:.2g})"
    return difference, None


def _media_effect(policy: Policy, views: Sequence[View], items: Sequence[Item], encoder: ItemEncoder) -> float | None:
    seeing = [item for item in items if item.media(next(iter(item.texts)))]
    if not seeing:
        return None
    blank = dataclasses.replace(encoder, pictures=blanked(encoder.pictures))
    largest = 0.0
    for row, unseen in zip(_answers(plan(views, seeing, encoder)), _answers(plan(views, seeing, blank)), strict=True):
        change = policy([_single(*row)], shared=False) - policy([_single(*unseen)], shared=False)
        largest = max(largest, float(change.abs().max()))
    if largest <= _BLIND_NATS:
        raise PreflightError(
            f"blanking the pictures of the first {len(seeing)} items changes no log-probability: the model would be "
            "trained blind. Check that its processor and its image tower belong together."
        )
    return largest


def blanked(pictures: Pictures) -> Pictures:
    """The same pictures with nothing on them, of the same size."""
    empty: Callable[..., Image.Image] = null.MEMBER()

    def read(medium: Media) -> Image.Image:
        return empty(pictures(medium), seed=0)

    return read


def _check_finite(logps: Float[Tensor, " scored"], items: Sequence[Item]) -> None:
    if not bool(torch.isfinite(logps).all()):
        names = ", ".join(item.id for item in items)
        raise PreflightError(
            f"the model gives log-probabilities that are not finite for {names} before any training. "
            "Its weights or its precision are at fault."
        )


def _single(row: Answered, answer: Tensor) -> Answered:
    return Answered(row.prompt, (answer,))


def _answers(forest: Forest) -> list[tuple[Answered, Tensor]]:
    return [(row, answer) for row in forest.rows for answer in row.answers]
