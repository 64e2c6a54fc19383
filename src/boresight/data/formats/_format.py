"""What a layout is, and the steps that most layouts share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from boresight.errors import RecordError
from boresight.records import Candidate, Media, Message, Preference, Provenance, Record
from boresight.records.record import JsonObject, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a row stands, and what its file says about all rows."""

    dataset: str
    row: int
    license: str | None = None
    revision: str | None = None
    split: str | None = None

    @property
    def provenance(self) -> Provenance:
        """The same, as the record keeps it."""
        return Provenance(
            dataset=self.dataset, revision=self.revision, split=self.split, row=self.row, license=self.license
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A public layout: one row of it is one record."""

    name: str
    summary: str
    columns: Mapping[str, str]
    """Column to field, in words. A column that is not listed goes to `extra`."""
    required: tuple[str, ...]
    """Columns without which a row is surely not of this layout; used to name the nearest layout."""
    container: Literal["json", "jsonl"]
    """What its own readers expect: one array, or one object per line."""
    detect: Callable[[JsonObject], bool]
    to_record: Callable[[JsonObject, Place], Record]
    from_record: Callable[[Record], dict[str, Any]]


def make_record(
    row: JsonObject,
    place: Place,
    columns: Collection[str],
    *,
    task: Task,
    messages: Sequence[Message],
    media: Sequence[Media] = (),
    candidates: Sequence[Candidate] = (),
    preferences: Sequence[Preference] = (),
    tools: Sequence[JsonObject] = (),
) -> Record:
    """A record with its id, its provenance, and what no column claims."""
    return Record(
        id=_row_id(row, place),
        task=task,
        messages=tuple(messages),
        media=tuple(media),
        candidates=tuple(candidates),
        preferences=tuple(preferences),
        tools=tuple(tools),
        provenance=place.provenance,
        extra={key: value for key, value in row.items() if key not in columns and key != "id"},
    )


def make_row(record: Record, columns: Collection[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its id, its columns, and the keys that came with it.

    Raises:
        RecordError: If a key that came from elsewhere would overwrite a column of this layout.
    """
    clash = sorted(set(record.extra) & {*columns, "id"})
    if clash:
        raise RecordError(f"extra key {clash[0]!r} is a column of this layout; rename it before the export.")
    return {"id": record.id, **fields, **record.extra}


def column(row: JsonObject, name: str, kind: type = str) -> Any:
    """The value of a column that the layout needs.

    Raises:
        RecordError: If it is missing, of another type, or empty text.
    """
    if name not in row:
        raise RecordError(f"column {name!r} is missing; the row has {', '.join(row) or 'none'}. Add or rename it.")
    value = row[name]
    if not isinstance(value, kind):
        raise RecordError(f"column {name!r} must be {_WORDS[kind]}, got {type(value).__name__}.")
    if isinstance(value, (str, list)) and not (value.strip() if isinstance(value, str) else value):
        raise RecordError(f"column {name!r} is empty. Drop the row or fill it in.")
    return value


def pair(chosen: Sequence[Message], rejected: Sequence[Message]) -> dict[str, Any]:
    """The fields of a record with one chosen and one rejected answer."""
    return {
        "task": "preference",
        "candidates": (
            Candidate(id="chosen", messages=tuple(chosen)),
            Candidate(id="rejected", messages=tuple(rejected)),
        ),
        "preferences": (Preference(chosen="chosen", rejected="rejected"),),
    }


def dialog(turns: Sequence[Message]) -> dict[str, Any]:
    """The fields of a record made of one dialog: its last turn is the answer, if that one is the assistant's."""
    if turns and turns[-1].role == "assistant":
        answer = Candidate(id="answer", messages=(turns[-1],))
        return {"task": "sft", "messages": tuple(turns[:-1]), "candidates": (answer,)}
    return {"task": "prompt", "messages": tuple(turns)}


def the_turns(record: Record) -> tuple[Message, ...]:
    """The dialog of a record that has one answer or none.

    Raises:
        RecordError: If it is of another task.
    """
    refuse_task(record, "sft", "prompt")
    return (*record.messages, *(the_answer(record).messages if record.candidates else ()))


def the_pair(record: Record) -> tuple[Candidate, Candidate]:
    """The two candidates of a record that a pair layout can hold.

    Raises:
        RecordError: If there are more, or if they look at different media.
    """
    if len(record.preferences) != 1 or len(record.candidates) != 2:
        raise RecordError(
            f"this layout holds one pair, the record has {len(record.candidates)} candidates and "
            f"{len(record.preferences)} preferences. Use --format boresight, or make pairs first."
        )
    _refuse_media_map(record)
    preference = record.preferences[0]
    return record.candidate(preference.chosen), record.candidate(preference.rejected)


def the_answer(record: Record) -> Candidate:
    """The only candidate of a record.

    Raises:
        RecordError: If there is another number of them.
    """
    if len(record.candidates) != 1:
        raise RecordError(f"this layout holds one answer, the record has {len(record.candidates)}.")
    _refuse_media_map(record)
    return record.candidates[0]


def refuse_task(record: Record, *tasks: str) -> None:
    """Raise unless the record is of a task that the layout can hold."""
    if record.task not in tasks:
        raise RecordError(f"this layout holds {' or '.join(tasks)} rows, the record is of task {record.task!r}.")


def split_common(
    chosen: Sequence[Message], rejected: Sequence[Message]
) -> tuple[tuple[Message, ...], tuple[Message, ...], tuple[Message, ...]]:
    """Two dialogs as their common context and their two ends. Each end keeps at least one turn."""
    same = 0
    while same < min(len(chosen), len(rejected)) - 1 and chosen[same] == rejected[same]:
        same += 1
    return tuple(chosen[:same]), tuple(chosen[same:]), tuple(rejected[same:])


def _refuse_media_map(record: Record) -> None:
    for candidate in record.candidates:
        if candidate.media_map:
            raise RecordError(
                f"this layout has one list of media, candidate {candidate.id!r} reads others. Use --format boresight."
            )


def _row_id(row: JsonObject, place: Place) -> str:
    """The row's own id, or file and row number."""
    id = row.get("id")
    if id is None:
        return f"{place.dataset}:{place.row}"
    if not isinstance(id, (str, int)) or isinstance(id, bool):
        raise RecordError(f"column 'id' must be text or a whole number, got {type(id).__name__}.")
    return str(id)


_WORDS = {str: "text", list: "a list", bool: "true or false", dict: "an object"}
