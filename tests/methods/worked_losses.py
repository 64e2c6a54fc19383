"""One item, and the loss of every run of every method on it, worked by hand.

Log-ratios of policy and reference by token, and their sums:

    chosen    +0.5 -0.3       = +0.2   log pi = -1 - 2 = -3          chosen@input    -0.5 +0.2      = -0.3
    rejected   0.0 +0.4 -1.4  = -1.0   log pi = -1 - 1 - 2 = -4      rejected@input   0.0 -0.5 -0.1 = -0.6
    truth     +0.5 +0.5       = +1.0   log pi = -0.5 - 0.5 = -1      truth@input     -0.2 -0.1      = -0.3
    drifted   -0.2                     mismatched +0.3               KL: chosen 0.3, rejected 0.8

S-VCO's other pictures: chosen -0.8, rejected -0.4. The margin of the pair is 2, its gap of picture-text similarity 0.5,
and a reward head says 1 and -0.5. Most betas are 0.1, so that DPO's margin is 0.1 * (0.2 + 1.0) = 0.12.
"""

from __future__ import annotations

import math

import torch

from boresight.objectives import TokenLogps, View, view
from boresight.records import Message, Part, Span
from boresight.training.spec import Method
from boresight.training.token_weights import Answer
from logp_tables import table

SHOWN = {
    "chosen": ([-1.0, -2.0], [-1.5, -1.7]),
    "rejected": ([-1.0, -1.0, -2.0], [-1.0, -1.4, -0.6]),
    "truth": ([-0.5, -0.5], [-1.0, -1.0]),
    "drifted": ([-2.5], [-2.3]),
    "mismatched": ([-1.0], [-1.3]),
}
CHANGED = {
    "chosen": ([-2.0, -2.5], [-1.5, -2.7]),
    "rejected": ([-1.0, -2.0, -2.0], [-1.0, -1.5, -1.9]),
    "truth": ([-1.0, -1.0], [-0.8, -0.9]),
}
OTHER_PICTURES = {
    view("chosen", "pictures_of_rejected"): ([-2.0, -2.0], [-1.2, -2.0]),
    view("rejected", "pictures_of_chosen"): ([-1.0, -1.0, -1.0], [-1.0, -1.0, -0.6]),
}
DIVERGENCES = {"chosen": [0.1, 0.2], "rejected": [0.2, 0.3, 0.3]}
RATINGS = {"chosen": 1.0, "rejected": -0.5}
SIGNALS = {"margin": 2.0, "clip_similarity": 0.5}
WORDS = {"chosen": ["look", " cat"], "rejected": ["look", " dog", " here"], "truth": ["a", " cat"]}
MARKS = {"chosen": (4, 3.0), "rejected": (4, 2.0)}
"""How many characters of what follows the thought are marked, and with which weight."""


def one_item(method: Method) -> dict[View, TokenLogps]:
    """The item as a run of a method sees it, with tokens weighed as the method weighs them."""
    objective = method.objective
    weigh = method.token_weights({t: _answer(t) for t in WORDS if t in objective.texts}) if method.token_weights else {}
    signals = {name: torch.tensor([value], dtype=torch.float64) for name, value in SIGNALS.items()}
    found = {}
    for v in dict.fromkeys([*objective.views, *objective.statistic_views]):
        rows = OTHER_PICTURES.get(v) or (SHOWN if v.input == "clean" else CHANGED)[v.text]
        values = table([rows[0]], [rows[1]])
        found[v] = TokenLogps(
            policy=values.policy,
            reference=values.reference,
            answer_mask=values.answer_mask,
            weights=torch.tensor([weigh[v.text]], dtype=torch.float64) if v.text in weigh else None,
            kl=torch.tensor([DIVERGENCES[v.text]]).double() if v.text in DIVERGENCES else None,
            head=torch.tensor([RATINGS[v.text]]).double() if v.text in RATINGS else None,
            signals=signals,
        )
    return found


