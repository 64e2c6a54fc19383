"""`boresight score` as a user calls it, for every benchmark's tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from boresight.benchmarks._benchmark import Response
from boresight.benchmarks._stages import line
from boresight.cli.main import main
from boresight.judges.rubric import Judgement

Score = Callable[..., dict[str, Any]]


@pytest.fixture
def score(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Score:
    """Runs the command line on native files, or on responses given in place, and gives the JSON it writes.

    score("pope", answers_file, assets=folder)["metrics"]["f1/popular"]
    score("pope", responses=[Response(...), ...], scorer="clean")
    """

    def run(
        bench: str,
        *native: Path,
        responses: Iterable[Response] = (),
        judgements: Iterable[Judgement] = (),
        scorer: str | None = None,
        assets: Path | None = None,
    ) -> dict[str, Any]:
        arguments: list[object] = ["score", bench]
        for path in native:
            arguments += ["--native", path]
        for name, rows in (("responses", responses), ("judgements", judgements)):
            if lines := [line(row) for row in rows]:
                path = tmp_path / f"{name}.jsonl"
                path.write_text("".join(lines), encoding="utf-8")
                arguments += [f"--{name}", path]
        arguments += ["--scorer", scorer] if scorer else []
        arguments += ["--assets", assets] if assets else []
        out = tmp_path_factory.mktemp("scores") / "scores.json"  # outside of what may be read as the authors' folder
        monkeypatch.setattr("sys.argv", ["boresight", *map(str, arguments), "--json", str(out)])
        try:
            main()
        except SystemExit as stop:
            if stop.code:
                pytest.fail(f"boresight score ended with {stop.code}: {capsys.readouterr().err}")
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found

    return run
