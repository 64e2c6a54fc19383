"""`boresight VERB ...`.

Functions import what they call when they are called: a person who asks for help does not wait for torch. This is the
only layer where imports stand inside functions.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from boresight import __version__, registry
from boresight.cli import evaluating, judging, scoring
from boresight.cli.assets import app as assets_app
from boresight.cli.data import app as data_app
from boresight.cli.terminal import Terminal, is_first_process
from boresight.errors import EXIT_INTERRUPTED, BoresightError, UsageError

_EXIT_SIGINT = 130  # what typer makes of a run that somebody stops, as a shell does

app = typer.Typer(
    name="boresight",
    help="Align multimodal language models with human preference, and prove what changed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")
app.add_typer(assets_app, name="assets")
app.command()(evaluating.generate)
app.command()(judging.judge)
app.command()(scoring.score)
app.command("eval")(evaluating.evaluate)
app.command()(scoring.compare)

Out = Annotated[Path, typer.Option("--out", help="Folder for everything that the run writes.")]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change one setting: objective.0.beta=0.2, stages.0.learning_rate=1e-5, run.precision=bfloat16, ...",
    ),
]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        Terminal().line(__version__)
        raise typer.Exit


@app.command()
def demo(
    out: Out = Path("runs/demo"),
    short: Annotated[bool, typer.Option("--short", help="A tenth of the size: shows that everything works.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of sampling, training and order.")] = 0,
) -> None:
    """Build pairs, align, evaluate and report on the built-in world. Goes on where it was stopped."""
    terminal = Terminal()
    with terminal.quiet_libraries():
        from boresight.models.device import keep_freed_memory
        from boresight.reports.report import write
        from boresight.studies.demo import Demo, run_demo, shortened

        keep_freed_memory()
        job = Demo(out=out, seed=seed)
        folder = run_demo(shortened(job) if short else job, terminal.listener())
        page = write(folder)
    terminal.results(folder / "results.json")
    terminal.line(f"report: {page}")


@app.command()
def align(
    model: Annotated[str, typer.Option(help="Model folder, or an id that transformers can resolve.")],
    data: Annotated[
        list[str],
        typer.Option(help="A store or a data file in a known layout; STAGE=SRC for one stage. May be repeated."),
    ],
    method: Annotated[str, typer.Option(help="Name of a method (`boresight list methods`) or a Python file.")],
    out: Out = Path("runs/align"),
    sets: Sets = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest whole checkpoint.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and draw three items as a page; train nothing.")
    ] = False,
    stage: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --dry-run: the stage or round to draw, not the first.")
    ] = None,
    pairing: Annotated[
        str, typer.Option(help="How candidates become pairs: preferences, best_vs_worst, all, margin>=K.")
    ] = "preferences",
    media_root: Annotated[Path | None, typer.Option(help="Where paths in the data start.")] = None,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="Read media outside the data's own folder too.")
    ] = False,
    holdout: Annotated[float, typer.Option(help="Share of the records kept for measuring.")] = 0.1,
    samples: Annotated[int, typer.Option(help="Held-out prompts answered before and after.")] = 6,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer to them, in tokens.")] = 256,
    merge: Annotated[
        bool, typer.Option(help="Also write a trained adapter merged into its model, and prove that it says the same.")
    ] = True,
    stop_on: Annotated[list[str] | None, typer.Option(help="End the run on this health warning; repeatable.")] = None,
) -> None:
    """Align a model with preference data; writes the model, its metrics and a report."""
    if stage and not dry_run:
        raise UsageError("--stage goes with --dry-run; a run goes through all stages.")
    terminal = Terminal()
    with terminal.quiet_libraries():
        from boresight.cli.jobs import check, make_job, run

        job = make_job(
            model=model,
            data=data,
            method=method,
            out=out,
            sets=sets or [],
            resume=resume,
            pairing=pairing,
            media_root=media_root,
            allow_outside=allow_outside,
            holdout=holdout,
            samples=samples,
            max_new_tokens=max_new_tokens,
            stop_on=tuple(stop_on or ()),
            merge=merge,
        )
        with registry.blamed_on(method):
            if dry_run:
                facts, page = check(job, terminal.listener(), stage)
                terminal.facts(facts)
                terminal.line(f"page: {page}")
                return
            done = run(job, terminal.listener())
    if done is None:
        return
    aligned, page = done
    if (out / "results.json").exists():
        terminal.results(out / "results.json")
    terminal.line(f"model:  {aligned.model}")
    if aligned.merged:
        terminal.line(f"merged: {aligned.merged}")
    terminal.line(f"report: {page}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.")],
    out: Annotated[Path | None, typer.Option("--out", help="The page; DIR/report.html if not given.")] = None,
) -> None:
    """Draw a run as one HTML page that needs no network."""
    from boresight.reports.report import write

    Terminal().line(f"report: {write(folder, out)}")


@app.command("list")
def list_members(
    kind: Annotated[
        Literal["methods", "benchmarks", "formats", "transforms", "worlds"], typer.Argument(help="What to list.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON list.")] = False,
) -> None:
    """List what is built in."""
    from boresight.cli.listing import facts, members

    if as_json:
        Terminal().json(facts(kind))
    else:
        Terminal().members(members(kind))


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="As a JSON list.")] = False) -> None:
    """Say what this machine can run, and what to install."""
    from boresight.cli.doctor import examine

    checks = examine()
    Terminal().checks(checks, as_json=as_json)
    if not all(check.is_fine for check in checks):
        raise typer.Exit(1)


def main() -> None:
    """Entry point; errors that a person can act on become one line and an exit code."""
    try:
        app()
    except BoresightError as error:
        if is_first_process() or not error.is_everywhere:
            Terminal().error(str(error))
        if error.exit_code == EXIT_INTERRUPTED:  # a launcher ends its other processes with the first that is gone
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code != _EXIT_SIGINT:
            raise
        Terminal().error("stopped. Finished parts are kept; the same command goes on (align: add --resume).")
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
