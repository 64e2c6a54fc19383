from __future__ import annotations

import math

import pytest
import torch

from boresight.objectives import Objective, anchor, nll, pairwise, view
from logp_tables import CHOSEN, REJECTED, lengths, random_pairs, table, take

CROPPED = view("chosen", "cropped")


def test_terms_add_up_in_order_and_keep_their_weights() -> None:
    first, second, third = pairwise(CHOSEN, REJECTED), anchor(CHOSEN), nll(CHOSEN)
    objective = 2.0 * first + second + Objective((third,))
    assert [t.label for t in objective] == ["chosen>rejected", "anchor(chosen)", "nll(chosen)"]
    assert [t.weight for t in objective] == [2.0, 1.0, 1.0]
    assert (3.0 * (2.0 * first)).weight == 6.0


def test_terms_are_summed_as_numbers_are() -> None:
    terms = [pairwise(CHOSEN, REJECTED), anchor(CHOSEN), nll(CHOSEN)]
    assert sum(terms) == Objective(tuple(terms))
    with pytest.raises(TypeError, match="unsupported operand"):
        1 + terms[0]


def test_views_are_listed_once_and_the_reference_only_where_it_is_needed() -> None:
    objective = nll(REJECTED) + pairwise(CHOSEN, CROPPED) + anchor(CHOSEN)
    assert objective.views == (REJECTED, CHOSEN, CROPPED)
    assert objective.reference_views == (CHOSEN, CROPPED)


def test_the_loss_is_the_weighted_sum_of_means() -> None:
    """Log-ratios are 0, so each pair loses log 2 and the anchor log 2; the nll is (1 + 2) / 2 tokens."""
    logps = {CHOSEN: table([[-1.0], [-2.0]], [[-1.0], [-2.0]]), REJECTED: table([[-3.0], []], [[-3.0], []])}
    objective = pairwise(CHOSEN, REJECTED) + 0.5 * anchor(CHOSEN) + 2.0 * nll(CHOSEN)
    counts = objective.counts(lengths(logps))
    assert counts == (1.0, 2.0, 2.0)
    reduced = objective.reduce(logps, counts)
    assert reduced.loss.item() == pytest.approx(math.log(2) + 0.5 * math.log(2) + 2.0 * 1.5, rel=1e-12)
    assert reduced.per_term == {
        "chosen>rejected": pytest.approx(math.log(2)),
        "anchor(chosen)": pytest.approx(math.log(2)),
        "nll(chosen)": pytest.approx(1.5),
    }
    assert set(reduced.metrics) == {
        "margin/chosen>rejected",
        "accuracy/chosen>rejected",
        "reward/anchor(chosen)",
        "nll_per_token/chosen",
    }


@pytest.mark.parametrize("parts", [[[0, 1, 2, 3, 4]], [[0], [1], [2], [3], [4]], [[4, 2], [0, 1, 3]]])
def test_any_split_of_a_batch_gives_the_same_loss_and_gradient(parts: list[list[int]]) -> None:
    objective = pairwise(CHOSEN, REJECTED, beta=0.3) + anchor(CHOSEN) + nll(CHOSEN)
    whole, split = random_pairs(), random_pairs()
    counts = objective.counts(lengths(whole))
    objective.reduce(whole, counts).loss.backward()
    total = sum((objective.reduce(take(split, p), counts).loss for p in parts), start=torch.tensor(0.0).double())
    total.backward()
    for v in (CHOSEN, REJECTED):
        torch.testing.assert_close(split[v].policy.grad, whole[v].policy.grad, rtol=1e-12, atol=1e-15)


def test_a_term_that_counts_nothing_adds_zero_and_keeps_the_graph() -> None:
    logps = {CHOSEN: table([[], []], [[], []])}
    objective = Objective((nll(CHOSEN),))
    counts = objective.counts(lengths(logps))
    loss = objective.reduce(logps, counts).loss
    loss.backward()
    assert counts == (0.0,) and loss.item() == 0.0
    assert logps[CHOSEN].policy.grad is not None and not logps[CHOSEN].policy.grad.any()
