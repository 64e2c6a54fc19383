"""Answers that share their prompt's computation score as they do alone, with the same gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from boresight.errors import ModelError
from boresight.models import tree_attention
from boresight.models.encoding import EncodedPrompt
from boresight.models.fake import fake_llava
from boresight.models.loading import Lora, make_policy
from boresight.models.policy import Answered, Policy
from boresight.models.tree_attention import Tree, TreeLayout
from engine_examples import CHOSEN, TINY, differing, gradients, item_encoder, mixed_items, tiny_policy, turn

LORA = Lora(rank=4, alpha=8.0)
WORDS = ["a", "red", "circle", "left of the dog", "blue square under a clear sky", "and a child"]


def rows_with(policy: Policy, branches: int, count: int = 3) -> list[Answered]:
    """Rows with one picture, two pictures in two turns, and none; each with answers of different lengths."""
    encoder = item_encoder(policy)
    found = []
    for number, example in enumerate(mixed_items(count)):
        texts = [" ".join(WORDS[: 1 + (number + b) % 6]) + f" {b}" for b in range(branches)]
        answers = tuple(policy.encoder.answer(example.record.messages, [turn("assistant", t)]) for t in texts)
        found.append(Answered(encoder.prompt(example, CHOSEN), answers))
    return found


def check_same(policy: Policy, rows: list[Answered], *, logp_nats: float = 1e-10, gradient: float = 1e-6) -> None:
    """Gradients agree less closely than values because norms compute in float32 whatever the weights are."""
    weights = torch.linspace(-1, 1, sum(len(a) for r in rows for a in r.answers), dtype=policy.bare.dtype)
    results = []
    for shared in (True, False):
        policy.zero_grad(set_to_none=True)
        logps = policy(rows, shared=shared)
        (logps * weights).sum().backward()
        results.append((logps.detach(), gradients(policy)))
    (shared_logps, shared_grads), (alone_logps, alone_grads) = results
    assert float((shared_logps - alone_logps).abs().max()) < logp_nats
    assert shared_grads.keys() == alone_grads.keys() and shared_grads
    assert differing(shared_grads, alone_grads, gradient) == {}


@pytest.mark.parametrize("branches", [1, 2, 4])
@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "checkpointing"])
def test_shared_equals_separate_in_value_and_gradient(branches: int, lora: Lora | None, recompute: bool) -> None:
    policy = tiny_policy(lora=lora, dtype=torch.float64).train()
    if recompute:
        policy.bare.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        policy.bare.enable_input_require_grads()
    check_same(policy, rows_with(policy, branches))


def test_many_trees_of_different_shapes_lie_in_one_row() -> None:
    policy = tiny_policy(dtype=torch.float64)
    rows = [r for branches in (1, 3, 2) for r in rows_with(policy, branches)]
    check_same(policy, rows)


def test_grouped_key_heads_are_spread_over_query_heads() -> None:
    policy = text_policy(LlamaForCausalLM, LlamaConfig, num_attention_heads=4, num_key_value_heads=2)
    check_same(policy, text_rows())


def test_a_window_longer_than_every_path_is_no_hindrance() -> None:
    check_same(text_policy(MistralForCausalLM, MistralConfig, sliding_window=64), text_rows())


@pytest.mark.parametrize("window", [1, 4, 8])
def test_a_window_shorter_than_a_path_slides_along_it(window: int) -> None:
    check_same(text_policy(MistralForCausalLM, MistralConfig, sliding_window=window), text_rows())


def text_policy(model: Any, config: Any, **options: Any) -> Policy:
    torch.manual_seed(0)
    _, processor = fake_llava(TINY)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": TINY.vocab}
    options = {"num_attention_heads": 4, "num_key_value_heads": 4, "pad_token_id": 0, **sizes, **options}
    policy = make_policy(model(config(**options)), processor.tokenizer)
    return policy.to(torch.float64)


def text_rows() -> list[Answered]:
    generator = torch.Generator().manual_seed(0)

    def ids(count: int) -> torch.Tensor:
        return torch.randint(4, 300, (count,), generator=generator)

    return [
        Answered(EncodedPrompt(input_ids=ids(9), token_inputs={}, media_inputs={}), (ids(3), ids(7))),
        Answered(EncodedPrompt(input_ids=ids(5), token_inputs={}, media_inputs={}), (ids(1), ids(4), ids(2))),
    ]


def test_three_dimensional_positions_go_on_after_the_picture() -> None:
    """Qwen2.5-VL: a picture of 4 x 4 patches is 2 x 2 tokens but advances the position by 2 only."""
    policy, rows = qwen_policy_and_rows()
    positions = policy._positions(rows)[:, None]
    assert positions.shape[0] == 3
    first = rows[0]
    trunk, answer = first.prompt.num_tokens, len(first.answers[0])
    start = int(positions[0, 0, trunk])
    assert start < trunk and start == int(positions[:, 0, :trunk].max()) + 1
    assert positions[:, 0, trunk : trunk + answer].tolist() == [list(range(start, start + answer))] * 3


def test_shared_equals_separate_for_qwen2_5_vl() -> None:
    policy, rows = qwen_policy_and_rows()
    check_same(policy, rows)


def qwen_policy_and_rows() -> tuple[Policy, list[Answered]]:
    _, processor = fake_llava(TINY)
    image, start, end = 390, 391, 392
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": 400,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "fullatt_block_indexes": [1],
            "window_size": 56,
        },
        image_token_id=image,
        vision_start_token_id=start,
        vision_end_token_id=end,
        video_token_id=393,
    )
    torch.manual_seed(0)
    policy = make_policy(Qwen2_5_VLForConditionalGeneration(config), processor.tokenizer).to(torch.float64)
    generator = torch.Generator().manual_seed(0)

    def ids(count: int) -> torch.Tensor:
        return torch.randint(4, 300, (count,), generator=generator)

    def prompt(pictures: int) -> EncodedPrompt:
        pieces = [ids(3)]
        for _ in range(pictures):
            pieces += [torch.tensor([start, *[image] * 4, end]), ids(2)]
        tokens = torch.cat(pieces)
        media = {
            "pixel_values": torch.randn(16 * pictures, 3 * 2 * 14 * 14, generator=generator),
            "image_grid_thw": torch.tensor([[1, 4, 4]] * pictures),
        }
        return EncodedPrompt(
            input_ids=tokens, token_inputs={"mm_token_type_ids": (tokens == image).int()}, media_inputs=media
        )

    return policy, [Answered(prompt(1), (ids(4), ids(6))), Answered(prompt(2), (ids(3), ids(1), ids(5)))]


@pytest.fixture
def layout() -> TreeLayout:
    return TreeLayout((Tree(3, (2, 1)), Tree(2, (4,))))


def test_a_layout_says_where_trunks_and_branches_lie(layout: TreeLayout) -> None:
    found = [((t.start, t.stop), [(b.start, b.stop) for b in bs]) for t, bs in layout.spans()]
    assert found == [((0, 3), [(3, 5), (5, 6)]), ((6, 8), [(8, 12)])]
    assert layout.num_tokens == 12
    assert [tree.longest_path for tree in layout.trees] == [5, 6]


def test_a_token_sees_its_own_trunk_and_its_branch_before_it_and_nothing_else(layout: TreeLayout) -> None:
    """Which keys reach which query, from gradients of the attention itself."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 12, 4, dtype=torch.float64, generator=generator) for _ in range(3))
    value.requires_grad_()
    output, _ = tree_attention.tree_attention(torch.nn.Module(), query, key, value, None, boresight_tree=layout)
    seen = []
    for token in range(12):
        (grad,) = torch.autograd.grad(output[0, token].sum(), value, retain_graph=True)
        seen.append([k for k in range(12) if bool(grad[0, :, k].any())])
    expected = [
        [0], [0, 1], [0, 1, 2],
        [0, 1, 2, 3], [0, 1, 2, 3, 4],
        [0, 1, 2, 5],
        [6], [6, 7],
        [6, 7, 8], [6, 7, 8, 9], [6, 7, 8, 9, 10], [6, 7, 8, 9, 10, 11],
    ]  # fmt: skip
    assert seen == expected


def test_a_bias_of_positions_is_refused(layout: TreeLayout) -> None:
    states = torch.zeros(1, 1, 12, 4)
    with pytest.raises(ModelError, match="learned bias of positions has no shared form"):
        tree_attention.tree_attention(
            torch.nn.Module(), states, states, states, None, boresight_tree=layout, position_bias=states
        )


def test_without_a_tree_the_model_computes_what_it_computed_before() -> None:
    model, processor = fake_llava(TINY)
    ids = torch.arange(5, 15)[None]
    before = model(input_ids=ids).logits
    after = make_policy(model, processor).model(input_ids=ids).logits
    torch.testing.assert_close(after, before, rtol=0, atol=0)
