"""How much each answer token counts in a reward, from what the data say about the answer."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from boresight.records import Message, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer as tokens, with what was said about it."""

    ids: Sequence[int]
    pieces: Sequence[str]
    """Text of each token; joined they are the answer as the model sees it."""
    messages: tuple[Message, ...]
    spans: tuple[Span, ...] = ()


class TokenWeights(Protocol):
    """Gives every token of an item's answers its weight; an answer that is left out counts evenly."""

    def __call__(self, answers: Mapping[str, Answer]) -> Mapping[str, list[float]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedTokens:
    """Tokens that differ between the chosen and the rejected answer count `weight`, all others `unchanged`.

    Source: Yu et al. 2023 (RLHF-V), arXiv:2312.00849, Eq. 5; its code, RLHF-V/RLAIF-V@83d917b, utils/diff_lib.py, which
    is given prompt and answer in one: a short run of equal tokens at the start then joins the prompt's.
    """

    weight: float = 5.0
    unchanged: float = 1.0
    min_match_tokens: int = 1
    """Shorter runs of equal tokens between two changes count as changed."""
    pure_edits: bool = True
    """Whether a change counts that only inserts or only deletes."""

    def __call__(self, answers: Mapping[str, Answer]) -> Mapping[str, list[float]]:
        if not {"chosen", "rejected"} <= answers.keys():
            return {}
        chosen, rejected = answers["chosen"].ids, answers["rejected"].ids
        weights = {"chosen": [self.unchanged] * len(chosen), "rejected": [self.unchanged] * len(rejected)}
        for old, new in self._changes(rejected, chosen):
            if self.pure_edits or (len(old) and len(new)):
                for text, span in (("rejected", old), ("chosen", new)):
                    weights[text][span.start : span.stop] = [self.weight] * len(span)
        return weights

    def _changes(self, old: Sequence[int], new: Sequence[int]) -> list[tuple[range, range]]:
        """What lies between the runs of equal tokens."""
        blocks = difflib.SequenceMatcher(None, old, new).get_matching_blocks()
        kept = [b for b in blocks[:-1] if b.size >= self.min_match_tokens] + blocks[-1:]
        changes = []
        old_end = new_end = 0
        for block in kept:
            changes.append((range(old_end, block.a), range(new_end, block.b)))
            old_end, new_end = block.a + block.size, block.b + block.size
        return changes


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedSpans:
    """Tokens within a candidate's spans count what the span says, all others `outside`."""

    outside: float = 0.0

    def __call__(self, answers: Mapping[str, Answer]) -> Mapping[str, list[float]]:
        found = {}
        for text, answer in answers.items():
            places = _places(answer)
            weights = [self.outside] * len(answer.ids)
            for span in answer.spans:
                start = _part_start(answer.messages, span)
                for token, (first, last) in enumerate(places):
                    if first < start + span.end and start + span.start < last:
                        weights[token] = 1.0 if span.weight is None else span.weight
            found[text] = weights
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsOfType:
    """Only tokens of message parts of one type count; an answer without such parts counts evenly."""

    type: Literal["thinking", "text"] = "thinking"

    def __call__(self, answers: Mapping[str, Answer]) -> Mapping[str, list[float]]:
        found = {}
        for text, answer in answers.items():
            ranges = _ranges_of_parts(answer.messages, self.type)
            if ranges:
                overlaps = [any(a < stop and start < b for start, stop in ranges) for a, b in _places(answer)]
                found[text] = [float(inside) for inside in overlaps]
        return found


def _places(answer: Answer) -> list[tuple[int, int]]:
    """Where each token lies in the answer's text, counted in characters; before it for what the template adds."""
    text, whole = _text(answer.messages), "".join(answer.pieces)
    start = -max(0, whole.find(text.strip())) + len(text) - len(text.lstrip())
    places = []
    for piece in answer.pieces:
        places.append((start, start + len(piece)))
        start += len(piece)
    return places


def _text(messages: tuple[Message, ...]) -> str:
    return "".join(part.text or "" for message in messages for part in message.parts)


def _part_start(messages: tuple[Message, ...], span: Span) -> int:
    before = [p for m in messages[: span.message] for p in m.parts]
    before += list(messages[span.message].parts[: span.part])
    return sum(len(p.text or "") for p in before)


def _ranges_of_parts(messages: tuple[Message, ...], type: str) -> list[tuple[int, int]]:
    ranges, start = [], 0
    for part in (p for m in messages for p in m.parts):
        stop = start + len(part.text or "")
        if part.type == type and stop > start:
            ranges.append((start, stop))
        start = stop
    return ranges
