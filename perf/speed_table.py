"""Write docs/speed.md from the outputs of `perf.preference_step` in docs/proofs.

python -m perf.speed_table            write the page
python -m perf.speed_table --check    write nothing; exit code 1 if it is out of date
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "speed.md"
_NAMES = {
    "trl": "TRL 1.16",
    "llama_factory": "LLaMA-Factory 0.9.5",
    "boresight": "Boresight, frozen copy",
    "boresight_cached_reference": "Boresight, cached reference",
}
_INTRODUCTION = """\
<!-- Written by perf/speed_table.py from docs/proofs/preference_step*.json. Measure, then run that module. -->

# Speed of one DPO step

A full step from raw rows to updated weights, each program in a process of its own, in alternation; how, and what the
figures can be held against, is said in [what was measured](measured.md). *Trained*: all weights, or all but tower and
projector, as LLaMA-Factory does by default. *Checkpointing*: the peers compute activations anew in the backward pass,
as both do by default; Boresight never does here. Two ratios and limits are for a frozen copy and a cached reference as
the reference policy.

## Ratios

The limit is the ratio of the work, in FLOP: more is gained where a peer spends time on other things than multiplying.
"""


def page(outputs: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """The text of the page.

    Args:
        outputs: File name and content.
    """
    ordered = sorted(outputs, key=lambda pair: _order(pair[1]))
    settings = ("media tokens", "trained", "checkpointing", "pairs per step")
    ratios = _table(
        (*settings, "times TRL", "limit", "times LLaMA-Factory", "limit", "memory of TRL's"),
        4,
        [(*_settings(o, f"[{o['shape']['media_tokens']:,}](proofs/{name})"), *_ratios(o)) for name, o in ordered],
    )
    steps = _table(
        (*settings, "program", "pairs/s", "GFLOP per step", "of the machine's peak", "peak memory, MiB"),
        5,
        [row for _, output in ordered for row in _steps(output)],
    )
    return "\n".join([_INTRODUCTION, *ratios, "", "## Every program", "", *steps, ""])


def _order(output: Mapping[str, Any]) -> tuple[Any, ...]:
    shape = output["shape"]
    return (shape["media_tokens"], shape["frozen_media"], _checkpoints(output), output["pairs_per_step"])


def _checkpoints(output: Mapping[str, Any]) -> bool:
    return bool(output["shape"].get("peers_checkpoint"))  # earlier outputs know no other way


def _settings(output: Mapping[str, Any], media_tokens: str) -> tuple[str, ...]:
    trained = "language model" if output["shape"]["frozen_media"] else "all"
    return media_tokens, trained, "yes" if _checkpoints(output) else "no", str(output["pairs_per_step"])


def _ratios(output: Mapping[str, Any]) -> Iterator[str]:
    for peer in ("", "_to_llama_factory"):
        for kind in ("ratio", "flop_limit_of_ratio"):
            yield ", ".join(f"{output[f'{kind}{peer}{ending}']:.1f}" for ending in ("", "_cached_reference"))
    yield f"{output['ratio_peak_memory']:.2f}"


def _steps(output: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, shown in _NAMES.items():
        yield (
            *_settings(output, f"{output['shape']['media_tokens']:,}"),
            shown,
            f"{output['pairs_per_s'][name]:.3f}",
            f"{output['gflop_per_step'][name]:,.0f}",
            f"{output['share_of_peak'][name]:.0%}",
            f"{output['peak_mib'][name]:,}",
        )


def _table(head: Sequence[str], num_words: int, rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose first columns are words and the others numbers."""
    rule = ["---"] * num_words + ["--:"] * (len(head) - num_words)
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def current() -> str:
    """The page of what lies in docs/proofs."""
    found = sorted((DOCS / "proofs").glob("preference_step*.json"))
    return page([(path.name, json.loads(path.read_text(encoding="utf-8"))) for path in found])


if __name__ == "__main__":
    wanted = current()
    stale = not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted
    if "--check" in sys.argv[1:]:
        sys.exit(int(stale))
    PAGE.write_text(wanted, encoding="utf-8")
