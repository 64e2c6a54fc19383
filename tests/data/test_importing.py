"""Plans, imports and strict loading: what is refused, how it is told, and that the counts add up."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_examples import pair_row, picture

from boresight import registry
from boresight.data import importing
from boresight.data.importing import plan_import, run_import
from boresight.data.inspecting import check_data, show
from boresight.data.loading import load_records
from boresight.data.store import Store
from boresight.errors import InputError, MediaError, UnknownNameError, UsageError
from boresight.media.pool import DecodePool
from boresight.media.resolver import Resolver

WriteRows = Callable[..., Path]


def huge_png() -> bytes:
    """A header that promises 50,000 x 50,000 pixels."""
    header = b"IHDR" + (50_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk + bytes(4) + b"IEND\xaeB`\x82"


def turn(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "missing column": (
        {"rejected": ...},
        "column 'rejected' is missing; the row has conversations, chosen, images. Add",
    ),
    "empty chosen": ({"chosen": turn("  ")}, "column 'chosen' is empty. A pair needs two answers; drop the row."),
    "equal answers": (
        {"rejected": turn("A red field.")},
        "'chosen' and rejected 'rejected' are equal .* Drop the row.",
    ),
    "placeholder in user text": (
        {"conversations": [{"from": "human", "value": "<image>What is <|image_pad|>?"}]},
        r"the prompt holds the placeholder '<\|image_pad\|>' as text at character 8; .* remove it",
    ),
    "fewer images": ({"images": []}, "1 <image> place, the row lists 0 images; make them as many"),
    "more images": ({"images": ["a.png", "b.png"]}, "1 <image> place, the row lists 2 images; make them as many"),
    "truncated JPEG": ({"images": ["cut.jpg"]}, "image 'cut.jpg' is damaged or cut off.*drop the row"),
    "PNG bomb": ({"images": ["bomb.png"]}, "image 'bomb.png' is too large: .* Resize it"),
    "path outside": (
        {"images": ["../secret.png"]},
        "medium '../secret.png' lies outside the data root.* Copy the file",
    ),
    "missing file": ({"images": ["none.png"]}, "medium 'none.png' does not exist beneath"),
    "address": ({"images": ["https://x.org/a.png"]}, "is a https address; expected a path"),
}


@pytest.fixture
def bad_media(tmp_path: Path, write_rows: WriteRows) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(picture("green"))
    (folder / "a.png").write_bytes(picture("red"))
    (folder / "b.png").write_bytes(picture("blue"))
    (folder / "cut.jpg").write_bytes(picture("red", (64, 64), "JPEG")[:500])
    (folder / "bomb.png").write_bytes(huge_png())
    return folder


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_row_is_refused_in_one_line_with_file_row_and_fix(case: str, bad_media: Path, pool: DecodePool) -> None:
    changes, reason = REFUSED[case]
    path = bad_media / "pairs.jsonl"
    rows = [pair_row(), pair_row(), pair_row(**changes)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=f"^row 3 of pairs.jsonl: .*{reason}") as caught:
        load_records(path, pool=pool)
    assert "\n" not in str(caught.value)
    summary = run_import(plan_import(path), bad_media / "out", pool=pool)
    assert (summary.rows_read, summary.stored, summary.quarantined) == (3, 2, 1)
    (refused,) = Store.open(bad_media / "out").quarantine()
    assert (refused.source, refused.row, refused.reason) == ("pairs.jsonl", 3, caught.value.reason)
    assert json.loads(refused.raw) == rows[2]


def test_all_bad_rows_are_counted_by_reason_and_the_good_ones_kept(bad_media: Path, pool: DecodePool) -> None:
    path = bad_media / "pairs.jsonl"
    bad = [pair_row(**changes) for changes, _ in REFUSED.values()]
    lines = [json.dumps(row) for row in [pair_row(), *bad, pair_row(id="x"), pair_row(id="x"), pair_row()]]
    path.write_text("\n".join([*lines, '{"broken', ""]))
    taken = "the id '...' is used by an earlier row; ids must be unique. Rename or drop one."
    summary = run_import(plan_import(path), bad_media / "out", pool=pool)
    assert (summary.rows_read, summary.stored, summary.quarantined) == (len(lines) + 1, 3, len(bad) + 2)
    assert sum(summary.reasons.values()) == summary.quarantined
    assert summary.reasons[taken] == 1
    report = check_data(path)
    assert (report.rows, report.usable, report.is_clean) == (summary.rows_read, summary.stored, False)
    assert report.reasons == summary.reasons
    assert f"row {len(lines) - 1} of pairs.jsonl: the id 'x' is used by an earlier row" in "\n".join(report.problems)
    assert check_data(bad_media / "out").is_clean


def test_strict_import_stops_at_the_first_bad_row_and_leaves_nothing(write_rows: WriteRows, pool: DecodePool) -> None:
    path = write_rows(pair_row(), pair_row(images=[]))
    with pytest.raises(InputError, match="row 2 of pairs"):
        run_import(plan_import(path), path.parent / "out", strict=True, pool=pool)
    assert not (path.parent / "out").exists()


def test_an_import_without_one_good_row_is_an_error(write_rows: WriteRows, pool: DecodePool) -> None:
    path = write_rows(pair_row(images=[]))
    with pytest.raises(InputError, match=r"row 1 of pairs\.jsonl: the text has 1 <image> place"):
        run_import(plan_import(path), path.parent / "out", pool=pool)


def test_images_get_their_facts_and_one_copy(write_rows: WriteRows, pool: DecodePool) -> None:
    path = write_rows(pair_row(), pair_row(), pair_row(images=["b.png"]))
    summary = run_import(plan_import(path, license="mit", split="train"), path.parent / "out", pool=pool)
    store = Store.open(path.parent / "out")
    (medium,) = store[0].media
    assert (medium.width_px, medium.height_px, medium.mime, medium.uri) == (16, 12, "image/png", None)
    assert medium.meta == {"path": "a.png"} and store.read(medium) == picture("red")
    assert summary.manifest.media_files == 2
    provenance = store[2].provenance
    assert provenance is not None
    assert (provenance.dataset, provenance.row, provenance.license, provenance.split) == ("pairs", 3, "mit", "train")
    assert [record.id for record in store] == ["pairs:1", "pairs:2", "pairs:3"]
    assert store.manifest.source["format"] == "llama_factory_ranking"


def test_the_root_of_media_can_be_given_and_opened(bad_media: Path, pool: DecodePool) -> None:
    path = bad_media / "pairs.jsonl"
    path.write_text(json.dumps(pair_row(images=["../secret.png"])))
    trusted = Resolver(root=bad_media, allow_outside=True)
    assert len(load_records(path, resolver=trusted, pool=pool).records) == 1
    path.write_text(json.dumps(pair_row(images=["in/a.png"])))
    assert len(load_records(path, media_root=bad_media.parent, pool=pool).records) == 1


def test_images_inside_parquet_are_imported(tmp_path: Path, pool: DecodePool) -> None:
    content = [{"type": "image", "text": None}, {"type": "text", "text": "Q"}]
    row = {
        "prompt": [{"role": "user", "content": content}],
        **{
            side: [{"role": "assistant", "content": [{"type": "text", "text": side}]}]
            for side in ("chosen", "rejected")
        },
        "images": [{"bytes": picture("blue"), "path": "b.png"}],
    }
    (tmp_path / "set").mkdir()
    pq.write_table(pa.Table.from_pylist([row, {**row, "images": []}]), tmp_path / "set" / "train-0.parquet")
    with pytest.raises(InputError, match=r"row 1 of train-0\.parquet: its media are inside the data file; run"):
        load_records(tmp_path / "set", pool=pool)
    summary = run_import(plan_import(tmp_path / "set"), tmp_path / "out", pool=pool)
    assert (summary.stored, summary.quarantined) == (1, 1)
    store = Store.open(tmp_path / "out")
    assert store.read(store[0].media[0]) == picture("blue")
    assert store[0].media[0].meta == {"path": "b.png"}


def test_frames_are_stored_as_pictures(tmp_path: Path, pool: DecodePool) -> None:
    row = {"messages": [{"role": "user", "content": "<video>Q"}], "videos": [["a.png", "b.png"]]}
    (tmp_path / "a.png").write_bytes(picture("red"))
    (tmp_path / "b.png").write_bytes(picture("blue"))
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    summary = run_import(plan_import(tmp_path / "x.jsonl"), tmp_path / "out", pool=pool)
    (medium,) = Store.open(tmp_path / "out")[0].media
    assert summary.manifest.media_files == 2
    assert medium.kind == "frames" and all(frame.startswith("sha256:") for frame in medium.frames)
    assert check_data(tmp_path / "out").is_clean


def test_the_plan_shows_each_column_and_where_it_goes(write_rows: WriteRows) -> None:
    plan = plan_import(write_rows(pair_row(who="me")))
    shown = {entry.column: entry.field for entry in plan.mapping}
    assert shown["chosen"] == "candidates[chosen], preferences[0].chosen"
    assert shown["who"] == "extra['who']"
    assert plan.example is not None and plan.example.extra == {"who": "me"}
    assert any("extra['who']   e.g. \"me\"" in line for line in plan.lines())


def test_the_layout_is_told_from_the_rows_and_not_from_the_name(write_rows: WriteRows) -> None:
    assert plan_import(write_rows(pair_row(), name="llava.json")).format.name == "llama_factory_ranking"


def test_a_few_odd_rows_do_not_hide_the_layout(write_rows: WriteRows) -> None:
    path = write_rows({"odd": 1}, *[pair_row()] * 3)
    assert plan_import(path).format.name == "llama_factory_ranking"


def test_rows_of_no_layout_name_the_nearest_one(write_rows: WriteRows) -> None:
    with pytest.raises(
        InputError, match=r"row 1 of x.jsonl: columns id, image, input .* for 'llava' it lacks 'conversations'"
    ):
        plan_import(write_rows({"id": "1", "image": "a.png", "input": "Q"}, name="x.jsonl"))


def test_answers_of_an_unknown_layout_are_not_taken_for_a_bare_prompt(write_rows: WriteRows) -> None:
    path = write_rows({"prompt": "Q", "response_0": "A", "response_1": "B", "better_response_id": 0})
    with pytest.raises(InputError, match="are of no known layout"):
        plan_import(path)
    assert plan_import(path, format="trl_standard").format.name == "trl_standard"


def test_layouts_that_read_the_rows_differently_are_named(
    write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranking = registry.load(importing.FORMATS, "llama_factory_ranking")
    upper = replace(ranking, name="upper", to_record=lambda row, place: ranking.to_record({**row, "id": "X"}, place))
    both = {"ranking": ranking, "upper": upper}
    monkeypatch.setattr(registry, "names", lambda package: list(both))
    monkeypatch.setattr(registry, "load", lambda package, name: both[name])
    path = write_rows(pair_row())
    with pytest.raises(UsageError, match=r"could be any of llama_factory_ranking, upper, .* pass --format"):
        plan_import(path)
    both["upper"] = replace(ranking, name="upper")
    assert plan_import(path).format is ranking


def test_an_unknown_format_suggests_one(write_rows: WriteRows) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'llava'"):
        plan_import(write_rows(pair_row()), format="lava")


def test_a_file_without_rows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("\n")
    with pytest.raises(InputError, match=r"x\.jsonl: the file holds no rows"):
        plan_import(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_text("{")
    with pytest.raises(InputError, match=r"row 1 of x\.jsonl: not valid JSON"):
        plan_import(tmp_path / "x.jsonl")


def test_a_store_and_its_source_load_as_the_same_data(write_rows: WriteRows, pool: DecodePool) -> None:
    path = write_rows(pair_row(), pair_row(images=["b.png"]))
    raw = load_records(path, pool=pool)
    run_import(plan_import(path), path.parent / "out", pool=pool)
    stored = load_records(path.parent / "out")
    assert (raw.format, stored.format) == ("llama_factory_ranking", "store")
    assert [record.candidates for record in raw.records] == [record.candidates for record in stored.records]
    for one, other in zip(raw.records, stored.records, strict=True):
        assert raw.read(one.media[0]) == stored.read(other.media[0])
        assert one.media[0].sha256 == other.media[0].sha256
    assert raw.fingerprint == load_records(path, pool=pool).fingerprint


def test_a_picture_that_changed_after_loading_is_noticed(write_rows: WriteRows, pool: DecodePool) -> None:
    path = write_rows(pair_row())
    loaded = load_records(path, pool=pool)
    (path.parent / "a.png").write_bytes(picture("blue"))
    with pytest.raises(MediaError, match="the content changed"):
        loaded.read(loaded.records[0].media[0])


def test_equal_ids_are_refused_when_loading(write_rows: WriteRows, pool: DecodePool) -> None:
    with pytest.raises(InputError, match=r"row 2 of pairs\.jsonl: the id 'x' is used by an earlier row"):
        load_records(write_rows(pair_row(id="x"), pair_row(id="x")), pool=pool)


def test_show_picks_the_first_records_or_one_by_id(write_rows: WriteRows) -> None:
    path = write_rows(pair_row(id="x"), pair_row(id="y"))
    assert [record.id for record in show(path, first=1).records] == ["x"]
    assert [record.id for record in show(path, id="y").records] == ["y"] and show(path).total == 2
    with pytest.raises(UsageError, match="no record has the id 'z'; the first has 'x'"):
        show(path, id="z")


FIXTURES = {
    "mllm_demo.json": (6, 3, {"image"}),
    "mllm_video_demo.json": (3, 3, {"video"}),
    "mllm_audio_demo.json": (3, 3, {"audio"}),
    "mllm_video_audio_demo.json": (3, 2, {"video", "audio"}),
    "v1_multimodal_demo.jsonl": (24, 3, {"image"}),
    "dpo_en_demo.json": (300, 0, set()),
}


@pytest.mark.parametrize("file", FIXTURES)
def test_public_rows_with_their_media_are_imported_whole(
    file: str, llama_factory: Path, tmp_path: Path, pool: DecodePool
) -> None:
    records, files, kinds = FIXTURES[file]
    root = llama_factory.parent if file.startswith("v1") else None
    manifest = run_import(plan_import(llama_factory / file, media_root=root), tmp_path / "out", pool=pool).manifest
    assert (manifest.records, manifest.quarantined, manifest.media_files) == (records, 0, files)
    assert {medium.kind for record in Store.open(tmp_path / "out") for medium in record.media} == kinds
