"""Opens data for training: a store, or a data file in any known layout, read strictly and completely."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from boresight.data.importing import plan_import, read_records
from boresight.data.intake import Intake
from boresight.data.rows import Row
from boresight.data.store import Store, is_store
from boresight.errors import InputError, RecordError
from boresight.media.pool import DecodePool
from boresight.media.resolver import Resolver
from boresight.records import Media, Record, dumps


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Records that passed every check, and what reads their media."""

    source: Path
    records: Sequence[Record]
    read: Callable[[Media], bytes]
    """Bytes of a medium. They are verified: a file that changed since it was loaded raises `MediaError`."""
    fingerprint: str
    """Hash of the records in order; equal data give an equal one."""
    format: str
    """`store`, or the layout of the file."""


def load_records(
    source: Path | str,
    *,
    format: str | None = None,
    media_root: Path | str | None = None,
    resolver: Resolver | None = None,
    pool: DecodePool | None = None,
    check_media: bool = True,
) -> Loaded:
    """Open a store, or read a data file as it is. The first row that cannot be used ends the reading.

    Args:
        format: Layout of a data file; told from its rows if not given.
        media_root: Where paths in a data file start; its folder if not given.
        resolver: Reads the media of a data file; by default from beneath `media_root` and nowhere else.
        pool: Decodes pictures; by default one of its own.
        check_media: Read and decode every medium of a data file now, so that training cannot meet a broken one.

    Raises:
        InputError: Naming file, row and fix.
    """
    source = Path(source)
    if is_store(source):
        store = Store.open(source)
        return Loaded(source=source, records=store, read=store.read, fingerprint=store.fingerprint, format="store")
    plan = plan_import(source, format=format, media_root=media_root)
    resolver = resolver or Resolver(root=plan.media_root)
    with ExitStack() as stack:
        intake = None
        if check_media:
            intake = Intake(resolver, pool or stack.enter_context(DecodePool()))
        records: dict[str, Record] = {}
        for row, outcome in read_records(plan, intake):
            if isinstance(outcome, InputError):
                raise outcome
            _refuse(outcome, row, records, is_read=check_media)
            records[outcome.id] = outcome
    if not records:
        raise InputError("there are no rows.", source=str(source))
    digest = hashlib.sha256("\n".join(map(dumps, records.values())).encode()).hexdigest()
    return Loaded(
        source=source,
        records=tuple(records.values()),
        read=resolver.read_medium,
        fingerprint=digest,
        format=plan.format.name,
    )


def _refuse(record: Record, row: Row, earlier: Mapping[str, Record], *, is_read: bool) -> None:
    if record.id in earlier:
        reason = f"the id {record.id!r} is used by an earlier row; ids must be unique. Rename or drop one."
        raise RecordError(reason, source=row.source, row=row.number)
    if row.blobs and is_read:
        reason = "its media are inside the data file; run `boresight data import` and use the store."
        raise RecordError(reason, source=row.source, row=row.number)
