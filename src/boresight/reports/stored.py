"""Reads a results folder. What is missing or damaged becomes a note on the page, never a crash.

manifest.json             what was run (the only required file)
results.json              rows of `scoring.results`
train/<run>/metrics.jsonl one object per optimizer step (or `metrics.jsonl`, for a single run)
train/<run>/health.jsonl  named warnings: {"step", "name", "message"}
responses/<run>.jsonl     {"item_id", "group", "prompt", "response", "num_tokens", "image", "claims"}
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from boresight.errors import InputError
from boresight.scoring import ResultRow, parse_row

_MAX_LINE_BYTES = 16_000_000  # one line; a longer one is counted as damaged, not loaded
_VERDICTS = ("true", "false", "off_topic")

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was measured at one optimizer step; nested values are joined by dots (`terms.pairwise`)."""

    step: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A named warning that training raised."""

    run: str
    step: int | None
    name: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A stretch of a response and what an oracle or a judge found about it."""

    start: int
    end: int
    verdict: str
    """true, false or off_topic."""
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What one run answered to one item."""

    item_id: str
    prompt: str
    response: str
    num_tokens: int | None
    image: str | None
    """Path of the picture, relative to the folder."""
    claims: tuple[Claim, ...] | None
    """None when nobody judged the response."""

    def count(self, verdict: str) -> int:
        """Distinct claims of this verdict: repeating a claim does not make it two."""
        return len({claim.claim for claim in self.claims or () if claim.verdict == verdict})


@dataclass(slots=True, kw_only=True)
class Stored:
    """Everything found in a folder."""

    folder: Path
    manifest: Mapping[str, Any]
    results: list[ResultRow] = field(default_factory=list)
    curves: dict[str, list[Step]] = field(default_factory=dict)
    warnings: list[Warned] = field(default_factory=list)
    responses: dict[str, dict[str, Response]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What is missing or was skipped, in plain words."""


def read(folder: Path) -> Stored:
    """Everything in a results folder.

    Raises:
        InputError: If there is no `manifest.json`: then the folder is none of ours.
    """
    notes: list[str] = []
    stored = Stored(folder=folder, manifest=_manifest(folder, notes), notes=notes)
    stored.results = _results(folder, notes)
    for run, train in _train_folders(folder, notes):
        stored.curves[run] = _lines(folder, train / "metrics.jsonl", _step, notes)
        if (train / "health.jsonl").exists():
            found = _lines(folder, train / "health.jsonl", _warned, notes)
            stored.warnings += [Warned(run=run, step=step, name=name, message=message) for step, name, message in found]
    if not stored.curves:
        notes.append("No training metrics are stored; curves are not shown.")
    for path in sorted((folder / "responses").glob("*.jsonl")):
        found_responses = _lines(folder, path, _response, notes)
        stored.responses[path.stem] = {response.item_id: response for response in found_responses}
        if len(stored.responses[path.stem]) < len(found_responses):
            notes.append(f"responses/{path.name}: some item ids appear twice; the last response counts.")
    if not stored.responses:
        notes.append("No responses are stored; the gallery is not shown.")
    return stored


def _manifest(folder: Path, notes: list[str]) -> Mapping[str, Any]:
    path = folder / "manifest.json"
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            "no manifest.json; expected the folder that a run wrote its results to.", source=str(folder)
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"manifest.json cannot be read ({error}).")
        return {}
    if isinstance(loaded, dict):
        return loaded
    notes.append("manifest.json does not hold an object.")
    return {}


def _results(folder: Path, notes: list[str]) -> list[ResultRow]:
    path = folder / "results.json"
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        notes.append("No results.json is stored; the result table is not shown.")
        return []
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"results.json cannot be read ({error}).")
        return []
    if not isinstance(loaded, list):
        notes.append("results.json does not hold a list of rows.")
        return []
    rows = []
    for row, item in enumerate(loaded, 1):
        try:
            rows.append(parse_row(item, source="results.json", row=row))
        except InputError as error:
            notes.append(f"Skipped: {error}")
    return rows


def _train_folders(folder: Path, notes: list[str]) -> Iterator[tuple[str, Path]]:
    if (folder / "metrics.jsonl").exists():
        yield "training", folder
    for path in sorted((folder / "train").glob("*")):
        if (path / "metrics.jsonl").exists():
            yield path.name, path
        elif path.is_dir():
            notes.append(f"train/{path.name} holds no metrics.jsonl; its curves are not shown.")


def _lines(folder: Path, path: Path, parse: Callable[[Mapping[str, Any]], _Parsed], notes: list[str]) -> list[_Parsed]:
    """The lines that can be read; the rest is counted, with the first of them named."""
    parsed: list[_Parsed] = []
    damaged: list[int] = []
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    parsed.append(parse(_object(line)))
                except (ValueError, TypeError, KeyError, RecursionError):
                    damaged.append(number)
    except OSError as error:
        notes.append(f"{path.relative_to(folder)} cannot be read ({error.strerror}).")
    if damaged:
        count = f"{len(damaged):,} damaged line{'s' if len(damaged) > 1 else ''}"
        notes.append(f"{path.relative_to(folder)}: skipped {count}, the first is line {damaged[0]}.")
    return parsed


def _object(line: bytes) -> Mapping[str, Any]:
    if len(line) > _MAX_LINE_BYTES:
        raise ValueError("line too long")
    loaded = json.loads(line)
    if not isinstance(loaded, dict):
        raise TypeError("not an object")
    return loaded


def _step(item: Mapping[str, Any]) -> Step:
    step = _finite(item["step"])
    if step is None:
        raise ValueError("step is no number")
    return Step(step=step, values=dict(_flat(item, "")))


def _flat(item: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for key, value in item.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif (number := _finite(value)) is not None:
            yield f"{prefix}{key}", number


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _warned(item: Mapping[str, Any]) -> tuple[int | None, str, str]:
    step = _finite(item.get("step"))
    return None if step is None else int(step), str(item["name"]), str(item.get("message") or "")


def _response(item: Mapping[str, Any]) -> Response:
    text, claims, image, num_tokens = (item.get(key) for key in ("response", "claims", "image", "num_tokens"))
    if not isinstance(text, str):
        raise TypeError("response is no text")
    return Response(
        item_id=str(item["item_id"]),
        prompt=str(item.get("prompt") or ""),
        response=text,
        num_tokens=num_tokens if isinstance(num_tokens, int) else None,
        image=image if isinstance(image, str) else None,
        claims=None if claims is None else tuple(_claim(claim, text) for claim in claims),
    )


def _claim(item: Mapping[str, Any], text: str) -> Claim:
    start, end, verdict = item["start"], item["end"], item["verdict"]
    if verdict not in _VERDICTS or not 0 <= start <= end <= len(text):
        raise ValueError("claim outside the text or of unknown verdict")
    return Claim(start=start, end=end, verdict=verdict, claim=str(item.get("claim") or text[start:end]))
