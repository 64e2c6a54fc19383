"""The main job at a size of seconds: its files, its going on after a stop, its honest table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from boresight.data.store import Store
from boresight.errors import UsageError
from boresight.reports.report import write
from boresight.scoring import read_results
from boresight.studies.demo import Demo, run_demo
from boresight.training.run_log import Listener

SIZES = {"train_scenes": 16, "samples": 4, "held_out_pair_scenes": 8, "test_scenes": 6}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_demo(Demo(out=tmp_path_factory.mktemp("demo") / "run", **SIZES))


def test_every_run_has_every_metric_and_its_difference(finished: Path) -> None:
    rows = read_results(finished / "results.json")
    assert [row.run for row in rows if row.metric == "chair_i"] == ["base", "dpo", "mdpo"]
    by_run = {run: {row.metric for row in rows if row.run == run} for run in ("base", "dpo", "mdpo")}
    assert by_run["base"] == by_run["dpo"] == by_run["mdpo"]
    wanted = {"chair_i", "chair_s", "coverage", "accuracy", "f1", "yes_ratio", "margin", "margin@null", "accuracy@null"}
    assert by_run["base"] >= wanted
    described = {row.n for row in rows if row.metric in ("chair_i", "coverage")}
    assert described == {6}
    assert all(row.difference is None for row in rows if row.run == "base")
    assert any(row.difference is not None for row in rows if row.run == "dpo")


def test_pairs_are_the_models_own_samples_judged_by_the_oracle(finished: Path) -> None:
    store = Store.open(finished / "data" / "train")
    assert len(store) >= 4
    for record in store:
        assert record.id.startswith("scenes-train-")
        (preference,) = record.preferences
        assert preference.by == "oracle"
        values = {c.id: {s.aspect: s.value for s in c.scores} for c in record.candidates}
        chosen, rejected = values[preference.chosen], values[preference.rejected]
        assert chosen["false_mentions"] >= rejected["false_mentions"]  # stored as minus their number
        assert chosen["coverage"] >= rejected["coverage"]
        assert chosen != rejected
        assert all(c.origin is not None and c.origin.kind == "model" for c in record.candidates)


def test_no_test_scene_was_trained_on(finished: Path) -> None:
    trained = {record.id for record in Store.open(finished / "data" / "train")}
    tested = {json.loads(line)["item_id"] for line in (finished / "responses" / "dpo.jsonl").read_text().splitlines()}
    assert len(tested) == 6
    assert not trained & tested
    assert all(id.startswith("scenes-test-") for id in tested)


def test_a_stopped_demo_goes_on_and_ends_the_same(finished: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(step: int, total: int, metrics: object) -> None:
        raise StopError

    demo = Demo(out=tmp_path / "run", **SIZES)
    with pytest.raises(StopError):
        run_demo(demo, Listener(step=stop))
    assert not (demo.out / "results.json").exists()
    run_demo(demo)
    assert (demo.out / "results.json").read_text() == (finished / "results.json").read_text()


def test_a_finished_demo_is_left_as_it_is_and_its_folder_belongs_to_it(finished: Path) -> None:
    before = (finished / "manifest.json").read_text()
    assert run_demo(Demo(out=finished, **SIZES)) == finished
    assert (finished / "manifest.json").read_text() == before
    with pytest.raises(UsageError, match="another size, seed or model"):
        run_demo(Demo(out=finished, **{**SIZES, "samples": 5}))


def test_the_report_shows_pictures_and_marks_claims(finished: Path) -> None:
    page = write(finished).read_text()
    assert page.count("data:image/png;base64") >= 6
    assert "false" in page and "mdpo" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
