"""Every run of every method and variant: worked by hand, its gradient, its limits and its symmetries."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from method_examples import PACKAGE, all_names, load
from worked_losses import WORKED, one_item

from boresight import registry
from boresight.methods.chip import Drift
from boresight.methods.dama import BatchFactor
from boresight.methods.opa_dpo import TokenAnchor
from boresight.objectives import Anchor, Nll, Objective, Pairwise, Term, TokenLogps, Unpaired, View, pairwise
from boresight.objectives.rewards import target_of
from boresight.training.spec import Method
from shared_tables import gradients, our_loss, run_of, tables

RUNS: dict[str, Method] = {
    f"{name}/{stage.name}": load(name).runs()[sum(s.rounds for s in load(name).stages[:number])]
    for name in all_names()
    for number, stage in enumerate(load(name).stages)
}
ITEMS = 4
SQUARED = ("dpo:ipo/train", "dpo:ipo_sum/train", "dpo:sppo/train")
EITHER_WAY = (*SQUARED, "dpo:nca/train", "dpo:apo_down/train")
"""Whose gradient may lower the better answer, by design."""
AT_REFERENCE = {
    "sigmoid": math.log(2), "robust": math.log(2), "hinge": 1.0, "ipo": 25.0, "nca": 2 * math.log(2), "sppo": 50.0,
    "apo_zero": 1.0, "apo_down": 1.0, "exo": math.log(0.5) - 0.5 * math.log(0.999) - 0.5 * math.log(0.001),
}  # fmt: skip


def given(run: Method, items: int = ITEMS) -> dict[View, TokenLogps]:
    """Random tables, with the statistics of the step given as the trainer gives them."""
    found = tables(run, 0, items=items)
    step = {s.name: torch.full((items,), 0.4, dtype=torch.float64) for s in run.objective.statistics}
    return {v: dataclasses.replace(t, signals={**t.signals, **step}) for v, t in found.items()}


def counts(objective: Objective, logps: Mapping[View, TokenLogps]) -> tuple[float, ...]:
    return objective.counts({v: t.lengths for v, t in logps.items()})


def changed(logps: Mapping[View, TokenLogps], change: Any) -> dict[View, TokenLogps]:
    """Every tensor of every table after a change, given its name."""
    found = {}
    for v, t in logps.items():
        fields = {f.name: getattr(t, f.name) for f in dataclasses.fields(t) if f.name != "signals"}
        tensors = {name: None if values is None else change(name, values) for name, values in fields.items()}
        signals = {name: change(name, values) for name, values in t.signals.items()}
        found[v] = TokenLogps(**tensors, signals=signals)
    return found


def test_no_run_is_left_out() -> None:
    assert RUNS.keys() == WORKED.keys()
    assert len(registry.names(PACKAGE)) >= 46


@pytest.mark.parametrize("name", RUNS)
def test_a_loss_worked_by_hand(name: str) -> None:
    """The arithmetic stands in `worked_losses`."""
    run = RUNS[name]
    logps = one_item(run)
    found = run.objective.reduce(logps, counts(run.objective, logps)).loss.item()
    assert found == pytest.approx(WORKED[name], rel=1e-7)


@pytest.mark.parametrize("name", RUNS)
def test_the_gradient_agrees_with_finite_differences_but_where_it_is_stopped(name: str) -> None:
    """What passes no gradient is held: V-DPO's blind answer, AdPO's own probabilities, KL along the better answer."""
    run = RUNS[name]
    logps = given(run, items=2)
    sure = {t.target for t in run.objective if isinstance(t, Nll) and t.sure}
    moved = [(v, "policy") for v in run.objective.views if v.input != "null" and v not in sure]
    moved = moved if not run.objective.needs_head else [(v, "head") for v in run.objective.views]
    inputs = tuple(getattr(logps[v], field) for v, field in moved)

    def loss(*values: torch.Tensor) -> torch.Tensor:
        other = dict(logps)
        for (v, field), value in zip(moved, values, strict=True):
            other[v] = dataclasses.replace(other[v], **{field: value})
        return our_loss(run, other)

    assert torch.autograd.gradcheck(loss, inputs, fast_mode=True)


@pytest.mark.parametrize("name", RUNS)
def test_a_policy_that_is_its_reference_has_nothing_to_say(name: str) -> None:
    """Every comparison is a tie, whatever the answers; V-DPO's is between what both say and what only one says."""
    run = RUNS[name]
    logps = given(run)
    step = {s.name: torch.zeros(ITEMS, dtype=torch.float64) for s in run.objective.statistics if run.objective.views}
    same = {
        v: dataclasses.replace(t, reference=t.policy.detach(), kl=torch.zeros_like(t.policy), signals=t.signals | step)
        for v, t in logps.items()
    }
    for term in run.objective:
        if term.needs_reference and name != "v_dpo/dpo":
            expected = torch.full((ITEMS,), _tie(term), dtype=torch.float64)
            torch.testing.assert_close(term(same).loss.detach(), expected, rtol=1e-7, atol=0)


