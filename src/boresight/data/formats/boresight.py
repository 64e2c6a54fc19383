"""Boresight's own rows: one record per line, nothing lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boresight.data.formats._format import Format, Place
from boresight.records import Record, from_json, to_json
from boresight.records.record import JsonObject


def _detect(row: JsonObject) -> bool:
    turns = row.get("messages")
    typed = isinstance(turns, list) and all(isinstance(turn, Mapping) and "parts" in turn for turn in turns)
    return typed and "id" in row and "task" in row


def _to_record(row: JsonObject, place: Place) -> Record:
    return from_json(Record, row)


def _from_record(record: Record) -> dict[str, Any]:
    return to_json(record)


MEMBER = Format(
    name="boresight",
    summary="Boresight records as JSON Lines; holds everything",
    columns={name: name for name in Record.__dataclass_fields__},
    required=("id", "task", "messages"),
    container="jsonl",
    detect=_detect,
    to_record=_to_record,
    from_record=_from_record,
)
