"""The preflight proves every way to attend on the first items, times those that are right and takes the fastest."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention import flex_attention

from boresight.errors import PreflightError
from boresight.models.policy import Policy
from boresight.training import preflight as preflight_module
from boresight.training.preflight import Preflight, preflight
from boresight.training.reference import reference_key
from engine_examples import PAIR, item_encoder, mixed_items, tiny_policy

pytestmark = [
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


def settle(policy: Policy, **options: Any) -> Preflight:
    precision: Any = str(policy.bare.dtype).removeprefix("torch.")
    return preflight(policy, PAIR, mixed_items(2), item_encoder(policy), precision=precision, **options)


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float]]:
    """Two ways to choose from, with gradients for both; gives the seconds that their passes are to take."""
    seconds = {"split": [3.0, 1.0, 9.0], "flex": [2.0, 2.0, 2.0, 2.0]}

    def pass_seconds(policy: Policy, forest: Any) -> float:
        return seconds[policy.attention].pop(0)

    monkeypatch.setattr(flex_attention, "_validate_device", lambda *states: None)
    monkeypatch.setattr(preflight_module, "_candidates", lambda policy, asked: ("split", "flex"))
    monkeypatch.setattr(preflight_module, "_pass_seconds", pass_seconds)
    return seconds


def test_the_faster_of_two_that_are_right_is_taken_and_told(as_on_cuda: dict[str, list[float]]) -> None:
    """Median of 3, 1 and 9 s is 3 s, against 2 s."""
    policy = tiny_policy(dtype=torch.float64)
    found = settle(policy)
    assert found.attention == policy.attention == "flex"
    assert found.notes == ("attention, forward and backward on the first items: flex 2 s, split 3 s",)
    assert found.difference_nats is not None and found.difference_nats < 1e-10


def test_segments_are_taken_where_they_are_faster(as_on_cuda: dict[str, list[float]]) -> None:
    as_on_cuda["split"] = [1.0, 1.0, 1.0]
    policy = tiny_policy()
    assert settle(policy).attention == policy.attention == "split"


def test_all_processes_take_what_is_fastest_over_all_of_them(
    as_on_cuda: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here flex takes 2 s and segments 3 s; another process needs 9 s and 1 s. Sums: 11 s and 4 s."""
    other = {"split": 1.0, "flex": 9.0}
    monkeypatch.setattr(preflight_module, "gather_object", lambda mine: [*mine, other])
    assert settle(tiny_policy()).attention == "split"


def test_a_fast_way_that_is_wrong_is_not_taken(
    as_on_cuda: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boresight.models.tree_flex.within", lambda reach, query, key, inside: key >= 0)
    found = settle(tiny_policy())
    assert found.attention == "split" and found.notes == (
        "attention, forward and backward on the first items: split 3 s",
    )


def test_a_way_that_was_asked_for_and_is_wrong_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *states: None)
    monkeypatch.setattr("boresight.models.tree_flex.within", lambda reach, query, key, inside: key >= 0)
    with pytest.raises(PreflightError, match=r"run.attention=flex cannot be used here: shared and separate.*differ by"):
        settle(tiny_policy(), attention="flex")


def test_a_way_without_gradients_is_refused() -> None:
    with pytest.raises(
        PreflightError, match=r"flex cannot be used here: the model has no gradient.*backward on CPU.*auto"
    ):
        settle(tiny_policy(), attention="flex")


def test_a_way_that_the_machine_lacks_is_refused() -> None:
    with pytest.raises(
        PreflightError, match=r"run.attention=varlen cannot be used here: the model refused a shared row"
    ):
        settle(tiny_policy(), attention="varlen")


@pytest.mark.parametrize("asked", ["split", "dense"])
def test_a_way_that_was_asked_for_is_taken(asked: Any) -> None:
    policy = tiny_policy()
    assert settle(policy, attention=asked).attention == policy.attention == asked


def test_nothing_is_timed_where_there_is_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight_module, "_pass_seconds", lambda policy, forest: pytest.fail("a pass was timed"))
    assert settle(tiny_policy()).attention == "split"


def test_timing_leaves_no_gradient_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight_module, "_candidates", lambda policy, asked: ("split", "dense"))
    policy = tiny_policy()
    found = settle(policy)
    assert found.notes[0].startswith("attention, forward and backward on the first items: ")
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_what_was_asked_for_does_not_hide_behind_rows_of_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight_module.families, "why_not_shared", lambda config: "layers carry state along the row")
    with pytest.raises(PreflightError, match=r"run.attention=dense cannot be used here: layers carry state"):
        settle(tiny_policy(), attention="dense")


def test_cached_references_know_how_they_attended() -> None:
    policy = tiny_policy()
    keys = set()
    for attention in ("split", "dense", "flex", "varlen"):
        policy.attention = attention  # type: ignore[assignment]
        keys.add(reference_key(policy, precision="float32", shared=True))
    assert len(keys) == 4


def test_a_model_that_transformers_itself_cannot_compute_is_refused_and_a_fault_of_ours_is_not_blamed_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = tiny_policy()
    broken.bare.lm_head = None
    with pytest.raises(
        PreflightError, match=r"transformers \S+ cannot compute this model \(TypeError: .* not callable"
    ):
        settle(broken)

    def ours(self: Policy, *_: Any) -> Any:
        raise TypeError("ours")

    monkeypatch.setattr(Policy, "official", ours)
    with pytest.raises(TypeError, match="ours"):
        settle(tiny_policy())
