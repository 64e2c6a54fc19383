"""Methods of several stages and rounds, reward heads, whole distributions and kept features of media."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_align import model, store, text_record

from boresight.data.store_writer import StoreWriter
from boresight.errors import UsageError
from boresight.models.answer_head import Distribution
from boresight.models.loading import Lora, load_policy
from boresight.models.media_features import MediaFeatures
from boresight.models.policy import Answered, Policy, Wanted, trainable
from boresight.objectives import KlMargin, Objective, RewardPair, nll, pairwise
from boresight.training.align import Job, align, plan_legs
from boresight.training.forest import plan
from boresight.training.media_cache import MediaCache
from boresight.training.run_log import Listener
from boresight.training.spec import Data, Method, RunSettings, Stage
from engine_examples import (
    CHOSEN,
    PAIR,
    REJECTED,
    differing,
    dpo,
    item_encoder,
    make_trainer,
    mixed_items,
    tiny_policy,
    weights,
)

__all__ = ["model", "store"]
SMALL: dict[str, Any] = {"learning_rate": 1e-2, "batch_items": 4, "epochs": 1.0}
COMPARED = Objective((pairwise(CHOSEN, REJECTED, beta=0.5),))
SFT = Stage(name="sft", objective=Objective((nll(CHOSEN),)), data=Data(reads="singles"), frozen=(), **SMALL)
ROUNDS = Method(objective=COMPARED, stages=(SFT, Stage(name="dpo", rounds=2, lora=Lora(rank=2), **SMALL)))
RATING = Method(
    objective=Objective((RewardPair(better=CHOSEN, worse=REJECTED),)),
    stages=(Stage(name="reward_model", lora=Lora(rank=2), **SMALL),),
)


def job_of(model: Path, method: Method, out: Path, *sources: Path, **options: Any) -> Job:
    options = {"samples": 1, "max_new_tokens": 2, "holdout": 0.25, **options}
    settings = options.pop("settings", RunSettings(device="cpu"))
    return Job(model=str(model), sources=sources, method_name="m", method=method, out=out, settings=settings, **options)


def test_each_stage_starts_from_what_the_one_before_left(store: Path, model: Path, tmp_path: Path) -> None:
    heard: list[tuple[int, int, str]] = []
    listener = Listener(stage=lambda *told: heard.append(told))
    aligned = align(job_of(model, ROUNDS, tmp_path / "out", store), listener)
    assert heard == [(1, 3, "sft"), (2, 3, "dpo.1"), (3, 3, "dpo.2")]
    start = load_policy(model)
    chain = [load_policy(tmp_path / "out" / "train" / name / "model") for name in ("sft", "dpo.1")]
    assert not any(policy.has_adapter for policy in chain)
    name = "model.language_model.layers.0.self_attn.q_proj.weight"
    values = [dict(policy.bare.named_parameters())[name] for policy in (start, *chain)]
    assert not torch.equal(values[0], values[1]) and not torch.equal(values[1], values[2])
    last = dict(aligned.policy.bare.named_parameters())[name.replace(".weight", ".base_layer.weight")]
    assert torch.equal(last, values[2])  # the adapter of the last round sits on what the round before left
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [stage["name"] for stage in manifest["stages"]] == ["sft", "dpo.1", "dpo.2"]
    assert [stage["items"] for stage in manifest["stages"]] == [6, 6, 6]
    for name in ("sft", "dpo.1", "dpo.2"):
        assert (tmp_path / "out" / "train" / name / "metrics.jsonl").exists()


def test_a_round_is_held_against_the_start_of_that_round(store: Path, model: Path, tmp_path: Path) -> None:
    """The first step of every round has policy = reference, so its loss is ln 2."""
    align(job_of(model, ROUNDS, tmp_path / "out", store))
    for name in ("dpo.1", "dpo.2"):
        first = json.loads((tmp_path / "out" / "train" / name / "metrics.jsonl").read_text().splitlines()[0])
        assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)


class _StopAtSecondRoundError(Exception):
    pass


def test_a_job_that_was_stopped_between_stages_ends_as_one_that_was_not(
    store: Path, model: Path, tmp_path: Path
) -> None:
    def stop(number: int, total: int, name: str) -> None:
        if name == "dpo.2":
            raise _StopAtSecondRoundError

    whole = align(job_of(model, ROUNDS, tmp_path / "whole", store))
    with pytest.raises(_StopAtSecondRoundError):
        align(job_of(model, ROUNDS, tmp_path / "cut", store), Listener(stage=stop))
    shutil.rmtree(tmp_path / "cut" / "train" / "sft" / "model")  # to save disk; what follows does not read it
    heard: list[str] = []
    again = align(
        job_of(model, ROUNDS, tmp_path / "cut", store, resume=True),
        Listener(stage=lambda number, total, name: heard.append(name)),
    )
    assert heard == ["dpo.2"]
    first, second = (load_file(a.model / "adapter_model.safetensors") for a in (whole, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "cut")]
    assert results[0] == results[1]


def test_a_stage_and_a_round_may_have_data_of_their_own(store: Path, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with StoreWriter(other) as writer:
        for number in range(20, 24):
            writer.add(text_record(number))
        writer.finish()
    own = {"sft": (other,), "dpo.2": (other,)}
    legs = plan_legs(job_of(model, ROUNDS, tmp_path / "out", store, stage_sources=own, holdout=0.0))
    assert [(leg.name, len(leg.items)) for leg in legs] == [("sft", 4), ("dpo.1", 8), ("dpo.2", 4)]
    with pytest.raises(UsageError, match=r"--data names stage 'dop'; the method has sft, dpo\.1, dpo\.2"):
        plan_legs(job_of(model, ROUNDS, tmp_path / "out", store, stage_sources={"dop": (other,)}))
    with pytest.raises(UsageError, match="stage 'sft' has no data"):
        plan_legs(job_of(model, ROUNDS, tmp_path / "out", stage_sources={"dpo": (other,)}))


def test_what_one_stage_holds_out_no_other_stage_trains_on(store: Path, model: Path, tmp_path: Path) -> None:
    legs = plan_legs(job_of(model, ROUNDS, tmp_path / "out", store, holdout=0.5))
    trained = {record.id for leg in legs for record in leg.train}
    assert trained.isdisjoint(record.id for leg in legs for record in leg.held_out)


def test_stages_need_names_of_their_own() -> None:
    with pytest.raises(UsageError, match="a name of its own, got train, train"):
        Method(objective=COMPARED, stages=(Stage(), Stage()))


def test_a_reward_head_learns_is_saved_and_read_again(store: Path, model: Path, tmp_path: Path) -> None:
    aligned = align(job_of(model, RATING, tmp_path / "out", store))
    first = json.loads((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)  # it rates everything 0 at first
    again = load_policy(aligned.model)
    assert aligned.policy.reward_head is not None and again.reward_head is not None
    assert float(aligned.policy.reward_head.weight.detach().abs().max()) > 0
    forest = plan(PAIR, mixed_items(3), item_encoder(aligned.policy))
    wanted = Wanted(ratings=True)
    with torch.no_grad():
        here, there = (p.eval()(forest.rows, wanted=wanted).ratings for p in (aligned.policy, again))
    assert here is not None and here.shape == (6,)
    torch.testing.assert_close(there, here, rtol=0, atol=1e-6)
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    accuracy = {row["run"]: row["value"] for row in rows if row["metric"] == "preference_accuracy"}
    assert accuracy["base"] == 0.5 and "m" in accuracy  # an untrained head ties


def rated(policy: Policy, shared: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    forest = plan(PAIR, mixed_items(3), item_encoder(policy))
    ratings = policy(forest.rows, shared=shared, wanted=Wanted(ratings=True)).ratings
    assert ratings is not None
    policy.zero_grad()
    (ratings * torch.arange(1.0, 7.0, dtype=ratings.dtype)).sum().backward()
    return ratings.detach(), {name: p.grad.clone() for name, p in trainable(policy).items() if p.grad is not None}


def test_a_rating_is_read_at_the_last_token_of_its_answer_alone_and_shared() -> None:
    policy = tiny_policy(dtype=torch.float64)
    policy.add_reward_head()
    assert policy.reward_head is not None
    torch.nn.init.normal_(policy.double().reward_head.weight)  # type: ignore[union-attr]
    together, alone = rated(policy, shared=True), rated(policy, shared=False)
    torch.testing.assert_close(together[0], alone[0], rtol=1e-10, atol=1e-10)
    assert "reward_head.weight" in together[1] and together[1].keys() == alone[1].keys()
    assert not differing(together[1], alone[1], 1e-6)  # transformers' norms compute in float32
    forest = plan(PAIR, mixed_items(1), item_encoder(policy))
    (row,) = forest.rows
    longer = Answered(row.prompt, (torch.cat([row.answers[0], row.answers[0][:1]]), row.answers[1]))
    with torch.no_grad():
        before, after = (policy([r], wanted=Wanted(ratings=True)).ratings for r in (row, longer))
    moved = (after - before).abs().tolist()  # type: ignore[operator]
    assert moved[0] > 1e-6 and moved[1] < 1e-10


def test_the_divergence_that_training_reads_is_the_one_of_whole_distributions(tmp_path: Path) -> None:
    """TDPO's first step has policy = reference and no divergence; after a step it has some."""
    term = pairwise(CHOSEN, REJECTED, beta=0.5, plus=(KlMargin(better=CHOSEN, worse=REJECTED, factor=0.5),))
    method = Method(objective=Objective((term,)), stages=dpo().stages)
    trainer = make_trainer(tmp_path, method=method)
    assert trainer.step()["loss"] == pytest.approx(math.log(2), abs=1e-6)
    trainer.step()
    forest = plan(PAIR, mixed_items(2), trainer.encoder)
    logps = trainer._score(forest, PAIR)
    assert trainer.reference is not None
    whole = {}
    for side, scored in (
        ("reference", trainer.reference.score(forest, Wanted(distribution=True))),
        ("policy", trainer.policy(forest.rows, wanted=Wanted(distribution=True))),
    ):
        given: Distribution = scored.distribution
        whole[side] = given.head(given.hidden).log_softmax(-1)
    expected = (whole["reference"].exp() * (whole["reference"] - whole["policy"])).sum(-1)
    found = torch.cat([logps[v].kl[i][logps[v].answer_mask[i]] for i in range(2) for v in PAIR])  # type: ignore[index]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert float(found.detach().min()) > 0


