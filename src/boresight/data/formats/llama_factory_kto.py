"""LLaMA-Factory, KTO layout: a dialog and whether its last answer is desirable.

Source: hiyouga/LLaMA-Factory, data/README.md, "KTO Dataset"; data/kto_en_demo.json.
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
    refuse_task,
    the_answer,
)
from boresight.data.formats._places import TagWriter
from boresight.errors import RecordError
from boresight.records import Candidate, Record
from boresight.records.record import JsonObject

_LABELS = ("label", "kto_tag")
_COLUMNS = {**lf.SHARED_COLUMNS, "label": "candidates[0].label", "kto_tag": "candidates[0].label"}


def _detect(row: JsonObject) -> bool:
    return lf.has_turns(row) and any(isinstance(row.get(name), bool) for name in _LABELS) and "chosen" not in row


def _to_record(row: JsonObject, place: Place) -> Record:
    if all(name in row for name in _LABELS):
        raise RecordError("the row has both 'label' and 'kto_tag'; keep one.")
    label = column(row, "kto_tag" if "kto_tag" in row else "label", bool)
    text = lf.reader(row)
    *context, answer = lf.read_dialog(row, text)
    if answer.role != "assistant":
        raise RecordError("the last turn is not an answer, so there is nothing to label. Drop the row.")
    return make_record(
        row,
        place,
        _COLUMNS,
        task="unpaired",
        messages=context,
        media=text.media(),
        candidates=(Candidate(id="answer", messages=(answer,), label=label),),
        tools=lf.read_tools(row),
    )


def _from_record(record: Record) -> dict[str, Any]:
    refuse_task(record, "unpaired")
    text, answer = TagWriter(record), the_answer(record)
    turns = [lf.write_turn(message, text) for message in (*record.messages, *answer.messages)]
    fields = {"messages": turns, "label": answer.label, **text.columns(), **lf.write_tools(record)}
    return make_row(record, _COLUMNS, fields)


MEMBER = Format(
    name="llama_factory_kto",
    summary="LLaMA-Factory KTO rows: a dialog and a label on its last answer",
    columns=_COLUMNS,
    required=("messages", "label"),
    container="json",
    detect=_detect,
    to_record=_to_record,
    from_record=_from_record,
)
