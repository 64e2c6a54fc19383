"""What is built in, read from the heads of files without importing them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


def members(kind: str) -> Sequence[Listed]:
    """Every member of one kind, in order of name."""
    package = _PACKAGES[kind]
    return [_listed(name, registry.file_of(package, name)) for name in registry.names(package)]


def _listed(name: str, path: Path) -> Listed:
    head = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first, *_ = head.split("\n\n")
    source = next((part for part in head.split("\n\n") if part.startswith("Source:")), None)
    if source is not None:
        source = source.split("\nDiffers")[0].removeprefix("Source:")
    summary = " ".join(first.split())
    prefix = f"{name.lower()}:"
    if summary.lower().startswith(prefix):
        summary = summary[len(prefix) :].strip()
    return Listed(name=name, summary=summary, source=" ".join(source.split()) if source else None)
