"""Write docs/speed.md from the outputs of `perf.preference_step` and `perf.shared_rows` in docs/proofs.

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
<!-- Written by perf/speed_table.py from docs/proofs (preference_step*, shared_rows*). Measure, then run it. -->

# Speed of one DPO step

A full step from raw rows to updated weights, each program in a process of its own, in alternation; how, and what the
figures can be held against, is said in [what was measured](measured.md). *Trained*: all weights, or all but tower and
projector, as LLaMA-Factory does by default. *Checkpointing*: the peers compute activations anew in the backward pass,
as both do by default; Boresight never does here. Two ratios and limits are for a frozen copy and a cached reference as
the reference policy. *Products*: what Boresight multiplied by, `run.matmul`; the peers take torch's own. *Answers*:
tokens of each, drawn evenly between two numbers, or all the same, which is when oneDNN pays. The work is counted in one
step, and with answers that differ it is not the same in every step.

## Ratios

The limit is the ratio of the work, in FLOP: more is gained where a peer spends time on other things than multiplying,
or multiplies slower. *Processor*: its maker's name for it and the machine's peak, the GFLOP/s of a large product by the
faster library, in that run.
"""

_SHARED = """\

## Shared prompts in every method

A step with shared prompts against one with each answer in a row of its own, both ours, all weights trained, two pairs
per step (one of 2,500 media tokens). Separate rows still run the tower once per prompt and make logits of answers only,
so this is what the trunk alone is worth. Where a method has one answer per prompt, so that both compute as many tokens,
what is left is the last layer and padding. Methods that score the same views by the same kinds of terms compute the
same, and stand in one row.
"""

Outputs = Sequence[tuple[str, Mapping[str, Any]]]


def page(outputs: Outputs, shared: Outputs = ()) -> str:
    """The text of the page.

    Args:
        outputs: File name and content of steps beside peers.
        shared: The same of shared rows beside separate ones.
    """
    ordered = sorted(outputs, key=lambda pair: _order(pair[1]))
    settings = ("media tokens", "answers", "trained", "checkpointing", "processor", "products", "pairs per step")
    ratios = _table(
        (*settings, "times TRL", "limit", "times LLaMA-Factory", "limit", "memory of TRL's"),
        7,
        [(*_settings(o, f"[{o['shape']['media_tokens']:,}](proofs/{name})"), *_ratios(o)) for name, o in ordered],
    )
    steps = _table(
        (*settings, "program", "pairs/s", "GFLOP per step", "of the machine's peak", "peak memory, MiB"),
        8,
        [row for _, output in ordered for row in _steps(output)],
    )
    by_size = sorted(shared, key=lambda pair: _media_tokens(pair[1]))
    pace = ("shared, pairs/s", "separate, pairs/s", "ratio")
    methods = _table(
        ("media tokens", "products", "method", *pace, "tokens", "separate", "memory of separate"),
        3,
        [row for name, output in by_size for row in _shared(name, output)],
    )
    ending = [_SHARED, *methods, ""] if shared else []
    return "\n".join([_INTRODUCTION, *ratios, "", "## Every program", "", *steps, "", *ending]).rstrip() + "\n"


def _order(output: Mapping[str, Any]) -> tuple[Any, ...]:
    shape = output["shape"]
    return (
        shape["media_tokens"],
        _answers(output),
        shape["frozen_media"],
        _checkpoints(output),
        _processor(output),
        _products(output),
        output["pairs_per_step"],
    )


def _checkpoints(output: Mapping[str, Any]) -> bool:
    return bool(output["shape"].get("peers_checkpoint"))  # earlier outputs know no other way


def _answers(output: Mapping[str, Any]) -> str:
    tokens = output["shape"]["answer_tokens"]  # earlier outputs have a single number
    fewest, most = tokens if isinstance(tokens, list) else (tokens, tokens)
    return f"{fewest}" if fewest == most else f"{fewest} to {most}"


def _products(output: Mapping[str, Any]) -> str:
    return str(output.get("matmul", "torch"))  # earlier outputs know no other way


def _processor(output: Mapping[str, Any]) -> str:
    """By whom it is made, and the rate of its large products, which tells apart what the name does not."""
    name = output["processor"].replace("(R)", "").removesuffix(" Processor")
    return f"{name}, {output['peak_gflop_per_s']:.0f}"


def _settings(output: Mapping[str, Any], media_tokens: str) -> tuple[str, ...]:
    trained = "language model" if output["shape"]["frozen_media"] else "all"
    recomputes = "yes" if _checkpoints(output) else "no"
    return (
        media_tokens,
        _answers(output),
        trained,
        recomputes,
        _processor(output),
        _products(output),
        str(output["pairs_per_step"]),
    )


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


def _media_tokens(output: Mapping[str, Any]) -> int:
    return int(output["shape"]["media_tokens"])


def _shared(name: str, output: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for method, found in output["methods"].items():
        yield (
            f"[{_media_tokens(output):,}](proofs/{name})",
            _products(output),
            ", ".join(f"`{one}`" for one in (method, *found["same"])),
            *(f"{found['pairs_per_s'][way]:.2f}" for way in ("shared", "separate")),
            f"{found['ratio']:.2f}",
            *(f"{found['tokens'][way]:,}" for way in ("shared", "separate")),
            f"{found['peak_mib']['shared'] / found['peak_mib']['separate']:.2f}",
        )


def _table(head: Sequence[str], num_words: int, rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose first columns are words and the others numbers."""
    rule = ["---"] * num_words + ["--:"] * (len(head) - num_words)
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def current() -> str:
    """The page of what lies in docs/proofs."""
    return page(_read("preference_step*.json"), _read("shared_rows*.json"))


def _read(pattern: str) -> Outputs:
    found = sorted((DOCS / "proofs").glob(pattern))
    return [(path.name, json.loads(path.read_text(encoding="utf-8"))) for path in found]


if __name__ == "__main__":
    wanted = current()
    stale = not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted
    if "--check" in sys.argv[1:]:
        sys.exit(int(stale))
    PAGE.write_text(wanted, encoding="utf-8")
