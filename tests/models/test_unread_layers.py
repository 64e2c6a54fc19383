"""Layers of a tower that nothing reads are not computed, and nothing changes without them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from family_zoo import FAMILIES, largest, official, scored, zoo_policy, zoo_rows

from boresight.models import families
from boresight.models.media_features import MediaStore
from boresight.models.policy import Policy
from engine_examples import differing

READ_AT_LAYERS = ["aya_vision", "internvl", "llava", "llava_next", "llava_onevision", "mistral3"]


def policy_reading_at(name: str, place: int | list[int], patch: pytest.MonkeyPatch) -> Policy:
    """One whose tower of three layers is read at a place."""
    family = FAMILIES[name]
    tower = {**family.config["vision_config"], "num_hidden_layers": 3}
    config = {**family.config, "vision_config": tower, "vision_feature_layer": place}
    patch.setitem(FAMILIES, name, dataclasses.replace(family, config=config))
    return zoo_policy(name)


def computed(policy: Policy, run: Callable[[], Any]) -> list[int]:
    """The tower's layers whose first block was called, in order."""
    layers = next(m for m in policy._towers[0].modules() if isinstance(m, torch.nn.ModuleList) and len(m) == 3)
    called: set[int] = set()
    hooks = [
        next(layer.children()).register_forward_hook(lambda *_, number=number: called.add(number))
        for number, layer in enumerate(layers)
    ]
    run()
    for hook in hooks:
        hook.remove()
    return sorted(called)


@pytest.mark.parametrize("name", READ_AT_LAYERS)
@pytest.mark.parametrize(("place", "read"), [(-1, [0, 1, 2]), (-2, [0, 1]), (1, [0]), (3, [0, 1, 2])])
def test_only_layers_that_are_read_are_computed(
    name: str, place: int, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_reading_at(name, place, monkeypatch)
    rows = zoo_rows(name, ("image",))[:1]
    store: MediaStore = {}
    policy.requires_grad_(False)
    assert computed(policy, lambda: policy(rows)) == read
    assert computed(policy, lambda: policy(rows, shared=False)) == read
    assert computed(policy, lambda: policy(rows, media=store)) == read
    assert computed(policy, lambda: official(policy, rows)) == [0, 1, 2]


def test_of_several_places_the_deepest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = policy_reading_at("llava", [-3, 0], monkeypatch)
    rows = zoo_rows("llava")[:1]
    assert computed(policy, lambda: policy(rows)) == [0]
    assert families.tower_layers(policy.config) == (3, 1)


@pytest.mark.parametrize("name", READ_AT_LAYERS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_log_probabilities_and_gradients_are_those_of_the_whole_tower(
    name: str, checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_reading_at(name, -2, monkeypatch)
    rows = zoo_rows(name)
    if checkpointing:
        policy.bare.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        policy.train()
    logps, gradients = scored(policy, rows, exact=False)
    with torch.no_grad():
        assert largest(logps, official(policy, rows)) < 1e-10
    monkeypatch.setattr(families, "tower_layers", lambda config: (3, 3))
    whole, whole_gradients = scored(policy, rows, exact=False)
    assert torch.equal(logps, whole)
    assert differing(gradients, whole_gradients, tolerance=1e-12) == {}


def test_a_family_that_reads_elsewhere_too_is_left_whole() -> None:
    tower = SimpleNamespace(num_hidden_layers=3)
    config = SimpleNamespace(model_type="molmo2", vision_feature_layer=[0, 1], vision_config=tower)
    assert families.tower_layers(config) == (3, 3)