def _tie(term: Term) -> float:
    if isinstance(term, Drift):
        return 0.0
    if isinstance(term, Unpaired):
        return 2 * math.log(2) if term.link == "log_sigmoid" else 1.0
    return AT_REFERENCE[term.link if isinstance(term, Pairwise) else "sigmoid"]


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
@pytest.mark.parametrize("sign", [1, -1])
def test_huge_margins_stay_finite_in_half_precision(name: str, dtype: torch.dtype, sign: int) -> None:
    """1e4 nats either way; links with squares leave the range of float16 and are tried in bfloat16 only."""
    if name in SQUARED and dtype is torch.float16:
        dtype = torch.bfloat16
    run = RUNS[name]

    def far(field: str, values: torch.Tensor) -> torch.Tensor:
        return values if field == "answer_mask" else values.detach().to(dtype)

    logps = changed(given(run), far)
    for v, t in logps.items():
        low = (v.text == "chosen") == (sign > 0)
        policy = torch.zeros_like(t.policy)
        policy[:, 0] = -1e4 if low else -1.0
        head = torch.full_like(t.head, policy[0, 0])
        logps[v] = dataclasses.replace(t, policy=policy.requires_grad_(), head=head.requires_grad_(), weights=None)
    loss = run.objective.reduce(logps, counts(run.objective, logps)).loss
    loss.backward()
    slopes = [x.grad for t in logps.values() for x in (t.policy, t.head) if x.grad is not None]
    assert slopes and all(bool(torch.isfinite(x).all()) for x in (loss, *slopes))


@pytest.mark.parametrize("name", RUNS)
def test_items_may_change_places(name: str) -> None:
    run, order = RUNS[name], [2, 0, 3, 1]
    logps = given(run)
    moved = changed(logps, lambda field, values: values[order])
    torch.testing.assert_close(our_loss(run, moved), our_loss(run, logps)[order])


@pytest.mark.parametrize("name", RUNS)
def test_padding_may_hold_anything(name: str) -> None:
    run = RUNS[name]
    logps = given(run)
    junk = {"policy": -99.0, "reference": -7.0, "kl": 5.0, "weights": 0.0, "answer_mask": False}

    def wider(field: str, values: torch.Tensor) -> torch.Tensor:
        if field not in junk:
            return values
        return torch.cat([values, torch.full((ITEMS, 2), junk[field], dtype=values.dtype)], dim=1)

    torch.testing.assert_close(our_loss(run, changed(logps, wider)), our_loss(run, logps))


