"""From flags to a job. Imported only when one is to be run."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from boresight import registry
from boresight.cli.listing import described
from boresight.cli.terminal import is_first_process
from boresight.errors import UsageError, known_names
from boresight.models.device import keep_freed_memory, pick_device, usual_precision
from boresight.reports import dry_run, report
from boresight.reports.model_card import write_card
from boresight.scoring.results import BASE
from boresight.training.align import Aligned, Job, align, prepare
from boresight.training.dry_run import write_dry_run
from boresight.training.health import NAMES
from boresight.training.run_log import Listener
from boresight.training.spec import Method, RunSettings, override, to_jsonable

_RUN = "run."


def make_job(*, data: Sequence[str], method: str, sets: Sequence[str], stop_on: tuple[str, ...], **fields: Any) -> Job:
    """A job with every `--set` applied.

    Args:
        data: Paths; `STAGE=PATH` and `STAGE.ROUND=PATH` are for that stage or round alone.

    Raises:
        UsageError: If a setting does not exist or has the wrong type.
    """
    for name in stop_on:
        if name not in NAMES:
            raise UsageError(f"--stop-on: no health warning named {name!r}. {known_names(name, NAMES)}")
    chosen = registry.load("boresight.methods", method)
    if not isinstance(chosen, Method):
        raise UsageError(f"--method {method}: MEMBER must be a Method, got {type(chosen).__name__}. Wrap it in one.")
    settings = RunSettings(stop_on=stop_on)
    for text in sets:
        path, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes PATH=VALUE, got {text!r}.")
        if path.startswith(_RUN):
            settings = override({"run": settings}, path, value)["run"]
        else:
            chosen = override(chosen, path, value)
    if not any(text.startswith("run.precision=") for text in sets):
        settings = dataclasses.replace(settings, precision=usual_precision(pick_device(settings.device)))
    sources: dict[str, list[Path]] = {"": []}
    for source in data:
        stage, _, path = source.rpartition("=") if not Path(source).exists() else ("", "", source)
        sources.setdefault(stage, []).append(Path(path))
    return Job(
        method_name=_name(method),
        method=chosen,
        method_about=_about(method),
        settings=settings,
        sources=tuple(sources.pop("")),
        stage_sources={stage: tuple(paths) for stage, paths in sources.items()},
        **fields,
    )


def _name(method: str) -> str:
    """Of a method and its variant, without folder and ending; `base` is the model before training.

    Raises:
        UsageError: If the method is called that.
    """
    file, variant = registry.without_variant(method)
    name = Path(file).name.removesuffix(".py") + ("" if variant is None else f":{variant}")
    if name == BASE:
        raise UsageError(
            f"--method {method}: results call the model before training {BASE!r}. Give the file another name."
        )
    return name


def check(job: Job, listener: Listener, stage: str | None = None) -> tuple[Mapping[str, Any], Path]:
    """Load, check and preflight a job; nothing is trained. Gives what was found, and a page of three items.

    Args:
        stage: Of a method of several, which to check; the first if not given.
    """
    method = {
        "name": job.method_name,
        "about": job.method_about,
        "method": to_jsonable(job.method),
        "run": to_jsonable(job.settings),
    }
    with tempfile.TemporaryDirectory() as folder:
        ready = prepare(dataclasses.replace(job, out=Path(folder)), listener, stage)
        trainer, leg = ready.trainer, ready.leg
        which = f", stage {leg.name}," if len(job.method.runs()) > 1 else ""
        title = f"{job.method_name}{which} on {', '.join(loaded.source.name for loaded in leg.loaded)}"
        stored = write_dry_run(trainer, job.out / "dry_run.json", title=title, method=method)
    facts = {name: value for name, value in trainer.facts().items() if name != "folder"}
    facts["memory"] = trainer.memory and trainer.memory.verdict
    return facts, dry_run.write(stored)


def run(job: Job, listener: Listener) -> tuple[Aligned, Path] | None:
    """Carry a job through, with a card beside each model; gives what came of it and the page of the report.

    None in all but the first of the processes that a launcher has started.
    """
    keep_freed_memory()
    aligned = align(job, listener)
    if not is_first_process():
        return None
    for model in filter(None, (aligned.model, aligned.merged)):
        write_card(job.out, model)
    return aligned, report.write(job.out)


def _about(method: str) -> str:
    """What a method's file says: one sentence and its source."""
    file, _ = registry.without_variant(method)
    path = Path(file) if file.endswith(".py") else registry.file_of("boresight.methods", file)
    found = described(path.stem, path)
    return f"{found.summary} Source: {found.source or 'not stated.'}"