def features(size: int) -> MediaFeatures:
    return MediaFeatures(torch.zeros(size, 1))  # 4 bytes each


def test_a_media_cache_forgets_what_was_not_asked_for_longest() -> None:
    cache = MediaCache(40)
    cache.update({"a": features(4), "b": features(4)})
    assert cache["a"] is not None  # now b is the older one
    cache["c"] = features(4)
    assert list(cache) == ["a", "c"] and cache.num_bytes == 32
    cache["huge"] = features(11)
    assert len(cache) == 0 and cache.num_bytes == 0


@pytest.mark.parametrize("lora", [None, Lora(rank=2)])
@pytest.mark.parametrize("max_mb", [0, 1])
@pytest.mark.parametrize("frozen", [("vision_tower", "projector"), ("vision_tower",)])
def test_what_is_kept_of_media_changes_nothing_but_how_often_the_tower_looks(
    tmp_path: Path, lora: Lora | None, max_mb: int, frozen: tuple[str, ...]
) -> None:
    method = dpo(lora=lora, frozen=frozen, epochs=3.0)
    policy = tiny_policy(lora=lora)
    looks: list[int] = []
    tower = policy.bare.model.vision_tower
    trainer = make_trainer(tmp_path / "run", method=method, policy=policy, media_cache_mb=max_mb)
    next(tower.children()).register_forward_hook(lambda module, args, output: looks.append(len(args)))
    losses = [trainer.step()["loss"] for _ in range(3)]
    looks.clear()
    losses += [trainer.step()["loss"] for _ in range(6)]
    expected = make_trainer(tmp_path / "plain", method=method, policy=tiny_policy(lora=lora), media_cache_mb=0)
    assert losses == pytest.approx([expected.step()["loss"] for _ in range(9)], abs=1e-5)
    for name, value in weights(expected.policy).items():
        torch.testing.assert_close(weights(trainer.policy)[name], value, rtol=1e-4, atol=1e-5)
    assert bool(looks) != bool(max_mb)  # after the first epoch every picture is known


