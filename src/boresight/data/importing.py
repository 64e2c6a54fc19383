"""From a data file in a public layout to a store: plan first, then run.

`plan_import` reads a few rows, names the layout and shows which column becomes which field; nothing is written.
`run_import` reads all rows. A row that cannot be used is refused with its reason and counted; it never ends the run.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from boresight import registry
from boresight.data.formats._format import Format, Place
from boresight.data.intake import Intake
from boresight.data.rows import RAW_CHARS, Row, data_files, read_rows
from boresight.data.store import Manifest, Quarantined, file_sha256
from boresight.data.store_writer import StoreWriter
from boresight.errors import InputError, RecordError, UsageError
from boresight.media.pool import DecodePool
from boresight.media.resolver import Resolver
from boresight.records import Record, check_record
from boresight.records.record import JsonObject

FORMATS = "boresight.data.formats"

_SAMPLE_ROWS = 64
_BATCH_ROWS = 32  # rows whose media are looked at together
_EXAMPLE_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """What becomes of one column."""

    column: str
    field: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """What an import will do."""

    source: Path
    files: tuple[Path, ...]
    format: Format
    media_root: Path
    """Paths in the data start here."""
    license: str | None = None
    split: str | None = None
    revision: str | None = None
    mapping: tuple[Mapped, ...] = ()
    example: Record | None = None
    """The first row that can be read, as a record."""

    def lines(self) -> list[str]:
        """The plan as text."""
        width = max((len(entry.column) for entry in self.mapping), default=0)
        return [
            f"{self.source} is {self.format.name}: {self.format.summary}",
            f"paths of media start at {self.media_root}",
            *(f"  {m.column:<{width}}  ->  {m.field}   e.g. {m.example}" for m in self.mapping),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """What an import did. `rows_read` is always `stored + quarantined`."""

    out: Path
    rows_read: int
    stored: int
    quarantined: int
    reasons: Mapping[str, int]
    """Rows refused, by reason with names and numbers left out, most frequent first."""
    manifest: Manifest


def plan_import(
    source: Path | str,
    *,
    format: str | None = None,
    media_root: Path | str | None = None,
    license: str | None = None,
    split: str | None = None,
    revision: str | None = None,
) -> ImportPlan:
    """Find out how a source will be read. Nothing is written.

    Args:
        source: A file, or a folder with one data file or with Parquet shards.
        format: Name of the layout; told from the rows if not given.
        media_root: Where paths in the data start; the folder of the source if not given.
        license: Terms of all rows, for their provenance.

    Raises:
        InputError: If there are no rows, or no layout fits them, or several do and read them differently.
    """
    source = Path(source)
    files = tuple(data_files(source))
    sample = list(islice((row for row in _all_rows(files) if row.fault is None), _SAMPLE_ROWS))
    if not sample and format is None:
        raise _unreadable(files)
    chosen: Format = registry.load(FORMATS, format) if format else _detect(sample)
    plan = ImportPlan(
        source=source,
        files=files,
        format=chosen,
        media_root=Path(media_root) if media_root else (source if source.is_dir() else source.parent),
        license=license,
        split=split,
        revision=revision,
        mapping=_mapping(chosen, sample),
    )
    outcomes = (_read(plan, row) for row in sample)
    return replace(plan, example=next((record for record in outcomes if isinstance(record, Record)), None))


def run_import(
    plan: ImportPlan,
    out: Path | str,
    *,
    strict: bool = False,
    resolver: Resolver | None = None,
    pool: DecodePool | None = None,
) -> ImportSummary:
    """Read all rows, check them and their media, and write a store.

    Args:
        strict: Raise on the first row that cannot be used, instead of quarantining it.
        resolver: Reads media; by default from beneath `plan.media_root` and nowhere else.
        pool: Decodes pictures; by default one of its own.

    Raises:
        InputError: If `strict` and a row cannot be used, or if no row at all can be used.
        UsageError: If `out` exists.
    """
    out = Path(out)
    reasons: Counter[str] = Counter()
    with ExitStack() as stack:
        writer = stack.enter_context(StoreWriter(out, source=_source_facts(plan)))
        if pool is None:
            pool = stack.enter_context(DecodePool())
        intake = Intake(resolver or Resolver(root=plan.media_root), pool, keep=writer.add_media)
        stored, first = 0, None
        for row, outcome in read_records(plan, intake):
            error = _store(writer, row, outcome)
            if error is None:
                stored += 1
                continue
            if strict:
                raise error
            first = first or error
            reasons[reason_shape(error.reason)] += 1
            writer.quarantine(Quarantined(source=row.source, row=row.number, reason=error.reason, raw=row.raw))
        if not stored:
            raise first or InputError("there are no rows.", source=str(plan.source))
        manifest = writer.finish()
    return ImportSummary(
        out=out,
        rows_read=manifest.rows_read,
        stored=manifest.records,
        quarantined=manifest.quarantined,
        reasons=dict(reasons.most_common()),
        manifest=manifest,
    )


def read_records(plan: ImportPlan, intake: Intake | None) -> Iterator[tuple[Row, Record | InputError]]:
    """Every row with its record, or with the error that names the row. In order; never raises for a row.

    Args:
        intake: Looks at the media; without it they are not opened.
    """
    rows = _all_rows(plan.files)
    while batch := list(islice(rows, _BATCH_ROWS)):
        outcomes = [_read(plan, row) for row in batch]
        good = [(record, row.blobs) for row, record in zip(batch, outcomes, strict=True) if isinstance(record, Record)]
        filled = iter(intake.fill(good) if intake else [record for record, _ in good])
        for row, outcome in zip(batch, outcomes, strict=True):
            looked = next(filled) if isinstance(outcome, Record) else outcome
            yield row, looked if isinstance(looked, Record) else _at(looked, row)


def _at(error: InputError, row: Row) -> InputError:
    return error.at(source=row.source, row=row.number)


def _store(writer: StoreWriter, row: Row, outcome: Record | InputError) -> InputError | None:
    if isinstance(outcome, InputError):
        return outcome
    try:
        writer.add(outcome)
    except RecordError as error:
        return _at(error, row)
    return None


def _all_rows(files: Sequence[Path]) -> Iterator[Row]:
    for file in files:
        yield from read_rows(file)


def _read(plan: ImportPlan, row: Row) -> Record | RecordError:
    if row.fault is not None:
        return RecordError(row.fault)
    place = Place(
        dataset=Path(row.source).stem,
        row=row.number,
        license=plan.license,
        revision=plan.revision,
        split=plan.split,
    )
    try:
        record = plan.format.to_record(row.value, place)
        check_record(record)
    except RecordError as error:
        return error
    return record


def _detect(sample: Sequence[Row]) -> Format:
    """The layout that fits most rows. Layouts that fit equally many must read them equally."""
    formats: list[Format] = [registry.load(FORMATS, name) for name in registry.names(FORMATS)]
    fits = {format.name: sum(format.detect(row.value) for row in sample) for format in formats}
    best = max(fits.values())
    if best * 2 <= len(sample):
        raise _no_layout(formats, sample[0])
    candidates = [format for format in formats if fits[format.name] == best]
    readings = [[_reading(format, row) for row in sample] for format in candidates]
    if any(reading != readings[0] for reading in readings):
        names = ", ".join(format.name for format in candidates)
        raise UsageError(f"{sample[0].source} could be any of {names}, which read it differently; pass --format.")
    return candidates[0]


def _reading(format: Format, row: Row) -> Record | None:
    try:
        return format.to_record(row.value, Place(dataset="", row=row.number))
    except RecordError:
        return None


def _no_layout(formats: Sequence[Format], row: Row) -> InputError:
    nearest = max(formats, key=lambda format: sum(name in row.value for name in format.required) / len(format.required))
    known = ", ".join(format.name for format in formats)
    missing = [name for name in nearest.required if name not in row.value]
    lacks = f"it lacks {', '.join(map(repr, missing))}" if missing else "its columns hold something else"
    return InputError(
        f"columns {', '.join(row.value) or 'none'} are of no known layout; for {nearest.name!r} {lacks}. "
        f"Rename the columns, or pass --format with one of {known}.",
        source=row.source,
        row=row.number,
    )


def _unreadable(files: Sequence[Path]) -> InputError:
    first = next(_all_rows(files), None)
    if first is None:
        return InputError("the file holds no rows.", source=files[0].name)
    return InputError(first.fault or "", source=first.source, row=first.number)


def _mapping(format: Format, sample: Sequence[Row]) -> tuple[Mapped, ...]:
    seen: dict[str, Any] = {}
    for row in sample:
        for column, value in row.value.items():
            seen.setdefault(column, value)
    return tuple(
        Mapped(column=column, field=_field(format, column), example=_cut(value)) for column, value in seen.items()
    )


def _field(format: Format, column: str) -> str:
    return "id" if column == "id" else format.columns.get(column, f"extra[{column!r}]")


def _cut(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _EXAMPLE_CHARS else f"{text[: _EXAMPLE_CHARS - 3]}..."


def _source_facts(plan: ImportPlan) -> JsonObject:
    files = [{"name": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in plan.files]
    return {"format": plan.format.name, "files": files}


def reason_shape(reason: str) -> str:
    """A reason without what differs from row to row, so that equal faults count together."""
    return re.sub(r"\d+", "N", re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", reason))[:RAW_CHARS]
