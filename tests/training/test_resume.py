"""A run that stops and goes on ends where a run that never stopped ends, bit by bit."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from boresight.errors import CheckpointError, InterruptedRunError, RunLockedError, UsageError
from boresight.files import lock
from boresight.models.loading import Lora
from boresight.models.policy import Policy
from boresight.training.checkpoint import Checkpoint, Checkpoints, why_damaged
from boresight.training.run_log import Listener
from engine_examples import dpo, make_trainer, mixed_items, same, tiny_policy, weights

LORA = Lora(rank=2, alpha=4.0, dropout=0.1)  # dropout makes the random state matter


def train(
    folder: Path, *, resume: bool = False, stop_at: int | None = None, lora: Lora | None = None, **o: Any
) -> Policy:
    """Train a policy; raise in the listener after step `stop_at`."""

    def step(number: int, total: int, metrics: Mapping[str, Any]) -> None:
        if number == stop_at:
            raise KeyboardInterrupt

    policy = tiny_policy(lora=lora)
    trainer = make_trainer(folder, policy=policy, listener=Listener(step=step), **o)
    trainer.run(resume=resume)
    return policy


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def steps_logged(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_interrupted_and_resumed_equals_straight(lora: Lora | None, stop_at: int, tmp_path: Path) -> None:
    straight = weights(train(tmp_path / "straight", lora=lora))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", stop_at=stop_at, lora=lora, checkpoint_every=2)
    assert same(weights(train(tmp_path / "stopped", resume=True, lora=lora, checkpoint_every=2)), straight)
    assert steps_logged(tmp_path / "stopped") == [1, 2, 3, 4, 5, 6]


def test_sigterm_ends_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    straight = weights(train(tmp_path / "straight"))

    def step(number: int, total: int, metrics: Mapping[str, Any]) -> None:
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    trainer = make_trainer(tmp_path / "stopped", listener=Listener(step=step), checkpoint_every=100)
    with pytest.raises(InterruptedRunError, match=r"stopped after step 3 of 6.*--resume"):
        trainer.run()
    assert signal.getsignal(signal.SIGTERM) is before
    assert [p.name for p in (tmp_path / "stopped" / "checkpoints").iterdir()] == ["step-00000003"]
    assert same(weights(train(tmp_path / "stopped", resume=True)), straight)


def test_a_finished_run_resumed_changes_nothing(tmp_path: Path) -> None:
    done = weights(train(tmp_path))
    before = (tmp_path / "metrics.jsonl").read_bytes()
    assert same(weights(train(tmp_path, resume=True)), done)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_resuming_without_a_checkpoint_begins(tmp_path: Path) -> None:
    assert same(weights(train(tmp_path / "a", resume=True)), weights(train(tmp_path / "b")))


def test_a_second_run_in_the_same_folder_must_say_that_it_goes_on(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(UsageError, match="add --resume or choose another --out"):
        train(tmp_path)


def test_a_flipped_bit_in_the_newest_checkpoint_falls_back_with_a_warning(tmp_path: Path) -> None:
    straight = weights(train(tmp_path / "straight"))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", stop_at=5)
    newest = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1]
    flip_a_bit(newest / "weights.safetensors")
    assert same(weights(train(tmp_path / "run", resume=True)), straight)
    warning = json.loads((tmp_path / "run" / "health.jsonl").read_text().splitlines()[0])
    assert warning["name"] == "checkpoint_damaged" and newest.name in warning["message"]
    assert "weights.safetensors was changed" in warning["message"]
    assert steps_logged(tmp_path / "run") == [1, 2, 3, 4, 5, 6]


def test_a_run_whose_only_checkpoint_is_damaged_does_not_go_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_at=2)
    (only,) = (tmp_path / "checkpoints").glob("step-*")
    flip_a_bit(only / "optimizer.safetensors")
    with pytest.raises(CheckpointError, match=r"no usable checkpoint.*optimizer\.safetensors"):
        train(tmp_path, resume=True)


def changed_items() -> list[Any]:
    items = mixed_items()
    texts = {**items[0].texts, "chosen": items[1].texts["chosen"]}
    return [dataclasses.replace(items[0], texts=texts), *items[1:]]


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("method", {"method": dpo(learning_rate=2e-3)}),
        ("settings", {"seed": 1}),
        ("settings", {"attention": "dense"}),
        ("data", {"items": changed_items()}),
        ("data", {"items": list(reversed(mixed_items()))}),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(what: str, changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_at=2)
    with pytest.raises(CheckpointError, match=f"made with another {what}"):
        train(tmp_path, resume=True, **changes)


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step=step, tensors={"weights": {"a": torch.arange(4.0) + step}}, state={"note": step})


def test_a_checkpoint_reads_back_as_it_was(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(3))
    found, reasons = store.newest()
    assert found is not None and reasons == ()
    assert (found.step, found.state) == (3, {"note": 3})
    assert torch.equal(found.tensors["weights"]["a"], torch.arange(4.0) + 3)


def test_only_the_newest_are_kept_and_leftovers_are_swept(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, keep=2)
    (tmp_path / ".tmp-00000009").mkdir()
    (tmp_path / ".old-step-00000001").mkdir()
    for step in range(1, 5):
        store.save(checkpoint(step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


@pytest.mark.parametrize("name", ["MANIFEST.json", "state.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "short", "flipped", "empty"])
def test_every_damage_to_every_file_is_recognized(name: str, damage: str, tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(1))
    folder = store.save(checkpoint(2))
    path = folder / name
    if damage == "missing":
        path.unlink()
    elif damage == "short":
        path.write_bytes(path.read_bytes()[:-3])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        flip_a_bit(path)
    assert why_damaged(folder) is not None
    found, reasons = store.newest()
    assert found is not None and found.step == 1 and len(reasons) == 1


def test_saving_over_a_damaged_checkpoint_of_the_same_step_replaces_it(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    folder = store.save(checkpoint(1))
    flip_a_bit(folder / "weights.safetensors")
    assert why_damaged(store.save(checkpoint(1))) is None


def test_an_output_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    with lock(tmp_path):
        code = (
            "import fcntl, sys\n"
            f"handle = open({str(tmp_path / 'run.lock')!r}, 'a+')\n"
            "try:\n    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            "except OSError:\n    sys.exit(7)\n"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 7
        with pytest.raises(RunLockedError, match=f"process {os.getpid()}"), lock(tmp_path):
            pass
    with lock(tmp_path):
        pass