@pytest.mark.parametrize("name", RUNS)
def test_any_split_of_a_step_gives_the_same_loss_and_gradients(name: str) -> None:
    run = RUNS[name]
    whole, parts = given(run), given(run)
    divisors = counts(run.objective, whole)
    at_once = run.objective.reduce(whole, divisors).loss
    at_once.backward()
    shares = []
    for some in ([3, 1], [0], [2]):
        share = run.objective.reduce(changed(parts, lambda field, values, of=some: values[of]), divisors).loss
        share.backward()
        shares.append(share.detach())
    torch.testing.assert_close(sum(shares), at_once.detach())
    torch.testing.assert_close(gradients(parts), gradients(whole), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", RUNS)
def test_swapped_answers_swap_the_margin(name: str) -> None:
    """Of every comparison of two answers by their margin; the others read each answer for itself."""
    run = RUNS[name]
    for term in run.objective:
        if isinstance(term, Pairwise) and isinstance(term.better, View) and isinstance(term.worse, View):
            plain = dataclasses.replace(term, plus=(), strength=None)
            logps = given(run)
            swapped = {**logps, term.better: logps[term.worse], term.worse: logps[term.better]}
            key = f"margin/{term.label}"
            one, other = (plain(t).metrics[key] + term.target for t in (logps, swapped))
            torch.testing.assert_close(one, -other)


@pytest.mark.parametrize("name", [name for name in RUNS if name not in EITHER_WAY])
def test_the_gradient_raises_what_every_term_wants_and_lowers_what_none_wants(name: str) -> None:
    run = RUNS[name]
    logps = given(run)
    our_loss(run, logps).sum().backward()
    field = "head" if run.objective.needs_head else "policy"
    slopes = {v: getattr(logps[v], field).grad.sum() for v in run.objective.views if v.input != "null"}
    wanted = _wanted(run.objective)
    assert wanted and {v: bool(slopes[v] < 0) for v in wanted} == wanted


def _wanted(objective: Objective) -> dict[View, bool]:
    """What all terms that read a view want of it: more or less."""
    votes: dict[View, set[bool]] = {}
    for term in objective:
        if isinstance(term, Drift):
            continue  # reads how far the whole distribution moved, not which answer is likely
        if isinstance(term, Nll | Anchor | TokenAnchor):
            sides = [term.target]
        else:
            sides = [term.good, term.bad] if isinstance(term, Unpaired) else [term.better, term.worse]  # type: ignore[attr-defined]
        for side, wanted in zip(sides, (True, False), strict=False):
            votes.setdefault(target_of(side), set()).add(wanted)
    return {v: next(iter(wanted)) for v, wanted in votes.items() if len(wanted) == 1}


def test_methods_that_are_plain_dpo_say_so_with_one_and_the_same_objective() -> None:
    plain = Objective((pairwise(View("chosen"), View("rejected"), beta=0.1),))
    worked = [name for name, value in WORKED.items() if value == WORKED["dpo/train"]]
    assert len(worked) >= 18
    assert [name for name in worked if RUNS[name].objective != plain] == []


def test_every_objective_is_held_against_its_authors_code_or_its_papers_formula() -> None:
    """In tests/parity; the rest is likelihood alone."""
    recorded = json.loads((Path(__file__).parents[1] / "parity" / "authors_losses.json").read_text())
    held = [run_of(case["method"], case["stage"]).objective for case in recorded.values()]
    formulas = ("adpo", "adpo:first", "chip:paper", "ddpo", "fdpo", "mm_dpo", "phantom", "temporal_tpo")
    held += [*(run_of(name).objective for name in formulas), run_of("opa_dpo", 1).objective]
    left = [n for n, run in RUNS.items() if run.objective not in held]
    assert [n for n in left if not all(isinstance(t, Nll) for t in RUNS[n].objective)] == []


def test_damas_average_of_gaps_moves_by_a_tenth_after_it_was_used() -> None:
    """sigmoid 0.7 over sigmoid(0); then 0.8 over sigmoid(0.9 * 0 + 0.1 * 1.0); then 0.9 * 0.1 + 0.1 * 2.0 is kept."""
    (factor,) = RUNS["dama/dpo"].objective.statistics
    first, state = factor.settle({"gap": 1.0, "sigmoid": 0.7}, {})
    second, state = factor.settle({"gap": 2.0, "sigmoid": 0.8}, state)
    assert first == pytest.approx(1.4, rel=1e-12)
    assert second == pytest.approx(0.8 * (1 + math.exp(-0.1)), rel=1e-12)
    assert state == {"gap": pytest.approx(0.29, rel=1e-12)}


def test_dama_survives_a_policy_that_has_gone_far_off() -> None:
    """exp(800) is no float64; an average of -800 nats is a policy in ruins, and no reason to stop with a defect."""
    factor, state = BatchFactor().settle({"gap": -900.0, "sigmoid": 1e-3}, {"gap": -800.0})
    assert math.isfinite(factor) and factor > 1
    assert state == {"gap": pytest.approx(-810.0)}
