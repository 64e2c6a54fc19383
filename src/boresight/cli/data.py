"""`boresight data ...`: import, check, show, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from boresight.cli.terminal import Terminal
from boresight.errors import EXIT_USAGE

app = typer.Typer(help="Import, check, show and export preference data.", no_args_is_help=True, rich_markup_mode=None)

Source = Annotated[Path, typer.Argument(metavar="SRC", help="A store, a data file, or a folder with one.")]
Format = Annotated[str | None, typer.Option("--format", help="Layout of the file; told from its rows if not given.")]
MediaRoot = Annotated[Path | None, typer.Option("--media-root", help="Where paths in the data start.")]


@app.command("import")
def import_data(
    source: Source,
    out: Annotated[Path, typer.Option("--out", help="Folder of the store; must not exist.")],
    format: Format = None,
    media_root: MediaRoot = None,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="Read media outside the data's own folder too.")
    ] = False,
    license: Annotated[str | None, typer.Option(help="Terms of the rows, kept with each.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad row.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before writing.")] = False,
) -> None:
    """Show how columns will be read, then turn a public layout into a store."""
    from boresight.data.importing import plan_import, run_import
    from boresight.media.resolver import Resolver

    terminal = Terminal()
    plan = plan_import(source, format=format, media_root=media_root, license=license)
    for line in plan.lines():
        terminal.line(line)
    if not yes and sys.stdin.isatty() and not typer.confirm("Import it so?", default=True):
        raise typer.Exit(EXIT_USAGE)
    resolver = Resolver(root=plan.media_root, allow_outside=allow_outside)
    summary = run_import(plan, out, strict=strict, resolver=resolver)
    terminal.line(f"{summary.rows_read} rows read = {summary.stored} stored + {summary.quarantined} quarantined: {out}")
    for reason, count in summary.reasons.items():
        terminal.line(f"  {count:>6}  {reason}")


@app.command()
def check(source: Source, format: Format = None, media_root: MediaRoot = None) -> None:
    """Read everything, media too, and say what cannot be used. Exit code 2 if anything cannot."""
    from boresight.data.inspecting import check_data

    terminal = Terminal()
    found = check_data(source, format=format, media_root=media_root)
    terminal.line(f"{found.source}: {found.format}, {found.rows} rows, {found.usable} usable")
    for title, counts in (("tasks", found.tasks), ("media", found.media), ("licenses", found.licenses)):
        if counts:
            terminal.line(f"  {title}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    for problem in found.problems:
        terminal.line(f"  {problem}")
    hidden = found.rows - found.usable - len(found.problems)
    if hidden > 0:
        terminal.line(f"  and {hidden} more")
    if not found.is_clean:
        raise typer.Exit(EXIT_USAGE)


@app.command()
def show(
    source: Source,
    first: Annotated[int, typer.Option(help="How many records.")] = 3,
    id: Annotated[str | None, typer.Option(help="This record only.")] = None,
    format: Format = None,
) -> None:
    """Print records as JSON, as they will be trained on."""
    from boresight.data.inspecting import show as show_records
    from boresight.records import to_json

    terminal = Terminal()
    found = show_records(source, first=first, id=id, format=format)
    terminal.line(f"{len(found.records)} of {found.total} records of {found.source}")
    for record in found.records:
        terminal.json(to_json(record))


@app.command()
def export(
    source: Source,
    format: Annotated[str, typer.Option("--format", help="Layout to write (`boresight list formats`).")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the file and its media; must not exist.")],
) -> None:
    """Write records in a public layout, and say what it cannot hold."""
    from boresight.data.exporting import run_export

    terminal = Terminal()
    summary = run_export(source, format, out)
    terminal.line(f"{summary.rows} rows, {summary.media_files} media: {summary.file}")
    for id, reason in summary.skipped.items():
        terminal.line(f"  left out {id}: {reason}")
    for field, count in summary.lost.items():
        terminal.line(f"  {format} has no place for {field} ({count} records)")
