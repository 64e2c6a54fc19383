"""`boresight score`: which files and which scorer, what the figures rest on, and what is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from boresight.benchmarks._benchmark import Response
from boresight.benchmarks._stages import line
from boresight.cli.main import main
from boresight.judges.rubric import Judgement
from boresight.studies.score import Inputs, hash_of, score, score_again, write_scored

BENCHMARK = """
from boresight.benchmarks._benchmark import Benchmark, Response, Submission, read_json_lines
from boresight.scoring.scores import Scores, mean

def scorer(scale):
    def score(submission, assets):
        said, target = submission.responses, assets.json("target.json")
        right = [float(r.text == target) for r in said]
        accuracy = mean(tuple(r.id for r in said), tuple(r.group for r in said), right, scale=scale)
        return Scores(metrics={"accuracy": accuracy}, statuses={"scored": len(said)}, notes=("a note",),
                      items={r.id: {"status": "scored", "right": v} for r, v in zip(said, right)})
    return score

def native(paths, assets):
    rows = [row for path in paths for row in read_json_lines(path)]
    return Submission(responses=tuple(Response(id=str(n), group=str(n), text=r["answer"]) for n, r in enumerate(rows)))

MEMBER = Benchmark(title="toy", dimension="general", media=("text",), licence="MIT", judge="gpt-x", native=native,
                   version=7, metrics={}, scorers=SCORERS)
