"""TRL, standard rows: prompt and answers are plain text.

Source: huggingface/trl, docs/source/dataset_formats.md, "Standard"; and its stepwise supervision type.
Differs from the source: the prompt becomes one user turn, so a chat template will be applied to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from boresight.data.formats import _trl as trl
from boresight.data.formats._format import Format, Place, column, make_record, make_row, the_answer
from boresight.errors import RecordError
from boresight.records import Candidate, Message, Part, Record, Span
from boresight.records.record import JsonObject

_COLUMNS = trl.COLUMNS
_STEP_COLUMNS = {
    "prompt": "messages",
    "completions": "candidates[answer], one part per step",
    "labels": "candidates[answer].spans[].verdict",
}
_NOT_MINE = ("images", "image", "img_path", "videos", "audios", "video", "audio")


def _detect(row: JsonObject) -> bool:
    if any(key in row for key in _NOT_MINE):
        return False
    if isinstance(row.get("completions"), list) and isinstance(row.get("labels"), list):
        return isinstance(row.get("prompt"), str)
    sides = [row[name] for name in trl.SIDES if name in row]
    return bool(sides) and all(isinstance(side, str) for side in sides) and trl.is_told(row, _COLUMNS)


def _to_record(row: JsonObject, place: Place) -> Record:
    if "completions" in row:
        return _stepwise(row, place)
    return trl.read(row, place, _read_side, columns=_COLUMNS)


def _read_side(name: str, value: Any) -> list[Message]:
    if not isinstance(value, str):
        raise RecordError(f"column {name!r} must be text, got {type(value).__name__}. Use --format trl_conversational.")
    role = "user" if name == "prompt" else "assistant"
    return [Message(role=role, parts=(Part(type="text", text=value),))]


def _stepwise(row: JsonObject, place: Place) -> Record:
    steps, labels = column(row, "completions", list), column(row, "labels", list)
    if len(steps) != len(labels):
        raise RecordError(f"the row has {len(steps)} completions and {len(labels)} labels; one label per step.")
    if not all(isinstance(step, str) for step in steps) or not all(isinstance(label, bool) for label in labels):
        raise RecordError("completions must be texts, and labels true or false.")
    answer = Candidate(
        id="answer",
        messages=(Message(role="assistant", parts=tuple(Part(type="text", text=step) for step in steps)),),
        spans=tuple(
            Span(part=i, start=0, end=len(step), label="step", verdict="true" if label else "false")
            for i, (step, label) in enumerate(zip(steps, labels, strict=True))
        ),
    )
    messages = _read_side("prompt", column(row, "prompt"))
    return make_record(row, place, _STEP_COLUMNS, task="stepwise", messages=messages, candidates=(answer,))


def _from_record(record: Record) -> dict[str, Any]:
    if record.task != "stepwise":
        return trl.write(record, _write_side, columns=_COLUMNS)
    answer = the_answer(record)
    if len(answer.messages) != 1 or len(answer.spans) != len(answer.messages[0].parts):
        raise RecordError("this layout holds one verdict for each part of one answer. Use --format boresight.")
    fields = {
        "prompt": _write_side("prompt", record.messages),
        "completions": [part.text or "" for part in answer.messages[0].parts],
        "labels": [span.verdict == "true" for span in answer.spans],
    }
    return make_row(record, _STEP_COLUMNS, fields)


def _write_side(name: str, messages: Sequence[Message]) -> str:
    if len(messages) != 1 or any(part.type != "text" for part in messages[0].parts):
        raise RecordError(f"this layout holds {name!r} as one text. Use --format trl_conversational or trl_vision.")
    return messages[0].text


MEMBER = Format(
    name="trl_standard",
    summary="TRL rows of plain text: preference, unpaired, prompt-completion, prompt-only, stepwise",
    columns={**_COLUMNS, **_STEP_COLUMNS},
    required=("prompt", "chosen", "rejected"),
    container="jsonl",
    detect=_detect,
    to_record=_to_record,
    from_record=_from_record,
)
