"""What multiplies is settled once per run, and a resumed run goes on with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from boresight.errors import CheckpointError, UsageError
from boresight.models import matmul
from boresight.models.matmul import Matmul
from boresight.training import loop
from boresight.training.loop import Trainer
from boresight.training.reference import FrozenCopy, reference_key
from engine_examples import dpo, make_trainer, same, tiny_policy, weights

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul, "_MIN_ROWS", 1)
    monkeypatch.setattr(matmul, "_MIN_PRODUCTS", 1)


def everywhere(trainer: Trainer) -> set[Matmul]:
    """What policy and reference multiply by."""
    assert isinstance(trainer.reference, FrozenCopy)
    return {trainer.policy.multiplies, trainer.reference.policy.multiplies}


@pytest.mark.parametrize("faster", ["torch", "onednn"])
def test_auto_takes_what_a_trial_shows_faster(faster: Matmul, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "fastest", lambda: faster)
    trainer = make_trainer(tmp_path)
    assert everywhere(trainer) == {faster}
    assert trainer.facts()["matmul"] == faster


@pytest.mark.parametrize("asked", ["torch", "onednn"])
def test_what_is_asked_for_is_not_tried(asked: Matmul, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "fastest", lambda: pytest.fail("tried"))
    assert everywhere(make_trainer(tmp_path, matmul=asked)) == {asked}


def test_other_precisions_are_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "fastest", lambda: pytest.fail("tried"))
    trainer = make_trainer(tmp_path, policy=tiny_policy(dtype=torch.float64), precision="float64")
    assert everywhere(trainer) == {"torch"}


def test_onednn_is_refused_in_other_precisions(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"run\.matmul=onednn multiplies in float32, not in float64; use run\.matmul="):
        make_trainer(tmp_path, policy=tiny_policy(dtype=torch.float64), precision="float64", matmul="onednn")


def test_losses_are_the_same_but_for_rounding(tmp_path: Path) -> None:
    losses = {}
    for which in ("torch", "onednn"):
        trainer = make_trainer(tmp_path / which, matmul=which)
        losses[which] = [trainer.step()["loss"] for _ in range(trainer.total_steps)]
    assert losses["onednn"] == pytest.approx(losses["torch"], rel=1e-4)
    assert losses["onednn"] != losses["torch"], "it was not used"


def test_a_resumed_run_goes_on_with_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may be busier the second time; the bits shall be the same."""
    monkeypatch.setattr(loop, "fastest", lambda: "onednn")
    straight = make_trainer(tmp_path / "straight", method=dpo(epochs=1.0))
    straight.run()
    stopped = make_trainer(tmp_path / "stopped", method=dpo(epochs=1.0))
    stopped.step()
    stopped.save()
    monkeypatch.setattr(loop, "fastest", lambda: "torch")
    resumed = make_trainer(tmp_path / "stopped", method=dpo(epochs=1.0))
    resumed.run(resume=True)
    assert everywhere(resumed) == {"onednn"}
    assert same(weights(resumed.policy), weights(straight.policy))


def test_a_run_is_not_resumed_with_another_choice(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, matmul="torch")
    trainer.step()
    trainer.save()
    with pytest.raises(CheckpointError, match="another settings"):
        make_trainer(tmp_path, matmul="onednn").restore()


def test_cached_values_of_one_are_not_read_by_the_other() -> None:
    policy, keys = tiny_policy(), set()
    for which in ("torch", "onednn"):
        policy.multiply_by(which)
        keys.add(reference_key(policy, precision="float32", shared=True))
    assert len(keys) == 2
