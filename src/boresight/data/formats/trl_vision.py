"""TRL, vision rows: turns with typed content, and a column of images.

Source: huggingface/trl, docs/source/dataset_formats.md, "Vision datasets".
Differs from the source: a prompt without image places gets all images before its first user text, as TRL's collator
does, but any other difference between places and images is refused; images written into the content are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from boresight.data.formats import _trl as trl
from boresight.data.formats._format import Format, Place
from boresight.data.formats._places import Gallery, path_of
from boresight.errors import RecordError
from boresight.records import Media, Message, Part, Record
from boresight.records.record import JsonObject

_COLUMNS = {
    **trl.COLUMNS,
    "images": "media, kind image, placed by {'type': 'image'}",
    "image": "media[0], kind image",
}


def _detect(row: JsonObject) -> bool:
    sides = [row[name] for name in trl.SIDES if name in row]
    if not sides or not all(isinstance(side, str) or trl.is_dialog(side) for side in sides):
        return False
    typed = any(isinstance(turn["content"], list) for side in sides if isinstance(side, list) for turn in side)
    return (typed or "images" in row or "image" in row) and trl.is_told(row, _COLUMNS)


def _to_record(row: JsonObject, place: Place) -> Record:
    reader = _Reader(row)
    return trl.read(row, place, reader.side, columns=_COLUMNS, media=reader.media)


class _Reader:
    """Reads the sides of one row and deals its images out to the places."""

    def __init__(self, row: JsonObject) -> None:
        self._images = _images(row)
        self._gallery = Gallery()
        self._places = 0
        sides = [row.get(name) for name in trl.SIDES]
        self._is_placed = any(_has_place(turn) for side in sides if isinstance(side, list) for turn in side)

    def side(self, name: str, value: Any) -> list[Message]:
        if isinstance(value, str):
            value = [{"role": "user" if name == "prompt" else "assistant", "content": value}]
        elif not trl.is_dialog(value):
            raise RecordError(f"column {name!r} must be text or a list of turns, got {value!r:.60}.")
        return [self._turn(turn) for turn in value]

    def media(self) -> tuple[Media, ...]:
        if self._places != len(self._images):
            raise RecordError(
                f"the turns have {self._places} image places, the row lists {len(self._images)} images; "
                "make them as many."
            )
        return self._gallery.media

    def _turn(self, turn: Mapping[str, Any]) -> Message:
        unknown = [key for key, value in turn.items() if key not in ("role", "content") and value is not None]
        if unknown:
            raise RecordError(f"a turn has the key {unknown[0]!r}, which a message cannot keep; move it to the row.")
        content = turn["content"]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if not isinstance(content, list) or not all(isinstance(block, Mapping) for block in content):
            raise RecordError(f"content must be text or a list of blocks, got {content!r:.60}.")
        parts = tuple(self._part(block) for block in content)
        if turn["role"] == "user" and not self._is_placed and not self._places:
            parts = (*(self._place() for _ in self._images), *parts)
        return Message(role=turn["role"], parts=parts)

    def _part(self, block: Mapping[str, Any]) -> Part:
        present = {key: value for key, value in block.items() if value is not None}
        kind = present.pop("type", None)
        if kind == "text" and set(present) == {"text"} and isinstance(present["text"], str):
            return Part(type="text", text=present["text"])
        if kind == "image" and not present:
            return self._place()
        if kind == "image" and len(present) == 1:
            (inline,) = present.values()
            self._images.insert(self._places, inline)
            return self._place()
        raise RecordError(f"a block of content must be text or an image, got {dict(block)!r:.80}.")

    def _place(self) -> Part:
        number = self._places
        self._places += 1
        if number >= len(self._images):
            return Part(type="media")  # `media` refuses the row with both counts
        return Part(type="media", media=self._gallery.add("image", self._images[number]))


def _images(row: JsonObject) -> list[Any]:
    if row.get("images") is not None and row.get("image") is not None:
        raise RecordError("the row has both 'image' and 'images'; keep one.")
    if row.get("image") is not None:
        return [row["image"]]
    images = row.get("images", [])
    if not isinstance(images, list):
        raise RecordError(f"column 'images' must be a list, got {type(images).__name__}; write [path].")
    return list(images)


def _has_place(turn: Any) -> bool:
    content = turn.get("content") if isinstance(turn, Mapping) else None
    return isinstance(content, list) and any(isinstance(b, Mapping) and b.get("type") == "image" for b in content)


def _from_record(record: Record) -> dict[str, Any]:
    images: list[str] = []

    def write_side(name: str, messages: Sequence[Message]) -> list[dict[str, Any]]:
        return [
            {"role": message.role, "content": [_block(part, record, images) for part in message.parts]}
            for message in messages
        ]

    return trl.write(record, write_side, columns=_COLUMNS, more=lambda: {"images": images})


def _block(part: Part, record: Record, images: list[str]) -> dict[str, Any]:
    if part.type == "text":
        return {"type": "text", "text": part.text or ""}
    medium = record.medium(part.media or "") if part.type == "media" else None
    if medium is None or medium.kind != "image":
        what = part.type if medium is None else medium.kind
        raise RecordError(f"this layout holds text and images, not {what!r}. Use --format boresight.")
    images.append(path_of(medium))
    return {"type": "image"}


MEMBER = Format(
    name="trl_vision",
    summary="TRL rows with images: typed content and a column 'images'",
    columns=_COLUMNS,
    required=("prompt", "chosen", "rejected", "images"),
    container="jsonl",
    detect=_detect,
    to_record=_to_record,
    from_record=_from_record,
)
