"""What must hold for every training step, however it is split, stored or repeated."""

from __future__ import annotations

import dataclasses
import gc
import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from boresight.errors import DivergedError, GateError, InputError, UsageError
from boresight.media.transforms import random_crop
from boresight.models.fake import FakeShape
from boresight.models.loading import Lora
from boresight.objectives import Objective, Pairwise, anchor, nll, pairwise, view
from boresight.training.forest import answer_lengths, micro_batches, plan
from boresight.training.loop import Trainer
from boresight.training.optimization import num_steps, step_indices
from boresight.training.reference import FrozenCopy
from boresight.training.spec import Method, Stage
from engine_examples import (
    CHOSEN,
    REJECTED,
    differing,
    dpo,
    item,
    item_encoder,
    make_trainer,
    mixed_items,
    same,
    tiny_policy,
    turn,
    weights,
)


def step_gradients(folder: Path, budget: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Gradients of one step of 6 items, split as the token budget asks."""
    policy = tiny_policy(dtype=dtype)
    precision = "float64" if dtype == torch.float64 else "float32"
    trainer = make_trainer(
        folder, policy=policy, method=dpo(batch_items=6, max_grad_norm=0.0), precision=precision,
        micro_batch_tokens=budget,
    )  # fmt: skip
    found: dict[str, torch.Tensor] = {}
    step = trainer._stepper.step

    def keep() -> float:
        found.update({n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None})
        return step()

    trainer._stepper.step = keep  # type: ignore[method-assign]
    trainer.step()
    return found


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-6)])
def test_splitting_a_step_changes_no_gradient(dtype: torch.dtype, tolerance: float, tmp_path: Path) -> None:
    """1 x 6 against 6 x 1 and 3 x 2. Norms compute in float32 also for float64 weights, hence no 1e-12."""
    whole = step_gradients(tmp_path / "whole", 10**6, dtype)
    for name, budget in (("single", 1), ("some", 120)):
        assert differing(step_gradients(tmp_path / name, budget, dtype), whole, tolerance) == {}


@pytest.mark.parametrize("lora", [None, Lora(rank=2, alpha=4.0)], ids=["full", "lora"])
def test_one_seed_repeats_bit_by_bit_and_another_does_not(lora: Lora | None, tmp_path: Path) -> None:
    found = []
    for number, seed in enumerate((1, 1, 2)):
        policy = tiny_policy(lora=lora)
        make_trainer(tmp_path / str(number), policy=policy, seed=seed).run()
        found.append(weights(policy))
    assert same(found[0], found[1]) and not same(found[0], found[2])


def test_training_lowers_the_loss_and_widens_the_margin(tmp_path: Path) -> None:
    make_trainer(tmp_path, method=dpo(epochs=6.0, schedule="constant", warmup=0.0), seed=3).run()
    rows = metrics(tmp_path)
    assert rows[-1]["loss"] < rows[0]["loss"] and rows[-1]["margin"] > 0.5
    assert rows[0]["loss"] == pytest.approx(0.6931, abs=1e-3)


def test_the_reference_stays_as_it_was(tmp_path: Path) -> None:
    for name, policy in (("copy", tiny_policy()), ("adapter_off", tiny_policy(lora=Lora(rank=2)))):
        trainer = make_trainer(tmp_path / name, policy=policy, reference=name)
        forest = plan(trainer.views, trainer.items, trainer.encoder)
        assert trainer.reference is not None
        before = trainer.reference.score(forest).logps
        start = weights(policy)
        trainer.run()
        assert not same(weights(policy), start)
        assert torch.equal(trainer.reference.score(forest).logps, before)


def test_frozen_parts_stay_as_they_were_and_the_rest_moves(tmp_path: Path) -> None:
    policy = tiny_policy()
    before = weights(policy)
    make_trainer(tmp_path, policy=policy, method=dpo(frozen=("vision_tower",))).run()
    moved = {n for n, w in weights(policy).items() if not torch.equal(w, before[n])}
    assert moved and not any("vision_tower" in n for n in moved)


@pytest.mark.parametrize(
    ("count", "batch", "epochs", "sizes"),
    [(6, 4, 1.0, [4, 2]), (2, 8, 1.0, [2]), (6, 4, 0.5, [3]), (3, 2, 2.0, [2, 2, 2]), (5, 3, 1.5, [3, 3, 2])],
)
def test_every_epoch_shows_every_item_once_whatever_the_batch(
    count: int, batch: int, epochs: float, sizes: list[int]
) -> None:
    stage = Stage(batch_items=batch, epochs=epochs)
    steps = [step_indices(i, stage, count, seed=0) for i in range(num_steps(stage, count))]
    assert [len(s) for s in steps] == sizes
    shown = [i for s in steps for i in s]
    for start in range(0, len(shown), count):
        epoch = shown[start : start + count]
        assert len(set(epoch)) == len(epoch) and set(epoch) <= set(range(count))


def test_every_epoch_and_every_seed_has_an_order_of_its_own() -> None:
    stage = Stage(batch_items=20, epochs=2.0)

    def order(step: int, seed: int) -> tuple[int, ...]:
        return tuple(step_indices(step, stage, 20, seed))

    assert len({order(0, 0), order(1, 0), order(0, 1), order(1, 1)}) == 4
    assert order(1, 0) == order(1, 0)


def test_fewer_items_than_a_batch_and_a_last_batch_that_is_not_full_train(tmp_path: Path) -> None:
    assert make_trainer(tmp_path / "few", items=mixed_items(2), method=dpo(batch_items=8, epochs=1.0)).run().steps == 1
    make_trainer(tmp_path / "rest", items=mixed_items(3), method=dpo(batch_items=2, epochs=1.0)).run()
    assert [row["step"] for row in metrics(tmp_path / "rest")] == [1, 2]


def test_a_step_of_one_item_weighs_it_as_much_as_a_step_of_many(tmp_path: Path) -> None:
    """Losses are means over the items that count, so at the reference every step's loss is log 2."""
    method = dpo(batch_items=2, epochs=1.0, learning_rate=1e-12)
    make_trainer(tmp_path, items=mixed_items(3), method=method).run()
    assert [row["loss"] for row in metrics(tmp_path)] == [pytest.approx(0.693147, abs=1e-5)] * 2


def test_micro_batches_keep_order_and_budget() -> None:
    items = mixed_items(5)
    tokens = dict(zip([i.id for i in items], [3, 4, 10, 1, 1], strict=True))
    parts = [[i.id for i in part] for part in micro_batches(items, tokens, 8)]
    assert parts == [["i0", "i1"], ["i2"], ["i3", "i4"]]
    assert list(micro_batches([], tokens, 8)) == []


def test_bfloat16_computes_in_half_and_keeps_weights_in_float32(tmp_path: Path) -> None:
    policy = tiny_policy()
    before = weights(policy)
    make_trainer(tmp_path, policy=policy, precision="bfloat16").run()
    assert {p.dtype for p in policy.parameters()} == {torch.float32}
    assert all(row["loss"] is not None for row in metrics(tmp_path)) and not same(weights(policy), before)


@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["full", "lora"])
def test_gradient_checkpointing_trains_to_the_same_weights(lora: Lora | None, tmp_path: Path) -> None:
    found = []
    for recompute in (False, True):
        policy = tiny_policy(lora=lora)
        make_trainer(tmp_path / str(recompute), policy=policy, gradient_checkpointing=recompute).run()
        found.append(weights(policy))
    assert all(torch.allclose(found[0][n], found[1][n], atol=1e-5) for n in found[0])


