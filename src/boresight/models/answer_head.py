"""Log-probabilities at answer positions only: the full logits of prompt and media are never made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from boresight.models import matmul
from boresight.models.matmul import Matmul

LogitTransform = Callable[[Tensor], Tensor]

MAX_LIVE_LOGITS = 2**26  # 256 MiB in float32; beyond it, logits are made again in backward instead of being kept
_NO_GRAD_LOGITS = 2**22  # 16 MiB: small enough for the allocator to use the same memory again
_CACHED_LOGITS = 2**20  # 4 MiB: what a pass over them finds in a processor's cache


def answer_logps(
    hidden: Float[Tensor, "scored channel"],
    targets: Int[Tensor, " scored"],
    head: nn.Module,
    transform: LogitTransform | None = None,
    *,
    max_live_logits: int = MAX_LIVE_LOGITS,
    multiply: Matmul = "torch",
) -> Float[Tensor, " scored"]:
    """Log-probability (nats) of each target.

        out[s] = log softmax(transform(head(hidden[s])))[targets[s]]

    Args:
        hidden: Last hidden states at the positions that predict the targets.
        head: The model's output embedding.
        transform: What the family does to logits after the head (soft cap, scale).
        max_live_logits: Most logits (elements) held at once; where there are more, backward makes them again.
        multiply: What multiplies where a head is one matrix.
    """
    is_plain = transform is None and type(head) is nn.Linear and type(head.weight.data) is Tensor
    if is_plain and not torch.is_autocast_enabled(hidden.device.type):
        return _PlainLogps.apply(  # type: ignore[no-any-return,no-untyped-call]
            hidden, head.weight, head.bias, targets, max_live_logits, multiply
        )
    vocab = int(cast("Tensor", head.weight).shape[0])
    is_recording = torch.is_grad_enabled()
    chunk = max(1, (max_live_logits if is_recording else min(max_live_logits, _NO_GRAD_LOGITS)) // vocab)
    if hidden.shape[0] <= chunk:
        return _logps(hidden, targets, head, transform)
    pieces = zip(torch.split(hidden, chunk), torch.split(targets, chunk), strict=True)
    if not is_recording:
        return torch.cat([_logps(h, t, head, transform) for h, t in pieces])
    return torch.cat([checkpoint(_logps, h, t, head, transform, use_reentrant=False) for h, t in pieces])


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a model says comes next, token by token, before its head: the logits of a step would fill the memory."""

    hidden: Float[Tensor, "scored channel"]
    head: nn.Module
    transform: LogitTransform | None = None


