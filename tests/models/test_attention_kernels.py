"""Attention of a whole row in one kernel gives what segments give, in every family that can share.

The kernels themselves run on CUDA. Here FlexAttention runs uncompiled, and FlashAttention is stood in for by the
formula it computes, so that masks, sequences and everything around them are proved; speed is not.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from family_zoo import FAMILIES, GRADIENT, largest, scored, zoo_policy, zoo_rows
from torch import Tensor
from torch.nn.attention import flex_attention

from boresight.errors import ModelError
from boresight.models import tree_varlen
from boresight.models.reach import Reach
from boresight.models.tree_attention import Attend, Tree, TreeLayout, tree_attention, visible
from boresight.models.tree_flex import attend_flex, block_mask
from boresight.models.tree_varlen import Sequences, attend_varlen
from engine_examples import differing

pytestmark = [
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]
SHARING = [name for name, family in FAMILIES.items() if family.expected != "separate"]
LACKING = {
    "gemma3": "two-way blocks",
    "gemma4": "two-way blocks",
    "molmo2": "two-way blocks",
    "paligemma": "soft cap",
    "llama4": "chunks",
}
REACHES = [
    Reach(),
    Reach(window=3),
    Reach(chunk=2),
    Reach(has_blocks=True),
    Reach(window=2, has_blocks=True),
    Reach(window=2, has_blocks=True, window_limits_blocks=True),
]


@pytest.fixture
def flex_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch refuses gradients of FlexAttention on CPU, where its uncompiled form has them all the same."""
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *states: None)


@pytest.fixture
def varlen_formula(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Sequences]]:
    """What FlashAttention computes, one sequence after the other; gives the sequences it was called with."""
    called: list[Sequences] = []

    def compute(
        query: Tensor, key: Tensor, value: Tensor, sequences: Sequences, window: int | None, attend: Attend
    ) -> Tensor:
        called.append(sequences)
        outputs = []
        queries, keys = (starts.diff().tolist() for starts in (sequences.query_starts, sequences.key_starts))
        assert sequences.most_queries == max(queries) and sequences.most_keys == max(keys)
        for q, k, v in zip(query.split(queries), key.split(keys), value.split(keys), strict=True):
            mask = visible(len(q), len(k), Reach(window=window), (), q.device)
            outputs.append(attend.by_hand(*(x.transpose(0, 1)[None] for x in (q, k, v)), mask)[0].transpose(0, 1))
        return torch.cat(outputs)

    monkeypatch.setattr(tree_varlen, "_kernel", lambda: compute)
    yield called


@pytest.mark.parametrize("name", SHARING)
def test_flex_equals_segments_in_value_and_gradient(name: str, flex_backward: None) -> None:
    policy, rows = zoo_policy(name), zoo_rows(name)
    split, split_gradients = scored(policy, rows)
    policy.attention = "flex"
    flex, flex_gradients = scored(policy, rows)
    assert largest(flex, split) < 1e-10
    assert flex_gradients.keys() == split_gradients.keys()
    assert differing(flex_gradients, split_gradients, GRADIENT) == {}


@pytest.mark.parametrize("name", [n for n in SHARING if n not in LACKING])
def test_varlen_equals_segments_in_value_and_gradient(name: str, varlen_formula: list[Sequences]) -> None:
    policy, rows = zoo_policy(name), zoo_rows(name)
    split, split_gradients = scored(policy, rows)
    policy.attention = "varlen"
    varlen, varlen_gradients = scored(policy, rows)
    assert varlen_formula
    assert largest(varlen, split) < 1e-10
    assert varlen_gradients.keys() == split_gradients.keys()
    assert differing(varlen_gradients, split_gradients, GRADIENT) == {}


@pytest.mark.parametrize(("name", "lacking"), [(n, lacking) for n, lacking in LACKING.items() if n in FAMILIES])
def test_varlen_refuses_what_it_cannot_express(name: str, lacking: str, varlen_formula: list[Sequences]) -> None:
    policy = zoo_policy(name)
    policy.attention = "varlen"
    with pytest.raises(ModelError, match=f"variable-length attention has no {lacking}; use run.attention=auto"):
        policy(zoo_rows(name))


def two_trees() -> TreeLayout:
    """trunk 4 | 2 | 1 | trunk 3 | 3, where the first trunk begins with a block of two and ends with another."""
    return TreeLayout((Tree(4, (2, 1), (0, 0, -1, 1)), Tree(3, (3,))))


