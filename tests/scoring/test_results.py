"""The result table: what is compared with what, and what a file may hold."""

import json
import math

import pytest

from boresight.errors import InputError
from boresight.scoring.results import ResultRow, parse_row, read_results, results_table, write_results
from boresight.scoring.statistics import mean_of

ROW = {"run": "dpo", "metric": "chair_i", "n": 3, "value": 0.5, "low": 0.4, "high": 0.6}


def ratio(*values):
    ids = [f"i{i}" for i in range(len(values))]
    return mean_of(ids, ids, values)


def test_every_run_is_compared_with_the_base_and_the_base_with_nothing():
    rows = results_table(
        {"base": {"accuracy": ratio(0.0, 1.0, 0.0, 1.0)}, "dpo": {"accuracy": ratio(1.0, 1.0, 0.0, 1.0)}}
    )
    base, dpo = rows
    assert (base.run, base.value, base.difference, base.difference_low) == ("base", 0.5, None, None)
    assert (dpo.run, dpo.value, dpo.difference) == ("dpo", 0.75, 0.25)
    assert dpo.difference_low <= 0.25 <= dpo.difference_high


def test_a_table_without_the_base_run_says_so_in_each_row():
    (row,) = results_table({"dpo": {"accuracy": ratio(0.0, 1.0)}})
    assert row.difference is None
    assert "run 'base' has no such metric" in row.reason


def test_another_run_may_be_the_base():
    rows = results_table({"sft": {"f1": ratio(0.0, 0.5)}, "dpo": {"f1": ratio(1.0, 0.5)}}, base="sft")
    assert rows[0].difference is None
    assert rows[1].difference == pytest.approx(0.5)


def test_a_written_table_reads_back_equal(tmp_path):
    rows = results_table({"base": {"empty_rate": ratio(0.0, 0.0)}, "dpo": {"empty_rate": ratio(1.0, 0.0)}})
    write_results(tmp_path / "results.json", rows)
    assert read_results(tmp_path / "results.json") == rows
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_missing_number_is_null_on_disk_with_its_reason(tmp_path):
    write_results(tmp_path / "r.json", results_table({"base": {"f1": mean_of([], [], [])}}))
    (row,) = json.loads((tmp_path / "r.json").read_text())
    assert row["value"] is None
    assert row["reason"] == "no items"


def test_a_nan_cannot_be_written(tmp_path):
    row = ResultRow(run="r", metric="m", n=1, value=math.nan, low=None, high=None)
    with pytest.raises(ValueError, match="Out of range"):
        write_results(tmp_path / "r.json", [row])
    assert list(tmp_path.iterdir()) == []


def test_a_row_may_carry_keys_that_nobody_reads():
    assert parse_row({**ROW, "note": "kept elsewhere"}, source="r.json", row=1) == ResultRow(**ROW)


@pytest.mark.parametrize(
    "change",
    [
        {"run": ""},
        {"metric": 3},
        {"n": -1},
        {"n": True},
        {"n": None},
        {"value": "0.5"},
        {"low": math.nan},
        {"high": math.inf},
        {"difference": False},
        {"reason": 1},
    ],
)
def test_a_bad_field_is_named_with_its_row(change):
    (name,) = change
    with pytest.raises(InputError, match=rf"row 7 of r\.json: field '{name}'"):
        parse_row({**ROW, **change}, source="r.json", row=7)


@pytest.mark.parametrize(("text", "match"), [("{", "expected a JSON list"), ("{}", "found dict"), ("[1]", "found int")])
def test_a_file_that_is_no_table_is_refused(tmp_path, text, match):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match=match):
        read_results(tmp_path / "r.json")


def test_an_absent_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"r\.json: expected a JSON list"):
        read_results(tmp_path / "r.json")


def test_a_change_needs_an_interval_that_excludes_zero():
    def row(low, high):
        return ResultRow(**ROW, difference=0.1, difference_low=low, difference_high=high)

    assert row(0.01, 0.2).is_change
    assert row(-0.3, -0.1).is_change
    assert not row(-0.1, 0.3).is_change
    assert not row(0.0, 0.0).is_change
    assert not row(None, None).is_change


def test_a_metric_under_another_input_knows_its_plain_name():
    row = ResultRow(**{**ROW, "metric": "coverage@null"})
    assert (row.metric_name, row.input_name) == ("coverage", "null")
    plain = ResultRow(**ROW)
    assert (plain.metric_name, plain.input_name) == ("chair_i", None)
