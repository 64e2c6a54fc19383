"""`boresight judge` as a user calls it, on a benchmark of the user's own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faulty_server import BEHAVIORS, KEY, FaultyServer, Handler, reply, serving
from PIL import Image

from boresight.studies.demo import NANO
from command_line import Run

BENCH = '''
"""Toy: one question about one picture.

Source: none.
Differs from nothing.
"""
from boresight.benchmarks._benchmark import Benchmark
from boresight.judges.kinds import claims, pairwise, pointwise
from boresight.judges.rubric import Question, Rubric

def official(text, fields):
    return {"": Question(prompt=fields["assets"]["prompt.txt"].replace("ANSWER", text))}

MEMBER = Benchmark(
    title="Toy", dimension="dialogue", media=("image",), licence="none", metrics={},
    scorers={"clean": lambda s, a: None},
    rubrics={
        "own": pairwise("own", "which is right?"),
        "points": pointwise("points", "is it right?"),
        "claims": claims(),
        "official": Rubric(name="official", kind="pointwise", ask=official, read=lambda t: t, assets=("prompt.txt",)),
    },
)
'''


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    (tmp_path / "toy.py").write_text(BENCH)
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    (tmp_path / "prompt.txt").write_text("[[A]] Say ANSWER")
    return tmp_path


def write_responses(folder: Path, count: int = 6, **changes: dict[str, Any]) -> Path:
    path = folder / "responses.jsonl"
    rows = []
    for n in range(count):
        fields = {"question": "What?", "other": "blue", "media": ["red.png"]}
        rows.append({"id": str(n), "group": str(n), "text": f"red {n}", "fields": fields, **changes.get(f"r{n}", {})})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with serving(dict(BEHAVIORS)) as running:
        yield running


def arguments(folder: Path, judge: str, *more: object) -> list[object]:
    return [
        "judge", folder / "toy.py", "--responses", folder / "responses.jsonl", "--judge", judge, "--out",
        folder / "out.jsonl", "--assets", folder, *more,
    ]  # fmt: skip


def test_the_fake_judge_judges_every_response_in_both_orders(run: Run, toy: Path) -> None:
    write_responses(toy, r1={"status": "failed", "text": ""}, r2={"text": "<image> [[A]]"})
    code, out, err = run(*arguments(toy, "fake", "--allow-failing-judge"))
    assert code == 0, err
    rows = rows_of(toy / "out.jsonl")
    assert [(r["id"], r["part"]) for r in rows] == [(id, part) for id in "02345" for part in ("ab", "ba")]
    assert {r["rubric"] for r in rows} == {"own"} and {r["judge"] for r in rows} == {"fake"}
    assert "10 new judgements, 10 in all" in out
    assert "complete 10  unparsed 0  refused 0  truncated 0  failed 0" in out
    assert re.search(r"consistency [01]\.\d{3} of 5 responses", out)
    assert re.search(r"canaries: \d+ of 12", out)
    assert "1 responses held reserved sequences" in out


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_judge_that_falls_for_the_canaries_is_asked_nothing_else(run: Run, toy: Path, server: FaultyServer) -> None:
    write_responses(toy)
    command = arguments(toy, f"{server.url('well')}#m")  # always the first, so wrong in one of both orders
    code, out, err = run(*command)
    assert code == 3 and "takes a false answer for the better one (3 of 3)" in err and "--allow-failing-judge" in err
    assert "canaries: 0 of 12 as they should be" in out
    assert rows_of(toy / "out.jsonl") == [] and server.hits["well"] == 24
    code, out, _ = run(*command, "--allow-failing-judge")
    assert code == 0 and "12 new judgements, 12 in all" in out
    assert server.hits["well"] == 24 + 12  # the canaries' answers were known
    facts = json.loads((toy / "out.run.json").read_text())
    found = facts.pop("outcome")
    assert facts == {"benchmark": "toy", "judge": f"m at {server.url('well')}", "rubric": "own"}
    assert found["canaries"]["passed"] == dict.fromkeys(found["canaries"]["asked"], 0)
    assert (found["served"], found["rubric_version"]) == (["m"], 1)
    assert found["consistency"] == {"compared": 6, "agreeing": 0, "for_first": 6, "for_second": 0}


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_judge_that_cannot_be_asked_the_canaries_is_refused_with_the_reason(
    run: Run, toy: Path, server: FaultyServer
) -> None:
    server.behaviors["blind"] = lambda h, n, r: (
        h.send(400, {"error": {"message": "no pictures"}}) if "image_url" in json.dumps(r) else h.send(200, reply())
    )
    write_responses(toy)
    code, _, err = run(*arguments(toy, f"{server.url('blind')}#m", "--rubric", "points"))
    assert code == 3 and "the first because: HTTP 400: no pictures" in err
    assert rows_of(toy / "out.jsonl") == []


def test_the_same_command_again_asks_nothing_and_gives_the_same_file(run: Run, toy: Path) -> None:
    write_responses(toy)
    run(*arguments(toy, "fake", "--no-canaries"))
    first = (toy / "out.jsonl").read_bytes()
    _, out, _ = run(*arguments(toy, "fake", "--no-canaries"))
    assert "0 new judgements, 12 in all" in out
    assert (toy / "out.jsonl").read_bytes() == first


def test_a_response_that_changed_is_judged_again_and_a_cut_line_too(run: Run, toy: Path) -> None:
    write_responses(toy)
    run(*arguments(toy, "fake", "--no-canaries"))
    whole = (toy / "out.jsonl").read_bytes()
    (toy / "out.jsonl").write_bytes(whole[:-20])
    write_responses(toy, r0={"text": "something else"})
    _, out, _ = run(*arguments(toy, "fake", "--no-canaries"))
    assert "3 new judgements, 12 in all" in out


def test_judges_and_rubrics_are_not_mixed_in_one_file(run: Run, toy: Path) -> None:
    write_responses(toy)
    run(*arguments(toy, "fake", "--no-canaries"))
    code, _, err = run(*arguments(toy, "fake", "--rubric", "points"))
    assert code == 2 and "is of another run (differs in: rubric)" in err


def test_a_file_of_something_else_is_refused_and_stays_as_it_is(run: Run, toy: Path) -> None:
    """Not even a last line without an end is taken away, as of a line cut by a kill."""
    held = write_responses(toy).read_text().rstrip("\n")
    (toy / "out.jsonl").write_text(held)
    code, _, err = run(*arguments(toy, "fake", "--no-canaries"))
    assert code == 2 and "no out.run.json says what it holds" in err
    assert (toy / "out.jsonl").read_text() == held
    (toy / "out.run.json").write_text(json.dumps({"model": "m", "benchmark": "toy"}))
    code, _, err = run(*arguments(toy, "fake", "--no-canaries"))
    assert code == 2 and "differs in: judge, model, rubric" in err
    assert (toy / "out.jsonl").read_text() == held


def test_an_official_rubric_reads_the_authors_prompt_as_it_is(run: Run, toy: Path) -> None:
    write_responses(toy, 1, r0={"text": "[[B]]"})
    assert run(*arguments(toy, "fake", "--rubric", "official", "--no-canaries"))[0] == 0
    assert rows_of(toy / "out.jsonl")[0]["verdict"] in ("[[A]]", "[[B]]")  # the form that the prompt, unchanged, names
    (toy / "prompt.txt").unlink()
    code, _, err = run(*arguments(toy, "fake", "--rubric", "official"))
    assert code == 2 and "needs 'prompt.txt'" in err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--rubric", "ours"], "Known: own, points, claims, official"),
        (["--budget-usd", "1"], "needs the prices"),
        (["--price-prompt", "1"], "go together"),
        (["--deadline", "0"], "positive"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(run: Run, toy: Path, more: list[str], said: str) -> None:
    write_responses(toy)
    code, _, err = run(*arguments(toy, "http://127.0.0.1:9/v1#m", *more))
    assert code == 2 and said in err and len(err.splitlines()) == 1


def test_a_judge_that_is_no_judge_is_refused(run: Run, toy: Path) -> None:
    write_responses(toy)
    code, _, err = run(*arguments(toy, "gpt-x"))
    assert code == 2 and "URL#MODEL" in err


def judging(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    """Bad on response 3, right on the others."""
    text = json.dumps(request["messages"])
    if "red 3" in text:
        handler.send(400, {"error": {"message": f"cannot take it {KEY}"}})
    else:
        handler.send(200, reply("Verdict: 1"))


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_one_bad_item_fails_alone_and_is_asked_again_next_time(
    run: Run, toy: Path, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BORESIGHT_API_KEY", KEY)
    server.behaviors["judging"] = judging
    write_responses(toy)
    command = arguments(toy, f"{server.url('judging')}#m", "--no-canaries")
    code, out, err = run(*command)
    assert code == 0, err
    assert "complete 10  unparsed 0  refused 0  truncated 0  failed 2" in out
    assert "12 calls, 1000 prompt and 100 completion tokens; 0 answers were known" in out
    assert "pairs that follow the place: 5 the first, 0 the second" in out
    server.behaviors["judging"] = BEHAVIORS["well"]
    _, out, _ = run(*command)
    assert "2 new judgements, 12 in all" in out and "failed 0" in out
    written = b"".join(path.read_bytes() for path in toy.iterdir() if path.is_file())
    assert KEY.encode() not in written


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_spent_budget_keeps_what_it_bought_and_the_next_run_pays_for_the_rest_only(
    run: Run, toy: Path, server: FaultyServer
) -> None:
    write_responses(toy)
    judge = f"{server.url('well')}#m"
    code, out, err = run(*arguments(toy, judge, "--budget-calls", 5, "--no-canaries"))
    assert code == 4 and "budget of 5 calls is spent" in err
    assert "5 new judgements, 5 in all" in out
    code, out, _ = run(*arguments(toy, judge, "--no-canaries", "--price-prompt", 1, "--price-completion", 5))
    assert code == 0 and "7 new judgements, 12 in all" in out
    assert "7 calls, 700 prompt and 70 completion tokens, 0.0010 USD" in out
    assert server.hits["well"] == 12


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_lost_file_is_made_again_from_the_cache_without_a_call(run: Run, toy: Path, server: FaultyServer) -> None:
    write_responses(toy)
    command = arguments(toy, f"{server.url('well')}#m", "--no-canaries")
    run(*command)
    first = (toy / "out.jsonl").read_bytes()
    (toy / "out.jsonl").unlink()
    _, out, _ = run(*command)
    assert "0 calls" in out and "12 answers were known" in out
    assert (toy / "out.jsonl").read_bytes() == first


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_judge_that_changes_under_way_is_reported(run: Run, toy: Path, server: FaultyServer) -> None:
    server.behaviors["changing"] = lambda h, n, r: h.send(200, reply(model=f"m-{1 + (n > 6)}"))
    write_responses(toy)
    _, out, _ = run(*arguments(toy, f"{server.url('changing')}#m", "--no-canaries"))
    assert "WARNING the judge changed under way: m-1; m-2" in out


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_wrong_settings_end_with_one_line_and_no_row(run: Run, toy: Path, server: FaultyServer) -> None:
    write_responses(toy)
    code, _, err = run(*arguments(toy, f"{server.url('404')}#m"))
    assert code == 2 and "refuses model 'm': HTTP 404: model not found" in err
    assert rows_of(toy / "out.jsonl") == []


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_killed_run_goes_on_and_ends_as_if_it_had_never_been_killed(
    run: Run, toy: Path, server: FaultyServer
) -> None:
    def slow(handler: Handler, hit: int, request: dict[str, Any]) -> None:
        time.sleep(0.02)
        number = int(re.findall(r"red (\d+)", json.dumps(request["messages"]))[0])
        handler.send(200, reply(f"Verdict: {1 + number % 2}"))

    server.behaviors["slow"] = slow
    write_responses(toy, 40)
    command = arguments(toy, f"{server.url('slow')}#m", "--no-canaries", "--concurrency", 2)
    out = toy / "out.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "boresight.cli.main", *map(str, command)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and (not out.exists() or out.read_bytes().count(b"\n") < 10):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 10 <= out.read_bytes().count(b"\n") < 80
    code, said, _ = run(*command)
    assert code == 0 and "80 in all" in said
    assert server.hits["slow"] <= 80 + 2  # two at a time were on their way when it was killed
    killed = out.read_bytes()
    out.unlink()
    run(*command[:-3], "--no-canaries", "--cache", toy / "other.sqlite")
    assert out.read_bytes() == killed


LISTS = """
from boresight.benchmarks._benchmark import Benchmark
from boresight.judges.kinds import Criterion, claims, criteria, listwise

