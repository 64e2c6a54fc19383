"""oneDNN's products are torch's but for rounding, and are taken only where that is proved to pay."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from boresight.models import matmul
from boresight.models.fake import FakeShape
from boresight.models.loading import Lora
from boresight.models.matmul import Matmul
from boresight.models.policy import Answered, Policy
from engine_examples import gradients, item, item_encoder, tiny_policy

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
WIDE = FakeShape(hidden=64, layers=2, heads=2, max_tokens=256)


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small products are worth it too."""
    monkeypatch.setattr(matmul, "_MIN_ROWS", 1)
    monkeypatch.setattr(matmul, "_MIN_PRODUCTS", 1)


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, ...]]]:
    """Rows, inner and columns of every product that oneDNN was asked for."""
    asked: list[tuple[int, ...]] = []
    real = matmul._product

    def watched(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        asked.append((*a.shape, b.shape[1]))
        return real(a, b, bias)

    monkeypatch.setattr(matmul, "_product", watched)
    yield asked


def drawn(*shape: int, seed: int = 0, **options: Any) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **options)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("batch", [(48,), (2, 24), (3, 2, 8)])
def test_a_linear_layer_has_torchs_values_and_gradients(any_size: None, batch: tuple[int, ...], has_bias: bool) -> None:
    """Held against float64: both round, neither is the truth."""
    x, weight, bias, upstream = drawn(*batch, 32), drawn(20, 32, seed=1), drawn(20, seed=2), drawn(*batch, 20, seed=3)
    given = [x, weight, *([bias] if has_bias else [])]
    mine = [value.clone().requires_grad_() for value in given]
    exact = [value.double().requires_grad_() for value in given]
    found = matmul.linear(mine[0], mine[1], mine[2] if has_bias else None)
    expected = nn.functional.linear(*exact)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    found_gradients = torch.autograd.grad(found, mine, upstream)
    for gradient, truth in zip(found_gradients, torch.autograd.grad(expected, exact, upstream.double()), strict=True):
        assert gradient.shape == truth.shape
        torch.testing.assert_close(gradient.double(), truth, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("trained", "kept"), [("x", [(20, 32)]), ("weight", [(48, 32)]), ("bias", [])])
