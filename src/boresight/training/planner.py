"""How much memory a run will take at its peak, by part, and what would fit; measured before the first step.

A micro-batch is run forward and backward at two small sizes, as training will run it, and what the process takes for
that is read where the system counts it: the resident set on Linux, the allocator's own count on CUDA. What grows with
tokens is carried on to the largest micro-batch that can come; gradients and the optimizer's moments are counted.
Measured peaks beside such estimates: docs/proofs/memory.md. On CUDA nothing was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from boresight.errors import UsageError
from boresight.models.device import free_bytes, used_bytes
from boresight.training.media_cache import MediaCache
from boresight.training.peak_memory import PeakMeter

_T = TypeVar("_T")
_Sized = Sequence[tuple[_T, int]]
_TRIED_SHARE = 0.25  # of the largest micro-batch; every size is run twice
_APART = 1.5  # sizes that are nearer say too little about what grows
_LATER_GROWTH = 0.25  # of a micro-batch's memory: later ones of other lengths leave pieces that fit nothing; measured


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What a step takes at its peak."""

    parts: Mapping[str, int]
    """Bytes by part; the first is in use already."""
    bytes_per_token: float
    tokens: int
    """Of the largest micro-batch that can come."""
    longest_tokens: int
    """Of the longest item, which no setting splits."""
    available: int | None
    """Bytes that can be had beyond those in use; None where nobody knows."""

    @property
    def peak(self) -> int:
        """Bytes."""
        return sum(self.parts.values())

    @property
    def fitting_tokens(self) -> int | None:
        """The largest micro-batch that would fit; None where nobody knows."""
        if self.available is None:
            return None
        in_use = next(iter(self.parts.values()))
        fixed = self.peak - in_use - self.bytes_per_token * self.tokens
        return max(0, math.floor((self.available - fixed) / self.bytes_per_token))

    @property
    def fits(self) -> bool:
        """Whether a step fits as it is set; True where nobody knows."""
        return self.fitting_tokens is None or self.fitting_tokens >= self.tokens

    @property
    def verdict(self) -> str:
        """One or two sentences for people."""
        known = (
            f"about {_gib(self.peak)} at the peak of a micro-batch of {self.tokens:,} tokens, "
            f"of which {_gib(1000 * self.bytes_per_token)} for every 1,000 tokens"
        )
        fitting = self.fitting_tokens
        if fitting is None or self.available is None:
            return f"{known}; how much there is cannot be asked here."
        there = f"{known}; {_gib(next(iter(self.parts.values())) + self.available)} can be had."
        if self.fits:
            return f"{there} run.micro_batch_tokens up to {fitting:,} would fit."
        if fitting >= self.longest_tokens:
            return f"{there} It will not fit: set run.micro_batch_tokens={fitting}."
        scale = math.sqrt(fitting / self.longest_tokens)
        return (
            f"{there} The longest item alone ({self.longest_tokens:,} tokens) will not fit, items of up to {fitting:,} "
            f"would. Try pictures of {scale:.0%} of the side (where a model takes any size), a stage with LoRA, "
            "run.gradient_checkpointing=true or run.reference=cached."
        )

    def to_json(self) -> dict[str, Any]:
        """For reports and manifests."""
        return {
            "parts": dict(self.parts),
            "peak_bytes": self.peak,
            "available_bytes": self.available,
            "bytes_per_token": round(self.bytes_per_token),
            "micro_batch_tokens": self.tokens,
            "fitting_micro_batch_tokens": self.fitting_tokens,
            "longest_item_tokens": self.longest_tokens,
            "verdict": self.verdict,
        }


def plan_memory(
    trial: Callable[[Sequence[_T]], None],
    items: _Sized[_T],
    trained: Sequence[nn.Parameter],
    *,
    batch_items: int,
    micro_batch_tokens: int,
    media: MediaCache | None = None,
) -> MemoryPlan | None:
    """Estimate the peak of a step from trials; nothing is trained.

    None where no one counts what a process takes at its peak: anywhere but on Linux and CUDA.

    Args:
        trial: Runs items forward and backward as one micro-batch. All that a step needs must be in place, but for
            gradients and moments.
        items: All that will be trained on, each with its tokens (> 0) when prompts are shared.
        trained: What gets gradients; has none before and after.
        media: Where `trial` keeps features of media; holds afterwards what it held before.
    """
    device = trained[0].device
    meter = PeakMeter(device)
    if not meter.works:
        return None
    by_length = sorted(items, key=lambda item: item[1], reverse=True)
    longest = by_length[0][1]
    tokens = max(longest, min(micro_batch_tokens, _num_tokens(by_length[:batch_items])))
    kept = {} if media is None else dict(media)
    hooks = [p.register_post_accumulate_grad_hook(_drop_gradient) for p in trained]  # type: ignore[no-untyped-call]
    try:
        trials = _Trials(trial, meter, media)
        growth = _growth(trials, by_length, tokens, largest_gradient=max(map(_num_bytes, trained)), device=device)
    finally:
        for hook in hooks:
            hook.remove()
        if media is not None:
            media.update(kept)
    meter.release()
    gradients = sum(map(_num_bytes, trained))
    micro_batch = growth.constant + growth.per_token * tokens
    parts = {
        "in use now: the program, the data, the model and its reference": used_bytes(device),
        "gradients": gradients,
        "optimizer: two moments of every trained weight": 2 * gradients,
        "features of media, kept for all passes": max(0, trials.features(_num_tokens(items)) - _held(media)),
        "a micro-batch: activations and working memory": round(micro_batch),
        "freed, but not in one piece": round(_LATER_GROWTH * micro_batch),
    }
    return MemoryPlan(
        parts=parts,
        bytes_per_token=(1 + _LATER_GROWTH) * growth.per_token,
        tokens=tokens,
        longest_tokens=longest,
        available=free_bytes(device),
    )


