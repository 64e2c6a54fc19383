"""LLaVA dialogs, and the pair layout that POVID and CSR made of them.

Source: haotian-liu/LLaVA, docs/Finetune_Custom_Data.md; YiyangZhou/POVID and YiyangZhou/CSR, README.
Differs from the source: the newline between `<image>` and text is the layout's separator, not part of the text.
"""

from __future__ import annotations

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
from boresight.data.formats._llama_factory import is_turn, read_turn
from boresight.data.formats._places import TaggedText, TagWriter
from boresight.errors import RecordError
from boresight.records import Media, Message, Record
from boresight.records.record import JsonObject

_COLUMNS = {
    "conversations": "messages; the last gpt turn is candidates[0]",
    "rejected_conversations": "candidates[rejected]",
    "image": "media, kind image, placed by <image>",
    "video": "media, kind video, placed by <video>",
}
_NOT_MINE = ("images", "videos", "audios", "label", "kto_tag", "system", "tools")
_NAMES = {"user": "human", "assistant": "gpt", "system": "system"}


def _detect(row: JsonObject) -> bool:
    turns = row.get("conversations")
    if not isinstance(turns, list) or not turns or "chosen" in row or "rejected" in row:
        return False
    tagged = all(is_turn(turn) and "from" in turn for turn in turns)
    return tagged and not any(key in row for key in _NOT_MINE)


def _to_record(row: JsonObject, place: Place) -> Record:
    turns, media = _dialog(row, "conversations")
    if "rejected_conversations" in row:
        others, _ = _dialog(row, "rejected_conversations")  # the prompt, with its places, is written in both
        context, chosen, rejected = split_common(turns, others)
        fields = {"messages": context, **pair(chosen, rejected)}
    else:
        fields = dialog(turns)
    return make_record(row, place, _COLUMNS, media=media, **fields)


def _dialog(row: JsonObject, name: str) -> tuple[list[Message], tuple[Media, ...]]:
    text = TaggedText({"image": _list(row.get("image")), "video": _list(row.get("video"))}, separator="\n")
    turns = [read_turn(turn, text) for turn in column(row, name, list)]
    return turns, text.media()


def _list(value: Any) -> list[Any]:
    """One path or several."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _one_or_list(paths: list[Any]) -> Any:
    return paths[0] if len(paths) == 1 and isinstance(paths[0], str) else paths


def _from_record(record: Record) -> dict[str, Any]:
    writer = TagWriter(record, separator="\n")
    if record.tools:
        raise RecordError("this layout has no tools. Use --format boresight.")
    if record.task == "preference":
        chosen, rejected = (candidate.messages for candidate in the_pair(record))
        again = TagWriter(record, separator="\n")
        fields = {
            "conversations": [_turn(message, writer) for message in (*record.messages, *chosen)],
            "rejected_conversations": [_turn(message, again) for message in (*record.messages, *rejected)],
        }
    else:
        fields = {"conversations": [_turn(message, writer) for message in the_turns(record)]}
    listed = writer.columns()
    if "audios" in listed:
        raise RecordError("this layout has no audio. Use --format boresight.")
    media = {name.removesuffix("s"): _one_or_list(paths) for name, paths in listed.items()}
    return make_row(record, _COLUMNS, {**media, **fields})


def _turn(message: Message, text: TagWriter) -> dict[str, str]:
    if message.role not in _NAMES:
        raise RecordError(f"this layout has no turns of role {message.role!r}. Use --format boresight.")
    return {"from": _NAMES[message.role], "value": text.text(message)}


MEMBER = Format(
    name="llava",
    summary="LLaVA dialogs with one image or several; with rejected_conversations also POVID and CSR pairs",
    columns=_COLUMNS,
    required=("conversations", "image"),
    container="json",
    detect=_detect,
    to_record=_to_record,
    from_record=_from_record,
)
