"""Benchmarks from tasks to figures: the same whatever the batch, the number of processes or the moment of a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from boresight.cli.main import main
from boresight.errors import GateError, UsageError
from boresight.models.chat import Decoding, Request, Response
from boresight.models.loading import load_policy
from boresight.models.local import LocalModel
from boresight.studies import respond
from boresight.studies.demo import NANO
from boresight.studies.evaluate import Evaluated, Evaluation, evaluate, prepare
from boresight.studies.respond import Shard

LIMIT = 10
ALONE = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

BENCHMARK = """
from collections import Counter
from pathlib import Path
from boresight.benchmarks._benchmark import Benchmark, Task
from boresight.errors import InputError
from boresight.judges.rubric import Question, Rubric
from boresight.scoring.scores import Scores, mean

def tasks(assets):
    for row in assets.json("questions.json"):
        yield Task(id=row["id"], group=row["id"], prompt=row["prompt"], media=tuple(map(Path, row["media"])))

def clean(submission, assets):
    said = [r for r in submission.responses if r.status != "failed"]
    statuses = Counter("failed" if r.status == "failed" else "scored" for r in submission.responses)
    lengths = mean(tuple(r.id for r in said), tuple(r.group for r in said), [float(len(r.text)) for r in said])
    return Scores(metrics={"length": lengths}, statuses=statuses)

def judged(submission, assets):
    if not submission.judgements:
        raise InputError("needs judgements; give --judge.")
    return clean(submission, assets)

MEMBER = Benchmark(title="toy", dimension="general", media=("image",), licence="MIT", metrics={}, tasks=tasks,
                   max_new_tokens=6,
                   scorers={"clean": clean, "judged": judged},
                   rubrics={"own": Rubric(name="own", kind="pointwise", read=lambda text: len(text),
                                          ask=lambda text, fields: {"": Question(prompt=f"Rate: {text}")})})
"""


@pytest.fixture(scope="module")
def nano() -> LocalModel:
    return LocalModel(load_policy(NANO), "nano")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A user's benchmark with four bad tasks between two good ones; its assets lie beside it."""
    (tmp_path / "toy.py").write_text(BENCHMARK)
    Image.new("RGB", (96, 96), (200, 30, 30)).save(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"not a picture" * 9)
    ask = "describe the picture"
    rows: list[dict[str, Any]] = [
        {"id": "first", "prompt": ask, "media": ["good.png"]},
        {"id": "undecodable", "prompt": ask, "media": ["broken.png"]},
        {"id": "absent", "prompt": ask, "media": ["none.png"]},
        {"id": "outside", "prompt": ask, "media": ["../secret.png"]},
        {"id": "too long", "prompt": "a red circle " * 4000, "media": ["good.png"]},
        {"id": "last", "prompt": ask, "media": ["good.png"]},
    ]
    (tmp_path / "questions.json").write_text(json.dumps(rows))
    return tmp_path / "toy.py"


def run(model: LocalModel, out: Path, *names: str, **more: Any) -> list[Evaluated]:
    job = Evaluation(benchmarks=names or ("scenes_yes_no",), out=out, **{"limit": LIMIT, **more})
    return list(evaluate(job, prepare(job), model))


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_answers_and_figures_do_not_depend_on_the_batch(nano: LocalModel, tmp_path: Path) -> None:
    names = ("scenes_yes_no", "scenes_describe")
    for size in (1, 8):
        run(nano, tmp_path / str(size), *names, batch_size=size)
    for name in names:
        one, eight = (tmp_path / size / name for size in ("1", "8"))
        assert (one / "responses.jsonl").read_text() == (eight / "responses.jsonl").read_text()
        assert (one / "scores.json").read_text() == (eight / "scores.json").read_text()
    scores = json.loads((tmp_path / "8" / "scenes_yes_no" / "scores.json").read_text())
    assert scores["n"] == LIMIT and scores["metrics"]["accuracy"] > 0.5  # the nano model answers better than a coin
    assert scores["key"]["run"]["model"].startswith("nano@")


def test_shards_give_what_one_process_gives(nano: LocalModel, tmp_path: Path) -> None:
    run(nano, tmp_path / "one")
    (first,) = run(nano, tmp_path / "two", shard=Shard(number=2, of=2))
    assert first.scored is None and first.waits_for and first.responded.total == LIMIT // 2
    (second,) = run(nano, tmp_path / "two", shard=Shard(number=1, of=2))
    assert second.scored is not None
    one, two = (tmp_path / name / "scenes_yes_no" for name in ("one", "two"))
    assert (one / "responses.jsonl").read_text() == (two / "responses.jsonl").read_text()
    assert (one / "scores.json").read_text() == (two / "scores.json").read_text()


