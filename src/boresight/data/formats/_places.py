"""Placement tags: `<image>` in a layout's text is a place, in a record it is a typed part.

Tags are read and written here and nowhere else. The n-th tag of a kind stands for the n-th medium of that kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from boresight.errors import RecordError
from boresight.records import Media, Message, Part, Record
from boresight.records.record import MediaKind

COLUMNS: Mapping[str, MediaKind] = {"images": "image", "videos": "video", "audios": "audio"}
_TAG = re.compile(r"<(image|video|audio)>")


class Gallery:
    """The media of one row. The same file is one medium, however often it is placed."""

    def __init__(self) -> None:
        self._media: list[Media] = []

    @property
    def media(self) -> tuple[Media, ...]:
        """All media so far, in order of first use."""
        return tuple(self._media)

    def add(self, kind: MediaKind, value: Any) -> str:
        """The id of the medium that a layout names by a path, a list of frames, or embedded bytes.

        Raises:
            RecordError: If the value is none of these.
        """
        medium = _medium(kind, value)
        for known in self._media:
            if replace(known, id="") == medium:
                return known.id
        number = sum(known.kind == medium.kind for known in self._media)
        self._media.append(replace(medium, id=f"{medium.kind}{number}"))
        return self._media[-1].id


def _medium(kind: MediaKind, value: Any) -> Media:
    if isinstance(value, str) and value:
        return Media(id="", kind=kind, uri=value)
    if kind == "video" and isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        return Media(id="", kind="frames", frames=tuple(value))
    if isinstance(value, Mapping):
        path, sha256 = value.get("path"), value.get("sha256")
        if isinstance(sha256, str):
            return Media(id="", kind=kind, sha256=sha256, meta={"path": path} if path else {})
        if isinstance(path, str):
            return Media(id="", kind=kind, uri=path)
    found = f"{type(value).__name__} {value!r:.60}"
    raise RecordError(f"a medium must be a path or embedded bytes, got {found}.")


class TaggedText:
    """Turns text with tags into parts, and checks at the end that places and media are as many.

    Args:
        media: For each kind, what the row lists, in order.
        separator: What the layout writes between a tag and text; it is not part of the text.
    """

    def __init__(self, media: Mapping[MediaKind, Sequence[Any]], *, separator: str = "") -> None:
        self._listed = media
        self._placed: dict[MediaKind, int] = {"image": 0, "video": 0, "audio": 0}
        self._separator = separator
        self._gallery = Gallery()

    def parts(self, text: str) -> tuple[Part, ...]:
        """The text and media of one turn, in order."""
        pieces = _TAG.split(text)  # text, kind, text, kind, ..., text
        parts: list[Part] = []
        for i, piece in enumerate(pieces):
            if i % 2:
                parts.append(self._place(piece))
                continue
            if i > 0:
                piece = piece.removeprefix(self._separator)
            if i < len(pieces) - 1:
                piece = piece.removesuffix(self._separator)
            if piece:
                parts.append(Part(type="text", text=piece))
        return tuple(parts) or (Part(type="text", text=""),)

    def media(self) -> tuple[Media, ...]:
        """All media of the row, once all turns are read.

        Raises:
            RecordError: If the text has more or fewer places than the row lists media.
        """
        for kind, places in self._placed.items():
            listed = len(self._listed.get(kind, ()))
            if places != listed:
                raise RecordError(
                    f"the text has {places} <{kind}> place{'s' * (places != 1)}, the row lists {listed} "
                    f"{kind}{'s' * (listed != 1)}; make them as many."
                )
        return self._gallery.media

    def _place(self, kind: Any) -> Part:
        number = self._placed[kind]
        self._placed[kind] += 1
        listed = self._listed.get(kind, ())
        if number >= len(listed):
            return Part(type="media")  # `media` refuses the row with both counts
        return Part(type="media", media=self._gallery.add(kind, listed[number]))


class TagWriter:
    """The way back: parts as text with tags, and the media in the order of their places."""

    def __init__(self, record: Record, *, separator: str = "") -> None:
        self._record = record
        self._separator = separator
        self._listed: dict[MediaKind, list[Any]] = {"image": [], "video": [], "audio": []}

    def text(self, message: Message) -> str:
        """One turn as text with tags.

        Raises:
            RecordError: If it has a part that text cannot hold.
        """
        out: list[str] = []
        for part in message.parts:
            if part.type == "media":
                out.append(f"<{self._list(self._record.medium(part.media or ''))}>")
            elif part.type == "text":
                out.append(part.text or "")
            else:
                raise RecordError(f"this layout has no parts of type {part.type!r}. Use --format boresight.")
        return "".join(_separated(out, message.parts, self._separator))

    def columns(self) -> dict[str, list[Any]]:
        """The media columns that are not empty."""
        return {name: self._listed[kind] for name, kind in COLUMNS.items() if self._listed[kind]}

    def _list(self, medium: Media) -> str:
        kind: MediaKind = "video" if medium.kind == "frames" else medium.kind
        self._listed[kind].append(list(medium.frames) if medium.kind == "frames" else path_of(medium))
        return kind


def path_of(medium: Media) -> str:
    """What a row writes for a medium.

    Raises:
        RecordError: If the medium has no path.
    """
    if medium.uri is None:
        raise RecordError(f"medium {medium.id!r} has no path; export from a store, which writes its media to files.")
    return medium.uri


def listed_media(row: Mapping[str, Any]) -> dict[MediaKind, Sequence[Any]]:
    """The columns `images`, `videos` and `audios` of a row.

    Raises:
        RecordError: If one is not a list: a path alone would count its characters as media.
    """
    out: dict[MediaKind, Sequence[Any]] = {}
    for name, kind in COLUMNS.items():
        value = row.get(name)
        if value is not None and not isinstance(value, list):
            raise RecordError(f"column {name!r} must be a list, got {type(value).__name__}; write [path].")
        out[kind] = value or ()
    return out


def _separated(texts: Sequence[str], parts: Sequence[Part], separator: str) -> Iterable[str]:
    for i, text in enumerate(texts):
        if i and "media" in (parts[i].type, parts[i - 1].type):
            yield separator
        yield text
