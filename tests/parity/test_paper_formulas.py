"""The papers' formulas, retyped one pair at a time in plain Python, against the terms on random tables."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterable

import pytest
import torch

from boresight import registry
from boresight.objectives import (
    MISMATCHED,
    MismatchedKl,
    RunningMean,
    Saturating,
    TokenLogps,
    View,
    anchor,
    nll,
    pairwise,
    unpaired,
    view,
)
from boresight.training.spec import Method
from boresight.training.token_weights import Answer
from logp_tables import CHOSEN, REJECTED, pair, table
from shared_tables import our_loss, run_of, tables


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


def _ratios(rows: list[list[float]]) -> tuple[float, float]:
    won, won_ref, lost, lost_ref = rows
    return sum(won) - sum(won_ref), sum(lost) - sum(lost_ref)


def _link(seed: int, link: str, smoothing: float = 0.0) -> tuple[float, float, float, float]:
    """The loss of a link, with beta and the log-ratios of the two answers."""
    beta, rows, logps = _case(seed)
    term = pairwise(CHOSEN, REJECTED, beta=beta, link=link, label_smoothing=smoothing)
    return (term(logps).loss.item(), beta, *_ratios(rows))


@pytest.mark.parametrize("seed", SEEDS)
def test_robust_dpo_is_unbiased_under_flipped_labels(seed: int) -> None:
    """arXiv:2403.00409: ((1 - e) L(w, l) - e L(l, w)) / (1 - 2 e); mixing both labels by e gives L(w, l) back."""
    loss, beta, won, lost = _link(seed, "robust", 0.2)
    straight, flipped = -math.log(_sigma(beta * (won - lost))), -math.log(_sigma(beta * (lost - won)))
    assert loss == pytest.approx((0.8 * straight - 0.2 * flipped) / 0.6, rel=1e-9)
    flipped_loss = (0.8 * flipped - 0.2 * straight) / 0.6
    assert 0.8 * loss + 0.2 * flipped_loss == pytest.approx(straight, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_exo_is_the_divergence_of_equation_16_of_2402_00856(seed: int) -> None:
    loss, beta, won, lost = _link(seed, "exo", 0.05)
    win = _sigma(beta * (won - lost))
    expected = win * math.log(win / 0.95) + (1 - win) * math.log((1 - win) / 0.05)
    assert loss == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_nca_is_the_pair_loss_of_2402_05369(seed: int) -> None:
    loss, beta, won, lost = _link(seed, "nca")
    expected = -math.log(_sigma(beta * won)) - 0.5 * math.log(_sigma(-beta * won) * _sigma(-beta * lost))
    assert loss == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_sppo_is_equation_4_7_of_2405_00675_with_a_certain_winner(seed: int) -> None:
    """(log ratio - (P - 1/2) / beta)^2 with P = 1 for the winner and 0 for the loser."""
    loss, beta, won, lost = _link(seed, "sppo")
    assert loss == pytest.approx((won - 0.5 / beta) ** 2 + (lost + 0.5 / beta) ** 2, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_apo_is_equations_7_and_8_of_2408_06266(seed: int) -> None:
    loss, beta, won, lost = _link(seed, "apo_zero")
    assert loss == pytest.approx(1 - _sigma(beta * won) + _sigma(beta * lost), rel=1e-9)
    loss, beta, won, lost = _link(seed, "apo_down")
    assert loss == pytest.approx(_sigma(beta * won) + 1 - _sigma(beta * (won - lost)), rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_bco_shifts_both_sides_by_the_mean_reward_of_2404_04656(seed: int) -> None:
    """The first step's mean is that of the two rewards at hand; without a shift it is the `bco` link."""
    beta, rows, logps = _case(seed)
    won, lost = (beta * ratio for ratio in _ratios(rows))
    shift = (won + lost) / 2
    expected = -math.log(_sigma(won - shift)) - math.log(_sigma(-(lost - shift)))
    term = unpaired(CHOSEN, REJECTED, beta=beta, baseline=RunningMean(of=(CHOSEN, REJECTED)))
    assert term(logps).loss.item() == pytest.approx(expected, rel=1e-9)
    unshifted = -math.log(_sigma(won)) - math.log(_sigma(-lost))
    assert _link(seed, "bco")[0] == pytest.approx(unshifted, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_kto_is_equation_7_of_2402_01306(seed: int) -> None:
    """lambda_D (1 - sigma(beta (r - z))) for a good answer, lambda_U (1 - sigma(beta (z - r))) for a bad one.

    z is the mean log-ratio of mismatched answers, at least 0; items are one good and one bad answer.
    """
    beta, (won, won_ref, lost, lost_ref), _ = _case(seed)
    other, other_ref = _draw(random.Random(seed + 100))[:2]
    z = max(0.0, (sum(other) - sum(other_ref) + sum(won) - sum(won_ref)) / 2)
    logps = {
        CHOSEN: table([won, []], [won_ref, []]),
        REJECTED: table([[], lost], [[], lost_ref]),
        MISMATCHED: table([other, won], [other_ref, won_ref]),
    }
    term = unpaired(
        CHOSEN, REJECTED, beta=beta, link="sigmoid", baseline=MismatchedKl(), good_weight=1.3, bad_weight=0.7
    )
    good = 1.3 * (1 - _sigma(beta * (sum(won) - sum(won_ref) - z)))
    bad = 0.7 * (1 - _sigma(beta * (z - (sum(lost) - sum(lost_ref)))))
    assert term(logps).loss.tolist() == pytest.approx([good, bad], rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_mpo_mixes_preference_quality_and_generation_as_2411_10442(seed: int) -> None:
    """0.8 DPO + 0.2 BCO with the running mean + 1.0 likelihood, which is a mean over tokens."""
    _, rows, logps = _case(seed)
    won, lost = (0.1 * ratio for ratio in _ratios(rows))
    shift = (won + lost) / 2
    preference = -math.log(_sigma(won - lost))
    quality = -math.log(_sigma(won - shift)) - math.log(_sigma(-(lost - shift)))
    expected = 0.8 * preference + 0.2 * quality - sum(rows[0]) / len(rows[0])
    objective = registry.load("boresight.methods", "mpo").objective
    counts = objective.counts({v: t.lengths for v, t in logps.items()})
    assert objective.reduce(logps, counts).loss.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_mm_dpos_beta_saturates_as_2502_10391_says(seed: int) -> None:
    """beta (1 + w (1 - exp(-k margin)))."""
    beta, rows, logps = _case(seed)
    margin = random.Random(seed).uniform(0, 5)
    signals = {"margin": torch.tensor([margin], dtype=torch.float64)}
    logps = {v: dataclasses.replace(t, signals=signals) for v, t in logps.items()}
    own = beta * (1 + 0.5 * (1 - math.exp(-0.5 * margin)))
    won, lost = _ratios(rows)
    term = pairwise(CHOSEN, REJECTED, beta=beta, strength=Saturating(weight=0.5, rate=0.5))
    assert term(logps).loss.item() == pytest.approx(-math.log(_sigma(own * (won - lost))), rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_ddpo_is_the_weighted_mean_of_equation_5_of_2312_00849(seed: int) -> None:
    """log pi(y) = (sum of kept + gamma * sum of corrected) / (kept + gamma * corrected), gamma 5 and beta 0.5."""
    _, rows, logps = _case(seed)
    rng = random.Random(seed)
    marks = [[rng.random() < 0.5 for _ in row] for row in (rows[0], rows[2])]

    def score(row: list[float], corrected: list[bool]) -> float:
        kept = sum(p for p, c in zip(row, corrected, strict=True) if not c)
        changed = sum(p for p, c in zip(row, corrected, strict=True) if c)
        return (kept + 5 * changed) / (corrected.count(False) + 5 * corrected.count(True))

    won = score(rows[0], marks[0]) - score(rows[1], marks[0])
    lost = score(rows[2], marks[1]) - score(rows[3], marks[1])
    weighted = {
        v: dataclasses.replace(logps[v], weights=table([[5.0 if c else 1.0 for c in m]]).policy.detach())
        for v, m in zip((CHOSEN, REJECTED), marks, strict=True)
    }
    (term,) = registry.load("boresight.methods", "ddpo").objective
    assert term(weighted).loss.item() == pytest.approx(-math.log(_sigma(0.5 * (won - lost))), rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_dynamic_fine_tuning_weights_each_token_by_its_own_probability(seed: int) -> None:
    """-sum_t sg(pi_t) log pi_t: the gradient with respect to log pi_t is -pi_t, not -pi_t (1 + log pi_t)."""
    _, (won, *_), _ = _case(seed)
    values = table([won])
    term = nll(CHOSEN, sure=True, average="sequence")
    loss = term({CHOSEN: values}).loss
    assert loss.item() == pytest.approx(-sum(math.exp(p) * p for p in won), rel=1e-9)
    loss.sum().backward()
    assert values.policy.grad is not None
    assert values.policy.grad[0].tolist() == pytest.approx([-math.exp(p) for p in won], rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_reward_model_of_2309_14525_is_cross_entropy_with_a_centered_mean(seed: int) -> None:
    """BCE(r1 - r0) + 0.001 |mean(r1 + r0)| over the batch."""
    rng = random.Random(seed)
    better, worse = [rng.gauss(0, 1) for _ in range(4)], [rng.gauss(0, 1) for _ in range(4)]
    expected = sum(-math.log(_sigma(b - w)) for b, w in zip(better, worse, strict=True)) / 4
    expected += 1e-3 * abs(sum(better) + sum(worse)) / 4
    logps = {
        v: dataclasses.replace(table([[-1.0]] * 4), head=torch.tensor(r, dtype=torch.float64))
        for v, r in ((CHOSEN, better), (REJECTED, worse))
    }
    objective = registry.load("boresight.methods", "fact_rlhf").objective
    assert objective.reduce(logps, (4.0,)).loss.item() == pytest.approx(expected, rel=1e-9)


def _tables(name: str, seed: int) -> tuple[Method, dict[View, TokenLogps]]:
    run = run_of(name, len({s.name for s in registry.load("boresight.methods", name).stages}) - 1)
    return run, tables(run, seed)


def _loss(run: Method, logps: dict[View, TokenLogps]) -> float:
    return float(our_loss(run, logps, whole=True).detach())


def _rows(values: TokenLogps, field: str) -> list[list[float]]:
    """The numbers of each item's own tokens."""
    return [row[mask].tolist() for row, mask in zip(getattr(values, field), values.answer_mask, strict=True)]


def _weighted(values: TokenLogps) -> list[float]:
    """sum_t w_t (log pi_t - log ref_t) of each item."""
    columns = (_rows(values, field) for field in ("policy", "reference", "weights"))
    return [sum(w * (p - r) for p, r, w in zip(ps, rs, ws, strict=True)) for ps, rs, ws in zip(*columns, strict=True)]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _likelihood(values: TokenLogps) -> float:
    return _mean(-p for row in _rows(values, "policy") for p in row)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["adpo", "adpo:first"])
def test_adpo_is_the_preference_under_attack_and_the_likelihood_under_it_of_2504_01735(name: str, seed: int) -> None:
    """-log sigma(beta (r(w, clean) - r(l, attacked))) - sum_t sg[pi_t] log pi_t of w attacked; first: without sg."""
    run, logps = _tables(name, seed)
    logps = {v: dataclasses.replace(t, weights=torch.ones_like(t.policy)) for v, t in logps.items()}
    pairs = zip(_weighted(logps[CHOSEN]), _weighted(logps[view("rejected", "adversarial")]), strict=True)
    preferred = _mean(-math.log(_sigma(0.1 * (w - x))) for w, x in pairs)
    attacked = _rows(logps[view("chosen", "adversarial")], "policy")
    likelihood = _mean(sum(-x * (math.exp(x) if name == "adpo" else 1.0) for x in row) for row in attacked)
    expected = preferred + likelihood
    assert _loss(run, logps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_variant_of_chip_that_is_put_together_is_a_sum_of_losses(seed: int) -> None:
    """Answers + 3 segments + 0.1 tokens + pictures, beta 0.5; only the segments' tokens are weighted."""
    run, logps = _tables("chip:paper", seed)

    def preferred(better: list[float], worse: list[float]) -> float:
        return _mean(-math.log(_sigma(0.5 * (b - w))) for b, w in zip(better, worse, strict=True))

    plain = {v: dataclasses.replace(t, weights=torch.ones_like(t.policy)) for v, t in logps.items()}
    won, lost, noised = (_weighted(plain[v]) for v in (CHOSEN, REJECTED, view("chosen", "noised")))
    segments = preferred(_weighted(logps[CHOSEN]), _weighted(logps[REJECTED]))
    divergences = zip(_rows(logps[CHOSEN], "kl"), _rows(logps[REJECTED], "kl"), strict=True)
    tokens = _mean(0.5 * (sum(x) - sum(w)) for w, x in divergences)
    expected = preferred(won, lost) + 3 * segments + 0.1 * tokens + preferred(won, noised)
    assert _loss(run, logps) == pytest.approx(expected, rel=1e-9)


def test_the_segments_of_chip_count_changed_tokens_alone() -> None:
    """The code's weight of a changed token, 4, is the paper's 1 for the answer and 3 for its segments."""
    weigh = {name: registry.load("boresight.methods", name).token_weights for name in ("chip", "chip:paper")}
    long = {"chosen": [1, 2, 3, 4, 5, 6, 7, 8], "rejected": [1, 2, 3, 9, 5, 6, 7, 8]}
    answers = {t: Answer(ids=ids, pieces=[str(i) for i in ids], messages=()) for t, ids in long.items()}
    changed = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert weigh["chip:paper"](answers) == {"chosen": changed, "rejected": changed}
    assert weigh["chip"](answers)["chosen"] == [1 + 3 * c for c in changed]


@pytest.mark.parametrize("seed", SEEDS)
def test_fdpo_judges_each_segment_for_itself_as_2308_06394(seed: int) -> None:
    """-log sigma(beta r) of an accurate and -log sigma(-beta r) of an inaccurate segment, beta 0.5."""
    run, logps = _tables("fdpo", seed)
    pairs = zip(_weighted(logps[CHOSEN]), _weighted(logps[REJECTED]), strict=True)
    expected = _mean(-math.log(_sigma(0.5 * good)) - math.log(_sigma(-0.5 * bad)) for good, bad in pairs)
    assert _loss(run, logps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_phantom_is_a_contrast_of_means_beside_the_likelihood_of_2409_14713(seed: int) -> None:
    """-log sigma(log pi(w) / |w| - log pi(l) / |l|) + the mean over tokens of -log pi(w)."""
    run, logps = _tables("phantom", seed)
    logps = {v: dataclasses.replace(t, weights=None) for v, t in logps.items()}
    pairs = zip(_rows(logps[CHOSEN], "policy"), _rows(logps[REJECTED], "policy"), strict=True)
    contrast = _mean(-math.log(_sigma(_mean(w) - _mean(x))) for w, x in pairs)
    assert _loss(run, logps) == pytest.approx(contrast + _likelihood(logps[CHOSEN]), rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_opa_dpo_as_2501_09695_writes_it_compares_whole_answers(seed: int) -> None:
    """P(gt > own) + P(revised > own) + 0.2 (P(gt > gt masked) + P(revised > revised masked)) + anchors at 0."""
    run, logps = _tables("opa_dpo", seed)
    names = (view("truth"), CHOSEN, REJECTED, view("truth", "masked"), view("chosen", "masked"))
    losses = []
    for truth, revised, own, truth_masked, revised_masked in zip(*(_weighted(logps[v]) for v in names), strict=True):
        text = [(truth - own, 1.0), (revised - own, 1.0), (truth, 1.0), (revised, 1.0)]
        sight = [(truth - truth_masked, 0.2), (revised - revised_masked, 0.2)]
        losses.append(sum(-w * math.log(_sigma(0.1 * m)) for m, w in text + sight))
    assert _loss(run, logps) == pytest.approx(_mean(losses), rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_symdpo_and_temporal_tpo_add_the_whole_likelihood(seed: int) -> None:
    for name in ("symdpo", "temporal_tpo"):
        run, logps = _tables(name, seed)
        logps = {v: dataclasses.replace(t, weights=torch.ones_like(t.policy)) for v, t in logps.items()}
        pairs = zip(_weighted(logps[CHOSEN]), _weighted(logps[REJECTED]), strict=True)
        expected = _mean(-math.log(_sigma(0.1 * (w - x))) for w, x in pairs) + _likelihood(logps[CHOSEN])
        assert _loss(run, logps) == pytest.approx(expected, rel=1e-9)
