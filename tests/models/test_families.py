"""Every family of the zoo: shared rows equal separate rows and transformers' own scores, in value and gradient."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from family_zoo import (
    FAMILIES,
    GRADIENT,
    NATS,
    largest,
    official,
    scored,
    skip_if_misjudged,
    zoo_policy,
    zoo_rows,
)

from boresight.errors import ModelError
from boresight.models import families, tree_attention
from boresight.models.media_features import MediaFeatures, TowerOutputs, media_key
from boresight.models.policy import Policy
from boresight.models.reach import Reach
from boresight.training.optimization import freeze
from boresight.training.spec import Stage
from engine_examples import differing
from float64 import Float64

SHARING = [name for name, family in FAMILIES.items() if family.expected != "separate"]
SEPARATE = [name for name, family in FAMILIES.items() if family.expected == "separate"]
REACHING = ("gemma3", "gemma4", "aya_vision", "molmo2", "paligemma", "llama4")
KEEPING = [name for name, family in FAMILIES.items() if family.keeps_media]
TWO_WAY = ["gemma3", "gemma4", "molmo2", "paligemma"]
WRITTEN_OUT = [name for name in SHARING if name != "paligemma"]  # whose own forward takes no mask per kind of layer


def calls_of_towers(policy: Policy) -> list[str]:
    """Names of towers, one for each time that one is called from now on."""
    called: list[str] = []
    for name, module in policy.bare.named_modules():
        if name.rsplit(".", 1)[-1] in ("vision_tower", "visual", "vision_model", "audio_tower"):
            module.register_forward_hook(lambda *_, name=name: called.append(name))
    return called


@pytest.mark.parametrize("name", FAMILIES)
def test_every_tower_stays_as_it_is_unless_a_method_says_otherwise(name: str) -> None:
    """transformers itself says which part of a family is its tower."""
    policy = zoo_policy(name)
    freeze(policy, Stage())
    found = {policy.bare.get_encoder(modality=kind) for kind in ("image", "audio")}
    found -= {None, policy.bare, policy.bare.base_model}  # what it gives where there is no such tower
    assert found and not any(p.requires_grad for tower in found for p in tower.parameters())
    assert all(p.requires_grad for p in policy.bare.get_decoder().parameters())


@pytest.mark.parametrize("name", SHARING)
def test_shared_rows_equal_separate_rows_in_value_and_gradient(name: str) -> None:
    policy, rows = zoo_policy(name), zoo_rows(name)
    policy.reuses_media = False
    shared, shared_gradients = scored(policy, rows)
    alone, alone_gradients = scored(policy, rows, shared=False)
    assert largest(shared, alone) < 1e-10
    assert shared_gradients.keys() == alone_gradients.keys()
    assert differing(shared_gradients, alone_gradients, GRADIENT) == {}


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_score_as_transformers_scores_each_answer(name: str) -> None:
    policy, rows = zoo_policy(name), zoo_rows(name)
    skip_if_misjudged(policy)
    with torch.no_grad(), Float64():
        assert largest(policy(rows, shared=name in SHARING), official(policy, rows)) < NATS


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_written_out_mask_gives_the_same(name: str) -> None:
    policy, rows = zoo_policy(name), zoo_rows(name)
    with torch.no_grad():
        split = policy(rows)
        policy.attention = "dense"
        assert largest(policy(rows), split) < 1e-10


@pytest.mark.parametrize("name", [n for n in KEEPING if n not in TWO_WAY])
def test_separate_rows_share_media_in_value_and_gradient(name: str) -> None:
    policy, rows = zoo_policy(name), zoo_rows(name)
    reused, reused_gradients = scored(policy, rows, shared=False)
    policy.reuses_media = False
    plain, plain_gradients = scored(policy, rows, shared=False)
    assert largest(reused, plain) < 1e-10
    assert reused_gradients.keys() == plain_gradients.keys()
    assert differing(reused_gradients, plain_gradients, GRADIENT) == {}


@pytest.mark.parametrize("name", KEEPING)
def test_kept_features_give_the_same_without_running_a_tower_again(name: str) -> None:
    policy, rows = zoo_policy(name), zoo_rows(name)
    policy.requires_grad_(False)
    kept: dict[str, Any] = {}
    plain = policy(rows, shared=name in SHARING)
    called = calls_of_towers(policy)
    first = policy(rows, shared=name in SHARING, media=kept)
    assert called and len(kept) == sum(bool(row.prompt.media_inputs) for row in rows)
    called.clear()
    again = policy(list(reversed(rows)), shared=name in SHARING, media=kept)
    assert called == [] and largest(first, plain) < 1e-10
    answers = [len(answer) for row in reversed(rows) for answer in row.answers]
    order = [len(row.answers) for row in reversed(rows)]
    pieces = iter(torch.split(again, answers))
    by_row = [torch.cat([next(pieces) for _ in range(count)]) for count in order]
    assert largest(torch.cat(by_row[::-1]), plain) < 1e-10


@pytest.mark.parametrize("name", KEEPING)
def test_a_projector_learns_the_same_from_what_its_tower_said_before(name: str) -> None:
    policy, rows = zoo_policy(name), zoo_rows(name)
    freeze(policy, Stage())
    policy.reuses_media = False
    plain, plain_gradients = scored(policy, rows, shared=name in SHARING)
    policy.reuses_media = True
    kept: dict[str, Any] = {}
    looks: list[str] = []
    for tower in policy._towers:
        for part, module in tower.named_children():  # of the tower itself, replayed calls count too
            module.register_forward_hook(lambda *_, part=part: looks.append(part))
    for looking in (True, False):
        found, gradients = scored(policy, rows, shared=name in SHARING, media=kept)
        assert bool(looks) == looking and largest(found, plain) < 1e-10
        assert gradients.keys() == plain_gradients.keys()
        assert differing(gradients, plain_gradients, GRADIENT) == {}
        looks.clear()
    held = {type(one) for one in kept.values()}
    assert held == {TowerOutputs if policy.keeps == "towers" else MediaFeatures}


def test_only_what_is_read_of_a_tower_is_kept() -> None:
    """LLaVA asks for the states behind every layer and reads one of them."""
    policy, rows = zoo_policy("llava"), zoo_rows("llava")
    freeze(policy, Stage())
    kept: dict[str, Any] = {}
    with torch.no_grad():
        policy(rows[:1], media=kept)
    (only,) = kept.values()
    (said,) = only.calls
    states = [state for state in said.hidden_states if state is not None]
    assert said.last_hidden_state is None and len(states) == 1 < len(said.hidden_states)
    assert only.num_bytes == states[0].numel() * 8  # float64


@pytest.mark.parametrize("name", SEPARATE)
def test_a_family_that_cannot_share_runs_its_tower_once_for_all_rows(name: str) -> None:
    policy, rows = zoo_policy(name), zoo_rows(name)
    called = calls_of_towers(policy)
    with torch.no_grad():
        policy(rows[:1], shared=False)
    assert len(rows[0].answers) > 1 and len(called) == len(set(called))
    assert "carry state along the row" in (families.why_not_shared(policy.config) or "")


@pytest.mark.parametrize("name", ["qwen2_5_vl", "smolvlm", "llava"])
def test_a_pass_takes_pictures_and_clips_unless_they_come_apart_and_look_alike(name: str) -> None:
    """SmolVLM's look alike, but its clips come as pictures."""
    assert not zoo_policy(name).reads_clips_apart


