"""LLaMA-Factory, ShareGPT layout: a dialog, with media placed by tags.

Source: hiyouga/LLaMA-Factory, data/README.md, "Sharegpt Format" and "OpenAI Format".
"""

from __future__ import annotations

from typing import Any

from boresight.data.formats import _llama_factory as lf
from boresight.data.formats._format import Format, Place, dialog, make_record, make_row, the_turns
from boresight.data.formats._places import TagWriter
from boresight.records import Record
from boresight.records.record import JsonObject

_NOT_MINE = ("chosen", "rejected", "label", "kto_tag", "image", "video", "rejected_conversations", "prompt")


def _detect(row: JsonObject) -> bool:
    return lf.has_turns(row) and not any(key in row for key in _NOT_MINE)


def _to_record(row: JsonObject, place: Place) -> Record:
    text = lf.reader(row)
    fields = dialog(lf.read_dialog(row, text))
    return make_record(row, place, lf.SHARED_COLUMNS, media=text.media(), tools=lf.read_tools(row), **fields)


def _from_record(record: Record) -> dict[str, Any]:
    text = TagWriter(record)
    turns = [lf.write_turn(message, text) for message in the_turns(record)]
    fields = {"messages": turns, **text.columns(), **lf.write_tools(record)}
    return make_row(record, lf.SHARED_COLUMNS, fields)


MEMBER = Format(
    name="llama_factory_sharegpt",
    summary="LLaMA-Factory dialogs (ShareGPT or OpenAI tags) with image, video and audio places",
    columns={**lf.SHARED_COLUMNS, "last assistant turn": "candidates[0]"},
    required=("messages",),
    container="json",
    detect=_detect,
    to_record=_to_record,
    from_record=_from_record,
)