def test_supervised_training_needs_no_reference(tmp_path: Path) -> None:
    method = Method(objective=Objective((nll(CHOSEN),)), stages=(Stage(learning_rate=1e-2, batch_items=6),))
    trainer = make_trainer(tmp_path, method=method, reference="none")
    assert trainer.reference is None
    trainer.run()
    row = metrics(tmp_path)[0]
    assert row["loss"] == pytest.approx(row["terms"]["nll(chosen)"]) and row["margin"] is None


def test_a_loss_that_is_not_finite_names_its_items(tmp_path: Path) -> None:
    policy = tiny_policy()
    trainer = make_trainer(tmp_path, policy=policy)
    with torch.no_grad():
        policy.bare.get_output_embeddings().weight[0, 0] = float("inf")
    with pytest.raises(DivergedError, match=r"step 1: the loss is nan \(in chosen>rejected\), items i\d") as ended:
        trainer.run()
    assert "checkpoint" not in str(ended.value) and "learning rate" not in str(ended.value)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Logarithm(Pairwise):
    """Finite only while nothing was learned."""

    def linked(self, margin: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return torch.log1p(-1e9 * margin.abs()) if margin.detach().any() else margin


@pytest.mark.parametrize(("every", "said"), [(1, "The last checkpoint is whole"), (50, "There is no checkpoint yet")])
def test_a_run_that_diverges_names_the_term_and_what_is_left(every: int, said: str, tmp_path: Path) -> None:
    objective = pairwise(CHOSEN, REJECTED) + Logarithm(better=REJECTED, worse=CHOSEN)
    method = dataclasses.replace(dpo(learning_rate=1e-2, warmup=0.0), objective=objective)
    trainer = make_trainer(tmp_path, method=method, checkpoint_every=every)
    with pytest.raises(DivergedError, match=rf"step 2: the loss is nan \(in rejected>chosen\), items i.* {said};"):
        trainer.run()


def test_a_learning_rate_beyond_reason_ends_in_a_named_error_with_a_whole_checkpoint(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, method=dpo(learning_rate=1e30, warmup=0.0, max_grad_norm=0.0))
    with pytest.raises(DivergedError, match="lower the learning rate"):
        trainer.run()
    assert list((tmp_path / "checkpoints").glob("step-*"))


def test_a_full_accelerator_ends_a_run_with_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(tmp_path)
    trainer.step()

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer, "_score", full)
    with pytest.raises(UsageError, match=r"full at step 2, micro-batches of up to \d+ tokens\. Lower run\.micro_batch"):
        trainer.step()
    monkeypatch.setattr(Trainer, "_score", full)
    with pytest.raises(UsageError, match=r"full at a trial of \d+ tokens before the first step"):
        make_trainer(tmp_path / "other")


