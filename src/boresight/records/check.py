"""Rules that every record obeys before it is stored or trained on.

`check_record` raises on the first broken rule; each rule says what is wrong and what to do. The rules hold
within one record; ids across records are checked where records are collected.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from boresight.errors import RecordError
from boresight.records.record import Candidate, Media, Message, Part, Preference, Record, Span

ROLES = ("system", "user", "assistant", "tool")

# <img> and </img> are not listed: they are HTML in many honest answers, and no family counts them as places.
PLACEHOLDERS = (
    "<image>", "<video>", "<audio>", "<image-placeholder>", "<ImageHere>", "<image_soft_token>",
    "<audio_soft_token>", "<start_of_image>", "<end_of_image>", "<|image|>", "<|video|>", "<|audio|>",
    "<|image_pad|>", "<|video_pad|>", "<|audio_pad|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|audio_start|>", "<|audio_end|>", "<|audio_bos|>", "<|audio_eos|>", "<|AUDIO|>", "<|IMAGE|>",
    "<|VIDEO|>", "<|begin_of_image|>", "<|end_of_image|>", "<fake_token_around_image>", "<global-img>",
    "<IMG_CONTEXT>", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "[AUDIO]", "[BEGIN_AUDIO]",
)  # fmt: skip
"""Strings that some model family expands into media tokens: as text, a model would read one as a place."""

_PLACEHOLDER = re.compile("|".join(map(re.escape, PLACEHOLDERS)) + r"|<\|image_\d+\|>|<image_\d+>")
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")

_NEEDED_CANDIDATES = {"preference": 2, "ranking": 2, "unpaired": 1, "sft": 1, "critique": 1, "stepwise": 1}


def check_record(record: Record) -> None:
    """Raise on the first rule that the record breaks.

    Raises:
        RecordError: In one line: what is wrong, and what to do.
    """
    _check_ids(record)
    for medium in record.media:
        _check_medium(medium, record)
    _check_messages(record.messages, record, "the prompt")
    if not any(map(_says_something, record.messages)):
        raise RecordError("the prompt is empty; give it text or a medium, or drop the row.")
    for candidate in record.candidates:
        _check_candidate(candidate, record)
    _check_media_are_used(record)
    _check_task(record)
    for preference in record.preferences:
        _check_preference(preference, record)


def media_places(record: Record) -> Iterator[str]:
    """Ids of the media that parts refer to, in reading order: the prompt first, then each candidate."""
    turns = [*record.messages, *(turn for candidate in record.candidates for turn in candidate.messages)]
    for turn in turns:
        yield from (part.media for part in turn.parts if part.type == "media" and part.media is not None)


def _check_ids(record: Record) -> None:
    _check_text(record.id, "the id")
    if not record.id.strip():
        raise RecordError("the id is empty; every record needs its own.")
    for name, ids in (
        ("medium", [medium.id for medium in record.media]),
        ("candidate", [candidate.id for candidate in record.candidates]),
    ):
        repeated = [id for id, count in Counter(ids).items() if count > 1]
        if repeated:
            raise RecordError(f"{name} id {repeated[0]!r} is used twice; ids must be unique within the record.")


def _check_medium(medium: Media, record: Record) -> None:
    if medium.kind == "frames":
        if not medium.frames:
            raise RecordError(f"medium {medium.id!r} is of kind 'frames' but lists none; name one file per frame.")
    elif not medium.uri and not medium.sha256:
        raise RecordError(f"medium {medium.id!r} has neither a uri nor a sha256, so it cannot be read.")
    if medium.derived is not None:
        _known(medium.derived.source, record.media, f"medium {medium.id!r} is derived from", "medium")


def _check_messages(messages: Sequence[Message], record: Record, where: str) -> None:
    for message in messages:
        if message.role not in ROLES:
            raise RecordError(f"{where} has the role {message.role!r}; expected one of {', '.join(ROLES)}.")
        for part in message.parts:
            _check_part(part, record, where)


def _check_part(part: Part, record: Record, where: str) -> None:
    if part.type == "media":
        if part.media is None:
            raise RecordError(f"{where} has a place without a medium; name the medium or remove the place.")
        _known(part.media, record.media, f"{where} refers to", "medium")
    elif part.media is not None:
        raise RecordError(
            f"{where} has a part of type {part.type!r} that names medium {part.media!r}; use type 'media'."
        )
    if part.type in ("text", "thinking") and part.text is None:
        raise RecordError(f"{where} has a part of type {part.type!r} without text.")
    if part.text is not None:
        _check_text(part.text, where)


def _check_text(text: str, where: str) -> None:
    bad = _UNPRINTABLE.search(text)
    if bad:
        raise RecordError(
            f"{where} holds U+{ord(bad.group()):04X} at character {bad.start()}, which is not text; "
            "repair the encoding."
        )
    placeholder = _PLACEHOLDER.search(text)
    if placeholder:
        raise RecordError(
            f"{where} holds the placeholder {placeholder.group()!r} as text at character "
            f"{placeholder.start()}; media are typed parts, so remove it or write it in other words."
        )


def _check_candidate(candidate: Candidate, record: Record) -> None:
    where = f"candidate {candidate.id!r}"
    if not any(map(_says_something, candidate.messages)):
        raise RecordError(f"{where} is empty; an answer needs text. Drop the row or write the answer.")
    _check_messages(candidate.messages, record, where)
    if candidate.messages[0].role != "assistant":
        raise RecordError(f"{where} starts with the role {candidate.messages[0].role!r}; expected 'assistant'.")
    if candidate.rank is not None and candidate.rank < 1:
        raise RecordError(f"{where} has rank {candidate.rank}; ranks start at 1, the best.")
    for swap in candidate.media_map:
        _known(swap.slot, record.media, f"{where} replaces", "medium")
        _known(swap.use, record.media, f"{where} uses", "medium")
    if candidate.origin is not None and candidate.origin.parent is not None:
        _known(candidate.origin.parent, record.candidates, f"{where} was made from", "candidate")
    for span in candidate.spans:
        _check_span(span, candidate, record, where)


def _check_span(span: Span, candidate: Candidate, record: Record, where: str) -> None:
    try:
        text = candidate.messages[span.message].parts[span.part].text or ""
    except IndexError:
        raise RecordError(f"{where} has a span in message {span.message}, part {span.part}, which it lacks.") from None
    if not 0 <= span.start <= span.end <= len(text):
        raise RecordError(f"{where} has a span [{span.start}, {span.end}) outside its text of {len(text)} characters.")
    if span.media is not None:
        _known(span.media, record.media, f"{where} has a span about", "medium")


def _check_media_are_used(record: Record) -> None:
    used = set(media_places(record))
    used |= {swap.use for candidate in record.candidates for swap in candidate.media_map}
    used |= {medium.derived.source for medium in record.media if medium.derived is not None}
    for medium in record.media:
        if medium.id not in used:
            raise RecordError(
                f"medium {medium.id!r} ({medium.uri or medium.sha256 or 'frames'}) is never referred to; "
                "place it in the prompt or remove it."
            )


def _check_task(record: Record) -> None:
    needed = _NEEDED_CANDIDATES.get(record.task, 0)
    if len(record.candidates) < needed:
        raise RecordError(f"task {record.task!r} needs {needed} candidates or more, got {len(record.candidates)}.")
    if record.task == "preference" and not record.preferences:
        raise RecordError("task 'preference' needs a preference; use task 'ranking' for candidates without one.")
    if record.task == "unpaired" and any(candidate.label is None for candidate in record.candidates):
        raise RecordError("task 'unpaired' needs a label, true or false, on every candidate.")
    if record.task == "critique" and not any(candidate.critique for candidate in record.candidates):
        raise RecordError("task 'critique' needs a critique on a candidate.")
    if record.task == "stepwise" and not any(candidate.spans for candidate in record.candidates):
        raise RecordError("task 'stepwise' needs spans that mark the steps.")


def _check_preference(preference: Preference, record: Record) -> None:
    _known(preference.chosen, record.candidates, "a preference chooses", "candidate")
    _known(preference.rejected, record.candidates, "a preference rejects", "candidate")
    chosen, rejected = record.candidate(preference.chosen), record.candidate(preference.rejected)
    if _content(chosen) == _content(rejected):
        raise RecordError(
            f"chosen {chosen.id!r} and rejected {rejected.id!r} are equal (same text, same media); "
            "a pair needs two different answers. Drop the row."
        )


def _content(candidate: Candidate) -> tuple[object, ...]:
    """What a model would read: NFC text without outer blanks, tool calls, and the media in force."""
    parts = [
        (
            turn.role,
            part.type,
            unicodedata.normalize("NFC", part.text or "").strip(),
            part.media,
            str(part.data),
        )
        for turn in candidate.messages
        for part in turn.parts
    ]
    return (*parts, *sorted((swap.slot, swap.use) for swap in candidate.media_map))


def _says_something(message: Message) -> bool:
    return any(
        part.type in ("media", "tool_call", "tool_result") or (part.text or "").strip() for part in message.parts
    )


def _known(id: str, things: Sequence[Any], what: str, kind: str) -> None:
    if id not in [thing.id for thing in things]:
        known = ", ".join(repr(thing.id) for thing in things) or "none"
        raise RecordError(f"{what} {kind} {id!r}, which the record lacks; it has {known}.")
