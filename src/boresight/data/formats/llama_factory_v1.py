"""LLaMA-Factory, second layout: typed content and a loss weight per turn; dialogs or pairs of dialogs.

Source: hiyouga/LLaMA-Factory, src/llamafactory/v1 (data converter), data/v1_dpo_demo.jsonl.
Differs from the source: the two dialogs of a pair are stored as one shared context and two answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from boresight.data.formats._format import (
    Format,
    Place,
    column,
    dialog,
    make_record,
    make_row,
    pair,
    split_common,
    the_pair,
    the_turns,
)
from boresight.data.formats._places import Gallery, path_of
from boresight.errors import RecordError
from boresight.records import Message, Part, Record
from boresight.records.record import JsonObject, MediaKind, PartType

_MEDIA: Mapping[str, MediaKind] = {"image_url": "image", "video_url": "video", "audio_url": "audio"}
_TEXTS: Mapping[str, PartType] = {"text": "text", "tool_call": "tool_call", "reasoning": "thinking"}
_COLUMNS = {
    "messages": "messages; the last assistant turn is candidates[0]",
    "chosen_messages": "messages (common part), candidates[chosen]",
    "rejected_messages": "messages (common part), candidates[rejected]",
}


def _detect(row: JsonObject) -> bool:
    dialog = row.get("messages", row.get("chosen_messages", row.get("rejected_messages")))
    return isinstance(dialog, list) and bool(dialog) and all(_is_turn(turn) for turn in dialog)


def _is_turn(turn: Any) -> bool:
    content = turn.get("content") if isinstance(turn, Mapping) else None
    return isinstance(content, list) and all(isinstance(p, Mapping) and {"type", "value"} <= set(p) for p in content)


def _to_record(row: JsonObject, place: Place) -> Record:
    gallery = Gallery()
    if "messages" in row:
        fields = dialog(_dialog(row, "messages", gallery))
    else:
        context, chosen, rejected = split_common(
            _dialog(row, "chosen_messages", gallery), _dialog(row, "rejected_messages", gallery)
        )
        fields = {"messages": context, **pair(chosen, rejected)}
    return make_record(row, place, _COLUMNS, media=gallery.media, **fields)


def _dialog(row: JsonObject, name: str, gallery: Gallery) -> list[Message]:
    return [_message(turn, gallery) for turn in column(row, name, list)]


def _message(turn: Any, gallery: Gallery) -> Message:
    if not _is_turn(turn) or not isinstance(turn.get("role"), str):
        raise RecordError(f"a turn must be {{'role', 'content': [{{'type', 'value'}}]}}, got {turn!r:.80}.")
    unknown = [key for key in turn if key not in ("role", "content", "loss_weight")]
    if unknown:
        raise RecordError(f"a turn has the key {unknown[0]!r}, which a message cannot keep; move it to the row.")
    weight = turn.get("loss_weight")
    if weight is not None and (not isinstance(weight, (int, float)) or isinstance(weight, bool)):
        raise RecordError(f"loss_weight must be a number, got {weight!r:.40}.")
    parts = tuple(_part(entry["type"], entry["value"], gallery) for entry in turn["content"])
    return Message(role=turn["role"], parts=parts, loss_weight=None if weight is None else float(weight))


def _part(type: Any, value: Any, gallery: Gallery) -> Part:
    if type in _MEDIA:
        return Part(type="media", media=gallery.add(_MEDIA[type], value))
    if type not in _TEXTS:
        raise RecordError(f"content of type {type!r}; expected one of {', '.join([*_TEXTS, *_MEDIA])}.")
    if not isinstance(value, str):
        raise RecordError(f"content of type {type!r} must hold text, got {value!r:.60}.")
    return Part(type=_TEXTS[type], text=value)


def _from_record(record: Record) -> dict[str, Any]:
    if record.task == "preference":
        chosen, rejected = the_pair(record)
        fields = {
            "chosen_messages": _turns((*record.messages, *chosen.messages), record),
            "rejected_messages": _turns((*record.messages, *rejected.messages), record),
        }
    else:
        fields = {"messages": _turns(the_turns(record), record)}
    return make_row(record, _COLUMNS, fields)


def _turns(messages: Sequence[Message], record: Record) -> list[dict[str, Any]]:
    return [_turn(message, record) for message in messages]


def _turn(message: Message, record: Record) -> dict[str, Any]:
    weight = {} if message.loss_weight is None else {"loss_weight": message.loss_weight}
    return {"role": message.role, "content": [_entry(part, record) for part in message.parts], **weight}


def _entry(part: Part, record: Record) -> dict[str, Any]:
    if part.type == "media":
        medium = record.medium(part.media or "")
        if medium.kind == "frames":
            return {"type": "video_url", "value": list(medium.frames)}
        return {"type": f"{medium.kind}_url", "value": path_of(medium)}
    for name, type in _TEXTS.items():
        if part.type == type:
            return {"type": name, "value": part.text or ""}
    raise RecordError(f"this layout has no parts of type {part.type!r}. Use --format boresight.")


MEMBER = Format(
    name="llama_factory_v1",
    summary="LLaMA-Factory v1 rows: typed content with loss weights, dialogs or pairs",
    columns=_COLUMNS,
    required=("chosen_messages", "rejected_messages"),
    container="jsonl",
    detect=_detect,
    to_record=_to_record,
    from_record=_from_record,
)
