"""Before and after, side by side: which items are shown, and how their claims are marked.

Items are drawn by a hash of their id from each kind of change, so that the page shows failures as readily as successes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from boresight.errors import MediaError
from boresight.media.resolver import Resolver
from boresight.reports.stored import Claim, Response
from boresight.reports.text import shorten
from boresight.scoring.results import BASE

PER_KIND = 6
_MAX_CHARS = 3_000
_MAX_CLAIMS = 400  # per response; what lies beyond is shown unmarked
_MAX_PICTURE_BYTES = 1_000_000  # with 24 cards the page stays below 32 MB of base64
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}

KINDS: Mapping[str, str] = {
    "improved": "fewer false claims and no fewer true ones, or more true claims and no more false ones",
    "worse": "more false claims and no more true ones, or fewer true claims and no fewer false ones",
    "mixed": "more of both, or fewer of both",
    "unchanged": "as many false and as many true claims",
    "unjudged": "no claims are stored for one of the two",
}
_SEVERITY = {"false": 2, "true": 1, "off_topic": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of a response under one verdict."""

    text: str
    verdict: str | None
    claim: str
    is_end: bool
    """True where the claim's symbol goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One run's response on a card."""

    run: str
    segments: tuple[Segment, ...]
    num_true: int
    num_false: int
    num_off_topic: int
    num_tokens: int | None
    num_cut_chars: int
    is_empty: bool
    is_judged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One item with every run's response."""

    item_id: str
    kind: str
    prompt: str
    picture: str | None
    """A data address."""
    picture_note: str
    """Why there is no picture."""
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The chosen items and what they were chosen from."""

    run: str
    """The run that is compared with the base."""
    cards: tuple[Card, ...]
    totals: Mapping[str, int]
    """Items of each kind, shown or not."""
    shown: Mapping[str, int]


def gallery(
    folder: Path, responses: Mapping[str, Mapping[str, Response]], order: Sequence[str], run: str | None
) -> Gallery | None:
    """A gallery that compares `run` with the base, or None when there is nothing to compare.

    Args:
        order: All runs, as columns from left to right.
    """
    others = [name for name in order if name in responses and name != BASE]
    if BASE not in responses or not others:
        return None
    run = run if run in others else others[0]
    kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for item_id in responses[BASE].keys() & responses[run].keys():
        kinds[kind_of(responses[BASE][item_id], responses[run][item_id])].append(item_id)
    picked = {kind: sorted(ids, key=_by_hash)[:PER_KIND] for kind, ids in kinds.items() if ids}
    columns = [BASE, *others]
    cards = [_card(folder, responses, columns, id, kind) for kind, ids in picked.items() for id in ids]
    return Gallery(
        run=run,
        cards=tuple(cards),
        totals={kind: len(ids) for kind, ids in kinds.items() if ids},
        shown={kind: len(ids) for kind, ids in picked.items()},
    )


def kind_of(before: Response, after: Response) -> str:
    """How a response changed, by its numbers of distinct true and false claims."""
    if before.claims is None or after.claims is None:
        return "unjudged"
    gain = after.count("true") - before.count("true")
    harm = after.count("false") - before.count("false")
    if gain == 0 and harm == 0:
        return "unchanged"
    if gain >= 0 and harm <= 0:
        return "improved"
    return "worse" if gain <= 0 and harm >= 0 else "mixed"


def segments(text: str, claims: Sequence[Claim]) -> tuple[Segment, ...]:
    """The text cut at claim borders. Where claims overlap, a false one wins, then a true one, then the shorter."""
    spans = [claim for claim in claims[:_MAX_CLAIMS] if claim.start < min(claim.end, len(text))]
    borders = sorted({0, len(text), *(c.start for c in spans), *(min(c.end, len(text)) for c in spans)})
    pieces: list[tuple[str, Claim | None]] = []
    for start, end in pairwise(borders):
        over = [claim for claim in spans if claim.start <= start and claim.end >= end]
        top = max(over, key=lambda c: (_SEVERITY[c.verdict], c.start - c.end), default=None)
        if pieces and pieces[-1][1] is top:
            pieces[-1] = (pieces[-1][0] + text[start:end], top)
        else:
            pieces.append((text[start:end], top))
    last = {id(claim): index for index, (_, claim) in enumerate(pieces)}
    return tuple(
        Segment(
            text=piece,
            verdict=claim.verdict if claim else None,
            claim=claim.claim if claim else "",
            is_end=last[id(claim)] == index,
        )
        for index, (piece, claim) in enumerate(pieces)
    )


def _by_hash(item_id: str) -> bytes:
    return hashlib.sha256(item_id.encode("utf-8", "surrogatepass")).digest()


def _card(
    folder: Path,
    responses: Mapping[str, Mapping[str, Response]],
    order: Sequence[str],
    item_id: str,
    kind: str,
) -> Card:
    base = responses[BASE][item_id]
    picture, note = _picture(folder, base.image)
    columns = [_column(run, responses[run][item_id]) for run in order if item_id in responses[run]]
    return Card(
        item_id=item_id,
        kind=kind,
        prompt=shorten(base.prompt, _MAX_CHARS)[0],
        picture=picture,
        picture_note=note,
        columns=tuple(columns),
    )


def _column(run: str, response: Response) -> Column:
    text, num_cut = shorten(response.response, _MAX_CHARS)
    return Column(
        run=run,
        segments=segments(text, response.claims or ()),
        num_true=response.count("true"),
        num_false=response.count("false"),
        num_off_topic=response.count("off_topic"),
        num_tokens=response.num_tokens,
        num_cut_chars=num_cut,
        is_empty=not response.response.strip(),
        is_judged=response.claims is not None,
    )


def _picture(folder: Path, path: str | None) -> tuple[str | None, str]:
    if path is None:
        return None, "no picture"
    try:
        data = Resolver(root=folder, max_bytes=_MAX_PICTURE_BYTES).read(path)
    except MediaError as error:
        return None, f"picture not shown: {error}"
    for signature, mime in _SIGNATURES.items():
        if data.startswith(signature):
            return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}", ""
    return None, f"picture not shown: {path!r} is neither PNG nor JPEG"