def test_processes_that_a_launcher_starts_share_a_run(nano: LocalModel, tmp_path: Path) -> None:
    run(nano, tmp_path / "one")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "boresight.cli.main"]
    done = subprocess.run(
        [*launcher, *command(tmp_path / "two")[3:]], capture_output=True, text=True, env={**os.environ, **ALONE}
    )
    assert done.returncode == 0, done.stderr
    one, two = (tmp_path / name / "scenes_yes_no" for name in ("one", "two"))
    assert len(rows(two / "responses.1-of-2.jsonl")) == len(rows(two / "responses.2-of-2.jsonl")) == LIMIT // 2
    assert rows(one / "responses.jsonl") == rows(two / "responses.jsonl")
    assert (one / "scores.json").read_text() == (two / "scores.json").read_text()


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_shard_that_cannot_be_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["eval", "scenes_yes_no", "--model", str(NANO), "--out", str(tmp_path), "--shard", text]
    monkeypatch.setattr("sys.argv", ["boresight", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2


def command(out: Path, *more: str) -> list[str]:
    code = "from boresight.cli.main import main; main()"
    fixed = ["eval", "scenes_yes_no", "--model", str(NANO), "--out", str(out), "--limit", str(LIMIT), *more]
    return [sys.executable, "-c", code, *fixed]


def test_processes_side_by_side_and_one_that_is_killed_end_the_same(nano: LocalModel, tmp_path: Path) -> None:
    run(nano, tmp_path / "whole")
    whole = (tmp_path / "whole" / "scenes_yes_no" / "responses.jsonl").read_bytes()
    folder = tmp_path / "out" / "scenes_yes_no"
    shards = [subprocess.Popen(command(tmp_path / "out", "--shard", f"{k}/2", "--batch-size", "1")) for k in (1, 2)]
    watched = folder / "responses.1-of-2.jsonl"
    give_up = time.monotonic() + 120
    while not (watched.exists() and watched.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < give_up and shards[0].poll() is None
        time.sleep(0.005)
    shards[0].send_signal(signal.SIGKILL)
    assert (shards[0].wait(), shards[1].wait()) == (-signal.SIGKILL, 0)
    kept = watched.read_bytes()
    assert not (folder / "responses.jsonl").exists() and kept.count(b"\n") < LIMIT // 2
    watched.write_bytes(kept + b'{"id": "scenes-te')  # as a kill inside of a write leaves it
    assert subprocess.run(command(tmp_path / "out", "--shard", "1/2"), check=False).returncode == 0
    answers = [json.loads(line) for line in (folder / "responses.jsonl").read_text().splitlines()]
    assert answers == [json.loads(line) for line in whole.decode().splitlines()]
    assert watched.read_bytes().startswith(kept)  # nothing was asked twice
    assert json.loads((folder / "scores.json").read_text())["n"] == LIMIT


def test_bad_items_fail_alone_and_say_why(nano: LocalModel, toy: Path, tmp_path: Path) -> None:
    (found,) = run(nano, tmp_path / "out", str(toy), assets=toy.parent)
    assert found.scored is not None and found.responded.failed == 4
    assert (found.scored.scores.statuses["failed"], found.scored.scores.statuses["scored"]) == (4, 2)
    answers = {row["id"]: row for row in rows(tmp_path / "out" / "toy" / "responses.jsonl")}
    assert list(answers) == ["first", "undecodable", "absent", "outside", "too long", "last"]
    assert answers["first"]["text"] == answers["last"]["text"] != ""
    assert "reason" not in answers["first"] and answers["first"]["status"] == "truncated"  # at 6 tokens
    for id, word in (
        ("undecodable", "broken.png"),
        ("absent", "none.png"),
        ("outside", "outside"),
        ("too long", "at most"),
    ):
        assert answers[id]["status"] == "failed" and word in answers[id]["reason"], answers[id]


def test_what_failed_is_asked_again_on_request_only(nano: LocalModel, toy: Path, tmp_path: Path) -> None:
    run(nano, tmp_path / "out", str(toy), assets=toy.parent)
    Image.new("RGB", (96, 96), (30, 30, 200)).save(toy.parent / "none.png")
    (kept,) = run(nano, tmp_path / "out", str(toy), assets=toy.parent)
    (again,) = run(nano, tmp_path / "out", str(toy), assets=toy.parent, retry_failed=True)
    assert (kept.responded.new, kept.responded.failed) == (0, 4)
    assert (again.responded.new, again.responded.failed) == (4, 3)


def test_other_prompts_are_another_run(nano: LocalModel, toy: Path, tmp_path: Path) -> None:
    """Also where no task before the limit has changed: the same benchmark asks for other things now."""
    run(nano, tmp_path / "out", str(toy), assets=toy.parent, limit=1)
    changed = """prompt=row["prompt"].replace("describe", "describe" if row["id"] == "first" else "name")"""
    toy.write_text(toy.read_text().replace('prompt=row["prompt"]', changed))
    with pytest.raises(UsageError, match=r"differs in: prompts\)"):
        run(nano, tmp_path / "out", str(toy), assets=toy.parent, limit=1)


def test_each_benchmark_is_scored_before_the_next_begins(nano: LocalModel, tmp_path: Path) -> None:
    job = Evaluation(benchmarks=("scenes_describe", "scenes_yes_no"), out=tmp_path, limit=2)
    results = evaluate(job, prepare(job), nano)
    assert next(results).benchmark == "scenes_describe"
    assert (tmp_path / "scenes_describe" / "scores.json").exists()
    assert (tmp_path / "scenes_describe" / "scores.items.jsonl").exists()
    assert not (tmp_path / "scenes_yes_no").exists()


def test_a_folder_belongs_to_one_model(nano: LocalModel, tmp_path: Path) -> None:
    run(nano, tmp_path, limit=2)
    (more,) = run(nano, tmp_path, limit=4)
    assert (more.responded.new, more.responded.total) == (2, 4)
    with pytest.raises(UsageError, match=r"of another run \(differs in: model\)"):
        run(LocalModel(nano.policy, "other"), tmp_path, limit=2)


class Broken:
    """A model that fails at everything, last answer first."""

    identity = "broken"
    reserved = ()

    def answer(self, requests: Iterable[Request], decoding: Decoding) -> Iterator[Response]:
        for request in reversed(list(requests)):
            yield Response(id=request.id, text="", num_tokens=None, status="failed", reason="out of order.")


def test_a_model_that_fails_at_everything_ends_the_run_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(respond, "_MOST_FAILURES_IN_A_ROW", 5)
    job = Evaluation(benchmarks=("scenes_yes_no",), out=tmp_path, limit=LIMIT)
    with pytest.raises(GateError, match=r"5 answers in a row failed, the last because: out of order\."):
        list(evaluate(job, prepare(job), Broken()))
    assert len(rows(tmp_path / "scenes_yes_no" / "responses.jsonl")) == 5


def test_answers_in_any_order_are_stored_in_that_of_the_tasks(tmp_path: Path) -> None:
    job = Evaluation(benchmarks=("scenes_yes_no",), out=tmp_path, limit=4)
    list(evaluate(job, prepare(job), Broken()))
    assert [row["id"][-2:] for row in rows(tmp_path / "scenes_yes_no" / "responses.jsonl")] == ["/0", "/1", "/0", "/1"]


def test_without_its_judge_a_benchmark_is_answered_and_waits(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    fixed = [
        "eval",
        str(toy),
        "--model",
        str(NANO),
        "--out",
        str(out),
        "--assets",
        str(toy.parent),
        "--scorer",
        "judged",
    ]
    codes = []
    for more in ([], ["--judge", "fake", "--allow-failing-judge"]):
        monkeypatch.setattr("sys.argv", ["boresight", *fixed, *more])
        with pytest.raises(SystemExit) as stop:
            main()
        codes.append(stop.value.code or 0)
    assert codes == [2, 0]
    assert "answered but not scored" in capsys.readouterr().err
    assert {row["id"] for row in rows(out / "toy" / "judgements.jsonl")} == {"first", "last"}
    key = json.loads((out / "toy" / "scores.json").read_text())["key"]
    assert (key["rubrics"], len(key["judges"])) == (["own"], 1)


def test_what_is_missing_is_said_before_a_model_is_loaded(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(words: str, *names: str, **more: Any) -> None:
        with pytest.raises(ValueError, match=words):
            prepare(Evaluation(benchmarks=names, out=tmp_path / "out", **more))

    refused("needs 'questions.json'", str(toy), assets=tmp_path / "none")
    refused("no scorer named 'officail'", "scenes_yes_no", scorer="officail")
    refused("named twice", "scenes_yes_no", "scenes_yes_no")
    refused("no benchmark named 'scenes'", "scenes")
    text = toy.read_text()
    toy.write_text(text.replace('media=("image",)', 'media=("video",)'))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "av", None)
        refused(r"needs the package 'av'.*pip install 'boresight\[video\]'", str(toy), assets=toy.parent)
    toy.write_text(text.replace("tasks=tasks,", ""))
    refused("has no tasks", str(toy), assets=toy.parent)
    toy.write_text(text)
    questions = json.loads((toy.parent / "questions.json").read_text())
    (toy.parent / "questions.json").write_text(json.dumps([*questions, questions[0]]))
    refused("occur more than once among the prompts, first 'first'", str(toy), assets=toy.parent)
