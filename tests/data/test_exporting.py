"""Out of a store into a public layout, and in again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from data_examples import pair_row, picture

from boresight.data.exporting import run_export
from boresight.data.importing import plan_import, run_import
from boresight.data.store import Store
from boresight.data.store_writer import StoreWriter
from boresight.errors import RecordError, UsageError
from boresight.media.pool import DecodePool
from boresight.records import AspectScore, Record

WriteRows = Callable[..., Path]


@pytest.fixture
def store(write_rows: WriteRows, pool: DecodePool) -> Path:
    path = write_rows(pair_row(who="me"), pair_row(images=["b.png"]), pair_row(id="z"))
    run_import(plan_import(path), path.parent / "store", pool=pool)
    return path.parent / "store"


def compared(record: Record) -> Record:
    """A record without what a file's name and place decide."""
    return replace(record, provenance=None, media=tuple(replace(medium, meta={}) for medium in record.media))


@pytest.mark.parametrize(
    "format", ["boresight", "llama_factory_ranking", "llama_factory_v1", "llava", "mdpo", "trl_vision"]
)
def test_a_store_exported_and_imported_again_holds_equal_records(format: str, store: Path, pool: DecodePool) -> None:
    summary = run_export(store, format, store.parent / "out")
    assert (summary.rows, summary.media_files, summary.skipped, summary.lost) == (3, 2, {}, {})
    plan = plan_import(summary.file)
    assert plan.format.name == format
    run_import(plan, store.parent / "again", pool=pool)
    again = Store.open(store.parent / "again")
    assert [compared(record) for record in again] == [compared(record) for record in Store.open(store)]
    assert [again.read(record.media[0]) for record in again] == [picture(c) for c in ("red", "blue", "red")]


def test_the_file_is_what_the_other_projects_read(store: Path) -> None:
    summary = run_export(store, "llama_factory_ranking", store.parent / "out")
    rows = json.loads(summary.file.read_text(encoding="utf-8"))
    assert summary.file.name == "data.json"
    assert rows[0]["messages"] == [{"role": "user", "content": "<image>What is it?"}]
    assert rows[0]["who"] == "me"
    assert (summary.file.parent / rows[0]["images"][0]).read_bytes() == picture("red")
    assert rows[0]["images"][0].endswith(".png")


def test_a_layout_that_fits_no_record_is_refused_and_writes_nothing(store: Path) -> None:
    with pytest.raises(
        RecordError, match="no record fits 'trl_standard'; the first, 'pairs:1': this layout holds 'prompt'"
    ):
        run_export(store, "trl_standard", store.parent / "out")
    assert sorted(path.name for path in store.parent.iterdir()) == ["a.png", "b.png", "pairs.jsonl", "store"]


def test_what_a_layout_drops_and_what_it_cannot_hold_are_counted(store: Path, tmp_path: Path) -> None:
    source = Store.open(store)
    scored, *rest = source
    best, worst = scored.candidates
    scored = replace(scored, candidates=(replace(best, scores=(AspectScore(aspect="x", value=1.0),)), worst))
    three = replace(rest[0], candidates=(*rest[0].candidates, replace(worst, id="third")))
    with StoreWriter(tmp_path / "mixed") as writer:
        for record in (scored, three, rest[1]):
            for medium in record.media:
                writer.add_media(source.read(medium))
            writer.add(record)
        writer.finish()
    summary = run_export(tmp_path / "mixed", "llama_factory_ranking", tmp_path / "out")
    assert summary.rows == 2 and summary.lost == {"candidates": 1}
    assert list(summary.skipped) == ["pairs:2"] and "holds one pair" in summary.skipped["pairs:2"]
    assert run_export(tmp_path / "mixed", "boresight", tmp_path / "whole").lost == {}


def test_nothing_that_exists_is_overwritten(store: Path) -> None:
    with pytest.raises(UsageError, match="already exists"):
        run_export(store, "boresight", store)
