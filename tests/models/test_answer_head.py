from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from boresight.models.answer_head import answer_logps


def run(max_live_logits: int, transform: object = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    head = nn.Linear(6, 11, bias=False, dtype=torch.float64)
    hidden = torch.randn(7, 6, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 3, 10, 5, 5, 1, 2])
    logps = answer_logps(hidden, targets, head, transform, max_live_logits=max_live_logits)  # type: ignore[arg-type]
    (logps * torch.arange(7)).sum().backward()
    assert hidden.grad is not None and head.weight.grad is not None
    return logps.detach(), hidden.grad, head.weight.grad


def test_log_probabilities_are_those_of_the_softmax() -> None:
    head = nn.Linear(1, 3, bias=False, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0], [1.0], [2.0]]))
    hidden = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    logps = answer_logps(hidden, torch.tensor([2, 0]), head)
    expected = [
        2 - torch.logsumexp(torch.tensor([0.0, 1.0, 2.0]).double(), 0).item(),
        -torch.tensor(3.0).double().log(),
    ]
    assert logps.tolist() == pytest.approx([float(e) for e in expected])


@pytest.mark.parametrize("chunk", [1, 2, 3, 6])
@pytest.mark.parametrize("transform", [None, lambda logits: torch.tanh(logits / 2) * 2])
def test_chunks_with_recomputation_change_neither_values_nor_gradients(chunk: int, transform: object) -> None:
    for whole, chunked in zip(run(10**9, transform), run(11 * chunk, transform), strict=True):
        torch.testing.assert_close(chunked, whole, rtol=1e-13, atol=1e-14)


def test_a_chunk_never_holds_more_logits_than_allowed() -> None:
    sizes: list[int] = []

    def watch(logits: torch.Tensor) -> torch.Tensor:
        sizes.append(logits.numel())
        return logits

    run(33, watch)
    assert max(sizes) <= 33


def test_half_precision_logits_are_summed_in_float32() -> None:
    head = nn.Linear(4, 5000, bias=False).to(torch.bfloat16)
    logps = answer_logps(torch.randn(2, 4).to(torch.bfloat16), torch.tensor([1, 2]), head)
    assert logps.dtype == torch.float32


def test_the_familys_transform_comes_before_the_softmax() -> None:
    """Logits 0 and 1 doubled: the second has log sigmoid(2)."""
    head = nn.Linear(1, 2, bias=False, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0], [1.0]]))
    hidden = torch.ones(1, 1, dtype=torch.float64)
    logps = answer_logps(hidden, torch.tensor([1]), head, lambda logits: 2 * logits)
    assert logps.item() == pytest.approx(math.log(1 / (1 + math.exp(-2))), rel=1e-12)
