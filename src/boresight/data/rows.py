"""Rows of a data file, one at a time; a damaged row is a row with a fault, never the end of the file.

JSON Lines, a JSON array, and Parquet. The container is told by its bytes, not by its name. Row numbers count
from 1: the line in JSON Lines, the element in an array, the row in Parquet.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from boresight.errors import InputError, RecordError
from boresight.records.codec import plain_json

MAX_ROW_BYTES = 16 << 20  # the longest public row is below 1 MB; 16 MiB stops a file that is one endless line
RAW_CHARS = 2_000
"""How much of a bad row's text is kept."""

_READ_BYTES = 1 << 20
_DATA_SUFFIXES = (".jsonl", ".json", ".parquet")
_SIDE_FILES = ("dataset_info.json", "dataset_infos.json", "meta.json", "manifest.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as it was found."""

    source: str
    """Name of the file."""
    number: int
    value: Mapping[str, Any] = field(default_factory=dict)
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    """Media that were inside the file, by sha256; the value refers to them as `{"sha256", "path"}`."""
    fault: str | None = None
    """Why the row cannot be read; then `value` is empty."""
    raw: str = ""
    """The row's text, cut."""


def data_files(source: Path) -> list[Path]:
    """The data files of a source: the file itself, or what a folder holds.

    Raises:
        InputError: If there is none, or if it is not clear which one is meant.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"no file or folder {str(source)!r}; check the path.")
    found = sorted(
        path
        for folder in (source, source / "data")
        if folder.is_dir()
        for path in folder.iterdir()
        if path.suffix in _DATA_SUFFIXES and path.name not in _SIDE_FILES and path.is_file()
    )
    if not found:
        raise InputError(f"{str(source)!r} holds no {', '.join(_DATA_SUFFIXES)} file; name the data file itself.")
    if len(found) > 1 and {path.suffix for path in found} != {".parquet"}:
        listed = ", ".join(path.name for path in found[:6])
        raise InputError(f"{str(source)!r} holds {len(found)} data files ({listed}); name the one that is meant.")
    return found


def read_rows(path: Path) -> Iterator[Row]:
    """All rows of one file, in order.

    Raises:
        InputError: If the file holds no rows at all, or is none of the three containers.
    """
    with path.open("rb") as file:
        head = file.read(64).removeprefix(codecs.BOM_UTF8).lstrip()
    if head.startswith(b"PAR1"):
        return _parquet_rows(path)
    if head.startswith((b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd")):
        raise InputError("the file is compressed; unpack it first.", source=path.name)
    return _array_rows(path) if head.startswith(b"[") else _line_rows(path)


def decode_json(text: str) -> dict[str, Any]:
    """One JSON object, strictly: no repeated key, no NaN, no deep nesting.

    Raises:
        RecordError: With what was found.
    """
    try:
        value = json.loads(text, **_STRICT)
    except json.JSONDecodeError as error:
        raise RecordError(f"not valid JSON: {error.msg} at character {error.pos}. Repair or drop it.") from None
    except RecursionError:
        raise RecordError("the JSON nests too deeply; flatten it.") from None
    except ValueError as error:  # a number with more digits than Python converts
        raise RecordError(f"not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise RecordError(f"expected a JSON object, got {type(value).__name__}; one row is one object.")
    plain_json(value, "the row")  # refuses what nests too deeply for everything downstream
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RecordError(f"the key {twice!r} appears twice in one object; keep one.")
    return out


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise RecordError(f"the number {text} is not finite; write null when it is unknown.")
    return value


_STRICT: dict[str, Any] = {"object_pairs_hook": _unique, "parse_constant": _finite, "parse_float": _finite}


def _line_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_ROW_BYTES + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if len(line) > MAX_ROW_BYTES:
                raw = line[:RAW_CHARS].decode("utf-8", "replace")
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_ROW_BYTES)
                yield Row(source=path.name, number=number, raw=raw, fault=_too_long())
            elif line.strip():
                yield _text_row(path.name, number, line)


def _text_row(source: str, number: int, line: bytes) -> Row:
    raw = line[: 4 * RAW_CHARS].decode("utf-8", "replace").strip()[:RAW_CHARS]
    try:
        return Row(source=source, number=number, value=decode_json(line.decode("utf-8")), raw=raw)
    except UnicodeDecodeError as error:
        fault = f"byte {error.start} is not UTF-8; convert the file to UTF-8."
    except RecordError as error:
        fault = error.reason
    return Row(source=source, number=number, raw=raw, fault=fault)


def _array_rows(path: Path) -> Iterator[Row]:
    """Elements of a top-level array. After a syntax error the rest cannot be told apart, and is not guessed."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        array = _ArrayText(file)
        array.take("[")
        number = 0
        while not array.take("]"):
            number += 1
            try:
                if number > 1 and not array.take(","):
                    raise RecordError("expected ',' or ']' before this row")
                element = array.element()
            except RecordError as error:
                fault = f"{error.reason}; the rest of the file is unread. Repair the file."
                yield Row(source=path.name, number=number, raw=array.ahead(), fault=fault)
                return
            yield _text_row(path.name, number, element.encode("utf-8", "surrogateescape"))


class _ArrayText:
    """The text of a JSON array, cut into its elements while little more than one of them is held."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._decoder = json.JSONDecoder()  # finds where an element ends; `decode_json` judges what is in it

    def take(self, character: str) -> bool:
        """Step over the character if it comes next, after blanks."""
        self._skip_blanks()
        taken = self._text.startswith(character, self._at)
        self._at += len(character) if taken else 0
        return taken

    def element(self) -> str:
        """The text of the next element; reads on until it is complete."""
        self._skip_blanks()
        while True:
            try:
                _, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > MAX_ROW_BYTES:
                    raise RecordError(_too_long()) from None
                more = self._file.read(max(_READ_BYTES, len(self._text)))  # doubling keeps the re-reading linear
                if not more:
                    raise RecordError(f"not valid JSON: {error.msg}") from None
                self._text, self._at = self._text[self._at :] + more, 0
            except RecursionError:
                raise RecordError("the JSON nests too deeply") from None
            else:
                element, self._at = self._text[self._at : end], end
                return element

    def ahead(self) -> str:
        """What comes next, cut."""
        return self._text[self._at : self._at + RAW_CHARS]

    def _skip_blanks(self) -> None:
        while True:
            while self._text[self._at : self._at + 1] in (" ", "\t", "\r", "\n"):
                self._at += 1
            if self._at < len(self._text):
                return
            self._text, self._at = self._file.read(_READ_BYTES), 0
            if not self._text:
                return


def _too_long() -> str:
    return f"the row is longer than {MAX_ROW_BYTES} bytes; split it or take the media out of it."


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"not a readable Parquet file ({_first_line(error)}).", source=path.name) from None
    number = 0
    with file:
        for batch in file.iter_batches(batch_size=64):
            for value in batch.to_pylist():
                number += 1
                yield _parquet_row(path.name, number, value)


def _parquet_row(source: str, number: int, value: dict[str, Any]) -> Row:
    """A row without its empty cells: a table cannot say "absent", so null stands for it."""
    blobs: dict[str, bytes] = {}
    plain = {key: _without_bytes(cell, blobs) for key, cell in value.items() if cell is not None}
    raw = str(plain)[:RAW_CHARS]
    try:
        plain = plain_json(plain, "the row")
    except RecordError as error:
        return Row(source=source, number=number, raw=raw, fault=error.reason)
    return Row(source=source, number=number, value=plain, blobs=blobs, raw=raw)


def _without_bytes(cell: Any, blobs: dict[str, bytes]) -> Any:
    """Embedded media become a reference by hash, so that the rest of the row is plain JSON."""
    if isinstance(cell, Mapping):
        if isinstance(cell.get("bytes"), bytes):
            sha256 = hashlib.sha256(cell["bytes"]).hexdigest()
            blobs[sha256] = cell["bytes"]
            return {"sha256": sha256, "path": cell.get("path")}
        return {key: _without_bytes(item, blobs) for key, item in cell.items()}
    return [_without_bytes(item, blobs) for item in cell] if isinstance(cell, list) else cell


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def first_values(rows: Iterable[Row], limit: int) -> list[Row]:
    """The first readable rows."""
    out: list[Row] = []
    for row in rows:
        if row.fault is None:
            out.append(row)
        if len(out) == limit:
            break
    return out
