"""Log-probabilities at answer positions only: the full logits of prompt and media are never made."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

LogitTransform = Callable[[Tensor], Tensor]

_MAX_LIVE_LOGITS = 2**26  # 256 MiB in float32; beyond it, logits are made in chunks and again in backward
_NO_GRAD_LOGITS = 2**22  # 16 MiB: small enough for the allocator to use the same memory again


def answer_logps(
    hidden: Float[Tensor, "scored channel"],
    targets: Int[Tensor, " scored"],
    head: nn.Module,
    transform: LogitTransform | None = None,
    *,
    max_live_logits: int = _MAX_LIVE_LOGITS,
) -> Float[Tensor, " scored"]:
    """Log-probability (nats) of each target.

        out[s] = log softmax(transform(head(hidden[s])))[targets[s]]

    Args:
        hidden: Last hidden states at the positions that predict the targets.
        head: The model's output embedding.
        transform: What the family does to logits after the head (soft cap, scale).
        max_live_logits: Most logits (elements) held at once; more are made in chunks and recomputed in backward.
    """
    vocab = int(cast("Tensor", head.weight).shape[0])
    is_recording = torch.is_grad_enabled()
    chunk = max(1, (max_live_logits if is_recording else min(max_live_logits, _NO_GRAD_LOGITS)) // vocab)
    if hidden.shape[0] <= chunk:
        return _logps(hidden, targets, head, transform)
    pieces = zip(torch.split(hidden, chunk), torch.split(targets, chunk), strict=True)
    if not is_recording:
        return torch.cat([_logps(h, t, head, transform) for h, t in pieces])
    return torch.cat([checkpoint(_logps, h, t, head, transform, use_reentrant=False) for h, t in pieces])


def _logps(
    hidden: Float[Tensor, "scored channel"],
    targets: Int[Tensor, " scored"],
    head: nn.Module,
    transform: LogitTransform | None,
) -> Float[Tensor, " scored"]:
    logits = head(hidden)
    if transform is not None:
        logits = transform(logits)
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()  # log-sum-exp over a vocabulary loses too much in half precision
    return -F.cross_entropy(logits, targets, reduction="none")
