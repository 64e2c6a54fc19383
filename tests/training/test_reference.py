from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from boresight.errors import PreflightError
from boresight.media.transforms import random_crop
from boresight.models import policy as policy_module
from boresight.models import tree_attention
from boresight.models.loading import Lora
from boresight.objectives import view
from boresight.training import reference
from boresight.training.forest import Forest, plan
from boresight.training.preflight import preflight
from boresight.training.reference import AdapterOff, Cached, FrozenCopy, cache_reference, reference_key
from engine_examples import (
    PAIR,
    dpo,
    item,
    item_encoder,
    make_trainer,
    mixed_items,
    picture,
    same,
    tiny_policy,
    turn,
    weights,
)


def forest_of(policy: Any, seed: int = 0, count: int = 3) -> Forest:
    inputs = {"cropped": random_crop.MEMBER(area=(0.1, 0.5))}
    return plan((*PAIR, view("chosen", "cropped")), mixed_items(count), item_encoder(policy, inputs=inputs, seed=seed))


class Counting:
    """A scorer that counts what it is asked."""

    def __init__(self, policy: Any) -> None:
        self.rows = 0
        self._base = AdapterOff(policy, shared=True)

    def __call__(self, rows: Any) -> torch.Tensor:
        self.rows += len(rows)
        return self._base.logps(rows)


def test_copy_adapter_off_and_cache_give_the_same_values(tmp_path: Path) -> None:
    base, adapted = tiny_policy(), tiny_policy(lora=Lora(rank=2))
    forest = forest_of(base)
    copied = FrozenCopy(base, shared=True).score(forest).logps
    off = AdapterOff(adapted, shared=True)
    torch.testing.assert_close(off.score(forest).logps, copied, rtol=0, atol=0)
    cached = Cached(off.logps, tmp_path, "key")
    for _ in range(2):
        assert torch.equal(cached.score(forest).logps, copied)


def test_switching_the_adapter_off_leaves_the_training_mode_as_it_was() -> None:
    policy = tiny_policy(lora=Lora(rank=2, dropout=0.5)).train()
    off = AdapterOff(policy, shared=True)
    assert torch.equal(off.score(forest_of(policy)).logps, off.score(forest_of(policy)).logps)
    assert policy.training