def test_a_run_without_items_or_with_two_stages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to train on"):
        make_trainer(tmp_path, items=[])
    two = dataclasses.replace(dpo(), stages=(Stage(), Stage(name="again")))
    with pytest.raises(UsageError, match="one stage"):
        make_trainer(tmp_path, method=two)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reference": "none"}, "leaves it without one"),
        ({"reference": "adapter_off"}, "needs an adapter"),
        ({"reference": "cached"}, "needs a folder"),
    ],
)
def test_references_that_cannot_be_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        make_trainer(tmp_path, **settings)


def test_an_answer_that_would_be_cut_names_file_and_row(tmp_path: Path) -> None:
    long = item("a", chosen="red " * 60, rejected="blue", row=7)
    with pytest.raises(InputError, match=r"row 7 of rows.jsonl: answer 'chosen' would be cut away"):
        make_trainer(tmp_path, policy=tiny_policy(FakeShape(hidden=16, max_tokens=64)), items=[long])


def test_a_special_token_in_an_answer_names_file_and_row(tmp_path: Path) -> None:
    bad = item("a", chosen="see <image>", rejected="blue", row=3)
    with pytest.raises(InputError, match=r"row 3 of rows.jsonl: text holds '<image>'"):
        make_trainer(tmp_path, items=[bad])


def test_answers_that_are_the_same_for_the_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="chosen and rejected are the same for the model"):
        make_trainer(tmp_path, items=[item("a", chosen="a dog", rejected="a dog", row=1)])


def test_a_warning_that_the_user_named_stops_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    short = [item(f"s{i}", chosen="a", rejected="the large blue square is under a dog") for i in range(3)]
    trainer = make_trainer(tmp_path, items=short, stop_on=("length_gap",))
    with pytest.raises(GateError, match="length_gap"):
        trainer.run()
    assert (tmp_path / "health.jsonl").read_text().count("length_gap") == 1


CROPPED = "cropped"
IMAGE_SIDE = Method(
    inputs={CROPPED: random_crop.MEMBER(area=(0.01, 0.2))},
    objective=pairwise(CHOSEN, REJECTED) + pairwise(CHOSEN, view("chosen", CROPPED)) + anchor(CHOSEN),
    stages=(Stage(learning_rate=1e-3, batch_items=3, epochs=1.0, frozen=()),),
)


