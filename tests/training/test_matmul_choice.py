"""Policy and reference multiply as the run's settings say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from boresight.errors import CheckpointError, UsageError
from boresight.models import matmul
from boresight.models.matmul import Matmul
from boresight.training.loop import Trainer
from boresight.training.reference import FrozenCopy, reference_key
from engine_examples import make_trainer, tiny_policy

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul, "_MIN_ROWS", 1)
    monkeypatch.setattr(matmul, "_MIN_PRODUCTS", 1)


def everywhere(trainer: Trainer) -> set[Matmul]:
    """What policy and reference multiply by."""
    assert isinstance(trainer.reference, FrozenCopy)
    return {trainer.policy.multiplies, trainer.reference.policy.multiplies}


@pytest.mark.parametrize("asked", ["torch", "onednn"])
def test_policy_and_reference_multiply_as_asked(asked: Matmul, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, matmul=asked)
    assert everywhere(trainer) == {asked}
    assert trainer.facts()["matmul"] == asked


def test_torch_multiplies_by_default(tmp_path: Path) -> None:
    assert everywhere(make_trainer(tmp_path)) == {"torch"}


def test_onednn_is_refused_in_other_precisions(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"run\.matmul=onednn multiplies in float32, not in float64; use run\.matmul=torch"
    ):
        make_trainer(tmp_path, policy=tiny_policy(dtype=torch.float64), precision="float64", matmul="onednn")


def test_losses_are_the_same_but_for_rounding(tmp_path: Path) -> None:
    losses = {}
    for which in ("torch", "onednn"):
        trainer = make_trainer(tmp_path / which, matmul=which)
        losses[which] = [trainer.step()["loss"] for _ in range(trainer.total_steps)]
    assert losses["onednn"] == pytest.approx(losses["torch"], rel=1e-4)
    assert losses["onednn"] != losses["torch"], "it was not used"


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