@pytest.mark.parametrize("reach", REACHES)
def test_the_block_mask_shows_what_the_written_out_mask_shows(reach: Reach) -> None:
    layout, device = two_trees(), torch.device("cpu")
    mask = block_mask(layout, reach, device)
    places = torch.arange(layout.num_tokens)
    seen = mask.mask_mod(torch.tensor(0), torch.tensor(0), places[:, None], places[None])
    assert torch.equal(seen, layout.row_mask(reach, device)[0, 0])


def test_a_sequence_is_a_trunk_or_a_branch_behind_its_trunk() -> None:
    found = tree_varlen.as_sequences(two_trees(), torch.device("cpu"))
    assert found.keys.tolist() == [0, 1, 2, 3, *(0, 1, 2, 3, 4, 5), *(0, 1, 2, 3, 6), *(7, 8, 9), *range(7, 13)]
    assert found.query_starts.tolist() == [0, 4, 6, 7, 10, 13]
    assert found.key_starts.tolist() == [0, 4, 10, 15, 18, 24]
    assert (found.most_queries, found.most_keys) == (4, 6)
    assert found.query_starts.dtype == found.key_starts.dtype == torch.int32


def states(layout: TreeLayout) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 2, layout.num_tokens, 4, dtype=torch.float64, generator=generator) for _ in range(3)]


@pytest.mark.parametrize("options", [{"softcap": 0.5}, {"s_aux": torch.tensor([0.3, -1.0])}, {"scaling": 2.0}])
def test_flex_bends_sinks_and_scales_scores_as_segments_do(options: dict[str, object], flex_backward: None) -> None:
    results = []
    for kernel in (None, attend_flex):
        layout = TreeLayout(two_trees().trees, kernel=kernel)
        query, key, value = (x.requires_grad_() for x in states(layout))
        output, _ = tree_attention(torch.nn.Module(), query, key, value, None, boresight_tree=layout, **options)
        (output * torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)).sum().backward()
        results.append([output.detach(), query.grad, key.grad, value.grad])
    for flex, split in zip(*results, strict=True):
        torch.testing.assert_close(flex, split, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [None, 1, 3])
def test_a_window_that_a_layer_names_itself_reaches_the_kernels(
    window: int | None, varlen_formula: list[Sequences]
) -> None:
    outputs = []
    for kernel in (None, attend_flex, attend_varlen):
        layout = TreeLayout(two_trees().trees, kernel=kernel)
        output, _ = tree_attention(
            torch.nn.Module(), *states(layout), None, boresight_tree=layout, sliding_window=window
        )
        outputs.append(output)
    assert all(largest(other, outputs[0]) < 1e-12 for other in outputs[1:])


def test_a_kernel_reads_what_autocast_would_have_it_read() -> None:
    seen: list[torch.dtype] = []

    def kernel(query: Tensor, key: Tensor, value: Tensor, *rest: object) -> Tensor:
        seen.extend(state.dtype for state in (query, key, value))
        return value

    layout = TreeLayout(two_trees().trees, kernel=kernel)
    query, key, value = (x.float() for x in states(layout))
    tree_attention(torch.nn.Module(), query, key, value, None, boresight_tree=layout)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tree_attention(torch.nn.Module(), query, key, value, None, boresight_tree=layout)
    assert seen == [torch.float32] * 3 + [torch.bfloat16] * 3


def test_flex_refuses_dropout() -> None:
    layout = TreeLayout(two_trees().trees, kernel=attend_flex)
    with pytest.raises(ModelError, match="FlexAttention has no dropout"):
        tree_attention(torch.nn.Module(), *states(layout), None, dropout=0.1, boresight_tree=layout)


def test_without_a_package_torchs_own_kernel_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its arguments: starts of sequences, their longest, and a window to the left that counts the token out."""
    from torch.nn.attention import varlen

    given = {}

    def record(*states: object, **options: object) -> Tensor:
        given.update(options, lengths=states[5:7])
        return states[0]  # type: ignore[return-value]

    monkeypatch.setattr(tree_varlen, "find_spec", lambda name: None)
    monkeypatch.setattr(varlen, "varlen_attn", record)
    tree_varlen._kernel.cache_clear()
    layout = two_trees()
    query, key, value = states(layout)
    attend_varlen(query, key, value, layout, Reach(window=3), Attend(0.0, 0.5, None, None))
    tree_varlen._kernel.cache_clear()
    assert given == {"scale": 0.5, "window_size": (2, 0), "lengths": (4, 6)}
