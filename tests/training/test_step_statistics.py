"""Numbers of a whole step: no split of the step changes them, and a stopped run goes on with them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from boresight.models.loading import Lora
from boresight.models.policy import Answered, Policy
from boresight.objectives import MismatchedKl, Objective, RunningMean, unpaired
from boresight.training.adversarial import Attacker, pgd
from boresight.training.forest import plan
from boresight.training.inputs import Adversarial
from boresight.training.items import Item
from boresight.training.loop import Trainer
from boresight.training.reference import Cached
from boresight.training.spec import Method
from engine_examples import (
    CHOSEN,
    REJECTED,
    differing,
    dpo,
    gradients,
    item_encoder,
    make_trainer,
    mixed_items,
    same,
    tiny_policy,
    weights,
)

RUNNING = unpaired(CHOSEN, REJECTED, beta=0.5, baseline=RunningMean(of=(CHOSEN, REJECTED)))
KTO = unpaired(CHOSEN, REJECTED, beta=0.5, link="sigmoid", baseline=MismatchedKl())


def method(term: Any, **stage: Any) -> Method:
    return dataclasses.replace(dpo(**stage), objective=Objective((term,)))


def items() -> list[Item]:
    """Pairs with a foreign answer each."""
    pairs = mixed_items(6)
    return [
        dataclasses.replace(item, texts={**item.texts, "mismatched": pairs[(i + 2) % 6].texts["chosen"]})
        for i, item in enumerate(pairs)
    ]


def moved(seed: int = 0) -> Policy:
    """A policy whose adapter does something, so that it is not its own reference."""
    return tiny_policy(seed=seed, lora=Lora(rank=2, alpha=16.0))


def first_gradients(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Gradients of the first step, before they are used."""
    found: dict[str, torch.Tensor] = {}
    step = trainer._optimizer.step
    trainer._optimizer.step = lambda *a, **k: (found.update(gradients(trainer.policy)), step(*a, **k))[1]
    trainer.step()
    return found


@pytest.mark.parametrize("term", [RUNNING, KTO], ids=["running_mean", "mismatched_kl"])
def test_the_split_into_micro_batches_changes_no_gradient(term: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"items": items(), "method": method(term, batch_items=6, max_grad_norm=0.0)}
    whole = first_gradients(make_trainer(tmp_path / "a", policy=moved(), micro_batch_tokens=100_000, **options))
    split = first_gradients(make_trainer(tmp_path / "b", policy=moved(), micro_batch_tokens=1, **options))
    assert len(whole) > 4 and differing(split, whole, 1e-4) == {}


def mean_log_ratio(found: list[Item]) -> float:
    """Of the foreign answers, item by item."""
    policy = moved()
    encoder, ratios = item_encoder(policy), []
    for item in found:
        forest = plan(KTO.statistics[0].views, [item], encoder)
        with torch.no_grad():
            now = policy(forest.rows)
            with policy.adapter_off():
                ratios.append(float((now - policy(forest.rows)).sum()))
    return sum(ratios) / len(ratios)


def logged_baseline(folder: Path, found: list[Item], budget: int) -> float:
    options: dict[str, Any] = {"method": method(KTO, batch_items=len(found)), "micro_batch_tokens": budget}
    trainer = make_trainer(folder, policy=moved(), items=found, **options)
    return float(trainer.step()["more"]["baseline/chosen|rejected"])


def test_the_trainer_gives_the_statistic_of_the_whole_step(tmp_path: Path) -> None:
    """The baseline in the log is the mean over all items, though each is a micro-batch of its own."""
    expected = 0.5 * max(0.0, mean_log_ratio(items()))
    assert logged_baseline(tmp_path, items(), 1) == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("budget", [1, 100_000])
