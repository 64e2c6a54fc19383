"""Plans which views share a prompt, and puts log-probabilities back where they belong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from boresight.models.policy import Answered
from boresight.objectives import TokenLogps, View
from boresight.training.items import Item, ItemEncoder


@dataclass(frozen=True, slots=True)
class Place:
    """Whose answer a stretch of the flat log-probabilities is."""

    item: int
    view: View
    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """A batch of items as trunks with branches."""

    rows: tuple[Answered, ...]
    places: tuple[Place, ...]
    """One per answer, in the order in which a policy scores them."""
    num_items: int
    weights: Float[Tensor, " scored"] | None = None
    """How much each answer token counts in a reward; None counts them evenly."""
    signals: Mapping[str, Float[Tensor, " item"]] = field(default_factory=dict)

    @property
    def num_tokens(self) -> int:
        """Tokens computed when prompts are shared."""
        return sum(r.prompt.num_tokens + sum(map(len, r.answers)) for r in self.rows)

    def gather(
        self,
        views: Sequence[View],
        policy: Float[Tensor, " scored"],
        reference: Float[Tensor, " scored"] | None = None,
        *,
        kl: Float[Tensor, " scored"] | None = None,
        ratings: Float[Tensor, " answer"] | None = None,
        statistics: Mapping[str, float] | None = None,
    ) -> dict[View, TokenLogps]:
        """Flat log-probabilities as one padded table per view.

        Args:
            kl: KL(reference || policy) over the vocabulary for each answer token.
            ratings: What a reward head says about each answer, in the order of `places`.
            statistics: Numbers of the whole step, which every item carries as a signal.
        """
        table = {}
        device = policy.device
        signals = {name: values.to(device) for name, values in self.signals.items()}
        for name, number in (statistics or {}).items():
            signals[name] = torch.full((self.num_items,), number, dtype=torch.float64, device=device)
        for view in views:
            index, mask = self._index(view)
            index, mask = index.to(device), mask.to(device)
            table[view] = TokenLogps(
                policy=torch.where(mask, policy[index], 0.0),
                answer_mask=mask,
                reference=None if reference is None else torch.where(mask, reference[index], 0.0),
                weights=None if self.weights is None else torch.where(mask, self.weights.to(device)[index], 0.0),
                kl=None if kl is None else torch.where(mask, kl[index], 0.0),
                head=None if ratings is None else self._by_item(view, ratings),
                signals=signals,
            )
        return table

    def _by_item(self, view: View, ratings: Float[Tensor, " answer"]) -> Float[Tensor, " item"]:
        """0 where an item lacks the view."""
        found = {place.item: number for number, place in enumerate(self.places) if place.view == view}
        index = torch.tensor([found.get(item, -1) for item in range(self.num_items)], device=ratings.device)
        return torch.where(index >= 0, ratings[index.clamp(min=0)], 0.0)

    def _index(self, view: View) -> tuple[Int[Tensor, "item token"], Bool[Tensor, "item token"]]:
        spans = {place.item: span for place, span in self.spans() if place.view == view}
        # One width for all inputs of a text, so that terms may compare them token by token.
        width = max((place.num_tokens for place in self.places if place.view.text == view.text), default=1)
        index = torch.zeros(self.num_items, width, dtype=torch.long)
        mask = torch.zeros(self.num_items, width, dtype=torch.bool)
        for item, span in spans.items():
            length = span.stop - span.start
            index[item, :length] = torch.arange(span.start, span.stop)
            mask[item, :length] = True
        return index, mask

    def spans(self) -> Iterator[tuple[Place, slice]]:
        """Where each answer lies in the flat log-probabilities."""
        start = 0
        for place in self.places:
            yield place, slice(start, start + place.num_tokens)
            start += place.num_tokens


def plan(views: Sequence[View], items: Sequence[Item], encoder: ItemEncoder) -> Forest:
    """Group the views of each item that see the same prompt and media under one trunk.

    An item that lacks a view is left out for that view.
    """
    rows: list[Answered] = []
    places: list[Place] = []
    for number, item in enumerate(items):
        for trunk_views in _trunks(views, item, encoder):
            answers = tuple(encoder.answer(item, v.text) for v in trunk_views)
            rows.append(Answered(encoder.prompt(item, trunk_views[0]), answers))
            places += [Place(number, v, len(a)) for v, a in zip(trunk_views, answers, strict=True)]
    weights = None
    if encoder.token_weights is not None and places:
        weights = torch.cat([encoder.weights(items[p.item], p.view.text) for p in places])
    return Forest(
        rows=tuple(rows), places=tuple(places), num_items=len(items), weights=weights, signals=_signals(items)
    )


def answer_lengths(
    views: Sequence[View], items: Sequence[Item], encoder: ItemEncoder
) -> dict[View, Int[Tensor, " item"]]:
    """Answer lengths (tokens) of each view, 0 where an item lacks it; known without any forward pass."""
    return {
        v: torch.tensor([len(encoder.answer(i, v.text)) if encoder.shown(i, v) else 0 for i in items]) for v in views
    }


def micro_batches(items: Sequence[Item], tokens: Mapping[str, int], budget: int) -> Iterator[tuple[Item, ...]]:
    """Split a step's items, in order, so that each part stays within `budget` tokens (one item at least)."""
    batch: list[Item] = []
    used = 0
    for item in items:
        if batch and used + tokens[item.id] > budget:
            yield tuple(batch)
            batch, used = [], 0
        batch.append(item)
        used += tokens[item.id]
    if batch:
        yield tuple(batch)


def shared_tokens(views: Sequence[View], item: Item, prompt_tokens: int, encoder: ItemEncoder) -> int:
    """Tokens that an item costs when its prompts are shared."""
    return sum(
        prompt_tokens + sum(len(encoder.answer(item, v.text)) for v in trunk_views)
        for trunk_views in _trunks(views, item, encoder)
    )


def _trunks(views: Sequence[View], item: Item, encoder: ItemEncoder) -> list[tuple[View, ...]]:
    groups: dict[tuple[str, ...], list[View]] = {}
    for view in views:
        shown = encoder.shown(item, view)
        if shown is not None:
            groups.setdefault(shown.key, []).append(view)
    return [tuple(group) for group in groups.values()]


def _signals(items: Sequence[Item]) -> dict[str, Float[Tensor, " item"]]:
    """NaN where an item has no such number."""
    names = dict.fromkeys(name for item in items for name in item.signals)
    return {n: torch.tensor([item.signals.get(n, math.nan) for item in items], dtype=torch.float64) for n in names}