def test_features_are_known_by_what_is_shown_and_in_which_order() -> None:
    policy, rows = zoo_policy("qwen2_vl"), zoo_rows("qwen2_vl")
    both = next(row.prompt for row in rows if len(row.prompt.media_inputs) == 4)
    swapped = dataclasses.replace(both, input_ids=both.input_ids.flip(0))
    pixels = {**both.media_inputs, "pixel_values": both.media_inputs["pixel_values"] + 1}
    changed = dataclasses.replace(both, media_inputs=pixels)
    keys = [media_key(prompt, policy._is_media(prompt.input_ids)) for prompt in (both, swapped, changed)]
    assert len(set(keys)) == 3


def test_features_that_cannot_be_kept_are_refused() -> None:
    policy, rows = zoo_policy("gemma4_small"), zoo_rows("gemma4_small")
    policy.requires_grad_(False)
    with pytest.raises(ModelError, match="its language model also reads per_layer_inputs"):
        policy(rows, media={})


def test_features_are_refused_while_training_changes_them() -> None:
    policy, rows = zoo_policy("llava"), zoo_rows("llava")
    assert policy.keeps is None
    with pytest.raises(ModelError, match="the tower is being trained"):
        policy(rows, media={})
    policy.bare.model.vision_tower.requires_grad_(False)
    assert policy.keeps == "towers"
    policy.bare.model.multi_modal_projector.requires_grad_(False)
    assert policy.keeps == "features"