"""

Bench = Callable[..., str]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Writes a benchmark that needs one asset; gives its path."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "target.json").write_text('"yes"')

    def write(*scorers: str) -> str:
        declared = ", ".join(f"{name!r}: scorer({100 if name == 'official' else 1})" for name in scorers)
        path = tmp_path / "toy.py"
        path.write_text(BENCHMARK.replace("SCORERS", f"{{{declared}}}"))
        return str(path)

    return write


@pytest.fixture
def responses(tmp_path: Path) -> Path:
    path = tmp_path / "responses.jsonl"
    path.write_text("".join(line(Response(id=str(n), group=str(n), text="yes" if n < 3 else "no")) for n in range(12)))
    return path


def figures(name: str, tmp_path: Path, scorer: str | None = None, **files: Any) -> dict[str, Any]:
    return score(name, Inputs(assets=tmp_path / "assets", **files), scorer).to_json()


def test_official_is_taken_where_it_exists_and_clean_elsewhere(bench: Bench, responses: Path, tmp_path: Path) -> None:
    found = figures(bench("clean", "official"), tmp_path, responses=responses)
    assert (found["scorer"], found["metrics"]["accuracy"]) == ("official", 25.0)
    found = figures(bench("clean", "official"), tmp_path, "clean", responses=responses)
    assert (found["scorer"], found["metrics"]["accuracy"]) == ("clean", 0.25)
    assert figures(bench("clean"), tmp_path, responses=responses)["scorer"] == "clean"


def test_the_key_says_what_the_figures_rest_on(bench: Bench, responses: Path, tmp_path: Path) -> None:
    key = figures(bench("official"), tmp_path, responses=responses)["key"]
    sha256 = hashlib.sha256(responses.read_bytes()).hexdigest()
    assert key["inputs"] == [{"name": "responses.jsonl", "sha256": sha256}]
    assert key["assets"] == [{"name": "target.json", "sha256": hashlib.sha256(b'"yes"').hexdigest()}]
    assert (key["benchmark_version"], key["scorer"], key["judges"]) == (7, "official", [])


def test_length_and_refusals_stand_beside_a_preference(bench: Bench, responses: Path, tmp_path: Path) -> None:
    said = ["yes", "Sorry, but I cannot help with that.", "", "yes, it is"]
    rows = [Response(id=str(n), group=str(n), text=text) for n, text in enumerate(said)]
    rows.append(Response(id="4", group="4", text="yes", status="refused"))
    rows.append(Response(id="5", group="5", text="", status="failed"))
    responses.write_text("".join(map(line, rows)))
    name = bench("clean")
    assert list(figures(name, tmp_path, responses=responses)["metrics"]) == ["accuracy"]
    path = Path(name)
    path.write_text(path.read_text().replace('dimension="general"', 'dimension="preference"'))
    found = figures(name, tmp_path, responses=responses)
    assert found["metrics"]["refusal_rate"] == 60.0  # the apology, the empty one, and the one that the server refused
    assert found["metrics"]["response_characters"] == (3 + 35 + 0 + 10 + 3) / 5
    responses.write_text(line(Response(id="0", group="0", text="")))
    assert list(figures(name, tmp_path, responses=responses)["metrics"]) == ["accuracy"]  # only judgements are at hand


def test_native_files_are_read_in_the_order_given_and_carry_the_authors_judge(bench: Bench, tmp_path: Path) -> None:
    for name, answer in (("b.jsonl", "yes"), ("a.jsonl", "no")):
        (tmp_path / name).write_text(json.dumps({"answer": answer}) + "\n")
    native = (tmp_path / "b.jsonl", tmp_path / "a.jsonl")
    scored = score(bench("official"), Inputs(native=native, assets=tmp_path / "assets"))
    assert scored.scores.items["0"]["right"] == 1.0 and scored.scores.items["1"]["right"] == 0.0
    assert [entry["name"] for entry in scored.key["inputs"]] == ["b.jsonl", "a.jsonl"]
    assert scored.key["judges"] == ["gpt-x"]


def test_judgements_name_their_judge_and_keep_to_one_rubric(bench: Bench, responses: Path, tmp_path: Path) -> None:
    judged = tmp_path / "judgements.jsonl"
    own, official = (Judgement(id="0", text="7", judge="j@1", rubric=rubric) for rubric in ("own", "official"))
    judged.write_text(line(own))
    key = figures(bench("official"), tmp_path, responses=responses, judgements=judged)["key"]
    assert (key["judges"], key["rubrics"]) == (["j@1"], ["own"])
    judged.write_text(line(own) + line(official))
    with pytest.raises(ValueError, match="rubrics official, own; score one rubric at a time"):
        figures(bench("official"), tmp_path, responses=responses, judgements=judged)


def test_the_hash_of_a_folder_follows_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a").write_text("1")
    first = hash_of(folder)
    (folder / "sub" / "a").rename(folder / "sub" / "b")
    second = hash_of(folder)
    (folder / "sub" / "b").write_text("2")
    assert len({first, second, hash_of(folder)}) == 3


def test_figures_can_be_made_again_from_their_file_wherever_it_is_read(
    bench: Bench, responses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = Inputs(responses=Path("responses.jsonl"), assets=Path("assets"))
    scored = score(bench("clean", "official").removeprefix(f"{tmp_path}/"), inputs, "clean")
    write_scored(Path("deep/er/scores.json"), scored)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = score_again(tmp_path / "deep" / "er" / "scores.json")
    assert (again.scorer, again.scores.metrics["accuracy"].value, again.key) == ("clean", 0.25, scored.key)
    items = (tmp_path / "deep" / "er" / "scores.items.jsonl").read_text().splitlines()
    assert json.loads(items[0]) == {"id": "0", "status": "scored", "right": 1.0}


def test_the_command_prints_figures_with_intervals_statuses_and_notes(
    bench: Bench, responses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / "scores.json"
    arguments = ["score", bench("official"), "--responses", responses, "--assets", tmp_path / "assets", "--json", out]
    monkeypatch.setattr("sys.argv", ["boresight", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    said = capsys.readouterr().out
    low, high = json.loads(out.read_text())["intervals"]["accuracy"]
    assert 0 <= low < 25 < high <= 100
    for words in ("toy v7, scorer official", "25.000", f"[{low:.3f}, {high:.3f}]", "scored 12", "note: a note"):
        assert words in said


def test_wrong_options_are_refused_in_one_line(
    bench: Bench, responses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, assets = bench("official"), str(tmp_path / "assets")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing fetched"))
    for words, arguments in {
        "either --responses FILE or --native FILE": [name],
        "and not both": [name, "--responses", responses, "--native", responses],
        "--judgements goes with --responses": [name, "--native", responses, "--judgements", responses],
        "there is no file or folder": [name, "--responses", "none.jsonl"],
        "write the figures elsewhere": [name, "--native", tmp_path, "--json", tmp_path / "a.json"],
        "is no folder": [name, "--responses", responses, "--assets", responses],
        "Known: official.": [name, "--responses", responses, "--assets", assets, "--scorer", "clean"],
        "no benchmark named 'scenes_yesno'. Did you mean 'scenes_yes_no'?": ["scenes_yesno", "--responses", responses],
        "has no files of its authors'": ["scenes_yes_no", "--native", responses],
        "needs 'target.json', no assets folder was given": [name, "--responses", responses],
        "needs fields.target": ["scenes_yes_no", "--responses", responses],
    }.items():
        monkeypatch.setattr("sys.argv", ["boresight", "score", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr().err
        assert stop.value.code == 2 and words in said and said.count("\n") == 1, (words, said)


def test_fetched_assets_are_found_without_being_named(
    bench: Bench, responses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    (cache / "boresight" / "assets").mkdir(parents=True)
    (tmp_path / "assets").rename(cache / "boresight" / "assets" / "toy")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert score(bench("official"), Inputs(responses=responses)).to_json()["metrics"]["accuracy"] == 25.0
