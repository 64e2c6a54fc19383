"""Rows of damaged and unusual files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boresight.data import rows as rows_module
from boresight.data.rows import data_files, read_rows
from boresight.errors import InputError


def read(tmp_path: Path, content: bytes, name: str = "x.jsonl") -> list[Any]:
    """Values of good rows and faults of bad ones, with their numbers."""
    path = tmp_path / name
    path.write_bytes(content)
    return [(row.number, row.fault or dict(row.value)) for row in read_rows(path)]


def test_json_lines_with_bom_crlf_and_blank_lines(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"a":1}\r\n\r\n  \n{"a":2}\r\n{"a":3}'
    assert read(tmp_path, content) == [(1, {"a": 1}), (4, {"a": 2}), (5, {"a": 3})]


def test_a_json_array_with_bom_and_blanks(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf \n[\r\n {"a": "],["} ,\n{"a":2}\n]\n'
    assert read(tmp_path, content, "x.json") == [(1, {"a": "],["}), (2, {"a": 2})]


def test_an_empty_array_and_an_empty_file_have_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, b"[ ]") == []
    assert read(tmp_path, b"\n\n") == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"a":1', "not valid JSON"),
        (b"[1]", "expected a JSON object, got list"),
        (b'{"a":1,"b":{"c":1,"c":2}}', "the key 'c' appears twice"),
        (b'{"a":NaN}', "the number NaN is not finite"),
        (b'{"a":-Infinity}', "not finite"),
        (b'{"a":1e999}', "the number 1e999 is not finite"),
        (b'{"a":' + b"9" * 5000 + b"}", "not valid JSON: Exceeds the limit"),
        (b'{"a":"\xe9"}', "byte 6 is not UTF-8"),
        (b'{"a":"\x01"}', "Invalid control character"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "nests deeper than 64 levels"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nests too deeply"),
    ],
)
def test_a_bad_line_is_one_fault_and_the_next_line_is_read(tmp_path: Path, line: bytes, fault: str) -> None:
    first, second = read(tmp_path, b'{"z":0}\n' + line + b'\n{"z":1}\n')[1:]
    assert first[0] == 2 and fault in first[1]
    assert second == (3, {"z": 1})


@pytest.mark.parametrize("element", [b'{"a":1,"a":2}', b'{"a":NaN}', b"7", b'{"a":"\xff"}'])
def test_a_bad_element_of_an_array_is_one_fault_and_the_next_is_read(tmp_path: Path, element: bytes) -> None:
    first, second = read(tmp_path, b"[" + element + b', {"z":1}]', "x.json")
    assert first[0] == 1 and isinstance(first[1], str)
    assert second == (2, {"z": 1})


@pytest.mark.parametrize(
    "content", [b'[{"a":1}, {"b":', b'[{"a":1} {"b":2}]', b'[{"a":1},', b'[{"a":1}', b'[{"a":1}, b]']
)
def test_a_broken_array_keeps_what_came_before_and_says_that_the_rest_is_unread(tmp_path: Path, content: bytes) -> None:
    first, second = read(tmp_path, content, "x.json")
    assert first == (1, {"a": 1})
    assert second[0] == 2 and second[1].endswith("the rest of the file is unread. Repair the file.")


def test_an_array_longer_than_the_buffer_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_READ_BYTES", 7)
    values = [{"i": i, "t": "x" * i, "é": ["]", "}"]} for i in range(60)]
    content = json.dumps(values, indent=1, ensure_ascii=False).encode()
    assert [value for _, value in read(tmp_path, content, "x.json")] == values


@pytest.mark.parametrize("opening", [b"", b"["])
def test_a_row_without_end_is_refused_without_reading_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opening: bytes
) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROW_BYTES", 1000)
    monkeypatch.setattr(rows_module, "_READ_BYTES", 100)
    content = opening + b'{"a":"' + b"x" * 5000 + (b'"}\n{"a":1}' if not opening else b"")
    found = read(tmp_path, content)
    assert "longer than 1000 bytes" in found[0][1]
    assert found[1:] == ([(2, {"a": 1})] if not opening else [])


def test_the_raw_text_of_a_bad_row_is_kept_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": ' + "y" * 9000)
    (row,) = read_rows(path)
    assert row.raw.startswith('{"a": yyy') and len(row.raw) == rows_module.RAW_CHARS


def test_parquet_rows_leave_empty_cells_out_and_embedded_media_by_hash(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    image = {"bytes": b"PNG?", "path": "a.png"}
    pq.write_table(pa.Table.from_pylist([{"a": 1, "images": [image]}, {"a": None, "images": []}]), path)
    first, second = read_rows(path)
    (sha256,) = first.blobs
    assert first.blobs[sha256] == b"PNG?"
    assert first.value == {"a": 1, "images": [{"sha256": sha256, "path": "a.png"}]}
    assert second.value == {"images": []}


def test_a_parquet_cell_that_json_cannot_say_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": pa.array([b"x"], pa.binary())}), path)
    (row,) = read_rows(path)
    assert row.fault is not None and "the row.a holds bytes" in row.fault


@pytest.mark.parametrize(
    ("content", "message"), [(b"PAR1xxxx", "not a readable Parquet file"), (b"\x1f\x8b\x08", "is compressed")]
)
def test_a_file_that_is_no_container_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


def test_a_folder_stands_for_its_one_data_file_or_its_parquet_shards(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds no \.jsonl, \.json, \.parquet file"):
        data_files(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("b.parquet", "a.parquet"):
        (tmp_path / "data" / name).touch()
    assert [path.name for path in data_files(tmp_path)] == ["a.parquet", "b.parquet"]
    (tmp_path / "c.jsonl").touch()
    with pytest.raises(InputError, match=r"holds 3 data files \(c.jsonl, a.parquet, b.parquet\); name the one"):
        data_files(tmp_path)
    with pytest.raises(InputError, match="no file or folder"):
        data_files(tmp_path / "nowhere")