def test_an_input_variant_of_an_item_without_pictures_does_not_exist() -> None:
    """A crop of no picture is the prompt itself: a pair of equal sides, with a loss of log 2 that teaches nothing."""
    items = [item("seen"), item("text", [turn("user", "is the sky clear")])]
    encoder = item_encoder(tiny_policy(), inputs=IMAGE_SIDE.inputs)
    views = IMAGE_SIDE.objective.views
    lengths = answer_lengths(views, items, encoder)
    assert [int(n) > 0 for n in lengths[view("chosen", CROPPED)]] == [True, False]
    assert IMAGE_SIDE.objective.counts(lengths) == (2.0, 1.0, 2.0)
    places = plan(views, items, encoder).places
    assert [(p.item, str(p.view)) for p in places] == [
        (0, "chosen"), (0, "rejected"), (0, "chosen@cropped"), (1, "chosen"), (1, "rejected"),
    ]  # fmt: skip


def test_a_step_mixes_items_with_and_without_pictures_under_an_image_side_loss(tmp_path: Path) -> None:
    make_trainer(tmp_path, method=IMAGE_SIDE, items=mixed_items(3)).run()
    terms = metrics(tmp_path)[0]["terms"]
    assert terms["chosen>rejected"] == pytest.approx(0.6931, abs=1e-3)
    assert terms["chosen>chosen@cropped"] == pytest.approx(0.6931, abs=1e-3)


def test_the_rows_of_a_method_with_one_trunk_are_shared() -> None:
    items = mixed_items(2)
    forest = plan((CHOSEN, REJECTED), items, item_encoder(tiny_policy()))
    assert [len(row.answers) for row in forest.rows] == [2, 2]
    lengths = [len(a) for row in forest.rows for a in row.answers]
    assert [p.num_tokens for p in forest.places] == lengths
    assert forest.num_tokens == sum(r.prompt.num_tokens for r in forest.rows) + sum(lengths)


def test_gathered_values_lie_in_their_own_rows() -> None:
    """Flat values 0, 1, 2...: item 1's chosen answer starts after both answers of item 0."""
    items = mixed_items(2)
    forest = plan((CHOSEN, REJECTED), items, item_encoder(tiny_policy()))
    spans = {(p.item, p.view): s for p, s in forest.spans()}
    total = max(s.stop for s in spans.values())
    flat = torch.arange(total, dtype=torch.float64)
    table = forest.gather((CHOSEN, REJECTED), flat, flat + 0.5)
    for (number, v), span in spans.items():
        kept = table[v].answer_mask[number]
        assert table[v].policy[number][kept].tolist() == list(range(span.start, span.stop))
        reference = table[v].reference
        assert reference is not None and reference[number][kept].tolist() == [
            x + 0.5 for x in range(span.start, span.stop)
        ]
        assert not table[v].policy[number][~kept].any()


def test_the_tables_of_one_text_are_equally_wide() -> None:
    """A term may compare a text token by token with itself beside another picture, though some items have none."""
    items = mixed_items(2)
    soft = view("chosen", "soft")
    forest = plan((CHOSEN, REJECTED), items, item_encoder(tiny_policy()))
    longest = max(p.num_tokens for p in forest.places if p.view == CHOSEN)
    table = forest.gather((CHOSEN, soft), torch.zeros(sum(p.num_tokens for p in forest.places)))
    assert table[CHOSEN].policy.shape == table[soft].policy.shape == (2, longest)
    assert not table[soft].answer_mask.any()


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_second_precision_in_one_process_is_refused_in_plain_words(tmp_path: Path) -> None:
    make_trainer(tmp_path, precision="float32")
    with pytest.raises(UsageError, match="start this run in a process of its own"):
        make_trainer(tmp_path, precision="bfloat16")


@pytest.mark.parametrize("looks_ahead", [False, True])
def test_models_of_a_stage_are_gone_before_the_next_begins(looks_ahead: bool, tmp_path: Path) -> None:
    """Else a run of several stages holds two of each until the garbage is collected."""
    trainer = make_trainer(tmp_path)
    trainer._looks_ahead = looks_ahead
    trainer.run()
    reference = trainer.reference
    assert isinstance(reference, FrozenCopy)
    models = [weakref.ref(trainer.policy), weakref.ref(reference.policy)]
    gc.collect()
    gc.disable()
    try:
        del trainer, reference
        assert [model() for model in models] == [None, None]
    finally:
        gc.enable()