def _answer(text: str) -> Answer:
    thought, *said = WORDS[text]
    parts = (Part(type="thinking", text=thought), Part(type="text", text="".join(said)))
    spans = ()
    if text in MARKS:
        stop, weight = MARKS[text]
        spans = (Span(part=1, start=0, end=stop, label="marked", weight=weight),)
    ids = [sorted(w for words in WORDS.values() for w in words).index(word) for word in WORDS[text]]
    return Answer(ids=ids, pieces=WORDS[text], messages=(Message(role="assistant", parts=parts),), spans=spans)


def s(x: float) -> float:
    """sigmoid"""
    return 1 / (1 + math.exp(-x))


def loss(margin: float) -> float:
    """-log sigmoid"""
    return math.log1p(math.exp(-margin))


def log_odds(mean: float) -> float:
    return mean - math.log(1 - math.exp(mean))


DPO = loss(0.12)
NLL, NLL_OF_TRUTH = 3 / 2, 1 / 2
_CREDIT = 0.2 + math.log(0.5 + s(0.5))  # what the policy says of token 1 the reference says of token 2
_DISCREDIT = -1 + math.log(0.5 + s(-1.0)) - math.log(0.5 + s(-0.1)) - math.log(0.5 + s(-1.3))
_ANCHORS = loss(0.1) + loss(-0.04)
WORKED = {
    **dict.fromkeys(
        (
            "bpo/dpo", "clip_dpo/dpo", "csr/dpo", "ct_gpt_dpo/dpo", "dpo/train", "emmoe_dpo/dpo", "ha_dpo/dpo",
            "hdpo/dpo", "llava_hound_dpo/dpo", "llava_hound_dpo:ppllava/dpo", "llava_next_interleave_dpo/dpo",
            "mavis_dpo/dpo", "mia_dpo:code/dpo", "povid/injected", "rlaif_v/dpo", "silkie/dpo", "sima/dpo",
            "squba_dpo/dpo",
        ),
        DPO,
    ),
    **dict.fromkeys(
        ("fact_rlhf/sft", "lima/sft", "sft/train", "stic/described_sft", "vlguard/post_hoc", "vlguard:mixed/mixed"), NLL
    ),
    "adpo/encoder": loss(0.08) + 2 * math.exp(-2) + 2.5 * math.exp(-2.5),
    "adpo:first/encoder": loss(0.08) + 4.5,
    # Too few tokens are equal, so all count 4 times: 0.1 * (4 * 1.2 + 4 * 0.5 + 0.1 * (0.3 - 0.8))
    "chip/dpo": loss(0.675),
    # answers 0.5 * 1.2, whose tokens all changed, 3 times; tokens 0.1 * 0.5 * (0.8 - 0.3); the picture 0.5 * 0.5
    "chip:paper/dpo": loss(0.6) + 3 * loss(0.6) + 0.025 + loss(0.25),
    "cpo/train": loss(0.1 * (-3 + 4)) + NLL,
    "dama/dpo": loss(0.1 * s(0.5) / s(0.0482190464911681) * s(1.2) / s(0) * 1.2),
    # " cat", " dog" and " here" count 5 times: (0.5 - 1.5) / 6 and (2 - 7) / 11
    "ddpo/ddpo": loss(0.5 * (-1 / 6 + 5 / 11)),
    "ddpo:code/ddpo": loss(0.1 * 1.1 * 1.2),
    "dpo:apo_down/train": s(0.02) + s(-0.12),
    "dpo:apo_zero/train": s(-0.02) + s(-0.1),
    "dpo:bco/train": 2 * loss(0.06),  # rewards 0.02 and -0.1, so their mean is -0.04
    "dpo:conservative/train": 0.9 * loss(0.12) + 0.1 * loss(-0.12),
    "dpo:exo/train": s(0.12) * math.log(s(0.12) / 0.999) + s(-0.12) * math.log(s(-0.12) / 0.001),
    "dpo:hinge/train": 0.88,
    "dpo:ipo/train": (0.2 / 2 + 1 / 3 - 5) ** 2,
    "dpo:ipo_sum/train": 3.8**2,
    "dpo:nca/train": loss(0.02) + 0.5 * loss(-0.02) + 0.5 * loss(0.1),
    "dpo:robust/train": (0.9 * loss(0.12) - 0.1 * loss(-0.12)) / 0.8,
    "dpo:sppo/train": 4.8**2 + 4.0**2,
    "fact_rlhf/reward_model": loss(1.5) + 0.001 * 0.5,
    "fdpo/fdpo": loss(0.5 * 3 * -0.3) + loss(-0.5 * 2 * 0.4),  # only what is marked counts
    "ha_dpo:minigpt4/dpo": DPO + 0.5 * NLL_OF_TRUTH,
    "image_dpo/dpo": loss(0.5 * (0.2 + 0.3)),
    "interactive_cot/dpo": loss(0.1 * (0.5 - 0.0)),  # only the thought counts
    "kto/train": s(0.03 - 0.02) + s(-0.1 - 0.03),
    "mdpo/train": DPO + loss(0.05) + loss(0.02),
    "mia_dpo/dpo": DPO + 0.1 * NLL,
    "mm_dpo/dpo": loss(0.1 * (1 + 0.5 * (1 - math.exp(-1))) * 1.2) + 0.25 * NLL,
    "mm_dpo:code/dpo": loss(0.1 * 1.2 * 1.2) + 0.25 * NLL,
    "mpo/mpo": 0.8 * DPO + 0.2 * 2 * loss(0.06) + NLL,
    "mr_dpo/dpo": DPO + 0.1 * NLL_OF_TRUTH,
    "opa_dpo/on_policy_sft": 0.5 * NLL_OF_TRUTH + 0.5 * NLL,
    # Weighted: chosen 0.5 - 0.9, rejected 0.8 - 1.4, chosen masked -0.5 + 0.6; truth is not marked.
    "opa_dpo/dpo": loss(0.16) + loss(0.02) + 0.2 * loss(0.13) + 0.2 * loss(-0.05) + _ANCHORS,
    "opa_dpo:corrected/on_policy_sft": 0.5 * NLL_OF_TRUTH + 0.5 * NLL,
    # Only chosen against rejected is weighted: 0.5 -0.9 and 0.0 +0.8 -1.4. Anchors count twice, a mean over two tokens.
    "opa_dpo:corrected/dpo": (loss(0.05) + loss(0.01) + loss(0.14)) / 3
    + (loss(0.05) + loss(-0.17) + loss(0.14)) / 3
    + 0.2 * (loss(0.07) + loss(0.06)) / 2
    + 0.2 * (loss(0.1) + loss(-0.05)) / 2
    + 2 * loss(0.05)
    + loss(0.05)
    + loss(-0.03),
    "orpo/train": NLL + 0.1 * loss(log_odds(-3 / 2) - log_odds(-4 / 3)),
    "phantom/po": NLL + loss(-3 / 2 + 4 / 3),
    "povid/drifted": 0.5 * DPO + 0.5 * loss(0.1 * (0.2 + 0.2)),
    "re_align/dpo": DPO + loss(0.05),
    "s_vco/dpo": loss(0.05) + loss(0.05) + loss(-0.04) + loss(-0.02),
    "simpo/train": loss(2.5 * (-3 / 2 + 4 / 3 - 0.55)),
    "stic/dpo": DPO + 3 / 1024,
    "symdpo/dpo": DPO + NLL,
    "tdpo/train": loss(0.1 * (1.2 + 0.5 * (0.3 - 0.8))),
    "tdpo:first/train": loss(0.1 * (1.2 + 0.3 - 0.8)),
    "temporal_tpo/dpo": DPO + NLL,
    "token_tpo/tpo": loss(0.1 * (_CREDIT - _DISCREDIT)),
    # 1.5 log pi - 0.5 log pi(blind) - log ref: -4.5 + 2.25 + 3.2 and -6 + 2.5 + 3
    "v_dpo/dpo": loss(0.1 * (0.95 + 0.5)),
}  # fmt: skip
