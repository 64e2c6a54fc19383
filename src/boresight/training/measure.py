"""How much a policy prefers the chosen answers of held-out pairs, with their pictures and without."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from boresight.models.policy import Policy
from boresight.objectives import view
from boresight.scoring import Margin, Ratio, preferences
from boresight.training.forest import plan
from boresight.training.items import Item, ItemEncoder
from boresight.training.preflight import blanked

_VIEWS = (view("chosen"), view("rejected"))


@torch.no_grad()
def margins(policy: Policy, items: Sequence[Item], encoder: ItemEncoder, *, shared: bool = True) -> list[Margin]:
    """By how many nats each pair's chosen answer is more likely than its rejected one."""
    was_training = policy.training
    policy.eval()
    found = []
    try:
        for item in items:
            forest = plan(_VIEWS, [item], encoder)
            table = forest.gather(_VIEWS, policy(forest.rows, shared=shared))
            chosen, rejected = (float(table[v].policy.sum()) for v in _VIEWS)
            found.append(Margin(item_id=item.id, group=item.record.id, margin=chosen - rejected))
    finally:
        policy.train(was_training)
    return found


def preference_ratios(
    policy: Policy, items: Sequence[Item], encoder: ItemEncoder, *, shared: bool = True
) -> dict[str, Ratio]:
    """Margin and preference accuracy on pairs; names ending in `@null` are with the pictures blanked."""
    ratios = dict(preferences(margins(policy, items, encoder, shared=shared)))
    seeing = [item for item in items if item.record.media]
    if seeing:
        blind = dataclasses.replace(encoder, pictures=blanked(encoder.pictures))
        without = preferences(margins(policy, seeing, blind, shared=shared))
        ratios |= {f"{name}@null": ratio for name, ratio in without.items()}
    return ratios
