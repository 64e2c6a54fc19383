"""LLaMA-Factory, ranking layout: a dialog and two answers, media placed by tags.

Source: hiyouga/LLaMA-Factory, data/README.md, "Preference Dataset" of the ShareGPT format.
"""

from __future__ import annotations

from typing import Any

from boresight.data.formats import _llama_factory as lf
from boresight.data.formats._format import (
    Format,
    Place,
    column,
    make_record,
    make_row,
    pair,
    refuse_task,
    the_pair,
)
from boresight.data.formats._places import TaggedText, TagWriter
from boresight.errors import RecordError
from boresight.records import Message, Record
from boresight.records.record import JsonObject

_COLUMNS = {
    **lf.SHARED_COLUMNS,
    "chosen": "candidates[chosen], preferences[0].chosen",
    "rejected": "candidates[rejected], preferences[0].rejected",
}


def _detect(row: JsonObject) -> bool:
    return lf.has_turns(row) and any(lf.is_turn(row.get(side)) for side in ("chosen", "rejected"))


def _to_record(row: JsonObject, place: Place) -> Record:
    text = lf.reader(row)
    messages = lf.read_dialog(row, text)
    answers = pair([_answer(row, "chosen", text)], [_answer(row, "rejected", text)])
    return make_record(
        row,
        place,
        _COLUMNS,
        messages=messages,
        media=text.media(),
        tools=lf.read_tools(row),
        **answers,
    )


def _answer(row: JsonObject, side: str, text: TaggedText) -> Message:
    turn = column(row, side, dict)
    message = lf.read_turn(turn, text)
    if not message.text.strip() and all(part.type == "text" for part in message.parts):
        raise RecordError(f"column {side!r} is empty. A pair needs two answers; drop the row.")
    return message


def _from_record(record: Record) -> dict[str, Any]:
    refuse_task(record, "preference")
    text = TagWriter(record)
    turns = [lf.write_turn(message, text) for message in record.messages]
    fields: dict[str, Any] = {"messages": turns}
    for side, candidate in zip(("chosen", "rejected"), the_pair(record), strict=True):
        if len(candidate.messages) != 1:
            raise RecordError(f"this layout holds answers of one turn, {side!r} has {len(candidate.messages)}.")
        fields[side] = lf.write_turn(candidate.messages[0], text)
    return make_row(record, _COLUMNS, {**fields, **text.columns(), **lf.write_tools(record)})


MEMBER = Format(
    name="llama_factory_ranking",
    summary="LLaMA-Factory preference rows: a dialog, a chosen and a rejected turn",
    columns=_COLUMNS,
    required=("chosen", "rejected", "conversations"),
    container="json",
    detect=_detect,
    to_record=_to_record,
    from_record=_from_record,
)