def test_policy_and_reference_look_at_a_picture_once_though_their_projectors_differ(tmp_path: Path) -> None:
    policy = tiny_policy()
    looks: list[int] = []
    trainer = make_trainer(tmp_path, method=dpo(frozen=("vision_tower",), batch_items=6), policy=policy)
    policies = (policy, trainer.reference.policy)  # type: ignore[union-attr]
    for tower in (one.bare.model.vision_tower for one in policies):
        next(tower.children()).register_forward_hook(lambda module, args, output: looks.append(1))
    assert trainer._media is not None
    known = set(trainer._media)
    trainer.step()
    assert len(looks) == len(set(trainer._media) - known) > 0
    looks.clear()
    trainer.step()
    assert looks == []


def test_what_the_cached_reference_has_seen_no_step_looks_at_again(tmp_path: Path) -> None:
    policy = tiny_policy()
    method = dpo(frozen=("vision_tower", "projector"), batch_items=6)
    trainer = make_trainer(
        tmp_path, method=method, policy=policy, reference="cached", reference_folder=tmp_path / "reference"
    )
    looks: list[int] = []
    tower = policy.bare.model.vision_tower
    next(tower.children()).register_forward_hook(lambda module, args, output: looks.append(1))
    trainer.step()
    assert looks == []


def test_nothing_is_kept_while_the_tower_is_trained(tmp_path: Path) -> None:
    assert make_trainer(tmp_path, method=dpo(frozen=()))._media is None


def test_a_head_that_is_not_trained_stays_as_it_is(tmp_path: Path) -> None:
    policy = tiny_policy()
    policy.add_reward_head()
    trainer = make_trainer(tmp_path, policy=policy)
    trainer.step()
    assert policy.reward_head is not None and float(policy.reward_head.weight.abs().max()) == 0.0
    assert "reward_head.weight" not in trainable(policy)
