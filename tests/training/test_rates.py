"""Parts of a model learn at rates of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from boresight.errors import UsageError
from boresight.training.optimization import freeze, make_optimizer
from boresight.training.spec import Method, Stage, override
from engine_examples import dpo, item, make_trainer, same, tiny_policy, weights

RATES = {"vision_tower": 0.25, "projector": 5.0}


def rated(**stage: object) -> Method:
    return dpo(rates=RATES, weight_decay=0.0, schedule="linear", warmup=0.0, epochs=4.0, **stage)


def largest_moves(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> dict[str, float]:
    """Largest change of a weight in each part."""
    moves: dict[str, float] = {}
    for name, value in before.items():
        part = next((word for word in RATES if word in name), "language_model")
        moves[part] = max(moves.get(part, 0.0), float((after[name] - value).abs().max()))
    return moves


def test_every_part_moves_by_its_own_rate_and_the_schedule_scales_them_all(tmp_path: Path) -> None:
    """AdamW's first step moves a weight by the rate, so the largest moves are 0.25, 5 and 1 times 1e-3."""
    trainer = make_trainer(tmp_path, method=rated(), items=[item(id) for id in "abcd"])
    before = weights(trainer.policy)
    trainer.step()
    moves = largest_moves(before, weights(trainer.policy))
    assert moves == pytest.approx({"vision_tower": 0.25e-3, "projector": 5e-3, "language_model": 1e-3}, rel=0.02)
    rates = {round(group["lr"] * 1e6) for group in trainer._optimizer.param_groups}
    left = 1 - 1 / trainer.total_steps
    assert rates == {round(1e3 * factor * left) for factor in (0.25, 5.0, 1.0)}


def test_the_logged_rate_is_the_stages_own(tmp_path: Path) -> None:
    assert make_trainer(tmp_path, method=rated()).step()["learning_rate"] == 1e-3


def test_a_run_with_rates_that_is_stopped_and_resumed_equals_a_straight_one(tmp_path: Path) -> None:
    straight = make_trainer(tmp_path / "straight", method=rated())
    straight.run()
    stopped = make_trainer(tmp_path / "stopped", method=rated())
    for _ in range(3):
        stopped.step()
    stopped.save()
    resumed = make_trainer(tmp_path / "stopped", method=rated())
    resumed.run(resume=True)
    assert same(weights(straight.policy), weights(resumed.policy))


def test_biases_of_a_rated_part_do_not_decay() -> None:
    parameters = {n: p for n, p in tiny_policy().model.named_parameters()}
    optimizer = make_optimizer(parameters, Stage(rates=RATES, weight_decay=0.1))
    decays = {(p.ndim >= 2, group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    assert decays == {(True, 0.1), (False, 0.0)}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(parameters)


def test_of_two_words_in_a_name_the_first_counts() -> None:
    parameters = {n: p for n, p in tiny_policy().model.named_parameters()}
    stage = override(dpo(), "stages.0.rates", '{"projector.linear_1": 2, "projector": 3}').stages[0]
    rates = {
        name: group["lr"] / stage.learning_rate
        for group in make_optimizer(parameters, stage).param_groups
        for name, p in parameters.items()
        if any(p is q for q in group["params"]) and name.endswith("weight") and "projector" in name
    }
    assert {name.split(".")[-2]: rate for name, rate in rates.items()} == {"linear_1": 2.0, "linear_2": 3.0}


def test_a_word_that_names_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\['projektor'\], which no trained parameter has"):
        make_trainer(tmp_path, method=dpo(rates={"projektor": 2.0}))


@pytest.mark.parametrize(
    ("value", "message"),
    [('{"projector": 0}', "must be > 0, got 0.0 for 'projector'"), ('{"projector": "fast"}', "expected a number"),
     ("3", "expected an object")],
)  # fmt: skip
def test_rates_that_cannot_be_are_refused(value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        override(dpo(), "stages.0.rates", value)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"frozen": ("vison_tower",)}, r"stage.frozen names \['vison_tower'\], which is in no parameter's name"),
        ({"trained": ("projecter",)}, r"stage.trained names \['projecter'\], which is in no parameter's name"),
        ({"frozen": ("model", "lm_head")}, "leave nothing to train. Names begin with model"),
    ],
)
def test_words_that_freeze_nothing_or_everything_are_refused(stage: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        freeze(tiny_policy(), Stage(**stage))


def test_towers_that_a_family_lacks_are_no_mistake() -> None:
    policy = tiny_policy()
    freeze(policy, Stage())
    assert {p.requires_grad for p in policy.parameters()} == {True, False}