@pytest.mark.parametrize("name", SHARING)
def test_a_leaking_branch_changes_every_family(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Branches that see their own future must not go unnoticed in any family."""
    policy, rows = zoo_policy(name), zoo_rows(name)
    skip_if_misjudged(policy)

    def everything(branch: int, trunk: int, device: Any) -> torch.Tensor:
        return torch.ones(branch, trunk + branch, dtype=torch.bool)

    def all_visible(queries: int, path: int, *rule: Any) -> torch.Tensor:
        return torch.ones(queries, path, dtype=torch.bool)

    monkeypatch.setattr(tree_attention, "_branch_mask", everything)
    monkeypatch.setattr(tree_attention, "visible", all_visible)
    with torch.no_grad():
        assert largest(policy(rows), official(policy, rows)) > 1e-3


@pytest.mark.parametrize("name", SHARING)
def test_positions_of_one_long_text_change_every_family(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that count on from each other must not go unnoticed in any family."""
    policy, rows = zoo_policy(name), zoo_rows(name)
    skip_if_misjudged(policy)
    right = policy._positions(rows)
    monkeypatch.setattr(Policy, "_positions", lambda self, rows: torch.arange(right.shape[1]).expand_as(right))
    with torch.no_grad():
        assert largest(policy(rows), official(policy, rows)) > 1e-6


@pytest.mark.parametrize(
    "name", [n for n in ("gemma3", "gemma4", "aya_vision", "molmo2", "paligemma", "llama4") if n in FAMILIES]
)
def test_windows_chunks_and_blocks_matter_in_the_zoo(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them the numbers are others, so the equalities above prove something."""
    policy, rows = zoo_policy(name), zoo_rows(name)
    with torch.no_grad():
        right = policy(rows)
        policy._reaches = ()
        monkeypatch.setattr(families, "blocks", lambda config, inputs: ())
        monkeypatch.setattr(tree_attention, "_reach", lambda layout, layer, window: Reach())
        assert largest(policy(rows), right) > 1e-3


def test_a_row_longer_than_a_family_packs_is_split_by_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Llama-4 scales queries by their place in the row, from `floor_scale` tokens on."""
    policy, rows = zoo_policy("llama4"), zoo_rows("llama4")
    skip_if_misjudged(policy)
    text = policy.config.text_config
    for layer in policy._decoder.layers:
        layer.self_attn.floor_scale = 24
    text.floor_scale = 24
    with torch.no_grad():
        expected = official(policy, rows)
        assert largest(policy(rows), expected) < 1e-10
        monkeypatch.setattr(families, "max_packed_tokens", lambda config: None)
        assert largest(policy(rows), expected) > 1e-6
