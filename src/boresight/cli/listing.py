"""What is built in, read from the heads of files; only what benchmarks and methods declare needs their import."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from boresight import registry

_PACKAGES = {
    "methods": "boresight.methods",
    "benchmarks": "boresight.benchmarks",
    "formats": "boresight.data.formats",
    "transforms": "boresight.media.transforms",
    "worlds": "boresight.worlds",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One member of a registry."""

    name: str
    summary: str
    source: str | None
    """The paper it comes from, as its file says."""
    departures: str | None
    """What differs from the source, as its file says."""


def members(kind: str) -> Sequence[Listed]:
    """Every member of one kind, in order of name."""
    package = _PACKAGES[kind]
    return [described(name, registry.file_of(package, name)) for name in registry.names(package)]


def facts(kind: str) -> list[dict[str, Any]]:
    """The same with all that a member declares, as plain JSON."""
    declared: dict[str, Callable[[str], dict[str, Any]]] = {"benchmarks": _benchmark, "methods": _method}
    listed = [asdict(member) for member in members(kind)]
    return [member | declared[kind](member["name"]) for member in listed] if kind in declared else listed


def _method(name: str) -> dict[str, Any]:
    package = _PACKAGES["methods"]
    facts: dict[str, Any] = registry.load(package, name).facts()
    return facts | {"variants": registry.variants(package, name)}


def _benchmark(name: str) -> dict[str, Any]:
    from boresight.studies.score import load_benchmark

    benchmark = load_benchmark(name)
    return {
        "title": benchmark.title,
        "dimension": benchmark.dimension,
        "media": list(benchmark.media),
        "judge": benchmark.judge,
        "rubrics": list(benchmark.rubrics),
        "licence": benchmark.licence,
        "scorers": list(benchmark.scorers),
        "fixes": list(benchmark.fixes),
        "metrics": {name: asdict(figure) for name, figure in benchmark.metrics.items()},
        "prompts": dict(benchmark.prompts),
        "version": benchmark.version,
        "reads_native": benchmark.native is not None,
        "asks": benchmark.tasks is not None,
        "max_new_tokens": benchmark.max_new_tokens,
        "assets": [asdict(asset) for asset in benchmark.assets],
    }


def described(name: str, path: Path) -> Listed:
    """What the head of a member's file says."""
    head = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    first, *_ = head.split("\n\n")
    summary = " ".join(first.split())
    prefix = f"{name.lower()}:"
    if summary.lower().startswith(prefix):
        summary = summary[len(prefix) :].strip()
    return Listed(
        name=name, summary=summary, source=_said(head, "Source:"), departures=_said(head, "Differs from ", keep=True)
    )


def _said(head: str, begin: str, *, keep: bool = False) -> str | None:
    """What a docstring says from a line with this beginning to the end of its paragraph or to the next such line."""
    lines = iter(head.splitlines())
    first = next((line for line in lines if line.startswith(begin)), None)
    if first is None:
        return None
    found = [first if keep else first.removeprefix(begin)]
    found += itertools.takewhile(lambda line: line and not line.startswith(("Source:", "Differs from ")), lines)
    return " ".join(" ".join(found).split())
