"""What a step reports, and the file it is reported to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from boresight.files import write_whole
from boresight.objectives import CLEAN, Reduced, TokenLogps, View


class StepTotals:
    """Sums over the parts of a step, for the log only."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.diverged: list[str] = []
        """Items of the parts whose loss is not finite."""
        self._terms: dict[str, float] = {}
        self._sums: dict[str, tuple[float, int]] = {}

    @classmethod
    def of_all(cls, processes: Sequence[StepTotals]) -> StepTotals:
        """What all processes have counted."""
        total = cls()
        for other in processes:
            total.loss += other.loss
            total.diverged += other.diverged
            for name, value in other._terms.items():
                total._terms[name] = total._terms.get(name, 0.0) + value
            for name, (value, count) in other._sums.items():
                total._add(name, value, count)
        return total

    def add(self, reduced: Reduced, logps: Mapping[View, TokenLogps], items: Sequence[str]) -> None:
        """Count in one part, made of these items."""
        loss = float(reduced.loss.detach())
        self.loss += loss
        if not math.isfinite(loss):
            self.diverged += items
        for name, value in reduced.per_term.items():
            self._terms[name] = self._terms.get(name, 0.0) + value
        for name, values in reduced.metrics.items():
            self._keep(name, values)
        for view, scores in logps.items():
            total = scores.policy.detach().sum(dim=1)[scores.present]
            self._keep(f"logp/{view}", total)
            if scores.reference is not None:
                ratio = (scores.policy.detach() - scores.reference)[scores.answer_mask]
                self._keep(f"log_ratio/{view}", total - scores.reference.sum(dim=1)[scores.present])
                if view.input == CLEAN:  # other inputs are there to be driven away from
                    # KL(reference || policy) per token where the reference wrote the answers, else a sign of drift;
                    # of the estimators, this one stays finite when the policy gives an answer up.
                    self._keep("kl", torch.exp(ratio) - 1 - ratio)

    @property
    def diverged_terms(self) -> tuple[str, ...]:
        """Terms whose loss is not finite."""
        return tuple(name for name, value in self._terms.items() if not math.isfinite(value))

    def means(self) -> dict[str, Any]:
        """Fixed names first, so that every method's log reads alike; all others under their own."""
        mean = {name: value / count if count else None for name, (value, count) in self._sums.items()}
        chosen, rejected = mean.get("log_ratio/chosen"), mean.get("log_ratio/rejected")
        return {
            "loss": self.loss,
            "margin": mean.pop("margin/chosen>rejected", None),
            "accuracy": mean.pop("accuracy/chosen>rejected", None),
            "chosen_logp": mean.pop("logp/chosen", None),
            "rejected_logp": mean.pop("logp/rejected", None),
            "chosen_log_ratio": chosen,
            "rejected_log_ratio": rejected,
            "kl": mean.pop("kl", None),
            "terms": self._terms,
            "more": mean,
        }

    def _keep(self, name: str, values: Tensor) -> None:
        known = values.detach().double()
        known = known[~known.isnan()]
        self._add(name, float(known.sum()), len(known))

    def _add(self, name: str, value: float, count: int) -> None:
        before, number = self._sums.get(name, (0.0, 0))
        self._sums[name] = (before + value, number + count)


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add one JSON line; values that are not finite become null."""
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(_finite(row), allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def drop_rows_after(path: Path, last_step: int) -> None:
    """Drop lines after the checkpoint, and a line that a kill cut in two."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= last_step:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    write_whole(path, "".join(f"{line}\n" for line in kept))


def mean_length(lengths: Mapping[View, Tensor], text: str) -> float | None:
    """Mean answer length (tokens) of one text over the items that have it."""
    found = [n for v, n in lengths.items() if v.text == text]
    present = found[0][found[0] > 0] if found else None
    return None if present is None or not len(present) else float(present.float().mean())
