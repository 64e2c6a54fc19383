"""`boresight score` and what else works on stored answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boresight.cli.terminal import Terminal
from boresight.errors import UsageError

Bench = Annotated[
    str, typer.Argument(metavar="BENCH", help="A benchmark (`boresight list benchmarks`) or a Python file.")
]
AssetsFolder = Annotated[
    Path | None, typer.Option("--assets", metavar="DIR", help="Folder with the authors' files, if not fetched.")
]


def score(
    benchmark: Bench,
    responses: Annotated[Path | None, typer.Option(metavar="FILE", help="What a model said, as JSON lines.")] = None,
    judgements: Annotated[Path | None, typer.Option(metavar="FILE", help="What a judge said of it.")] = None,
    native: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="The authors' own output file or folder; repeatable.")
    ] = None,
    scorer: Annotated[
        str | None, typer.Option(metavar="NAME", help="official, clean, or a variant; official where there is one.")
    ] = None,
    assets: AssetsFolder = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here.")] = None,
) -> None:
    """Turn stored answers into figures with intervals. Asks no model and no network."""
    from boresight.studies.score import Inputs, write_scored
    from boresight.studies.score import score as score_files

    inputs = Inputs(responses=responses, judgements=judgements, native=tuple(native or ()), assets=assets)
    read = [path for path in inputs.native if json and path.resolve() in json.resolve().parents]
    if read:
        raise UsageError(f"--json {json} lies in {read[0]}, which --native reads; write the figures elsewhere.")
    scored = score_files(benchmark, inputs, scorer)
    if json:
        write_scored(json, scored)
    Terminal().scores(scored.to_json())


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Figures of `score --json`, or folders of `eval`; base first."),
    ],
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write comparison.json there.")] = None,
) -> None:
    """Compare runs of the same benchmarks item by item: differences with intervals, and p-values where there are."""
    from boresight.studies.compare import compare as compare_runs

    Terminal().compared(compare_runs(runs, out))
