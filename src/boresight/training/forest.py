"""Plans which views share a prompt, and puts log-probabilities back where they belong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from boresight.models.policy import Answered
from boresight.objectives import CLEAN, TokenLogps, View
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

    @property
    def num_tokens(self) -> int:
        """Tokens computed when prompts are shared."""
        return sum(r.prompt.num_tokens + sum(map(len, r.answers)) for r in self.rows)

    def gather(
        self,
        views: Sequence[View],
        policy: Float[Tensor, " scored"],
        reference: Float[Tensor, " scored"] | None = None,
    ) -> dict[View, TokenLogps]:
        """Flat log-probabilities as one padded table per view."""
        table = {}
        for view in views:
            index, mask = self._index(view)
            index, mask = index.to(policy.device), mask.to(policy.device)
            table[view] = TokenLogps(
                policy=torch.where(mask, policy[index], 0.0),
                answer_mask=mask,
                reference=None if reference is None else torch.where(mask, reference[index], 0.0),
            )
        return table

    def _index(self, view: View) -> tuple[Int[Tensor, "item token"], Bool[Tensor, "item token"]]:
        spans = {place.item: span for place, span in self.spans() if place.view == view}
        width = max((s.stop - s.start for s in spans.values()), default=1)
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
        for trunk_views in _trunks(views, item):
            answers = tuple(encoder.answer(item, v.text) for v in trunk_views)
            rows.append(Answered(encoder.prompt(item, trunk_views[0]), answers))
            places += [Place(number, v, len(a)) for v, a in zip(trunk_views, answers, strict=True)]
    return Forest(rows=tuple(rows), places=tuple(places), num_items=len(items))


def answer_lengths(
    views: Sequence[View], items: Sequence[Item], encoder: ItemEncoder
) -> dict[View, Int[Tensor, " item"]]:
    """Answer lengths (tokens) of each view, 0 where an item lacks it; known without any forward pass."""
    return {v: torch.tensor([len(encoder.answer(i, v.text)) if _has(i, v) else 0 for i in items]) for v in views}


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
        for trunk_views in _trunks(views, item)
    )


def _trunks(views: Sequence[View], item: Item) -> list[tuple[View, ...]]:
    groups: dict[tuple[str, tuple[str, ...]], list[View]] = {}
    for view in views:
        if _has(item, view):
            shown = tuple(medium.id for medium in item.media(view.text))
            groups.setdefault((view.input, shown), []).append(view)
    return [tuple(group) for group in groups.values()]


def _has(item: Item, view: View) -> bool:
    """Whether the item has the view's text and, for an input variant, a picture to vary.

    Without a picture a variant is the prompt itself, and a pair of equal sides would count and teach nothing.
    """
    return view.text in item.texts and (view.input == CLEAN or bool(item.media(view.text)))