MEMBER = Benchmark(
    title="Lists", dimension="dialogue", media=("image",), licence="none", metrics={},
    scorers={"clean": lambda s, a: None},
    rubrics={
        "claims": claims(),
        "criteria": criteria("criteria", [Criterion(name="red", text="Red?"), Criterion(name="big", text="Big?")]),
        "listwise": listwise("listwise", "which is right?"),
    },
)
"""


def by_text(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    """Splits into two claims, of which the second is false; finds all red and nothing big; ranks in the order shown."""
    text = json.dumps(request["messages"])
    if "Split the answer" in text:
        said = "Claim: It is red.\nClaim: It is big."
    elif "Ranking:" in text:
        said = "Ranking: 1 > 2"
    else:
        said = f"Verdict: {'no' if 'big' in text.lower() else 'yes'}"
    handler.send(200, reply(said))


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize(
    ("rubric", "verdicts"),
    [
        ("claims", {"claims": ["It is red", "It is big"], "claim-01": "yes", "claim-02": "no"}),
        ("criteria", {"red": "yes", "big": "no"}),
        ("listwise", {"forward": [1, 2], "backward": [1, 2]}),
    ],
)
def test_rubrics_of_several_questions_are_asked_and_resumed_as_a_whole(
    run: Run, toy: Path, server: FaultyServer, rubric: str, verdicts: dict[str, Any]
) -> None:
    (toy / "toy.py").write_text(LISTS)
    fields = {"question": "What?", "others": ["blue"], "media": ["red.png"]}
    write_responses(toy, 3, **{f"r{n}": {"fields": fields} for n in range(3)})
    server.behaviors["by-text"] = by_text
    command = arguments(toy, f"{server.url('by-text')}#m", "--rubric", rubric, "--no-canaries")
    code, _, err = run(*command, "--budget-calls", 2, "--concurrency", 1)
    assert code == 4, err
    code, _, err = run(*command)
    assert code == 0, err
    rows = rows_of(toy / "out.jsonl")
    assert len(rows) == 3 * len(verdicts) >= server.hits["by-text"]  # equal claims are one question
    for id in "012":
        assert {row["part"]: row["verdict"] for row in rows if row["id"] == id} == verdicts


def test_a_model_in_this_process_judges_and_is_told_by_its_weights(run: Run, toy: Path) -> None:
    """The nano model knows no verdicts: every answer is whole, and says nothing that a rubric could read."""
    write_responses(toy, 2)
    command = arguments(toy, f"local:{NANO}", "--rubric", "points", "--batch-size", 2)
    code, _, err = run(*command)
    assert code == 3 and "rewards an answer that says nothing (3 of 3)" in err
    code, out, err = run(*command, "--allow-failing-judge")
    assert code == 0, err
    rows = rows_of(toy / "out.jsonl")
    assert [row["id"] for row in rows] == ["0", "1"] and all(row["text"] for row in rows)
    assert [row.get("verdict") for row in rows] == [None, None] and "unparsed 2" in out
    assert re.fullmatch(r"nano@[0-9a-f]{16} float32 on cpu", rows[0]["judge"])


@pytest.mark.enable_socket
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_person_who_stops_a_run_keeps_what_it_has_and_goes_on(run: Run, toy: Path, server: FaultyServer) -> None:
    server.behaviors["first-ten"] = lambda h, n, r: (BEHAVIORS["well"] if n <= 10 else BEHAVIORS["hang"])(h, n, r)
    write_responses(toy, 20)
    command = arguments(toy, f"{server.url('first-ten')}#m", "--no-canaries", "--concurrency", 2)
    process = subprocess.Popen(
        [sys.executable, "-m", "boresight.cli.main", *map(str, command)], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and server.hits["first-ten"] < 12:
        time.sleep(0.01)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 4 and "the same command goes on" in said and "Traceback" not in said
    assert time.monotonic() - began < 10
    kept = len(rows_of(toy / "out.jsonl"))
    assert kept >= 9
    server.behaviors["first-ten"] = BEHAVIORS["well"]
    code, out, _ = run(*command)
    assert code == 0 and f"{40 - kept} new judgements, 40 in all" in out
