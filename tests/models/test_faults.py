"""Every family: break the mask, the positions, the token types or the order of features, and the preflight notices.

A broken way of computing is not taken: the preflight falls back to another, or refuses the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from family_zoo import FAMILIES, official, skip_if_misjudged, zoo_policy, zoo_rows
from torch import Tensor

from boresight.errors import PreflightError
from boresight.models import families, tree_attention
from boresight.models import policy as policy_module
from boresight.models.media_features import MediaFeatures
from boresight.models.policy import Answered, Policy
from boresight.training import preflight as preflight_module
from boresight.training.forest import Forest

SHARING = [name for name, family in FAMILIES.items() if family.expected != "separate"]
MARKED = [name for name in ("gemma3", "gemma4", "molmo2") if name in FAMILIES]
UNTYPED = ("gemma4_small", "paligemma")  # give the same whatever the types of a prompt's tokens are
LIMIT_NATS = 1e-6
Fault = Callable[[pytest.MonkeyPatch, Policy], None]


def judged_policy(name: str) -> Policy:
    policy = zoo_policy(name)
    skip_if_misjudged(policy)
    return policy


def few_rows(name: str) -> list[Answered]:
    """One medium, two in two turns, none."""
    return zoo_rows(name, tuple(FAMILIES[name].media)[:1])


def settle(policy: Policy, rows: list[Answered]) -> tuple[str, str | None]:
    """How the preflight settles for these rows, and why media are not kept, if they are not."""
    forest = Forest(rows=tuple(rows), places=(), num_items=len(rows))
    with torch.no_grad():
        alone = official(policy, rows)
        way, _, _ = preflight_module._settle_attention(policy, forest, alone, LIMIT_NATS, "auto", "auto")
        unproved = preflight_module._settle_media(policy, forest, alone, LIMIT_NATS, shared=way != "separate")
    return way, unproved


def future(patch: pytest.MonkeyPatch, policy: Policy) -> None:
    """Every token of a path sees all of it."""

    def all_seen(queries: int, path: int, *rule: Any) -> Tensor:
        return torch.ones(queries, path, dtype=torch.bool)

    patch.setattr(tree_attention, "visible", all_seen)
    patch.setattr(tree_attention, "_branch_mask", lambda branch, trunk, device: all_seen(branch, trunk + branch))


def no_prompt(patch: pytest.MonkeyPatch, policy: Policy) -> None:
    """Answers do not see their prompt."""
    right = tree_attention.visible

    def hidden(queries: int, path: int, *rule: Any) -> Tensor:
        seen = right(queries, path, *rule).clone()
        if queries < path:
            seen[:, : path - queries] = False
        return seen

    patch.setattr(tree_attention, "visible", hidden)
    patch.setattr(
        tree_attention,
        "_branch_mask",
        lambda branch, trunk, device: hidden(branch, trunk + branch, tree_attention.Reach(), (), device),
    )


def one_text(patch: pytest.MonkeyPatch, policy: Policy) -> None:
    """Positions run on through the row as if it were one text."""
    right = Policy._positions

    def wrong(self: Policy, rows: Any) -> Tensor:
        found = right(self, rows)
        return torch.arange(found.shape[1]).expand_as(found)

    patch.setattr(Policy, "_positions", wrong)


@pytest.mark.parametrize("fault", [future, no_prompt, one_text])
@pytest.mark.parametrize("name", SHARING)
def test_a_broken_mask_or_broken_positions_are_not_taken(
    name: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, rows = judged_policy(name), few_rows(name)
    assert settle(policy, rows)[0] == "split"
    fault(monkeypatch, policy)
    assert settle(policy, rows)[0] == "separate"


@pytest.mark.parametrize("name", SHARING)
def test_positions_that_are_wrong_in_every_way_of_computing_end_the_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers start one place too late: a gap that no family was trained with."""
    policy, rows = judged_policy(name), few_rows(name)
    right = Policy.path_positions

    def late(self: Policy, row: Answered) -> list[Tensor]:
        trunk, *answers = right(self, row)
        return [trunk, *(positions + 1 for positions in answers)]

    monkeypatch.setattr(Policy, "path_positions", late)
    with pytest.raises(PreflightError, match="scores answers otherwise in training than transformers does"):
        settle(policy, rows)


@pytest.mark.parametrize("name", MARKED)
def test_token_types_that_are_lost_on_the_way_are_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of pictures are read off them; without blocks shared rows are wrong, and rows alone still right."""
    policy, rows = judged_policy(name), few_rows(name)
    assert settle(policy, rows)[0] == "split"
    monkeypatch.setattr(families, "blocks", lambda config, inputs: ())
    assert settle(policy, rows)[0] == "separate"


@pytest.mark.parametrize("name", [n for n in SHARING if FAMILIES[n].marks and n not in UNTYPED])
def test_token_types_that_reach_only_training_wrong_are_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training sees every token as text, transformers as it is."""
    policy, rows = judged_policy(name), few_rows(name)
    with torch.no_grad():
        expected = official(policy, rows)
        forest = Forest(rows=tuple(Answered(_untyped(row.prompt), row.answers) for row in rows), places=(), num_items=1)
        with pytest.raises(PreflightError, match="otherwise in training than transformers does"):
            preflight_module._settle_attention(policy, forest, expected, LIMIT_NATS, "auto", "auto")


def _untyped(prompt: Any) -> Any:
    return replace(prompt, token_inputs={n: torch.zeros_like(v) for n, v in prompt.token_inputs.items()})


@pytest.mark.parametrize("name", [n for n, family in FAMILIES.items() if family.keeps_media])
def test_features_in_the_wrong_order_are_not_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, rows = judged_policy(name), few_rows(name)
    policy.requires_grad_(False)
    way, unproved = settle(policy, rows)
    assert (way, unproved) == (FAMILIES[name].expected, None) and policy.reuses_media
    right = policy_module.put_in

    def swapped(embed: Any, ids: Tensor, is_media: Tensor, media: list[MediaFeatures]) -> dict[str, Any]:
        turned = [MediaFeatures(m.embeddings.flip(0), tuple(layer.flip(0) for layer in m.layers)) for m in media]
        return right(embed, ids, is_media, list(reversed(turned)))

    monkeypatch.setattr(policy_module, "put_in", swapped)
    way, unproved = settle(policy, rows)
    assert way == FAMILIES[name].expected
    assert unproved is not None and not policy.reuses_media


@pytest.mark.parametrize("name", FAMILIES)
def test_media_of_another_prompt_end_the_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two prompts of one shape show each other's media."""
    policy = judged_policy(name)
    kind = next(iter(FAMILIES[name].media))
    first, second = zoo_rows(name, (kind,))[0], zoo_rows(name, (kind,), seed=2)[0]
    assert first.prompt.num_tokens == second.prompt.num_tokens
    right = Policy.media_inputs

    def swapped(self: Policy, prompts: Any) -> dict[str, Tensor]:
        return right(self, list(reversed(prompts)))

    rows = [first, second]
    assert settle(policy, rows)[0] == FAMILIES[name].expected
    monkeypatch.setattr(Policy, "media_inputs", swapped)
    with pytest.raises(PreflightError, match="otherwise in training than transformers does"):
        settle(policy, rows)