@pytest.mark.parametrize("part", [2, 3, 256], ids=["a rest", "no rest", "one part"])
def test_a_cache_is_filled_in_parts_and_tells_how_far_it_is(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between parts loses no more than one; in the end all are on disk."""
    monkeypatch.setattr(reference, "_CACHE_PART", part)
    policy = tiny_policy()
    forests = [plan(PAIR, [one], item_encoder(policy)) for one in mixed_items(6)]
    told: list[tuple[int, int]] = []
    cached = cache_reference(
        policy, tmp_path, forests, precision="float32", shared=True, media=None,
        tell=lambda done: told.append((done, len(list(tmp_path.glob("part-*"))))),
    )  # fmt: skip
    assert told == [(done, done // part) for done in range(1, 7)]
    assert len(cached) == 12
    asked = Counting(policy)
    again = Cached(asked, tmp_path, reference_key(policy, precision="float32", shared=True))
    for forest in forests:
        assert torch.equal(again.score(forest).logps, FrozenCopy(policy, shared=True).score(forest).logps)
    assert asked.rows == 0


def test_a_cache_on_disk_is_read_instead_of_computed(tmp_path: Path) -> None:
    policy = tiny_policy()
    first, second = Counting(policy), Counting(policy)
    forest = forest_of(policy)
    cache = Cached(first, tmp_path, "key")
    expected = cache.score(forest).logps
    cache.save()
    cache.save()
    assert len(list(tmp_path.iterdir())) == 1
    again = Cached(second, tmp_path, "key")
    assert torch.equal(again.score(forest).logps, expected)
    assert first.rows == len(forest.rows) and second.rows == 0 and len(again) == len(forest.places)


def test_a_cache_knows_content_and_not_names(tmp_path: Path) -> None:
    """Another model, another crop or another answer is another key; the same content under other ids is not."""
    policy = tiny_policy()
    Cached(Counting(policy), tmp_path, "key").score(forest_of(policy))
    cache = Cached(Counting(policy), tmp_path, "key")
    cache.score(forest_of(policy))
    cache.save()

    def asked(model: str = "key", seed: int = 0) -> int:
        scorer = Counting(policy)
        Cached(scorer, tmp_path, model).score(forest_of(policy, seed))
        return scorer.rows

    assert asked() == 0
    assert asked(model="other") == len(forest_of(policy).rows)
    assert asked(seed=1) == 2  # the crops of the two items with pictures


def test_the_key_changes_with_weights_precision_and_sharing_but_not_with_the_adapter() -> None:
    def key(policy: Any = None, precision: str = "float32", shared: bool = True) -> str:
        return reference_key(policy or tiny_policy(), precision=precision, shared=shared)

    assert len({key(), key(tiny_policy(seed=1)), key(precision="bfloat16"), key(shared=False)}) == 4
    assert key(tiny_policy(lora=Lora(rank=2))) == key()


def test_training_against_a_cache_equals_training_against_a_copy(tmp_path: Path) -> None:
    found = []
    for kind in ("copy", "cached", "cached"):
        policy = tiny_policy()
        make_trainer(
            tmp_path / f"{kind}{len(found)}", policy=policy, reference=kind, reference_folder=tmp_path / "reference"
        ).run()
        found.append(weights(policy))
    assert same(found[0], found[1]) and same(found[0], found[2])


def check(policy: Any, items: Any = None, *, pictures: Any = picture, share: Any = "auto") -> Any:
    encoder = item_encoder(policy, pictures=pictures)
    precision = str(policy.bare.dtype).removeprefix("torch.")
    return preflight(policy, PAIR, items or mixed_items(2), encoder, precision=precision, share=share)


def test_a_sound_model_passes_and_shares() -> None:
    found = check(tiny_policy())
    assert found.shared and found.notes == ()
    assert found.difference_nats is not None and found.difference_nats < 1e-5
    assert found.media_effect_nats is not None and found.media_effect_nats > 1e-4


def test_sharing_can_be_turned_off_without_a_note() -> None:
    found = check(tiny_policy(), share="never")
    assert not found.shared and found.notes == ()


def test_rows_without_pictures_have_no_media_effect() -> None:
    assert check(tiny_policy(), [item("t", [turn("user", "is it a dog")])]).media_effect_nats is None


def blind_mask(branch: int, trunk: int, device: Any) -> torch.Tensor:
    """Hides the trunk from its branches."""
    mask = torch.ones(branch, trunk + branch, dtype=torch.bool).tril(diagonal=trunk)
    mask[:, :trunk] = False
    return mask


def peeking_mask(branch: int, trunk: int, device: Any) -> torch.Tensor:
    """Shows a branch its own future."""
    return torch.ones(branch, trunk + branch, dtype=torch.bool)


@pytest.mark.parametrize("mask", [blind_mask, peeking_mask])
def test_wrong_segments_fall_back_to_a_written_out_mask(mask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_attention, "_branch_mask", mask)
    found = check(tiny_policy())
    assert found.shared and found.attention == "dense"
    assert "shared and separate log-probabilities differ by" in found.notes[0]


@pytest.mark.parametrize("mask", [blind_mask, peeking_mask])
def test_a_wrong_mask_falls_back_to_separate_rows_or_is_refused(mask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(queries: int, path: int, reach: Any, blocks: Any, device: Any) -> torch.Tensor:
        return mask(queries, path - queries, device)

    monkeypatch.setattr(tree_attention, "_branch_mask", mask)
    monkeypatch.setattr(tree_attention, "visible", wrong)
    found = check(tiny_policy())
    assert found.attention == "separate" and not found.shared
    assert "shared and separate log-probabilities differ by" in found.notes[0]
    with pytest.raises(PreflightError, match="answers cannot share their prompt"):
        check(tiny_policy(), share="required")


def test_branches_that_count_on_from_each_other_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions as if the row were one text. In float64, where a tiny model's small effect stands out of rounding."""
    right = policy_module.Policy._positions

    def wrong(self: Any, rows: Any) -> torch.Tensor:
        return torch.arange(right(self, rows).shape[-1])[None]

    assert check(tiny_policy(dtype=torch.float64)).shared
    monkeypatch.setattr(policy_module.Policy, "_positions", wrong)
    assert not check(tiny_policy(dtype=torch.float64)).shared


def test_media_swapped_between_items_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = policy_module.Policy.media_inputs

    def swapped(self: Any, prompts: Any) -> dict[str, torch.Tensor]:
        return {n: v.flip(0) for n, v in right(self, prompts).items()}

    monkeypatch.setattr(policy_module.Policy, "media_inputs", swapped)
    with pytest.raises(PreflightError, match="scores answers otherwise in training than transformers does"):
        check(tiny_policy(), [item("a"), item("b")])


def test_a_shared_row_that_the_model_refuses_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, *args: Any) -> torch.Tensor:
        raise RuntimeError("no such kernel\nwith a long trace")

    monkeypatch.setattr(policy_module.Policy, "_shared", refuse)
    (note,) = check(tiny_policy()).notes
    assert "RuntimeError: no such kernel)" in note and "\n" not in note


def test_a_model_that_does_not_look_is_refused() -> None:
    def gray(medium: Any) -> Image.Image:
        return Image.new("RGB", (28, 28), (127, 127, 127))

    with pytest.raises(PreflightError, match="changes no log-probability: the model would be trained blind"):
        check(tiny_policy(), [item("a"), item("b")], pictures=gray)


def test_weights_that_are_not_finite_are_refused_before_any_training() -> None:
    policy = tiny_policy()
    with torch.no_grad():
        policy.bare.get_output_embeddings().weight[0, 0] = float("nan")
    with pytest.raises(PreflightError, match="not finite for i0, i1 before any training"):
        check(policy)


def test_a_run_that_falls_back_trains_to_the_same_weights(tmp_path: Path) -> None:
    found = []
    for share in ("auto", "never"):
        policy = tiny_policy()
        make_trainer(tmp_path / share, policy=policy, share=share, method=dpo(learning_rate=1e-5)).run()
        found.append(weights(policy))
    assert all(torch.allclose(found[0][n], found[1][n], atol=1e-5) for n in found[0])