def vocabulary_kl(
    reference: Distribution, policy: Distribution, *, max_live_logits: int = MAX_LIVE_LOGITS
) -> Float[Tensor, " scored"]:
    """How far the policy is from the reference at each token (nats), over the whole vocabulary.

        out[s] = sum_v ref(v | s) * (log ref(v | s) - log pi(v | s))

    Only the policy gets a gradient. Logits are made in chunks, and again in backward.

    Args:
        max_live_logits: Most logits (elements) of both models held at once.
    """
    vocab = int(cast("Tensor", policy.head.weight).shape[0])
    chunk = max(1, max_live_logits // (2 * vocab))
    pieces = zip(torch.split(reference.hidden, chunk), torch.split(policy.hidden, chunk), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([_kl(r, p, reference, policy) for r, p in pieces])
    return torch.cat([checkpoint(_kl, r, p, reference, policy, use_reentrant=False) for r, p in pieces])


def _kl(
    reference_hidden: Float[Tensor, "scored channel"],
    policy_hidden: Float[Tensor, "scored channel"],
    reference: Distribution,
    policy: Distribution,
) -> Float[Tensor, " scored"]:
    with torch.no_grad():
        target = F.log_softmax(_whole_logits(reference_hidden, reference.head, reference.transform), dim=-1)
    logps = F.log_softmax(_whole_logits(policy_hidden, policy.head, policy.transform), dim=-1)
    return (target.exp() * (target - logps)).sum(dim=-1)


def _whole_logits(
    hidden: Float[Tensor, "scored channel"], head: nn.Module, transform: LogitTransform | None
) -> Float[Tensor, "scored vocab"]:
    logits: Tensor = head(hidden)
    if transform is not None:
        logits = transform(logits)
    # Log-sum-exp over a vocabulary loses too much in half precision.
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _logps(
    hidden: Float[Tensor, "scored channel"],
    targets: Int[Tensor, " scored"],
    head: nn.Module,
    transform: LogitTransform | None,
) -> Float[Tensor, " scored"]:
    return -F.cross_entropy(_whole_logits(hidden, head, transform), targets, reduction="none")


class _PlainLogps(torch.autograd.Function):
    """The log-probabilities of a head that is one matrix, a slice of the vocabulary at a time.

    Forward keeps e = exp(logits - slice maximum). Softmax is e times one number per row, so backward needs no pass over
    the vocabulary but its two matrix products: the number is multiplied into their small side. That is a fifth of a
    training step of a small model with a large vocabulary.

        d out[s] / d logits[s] = onehot(targets[s]) - softmax(logits[s])
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        max_live_logits: int,
        multiply: Matmul,
    ) -> Tensor:
        num_scored, vocab = len(hidden), len(weight)
        ctx.multiply = multiply
        slices = _slices(num_scored, vocab, hidden.device)
        is_kept = any(ctx.needs_input_grad) and num_scored * vocab <= max_live_logits
        maxima, sums, kept = [], [], []
        for part in slices:
            logits = _logits(hidden, weight, bias, part, multiply)
            maximum = logits.amax(dim=1)
            exponentials = logits.sub_(maximum[:, None]).exp_()
            maxima.append(maximum)
            sums.append(exponentials.sum(dim=1))
            if is_kept:
                kept.append(exponentials.to(weight.dtype))
        highest, total = torch.stack(maxima), torch.stack(sums)
        normalizer = torch.logsumexp(highest + total.log(), dim=0)
        at_target = torch.linalg.vecdot(hidden.to(total.dtype), weight[targets].to(total.dtype))
        if bias is not None:
            at_target = at_target + bias[targets]
        ctx.save_for_backward(hidden, weight, bias, targets, highest, normalizer, *kept)
        return cast("Tensor", at_target - normalizer)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, highest, normalizer, *kept = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        dtype = weight.dtype
        multiplied = matmul.by(ctx.multiply)
        grad_hidden = torch.zeros_like(hidden, dtype=normalizer.dtype) if needs_hidden else None
        grad_weight = torch.empty_like(weight) if needs_weight else None
        grad_bias = torch.empty_like(bias) if needs_bias else None
        for i, part in enumerate(_slices(len(hidden), len(weight), hidden.device)):
            exponentials = (
                kept[i]
                if kept
                else (_logits(hidden, weight, bias, part, ctx.multiply) - highest[i, :, None]).exp_().to(dtype)
            )
            share = -grad * (highest[i] - normalizer).exp()  # softmax is `exponentials` times exp(maximum - normalizer)
            if grad_hidden is not None:
                grad_hidden.addcmul_(share[:, None], multiplied(exponentials, weight[part]).to(grad_hidden.dtype))
            if grad_weight is not None:
                multiplied(exponentials.T, (share[:, None] * hidden).to(dtype), out=grad_weight[part])
            if grad_bias is not None:
                grad_bias[part] = (share @ exponentials.to(share.dtype)).to(dtype)
        if grad_hidden is not None:
            grad_hidden = grad_hidden.addcmul_(grad[:, None], weight[targets].to(grad_hidden.dtype)).to(hidden.dtype)
        if grad_weight is not None:
            grad_weight.index_add_(0, targets, (grad[:, None] * hidden).to(dtype))
        if grad_bias is not None:
            grad_bias.index_add_(0, targets, grad.to(dtype))
        return grad_hidden, grad_weight, grad_bias, None, None, None


def _slices(num_scored: int, vocab: int, device: torch.device) -> list[slice]:
    """Ranges of the vocabulary whose logits are handled together."""
    limit = _CACHED_LOGITS if device.type == "cpu" else _NO_GRAD_LOGITS
    width = max(256, limit // max(1, num_scored) // 64 * 64)  # products of odd widths are slower
    return [slice(start, min(start + width, vocab)) for start in range(0, vocab, width)]


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, part: slice, multiply: Matmul) -> Tensor:
    """Logits of a slice of the vocabulary, in float32 or better: sums over it lose too much in half precision."""
    logits = matmul.by(multiply)(hidden, weight[part].t())
    if bias is not None:
        logits = logits.add_(bias[part])
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
