"""Pages that are generated say what the files say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from boresight import registry

ROOT = Path(__file__).parents[1]


def load(path: Path) -> Any:
    """A script, which is no part of the package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def make_docs() -> Any:
    return load(ROOT / "scripts" / "make_docs.py")


@pytest.fixture(scope="module")
def speed_table() -> Any:
    return load(ROOT / "perf" / "speed_table.py")


def test_the_pages_of_benchmarks_are_current(make_docs: Any) -> None:
    assert make_docs.stale() == []  # run scripts/make_docs.py


def test_every_benchmark_has_a_page_with_what_it_declares(make_docs: Any) -> None:
    pages = make_docs.pages()
    names = registry.names("boresight.benchmarks")
    assert sorted(pages) == sorted([*(f"{name}.md" for name in names), "README.md"])
    for name in names:
        benchmark = registry.load("boresight.benchmarks", name)
        page = pages[f"{name}.md"]
        missing = [text for text in (benchmark.title, *benchmark.scorers, "Differs from ") if text not in page]
        assert missing == [], name
        assert f"[{name}]({name}.md)" in pages["README.md"]


def test_a_page_that_changed_is_written_and_one_too_many_removed(make_docs: Any, tmp_path: Path) -> None:
    assert "README.md" in make_docs.write(tmp_path)
    (tmp_path / "scenes_yes_no.md").write_text("old")
    (tmp_path / "gone.md").write_text("of a benchmark that is no more")
    assert make_docs.stale(tmp_path) == ["gone.md", "scenes_yes_no.md"]
    assert make_docs.write(tmp_path) == ["gone.md", "scenes_yes_no.md"]
    assert make_docs.stale(tmp_path) == [] and not (tmp_path / "gone.md").exists()


def test_the_listing_is_plain_json_with_everything_a_reader_chooses_by(make_docs: Any) -> None:
    listed = {entry["name"]: entry for entry in json.loads(json.dumps(make_docs.facts("benchmarks"), allow_nan=False))}
    entry = listed["scenes_yes_no"]
    assert (entry["dimension"], entry["media"], entry["scorers"]) == ("hallucination", ["image"], ["clean"])
    assert entry["source"].startswith("own world") and "Differs" not in entry["source"]
    assert entry["departures"].startswith("Differs from POPE: an answer that is neither")
    assert entry["metrics"]["f1"]["definition"].startswith("2 TP") and entry["metrics"]["f1"]["unit"] == "rate"
    assert all(
        {"licence", "judge", "fixes", "version", "title", "rubrics", "assets"} <= e.keys() for e in listed.values()
    )


def test_the_page_of_speeds_is_current(speed_table: Any) -> None:
    assert speed_table.PAGE.read_text(encoding="utf-8") == speed_table.current()  # run python -m perf.speed_table


def test_the_page_of_speeds_says_what_the_outputs_say(speed_table: Any) -> None:
    names = ("trl", "llama_factory", "boresight", "boresight_cached_reference")

    def output(pairs: int, answer_tokens: int | list[int], *, frozen: bool) -> dict[str, Any]:
        each = dict(zip(names, (1, 2, 8, 16), strict=True))
        ratios = {f"{kind}{peer}{ending}": number for number, (kind, peer, ending) in enumerate(
            (kind, peer, ending)
            for kind in ("ratio", "flop_limit_of_ratio")
            for peer in ("", "_to_llama_factory")
            for ending in ("", "_cached_reference")
        )}  # fmt: skip
        return {
            "shape": {"media_tokens": 1500, "frozen_media": frozen, "answer_tokens": answer_tokens},
            "pairs_per_step": pairs,
            "matmul": "mkl",
            "processor": "Some(R) Cores(R) Processor",
            "peak_gflop_per_s": 99.6,
            "pairs_per_s": each,
            "gflop_per_step": each,
            "share_of_peak": {name: value / 100 for name, value in each.items()},
            "peak_mib": each,
            "ratio_peak_memory": 0.25,
            **ratios,
        }

    outputs = [
        ("c.json", output(1, [50, 150], frozen=False)),
        ("b.json", output(2, [100, 100], frozen=True)),
        ("a.json", output(4, 100, frozen=False)),
    ]
    lines = speed_table.page(outputs).splitlines()
    rows = [line for line in lines if line.startswith(("| [", "| 1,500"))]
    assert rows[:3] == [
        f"| [1,500](proofs/{name}.json) | {answers} | {trained} | no | Some Cores, 100 | mkl | {pairs} "
        "| 0.0, 1.0 | 4.0, 5.0 | 2.0, 3.0 | 6.0, 7.0 | 0.25 |"
        for name, answers, trained, pairs in (
            ("a", "100", "all", 4),
            ("b", "100", "language model", 2),
            ("c", "50 to 150", "all", 1),
        )
    ]
    assert rows[5] == (
        "| 1,500 | 100 | all | no | Some Cores, 100 | mkl | 4 | Boresight, frozen copy | 8.000 | 8 | 8% | 8 |"
    )
    assert len(rows) == 3 + 3 * 4


def test_the_page_of_speeds_says_what_sharing_gains_by_method(speed_table: Any) -> None:
    def output(media_tokens: int, ratio: float) -> dict[str, Any]:
        found = {
            "ratio": ratio,
            "pairs_per_s": {"shared": 3.0, "separate": 2.0},
            "tokens": {"shared": 1900, "separate": 3100},
            "peak_mib": {"shared": 300, "separate": 400},
            "same": ["silkie"],
        }
        return {"shape": {"media_tokens": media_tokens}, "methods": {"dpo": found}}

    lines = speed_table.page([], [("b.json", output(576, 1.5)), ("a.json", output(64, 1.25))]).splitlines()
    assert [line for line in lines if "silkie" in line] == [
        "| [64](proofs/a.json) | torch | `dpo`, `silkie` | 3.00 | 2.00 | 1.25 | 1,900 | 3,100 | 0.75 |",
        "| [576](proofs/b.json) | torch | `dpo`, `silkie` | 3.00 | 2.00 | 1.50 | 1,900 | 3,100 | 0.75 |",
    ]
    assert "Shared prompts" not in speed_table.page([], [])
