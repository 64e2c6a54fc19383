"""Each method's loss and gradient against what its authors' own code gave on the same random log-probabilities.

`scripts/authors_losses.py` ran that code, at the commits named beside the numbers, and stored the numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from boresight import registry
from boresight.training.token_weights import Answer, ChangedTokens
from shared_tables import edge_tables, gradients, our_loss, run_of, tables, token_pair

HERE = Path(__file__).parent
RECORDED: dict[str, Any] = json.loads((HERE / "authors_losses.json").read_text())


VERDICTS = [(name, index) for name, case in RECORDED.items() for index in range(len(case["verdicts"]))]
DRAWN = {"tables": tables, "edge_tables": edge_tables}


@pytest.mark.parametrize(("name", "index"), VERDICTS)
def test_losses_and_gradients_are_the_authors(name: str, index: int) -> None:
    case = RECORDED[name]
    expected, run, rtol = case["verdicts"][index], run_of(case["method"], case["stage"]), 10.0 ** -case["digits"]
    make = DRAWN[expected["drawn"]]
    shared = make(run, expected["seed"], even=case["even"], items=case["items"], weighted=case["weighted"])
    whole = isinstance(expected["losses"], float)
    loss = our_loss(run, shared, without=case["without"], whole=whole)
    torch.testing.assert_close(loss.tolist(), expected["losses"], rtol=rtol, atol=rtol)
    loss.sum().backward()
    ours = gradients(shared)
    assert ours.keys() == expected["gradients"].keys()
    for values, slopes in expected["gradients"].items():
        torch.testing.assert_close(ours[values], slopes, rtol=rtol, atol=rtol)
    assert any(torch.tensor(slopes).any() for slopes in ours.values())


def test_every_method_with_public_code_is_held_against_it() -> None:
    """BPO, EMMOE and Silkie call the loss of the TRL of their time; supervised tuning is that of transformers."""
    held = {case["method"].partition(":")[0] for case in RECORDED.values()}
    assert held == {
        "bpo", "chip", "cpo", "csr", "dama", "ddpo", "dpo", "emmoe_dpo", "fact_rlhf", "ha_dpo", "image_dpo",
        "kto", "lima", "llava_hound_dpo", "llava_next_interleave_dpo", "mdpo", "mia_dpo", "mm_dpo", "mpo", "mr_dpo",
        "opa_dpo", "orpo", "povid", "re_align", "rlaif_v", "s_vco", "sft", "silkie", "sima", "simpo", "stic", "symdpo",
        "tdpo", "token_tpo", "v_dpo", "vlguard",
    }  # fmt: skip
    assert all(case["commit"] and case["functions"] for case in RECORDED.values())


def test_changed_tokens_are_those_of_the_authors_code() -> None:
    """The variant `ddpo:code` and CHiP take their settings."""
    weigh = registry.load("boresight.methods", "ddpo:code").token_weights
    assert isinstance(weigh, ChangedTokens)
    for case in json.loads((HERE / "authors_diffs.json").read_text())["verdicts"]:
        rejected, chosen = token_pair(case["seed"])
        answers = {
            name: Answer(ids=ids, pieces=[""] * len(ids), messages=())
            for name, ids in (("chosen", chosen), ("rejected", rejected))
        }
        weights = weigh(answers)
        for name in answers:
            assert [i for i, w in enumerate(weights[name]) if w == weigh.weight] == case[name]
            assert set(weights[name]) <= {1.0, weigh.weight}
