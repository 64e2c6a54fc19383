"""The row types of TRL, which its three files share: they differ only in how a side is written.

Source: huggingface/trl, docs/source/dataset_formats.md.
Types: preference, unpaired preference, prompt-completion, prompt-only, stepwise supervision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from boresight.data.formats._format import (
    Place,
    column,
    make_record,
    make_row,
    pair,
    refuse_task,
    split_common,
    the_answer,
    the_pair,
)
from boresight.errors import RecordError
from boresight.records import Candidate, Media, Message, Record
from boresight.records.record import JsonObject

COLUMNS: Mapping[str, str] = {
    "prompt": "messages",
    "chosen": "candidates[chosen], preferences[0].chosen",
    "rejected": "candidates[rejected], preferences[0].rejected",
    "completion": "candidates[answer]",
    "label": "candidates[answer].label",
    "tools": "tools",
}
SIDES = ("prompt", "chosen", "rejected", "completion")

ReadSide = Callable[[str, Any], list[Message]]
"""Name of the column and its value, to turns."""
WriteSide = Callable[[str, Sequence[Message]], Any]


def is_told(row: JsonObject, columns: Mapping[str, str]) -> bool:
    """Whether the columns tell the type. A prompt beside columns that no type has may be anything.

    Read as prompt-only, the answers of another layout would end up in `extra`.
    """
    return any(name in row for name in SIDES[1:]) or set(row) <= {*columns, "id"}


def is_dialog(value: Any) -> bool:
    """Whether a value is a list of turns with role and content."""
    return isinstance(value, list) and bool(value) and all(_is_turn(turn) for turn in value)


def read(
    row: JsonObject,
    place: Place,
    read_side: ReadSide,
    *,
    columns: Mapping[str, str],
    media: Callable[[], tuple[Media, ...]] = tuple,
) -> Record:
    """The record of a row of any of these types.

    Args:
        media: Called once all sides are read.

    Raises:
        RecordError: If no type fits the columns that are there.
    """
    prompt = _side(row, "prompt", read_side) if row.get("prompt") is not None else None
    if row.get("chosen") is not None or row.get("rejected") is not None:
        fields = _preference(prompt, _side(row, "chosen", read_side), _side(row, "rejected", read_side))
    elif prompt is None:
        fields = {"messages": _side(row, "prompt", read_side)}  # says which column is missing
    elif row.get("completion") is not None:
        answer = Candidate(id="answer", messages=tuple(_side(row, "completion", read_side)), label=_label(row))
        fields = {"task": "sft" if answer.label is None else "unpaired", "candidates": (answer,)}
        fields["messages"] = prompt
    else:
        fields = {"task": "prompt", "messages": prompt}
    return make_record(row, place, columns, media=media(), tools=_tools(row), **fields)


def write(
    record: Record, write_side: WriteSide, *, columns: Mapping[str, str], more: Callable[[], dict[str, Any]] = dict
) -> dict[str, Any]:
    """The row of a record. `more` gives further columns once all sides are written."""
    refuse_task(record, "preference", "unpaired", "sft", "prompt")
    fields: dict[str, Any] = {"prompt": write_side("prompt", record.messages)}
    if record.task == "preference":
        for side, candidate in zip(("chosen", "rejected"), the_pair(record), strict=True):
            fields[side] = write_side(side, candidate.messages)
    elif record.candidates:
        answer = the_answer(record)
        fields["completion"] = write_side("completion", answer.messages)
        fields |= {} if answer.label is None else {"label": answer.label}
    tools = {"tools": [dict(tool) for tool in record.tools]} if record.tools else {}
    return make_row(record, columns, {**fields, **tools, **more()})


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, Mapping) and isinstance(turn.get("role"), str) and "content" in turn


def _side(row: JsonObject, name: str, read_side: ReadSide) -> list[Message]:
    value = column(row, name, list if isinstance(row.get(name), list) else str)
    return read_side(name, value)


def _preference(prompt: list[Message] | None, chosen: list[Message], rejected: list[Message]) -> dict[str, Any]:
    if prompt is not None:
        return {"messages": prompt, **pair(chosen, rejected)}
    context, chosen_end, rejected_end = split_common(chosen, rejected)
    if not context:
        raise RecordError("column 'prompt' is missing, and chosen and rejected share no turn. Add the prompt.")
    return {"messages": context, **pair(chosen_end, rejected_end)}


def _label(row: JsonObject) -> bool | None:
    label = row.get("label")
    if label is not None and not isinstance(label, bool):
        raise RecordError(f"column 'label' must be true or false, got {label!r:.40}.")
    return label


def _tools(row: JsonObject) -> tuple[JsonObject, ...]:
    tools = row.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise RecordError("column 'tools' must be a list of objects.")
    return tuple(tools)