def test_an_item_without_the_measured_answer_does_not_count(budget: int, tmp_path: Path) -> None:
    """Not as zero either, which would draw the mean towards it."""
    whole = items()
    bare = [dataclasses.replace(item, texts=mixed.texts) for item, mixed in zip(whole, mixed_items(6), strict=True)]
    found = [*whole[:3], *bare[3:]]
    expected = 0.5 * max(0.0, mean_log_ratio(found[:3]))
    assert expected > 1e-3
    assert logged_baseline(tmp_path, found, budget) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_a_stopped_run_goes_on_with_its_running_mean(tmp_path: Path) -> None:
    options: dict[str, Any] = {"items": items(), "method": method(RUNNING)}
    straight = make_trainer(tmp_path / "a", **options)
    straight.run()
    stopped = make_trainer(tmp_path / "b", **options)
    for _ in range(3):
        stopped.step()
        stopped.save()
    kept = dict(stopped._statistics)
    resumed = make_trainer(tmp_path / "b", **options)
    resumed.run(resume=True)
    assert kept[RUNNING.statistics[0].name]["steps"] == 3.0
    assert same(weights(resumed.policy), weights(straight.policy))
    assert resumed._statistics == straight._statistics


def test_cached_references_cover_what_statistics_read(tmp_path: Path) -> None:
    """Otherwise a miss during training would be scored by the trained model itself."""
    trainer = make_trainer(
        tmp_path, items=items(), method=method(KTO), reference="cached", reference_folder=tmp_path / "sidecar"
    )
    assert isinstance(trainer.reference, Cached)
    known = len(trainer.reference)
    assert known == 18  # six items with three texts
    trainer.step()
    assert len(trainer.reference) == known


def test_an_attack_moves_pixels_within_their_bounds_and_features_far() -> None:
    """A linear map's farthest points in a box are two corners; where it starts decides which one it reaches."""
    matrix = torch.tensor([[2.0, -1.0, 0.5]], dtype=torch.float64)
    pixels = torch.tensor([0.5, 0.5, 0.99], dtype=torch.float64)
    radius, low, high = torch.full((3,), 0.1).double(), torch.zeros(3).double(), torch.ones(3).double()
    features = lambda x: x @ matrix.T  # noqa: E731
    corners = torch.tensor([[0.6, 0.4, 1.0], [0.4, 0.6, 0.89]], dtype=torch.float64)
    found = []
    for seed in range(8):
        attacked, again = (
            pgd(pixels, features, features(pixels), radius=radius, low=low, high=high, steps=10, seed=seed)
            for _ in range(2)
        )
        assert torch.equal(attacked, again)
        found.append([bool((attacked - corner).abs().max() < 1e-7) for corner in corners])
    assert {tuple(f) for f in found} == {(True, False), (False, True)}


@torch.no_grad()
def test_an_attacked_prompt_changes_what_the_model_sees_more_than_noise_of_the_same_size() -> None:
    policy = tiny_policy()
    encoder = item_encoder(policy)
    prompt = encoder.prompt(mixed_items(1)[0], CHOSEN)
    attack = Adversarial(epsilon=8 / 255, steps=10)
    attacked = Attacker(policy, policy)(prompt, attack, seed=1)
    noised = Attacker(policy, policy)(prompt, dataclasses.replace(attack, steps=0), seed=1)
    clean, worst, some = (p.media_inputs["pixel_values"] for p in (prompt, attacked, noised))
    std = torch.tensor(policy.encoder.processor.image_processor.image_std)[:, None, None]
    assert float(((worst - clean) * std).abs().max()) == pytest.approx(attack.epsilon, rel=1e-4)
    logps = [policy([dataclasses.replace(r, prompt=p)]) for r, p in _rows(policy, (prompt, attacked, noised))]
    seen, fooled, shaken = logps
    assert float((fooled - seen).abs().sum()) > float((shaken - seen).abs().sum()) > 0
    assert torch.equal(prompt.media_inputs["pixel_values"], clean) and math.isfinite(float(fooled.sum()))
    assert some.shape == clean.shape


def _rows(policy: Policy, prompts: Any) -> list[Any]:
    answer = item_encoder(policy).answer(mixed_items(1)[0], "chosen")
    return [(Answered(p, (answer,)), p) for p in prompts]
