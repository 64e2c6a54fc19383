"""TRL, conversational rows: prompt and answers are turns of text.

Source: huggingface/trl, docs/source/dataset_formats.md, "Conversational".
Differs from the source: where the prompt is implicit, the turns that both answers share become the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from boresight.data.formats import _trl as trl
from boresight.data.formats._format import Format, Place
from boresight.errors import RecordError
from boresight.records import Message, Part, Record
from boresight.records.record import JsonObject

_COLUMNS = trl.COLUMNS
_NOT_MINE = ("images", "image", "videos", "audios", "video", "audio")


def _detect(row: JsonObject) -> bool:
    sides = [row[name] for name in trl.SIDES if name in row]
    texts = all(trl.is_dialog(side) and all(isinstance(t["content"], str) for t in side) for side in sides)
    return bool(sides) and texts and trl.is_told(row, _COLUMNS) and not any(key in row for key in _NOT_MINE)


def _to_record(row: JsonObject, place: Place) -> Record:
    return trl.read(row, place, _read_side, columns=_COLUMNS)


def _read_side(name: str, value: Any) -> list[Message]:
    if not trl.is_dialog(value):
        raise RecordError(f"column {name!r} must be a list of {{'role', 'content'}}, got {value!r:.60}.")
    return [_read_turn(turn) for turn in value]


def _read_turn(turn: Any) -> Message:
    unknown = [key for key, value in turn.items() if key not in ("role", "content") and value is not None]
    if unknown:
        raise RecordError(f"a turn has the key {unknown[0]!r}, which a message cannot keep; move it to the row.")
    if not isinstance(turn["content"], str):
        raise RecordError("content is not text. Use --format trl_vision for typed content.")
    return Message(role=turn["role"], parts=(Part(type="text", text=turn["content"]),))


def _from_record(record: Record) -> dict[str, Any]:
    return trl.write(record, _write_side, columns=_COLUMNS)


def _write_side(name: str, messages: Sequence[Message]) -> list[dict[str, str]]:
    if any(part.type != "text" for message in messages for part in message.parts):
        raise RecordError(f"this layout holds only text in {name!r}. Use --format trl_vision or boresight.")
    return [{"role": message.role, "content": message.text} for message in messages]


MEMBER = Format(
    name="trl_conversational",
    summary="TRL rows of turns: preference (explicit or implicit prompt), unpaired, prompt-completion, prompt-only",
    columns=_COLUMNS,
    required=("prompt", "chosen", "rejected"),
    container="jsonl",
    detect=_detect,
    to_record=_to_record,
    from_record=_from_record,
)
