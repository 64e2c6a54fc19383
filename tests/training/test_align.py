"""A job from data to a model: seeds, splits, several sources."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from boresight.data.store_writer import StoreWriter
from boresight.errors import InputError, UsageError
from boresight.methods.mdpo import MEMBER as MDPO
from boresight.models.loading import load_policy
from boresight.records import Candidate, Message, Part, Preference, Record
from boresight.training.align import Job, align, load_all, split
from boresight.training.spec import RunSettings, override
from engine_examples import TINY, fake_llava


def text_record(number: int) -> Record:
    def say(role: str, words: str) -> tuple[Message, ...]:
        return (Message(role=role, parts=(Part(type="text", text=words),)),)

    return Record(
        id=f"r{number}",
        task="preference",
        messages=say("user", "is the sky clear"),
        candidates=(
            Candidate(id="a", messages=say("assistant", f"a red circle {number}")),
            Candidate(id="b", messages=say("assistant", f"the dog is on the road {number}")),
        ),
        preferences=(Preference(chosen="a", rejected="b"),),
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(8):
            writer.add(text_record(number))
        writer.finish()
    return tmp_path / "store"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    model, processor = fake_llava(TINY)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def run(store: Path, model: Path, out: Path, seed: int) -> dict[str, torch.Tensor]:
    method = override(override(MDPO, "stages.0.epochs", "1"), "stages.0.lora.rank", "2")
    method = override(method, "objective.1.weight", "0")  # there are no pictures
    settings = RunSettings(seed=seed, device="cpu")
    align(Job(model=str(model), sources=(store,), method_name="mdpo", method=method, out=out, settings=settings))
    return load_file(out / "model" / "adapter_model.safetensors")


def test_equal_seeds_give_equal_adapters_and_others_do_not(store: Path, model: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)
    first = run(store, model, tmp_path / "1", seed=5)
    torch.manual_seed(7)
    again = run(store, model, tmp_path / "2", seed=5)
    other = run(store, model, tmp_path / "3", seed=6)
    assert all(first[name].equal(again[name]) for name in first)
    assert not all(first[name].equal(other[name]) for name in first)
    policy = load_policy(tmp_path / "1" / "model")  # the adapter's folder is a model like any other
    assert not policy.has_adapter


def test_a_term_whose_picture_no_item_has_is_refused(store: Path, model: Path, tmp_path: Path) -> None:
    job = Job(model=str(model), sources=(store,), method_name="mdpo", method=MDPO, out=tmp_path / "out")
    with pytest.raises(UsageError, match="no item can be shown what the term chosen>chosen@cropped reads, cropped"):
        align(job)


def test_the_split_depends_on_ids_and_not_on_order() -> None:
    records = [text_record(number) for number in range(40)]
    train, held = split(records, 0.25, seed=0)
    train_again, held_again = split(list(reversed(records)), 0.25, seed=0)
    assert (len(train), len(held)) == (30, 10)
    assert {r.id for r in held} == {r.id for r in held_again}
    assert {r.id for r in train} == {r.id for r in train_again}
    assert {r.id for r in split(records, 0.25, seed=1)[1]} != {r.id for r in held}


def test_one_id_in_two_sources_is_refused(store: Path, model: Path, tmp_path: Path) -> None:
    job = Job(model=str(model), sources=(store, store), method_name="mdpo", method=MDPO, out=tmp_path / "out")
    with pytest.raises(InputError, match="ids must be unique over all --data"):
        align(job)
    assert len(load_all([store])) == 1


@pytest.mark.parametrize("holdout", [-0.1, 1.0])
def test_a_holdout_that_leaves_nothing_is_refused(holdout: float) -> None:
    with pytest.raises(UsageError, match="--holdout"):
        split([text_record(0)], holdout, seed=0)
