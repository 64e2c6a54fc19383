"""How much memory a run will take at its peak, by part, and what would fit; said before the first step.

Weights, reference, gradients and optimizer are counted. What a forward pass keeps for its backward pass is measured on
one and on two items, which tells what grows with tokens from what does not; the rest of a step is derived from it.
It is a rough guide: measured peaks lay 22 % below to 69 % above such estimates, see docs/proofs/memory.md. On CUDA
nothing was measured.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from boresight.models import families
from boresight.models.answer_head import MAX_LIVE_LOGITS
from boresight.models.device import free_bytes, used_bytes
from boresight.models.policy import Answered, Policy

_LOGIT_BYTES = 4
_LOST_TO_ALLOCATOR = 1.0  # of activations, on a processor: freed blocks that later ones do not fit into; measured


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
    policy: Policy,
    first: Sequence[Answered],
    more: Sequence[Answered],
    *,
    shared: bool,
    item_tokens: Collection[int],
    batch_items: int,
    micro_batch_tokens: int,
    checkpoints: bool,
    copies_reference: bool,
) -> MemoryPlan:
    """Estimate the peak of a step; nothing is trained.

    Args:
        first: Rows of one item, and
        more: of the same item and another; both are run forward.
        item_tokens: Tokens of every item, when prompts are shared.
        checkpoints: Whether activations are made again in backward.
        copies_reference: Whether a frozen copy of the model will be made.
    """
    in_use, available = used_bytes(policy.device), free_bytes(policy.device)
    trained = [p for p in policy.parameters() if p.requires_grad]
    gradients = sum(map(_num_bytes, trained))
    longest = max(item_tokens)
    largest = sum(sorted(item_tokens, reverse=True)[:batch_items])
    tokens = max(longest, min(micro_batch_tokens, largest))

    kept = _Kept.measured(policy, first, more, shared=shared)
    layers = max(1, len(families.layer_types(policy.config)))
    one_layer = kept.per_token / layers
    if checkpoints:
        channels = policy.bare.get_output_embeddings().weight.shape[1]
        per_token = layers * channels * policy.bare.dtype.itemsize + one_layer
    else:
        per_token = kept.per_token
    lost = _LOST_TO_ALLOCATOR if policy.device.type == "cpu" else 0.0
    logits = min(kept.scored_share * tokens * kept.vocab, MAX_LIVE_LOGITS) * _LOGIT_BYTES
    parts = {
        "in use now: the program, the model and its data": in_use,
        "reference: a frozen copy": sum(map(_num_bytes, policy.parameters())) if copies_reference else 0,
        "gradients": gradients,
        "optimizer: two moments of every trained weight": 2 * gradients,
        "kept for backward, whatever the batch": round(kept.constant),
        "kept for backward: activations": round(per_token * tokens),
        "working memory: about one layer again": round(one_layer * tokens) + max(map(_num_bytes, trained), default=0),
        "freed, but not in one piece": round(lost * (per_token + one_layer) * tokens),
        "logits of answers": round(logits),
    }
    return MemoryPlan(
        parts=parts,
        bytes_per_token=(1 + lost) * (per_token + one_layer),
        tokens=tokens,
        longest_tokens=longest,
        available=available,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What autograd keeps of a forward pass, without logits."""

    per_token: float
    """Bytes."""
    constant: float
    """Bytes, such as copies of weights in another precision."""
    scored_share: float
    """Answer tokens per token."""
    vocab: int

    @staticmethod
    def measured(policy: Policy, first: Sequence[Answered], more: Sequence[Answered], *, shared: bool) -> _Kept:
        vocab = int(policy.bare.get_output_embeddings().weight.shape[0])
        sizes = [_num_tokens(rows) for rows in (first, more)]
        logits = [_LOGIT_BYTES * vocab * _num_scored(rows) for rows in (first, more)]
        kept = [_kept_bytes(policy, rows, shared=shared) for rows in (first, more)]
        activations = [max(0, k - logit) for k, logit in zip(kept, logits, strict=True)]
        per_token = (activations[1] - activations[0]) / (sizes[1] - sizes[0])
        if per_token <= 0:
            per_token = activations[1] / sizes[1]
        return _Kept(
            per_token=max(per_token, 1.0),
            constant=max(0.0, activations[0] - per_token * sizes[0]),
            scored_share=_num_scored(more) / sizes[1],
            vocab=vocab,
        )


def _kept_bytes(policy: Policy, rows: Sequence[Answered], *, shared: bool) -> int:
    """Bytes that a forward pass leaves behind for its backward pass, besides the weights themselves."""
    weights = {p.untyped_storage().data_ptr() for p in policy.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # a kept output would hold the graph that holds it, forever

    was_training = policy.training
    policy.eval()  # in training mode checkpointed layers would hide what one of them keeps
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            found = policy(rows, shared=shared)
            total = sum(kept.values())
            del found
    finally:
        policy.train(was_training)
    return total


def _num_tokens(rows: Sequence[Answered]) -> int:
    return sum(row.prompt.num_tokens for row in rows) + _num_scored(rows)


def _num_scored(rows: Sequence[Answered]) -> int:
    return sum(len(answer) for row in rows for answer in row.answers)


def _num_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:.2f} GiB"
