"""The papers' formulas, retyped one pair at a time in plain Python, against the terms on random tables."""

from __future__ import annotations

import math
import random

import pytest

from boresight.objectives import anchor, nll, pairwise
from logp_tables import CHOSEN, REJECTED, pair, table


def _sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _draw(rng: random.Random) -> list[list[float]]:
    """log pi(y_w), log ref(y_w), log pi(y_l), log ref(y_l) by token."""
    won, lost = rng.randint(1, 6), rng.randint(1, 6)
    return [[-4 * rng.random() for _ in range(n)] for n in (won, won, lost, lost)]


def _case(seed: int) -> tuple[float, list[list[float]], dict[object, object]]:
    rng = random.Random(seed)
    rows = _draw(rng)
    won, won_ref, lost, lost_ref = rows
    return rng.uniform(0.05, 1.0), rows, pair([won], [lost], [won_ref], [lost_ref])


SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_dpo_is_equation_7_of_2305_18290(seed: int) -> None:
    beta, (won, won_ref, lost, lost_ref), logps = _case(seed)
    ratio_won = math.exp(sum(won)) / math.exp(sum(won_ref))
    ratio_lost = math.exp(sum(lost)) / math.exp(sum(lost_ref))
    expected = -math.log(_sigma(beta * math.log(ratio_won) - beta * math.log(ratio_lost)))
    assert pairwise(CHOSEN, REJECTED, beta=beta)(logps).loss.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_conservative_dpo_smooths_labels(seed: int) -> None:
    """E. Mitchell, "A note on DPO with noisy preferences", 2023: (1 - e) L(w, l) + e L(l, w)."""
    beta, (won, won_ref, lost, lost_ref), logps = _case(seed)
    h = beta * ((sum(won) - sum(won_ref)) - (sum(lost) - sum(lost_ref)))
    expected = -(1 - 0.15) * math.log(_sigma(h)) - 0.15 * math.log(1 - _sigma(h))
    term = pairwise(CHOSEN, REJECTED, beta=beta, label_smoothing=0.15)
    assert term(logps).loss.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_slic_is_the_hinge_of_2309_06657(seed: int) -> None:
    beta, (won, won_ref, lost, lost_ref), logps = _case(seed)
    gamma = beta * (sum(won) - sum(won_ref)) - beta * (sum(lost) - sum(lost_ref))
    term = pairwise(CHOSEN, REJECTED, beta=beta, link="hinge")
    assert term(logps).loss.item() == pytest.approx(max(0.0, 1 - gamma), rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_ipo_is_equation_17_of_2310_12036(seed: int) -> None:
    tau, (won, won_ref, lost, lost_ref), logps = _case(seed)
    h = math.log(math.exp(sum(won)) * math.exp(sum(lost_ref)) / (math.exp(sum(lost)) * math.exp(sum(won_ref))))
    term = pairwise(CHOSEN, REJECTED, beta=tau, link="ipo")
    assert term(logps).loss.item() == pytest.approx((h - 1 / (2 * tau)) ** 2, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_mdpos_anchor_is_equation_6_of_2406_11839(seed: int) -> None:
    beta, (won, won_ref, _, _), logps = _case(seed)
    expected = -math.log(_sigma(beta * (sum(won) - sum(won_ref)) - 0.2))
    assert anchor(CHOSEN, beta=beta, delta=0.2)(logps).loss.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_supervised_loss_is_minus_the_mean_log_probability(seed: int) -> None:
    _, (won, _, lost, _), _ = _case(seed)
    logps = {CHOSEN: table([won, lost])}
    term = nll(CHOSEN)
    share = float(term(logps).loss.detach().sum() / term.count({CHOSEN: logps[CHOSEN].lengths}).sum())
    assert share == pytest.approx(-(sum(won) + sum(lost)) / (len(won) + len(lost)), rel=1e-9)