@contextmanager
def named_when_full(what: str) -> Iterator[None]:
    """Say what an accelerator had no room for, and what takes less.

    Raises:
        UsageError: In place of the accelerator's own error. A processor has none: there the system ends the process.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UsageError(
            f"the accelerator's memory is full at {what}. Lower run.micro_batch_tokens, or take smaller pictures, a "
            "stage with LoRA, run.gradient_checkpointing=true or run.reference=cached."
        ) from error


@dataclass(frozen=True, slots=True)
class _Tried:
    """One size of micro-batch that was run."""

    tokens: int
    num_bytes: int
    """By which memory grew."""


@dataclass(frozen=True, slots=True)
class _Growth:
    """What a micro-batch takes (bytes)."""

    constant: float
    """Whatever its size."""
    per_token: float

    @staticmethod
    def through(small: _Tried, large: _Tried, *, known: int) -> _Growth:
        """The line through both, but no less steep than if nothing but `known` bytes did not grow.

        A process gains up to a third more or less from one run to the next, and the line alone would pass that on many
        times over.
        """
        per_token = (large.num_bytes - known) / large.tokens
        if large.tokens >= _APART * small.tokens:
            per_token = max(per_token, (large.num_bytes - small.num_bytes) / (large.tokens - small.tokens))
        return _Growth(known, max(1.0, per_token))


class _Trials:
    """Runs micro-batches and reads what they take."""

    def __init__(self, trial: Callable[[Sequence[Any]], None], meter: PeakMeter, media: MediaCache | None) -> None:
        self._trial, self._meter, self._media = trial, meter, media
        self._features_per_token = 0.0

    def run(self, part: _Sized[Any]) -> _Tried:
        tokens = _num_tokens(part)
        self._meter.start()
        for _ in range(2):  # the second finds memory in the pieces that the first has left
            self._forget_media()
            with named_when_full(f"a trial of {tokens:,} tokens before the first step"):
                self._trial([item for item, _ in part])
        grown = self._meter.growth()
        if self._media is not None:
            self._features_per_token = self._media.num_bytes / tokens
        self._forget_media()
        return _Tried(tokens, grown)

    def features(self, tokens: int) -> int:
        """Bytes that will be kept of the media of so many tokens, going by the last run."""
        return 0 if self._media is None else min(self._media.max_bytes, round(self._features_per_token * tokens))

    def _forget_media(self) -> None:
        if self._media is not None:
            self._media.clear()


def _growth(
    trials: _Trials, by_length: _Sized[Any], tokens: int, *, largest_gradient: int, device: torch.device
) -> _Growth:
    """From an item of middling length, and from the longest ones where they are sure to fit."""
    middling = [by_length[len(by_length) // 2]]
    trials.run(middling)  # what only a first pass takes: code, kernels, threads
    small = trials.run(middling)
    longest = _longest(by_length, tokens, enough=max(2 * small.tokens, _TRIED_SHARE * tokens))
    times = _num_tokens(longest) / small.tokens
    expected = largest_gradient + times * max(0, small.num_bytes - largest_gradient)
    available = free_bytes(device)
    large = small if available is not None and expected > available else trials.run(longest)
    return _Growth.through(small, large, known=min(largest_gradient, large.num_bytes))


def _longest(by_length: _Sized[_T], tokens: int, *, enough: float) -> _Sized[_T]:
    """The longest item, and as many of the next as are enough and fit into one micro-batch."""
    taken = [by_length[0]]
    for item in by_length[1:]:
        if _num_tokens(taken) >= enough or _num_tokens([*taken, item]) > tokens:
            break
        taken.append(item)
    return taken


def _held(media: MediaCache | None) -> int:
    return 0 if media is None else media.num_bytes


def _drop_gradient(parameter: Tensor) -> None:
    parameter.grad = None


def _num_tokens(items: _Sized[Any]) -> int:
    return sum(tokens for _, tokens in items)


def _num_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:.2f} GiB"