def test_only_what_backward_reads_is_kept(any_size: None, trained: str, kept: list[tuple[int, ...]]) -> None:
    """As torch does: what goes into frozen layers would fill the memory."""
    given = {"x": drawn(48, 32), "weight": drawn(20, 32, seed=1), "bias": drawn(20, seed=2)}
    given[trained].requires_grad_()
    found: list[tuple[int, ...]] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: found.append(tuple(t.shape)) or t, lambda t: t):
        said = matmul.linear(given["x"], given["weight"], given["bias"])
    (gradient,) = torch.autograd.grad(said.sum(), [given[trained]])
    (truth,) = torch.autograd.grad(nn.functional.linear(*given.values()).sum(), [given[trained]])
    assert found == kept
    torch.testing.assert_close(gradient, truth, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("layout", ["turned weight", "every other row", "turned input"])
def test_memory_layouts_do_not_matter(any_size: None, layout: str) -> None:
    x, weight = drawn(48, 32), drawn(20, 32, seed=1)
    if layout == "turned weight":
        weight = weight.t().contiguous().t()
    elif layout == "every other row":
        weight = drawn(40, 64, seed=1)[::2, ::2]
    else:
        x = x.t().contiguous().t()
    expected = x.double() @ weight.double().t()
    torch.testing.assert_close(matmul.linear(x, weight, None).double(), expected, rtol=1e-5, atol=1e-5)


def test_onednn_never_sees_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fall back to a loop that takes a thousand times as long."""
    strides: list[tuple[int, ...]] = []
    real = torch.ops.mkldnn._linear_pointwise

    def watched(a: torch.Tensor, b_transposed: torch.Tensor, *rest: Any) -> torch.Tensor:
        strides.append(b_transposed.stride())
        return real(a, b_transposed, *rest)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", watched)
    for b in (drawn(32, 20), drawn(20, 32).t(), drawn(32, 40)[:, :20], drawn(64, 40)[::2, ::2]):
        torch.testing.assert_close(matmul._product(drawn(48, 32), b), drawn(48, 32) @ b, rtol=1e-5, atol=1e-5)
    assert strides == [(1, 20), (32, 1), (1, 20), (1, 20)]


@pytest.mark.parametrize("why", ["few rows", "small", "float64", "bfloat16", "autocast", "one vector"])
def test_what_does_not_suit_is_left_to_torch(why: str, products: list[tuple[int, ...]]) -> None:
    x, weight = drawn(512, 256), drawn(2048 if why == "few rows" else 256, 256, seed=1)
    x = {"few rows": x[:15], "small": x[:32], "one vector": x[0]}.get(why, x)
    dtype = {"float64": torch.float64, "bfloat16": torch.bfloat16}.get(why, torch.float32)
    x, weight = x.to(dtype), weight.to(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=why == "autocast"):
        assert torch.equal(matmul.linear(x, weight, None), nn.functional.linear(x, weight))
    assert products == []


def test_what_suits_goes_to_onednn(products: list[tuple[int, ...]]) -> None:
    matmul.linear(drawn(512, 256), drawn(256, 256, seed=1), None)
    assert products == [(512, 256, 256)]


def test_a_product_may_be_written_into_a_place(any_size: None, products: list[tuple[int, ...]]) -> None:
    a, b, place = drawn(48, 32), drawn(32, 20, seed=1), torch.zeros(50, 20)
    for which in ("torch", "onednn"):
        place.zero_()
        matmul.by(which)(a, b, out=place[1:49])
        torch.testing.assert_close(place[1:49], a @ b, rtol=1e-5, atol=1e-5)
        assert not place[0].any() and not place[49].any()
    assert products == [(48, 32, 20)]


def test_a_copy_of_a_model_multiplies_with_its_own_weights(any_size: None, products: list[tuple[int, ...]]) -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    matmul.use(model, "onednn")
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin[0].weight.zero_()
        twin[0].bias.fill_(2.0)
    assert torch.equal(twin(drawn(16, 8)), torch.full((16, 8), 2.0))
    assert model(drawn(16, 8)).std() > 0.1
    assert len(products) == 2


def test_a_model_can_go_back(any_size: None, products: list[tuple[int, ...]]) -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    before = model(drawn(16, 8))
    matmul.use(model, "onednn")
    matmul.use(model, "torch")
    matmul.use(model, "torch")
    assert torch.equal(model(drawn(16, 8)), before)
    assert products == []


def rows(policy: Policy) -> list[Answered]:
    encoder = item_encoder(policy)
    return [
        Answered(encoder.encoder.prompt(i.record.messages, [encoder.pictures(m) for m in i.record.media]), answers)
        for i in (item("a"), item("b"))
        for answers in [tuple(encoder.answer(i, name) for name in ("chosen", "rejected"))]
    ]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("lora", [None, Lora(rank=2, alpha=4.0)], ids=["full", "lora"])
def test_a_policy_scores_and_learns_the_same(
    any_size: None, products: list[tuple[int, ...]], lora: Lora | None, checkpointing: bool
) -> None:
    found: dict[Matmul, tuple[torch.Tensor, dict[str, torch.Tensor]]] = {}
    for which in ("torch", "onednn"):
        policy = tiny_policy(WIDE, lora=lora)
        policy.multiply_by(which)
        if checkpointing:
            policy.bare.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            policy.bare.enable_input_require_grads()
        policy.train()
        logps = policy(rows(policy))
        (logps * torch.linspace(-1, 1, len(logps))).sum().backward()
        found[which] = logps.detach(), gradients(policy)
    torch.testing.assert_close(found["onednn"][0], found["torch"][0], rtol=0, atol=1e-4)
    assert found["onednn"][1].keys() == found["torch"][1].keys()
    largest = max(float(g.abs().max()) for g in found["torch"][1].values())
    for name, gradient in found["onednn"][1].items():
        torch.testing.assert_close(gradient, found["torch"][1][name], rtol=1e-4, atol=1e-5 * largest)
    head = 400  # its logits, twice their gradients
    assert [size for size in products if size[2] == head and size[1] == 64]
    assert [size for size in products if size[1] == head]
    assert len(products) > 3 * 2 * 7  # forward and backward of seven layers in two blocks, at least
