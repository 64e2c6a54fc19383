"""How the authors' functions are called: what stands for their trainer, their model and their batch.

The functions themselves are not here: `authors_losses.py` takes them out of checkouts of their repositories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from types import MethodType, SimpleNamespace
from typing import Any

import torch
from torch.nn import Module
from torch.nn import functional as F

from boresight.objectives import MISMATCHED, TokenLogps, View, view

CHOSEN, REJECTED, TRUTH = view("chosen"), view("rejected"), view("truth")
Tables = Mapping[View, TokenLogps]
_ANSWER = SimpleNamespace(device="cpu", use_distributed=False, reduce=lambda values, reduction: values)


def trainer(f: SimpleNamespace, **fields: Any) -> SimpleNamespace:
    """A stand-in for the authors' trainer: their functions as its methods, and what these read from it."""
    usual = {
        "beta": 0.1, "loss_type": "sigmoid", "label_smoothing": 0.0, "reference_free": False, "accelerator": _ANSWER,
        "is_encoder_decoder": False, "label_pad_token_id": -100, "f_divergence_type": "none",
        "f_divergence_params": None, "policy_dtype": torch.float64,
    }  # fmt: skip
    made = SimpleNamespace(**usual | fields)
    for name, function in vars(f).items():
        has_self = getattr(function, "__code__", None) and function.__code__.co_varnames[:1] == ("self",)
        setattr(made, name, MethodType(function, made) if has_self else function)
    return made


def logits_of(values: torch.Tensor) -> torch.Tensor:
    """A vocabulary of two words, whose first has these log-probabilities; one position more, as models give."""
    safe = values.clamp(max=-1e-9)
    both = torch.stack([safe, torch.log(-torch.expm1(safe))], dim=-1)
    return torch.cat([both, both[:, -1:]], dim=1)


def labels_of(table: TokenLogps) -> torch.Tensor:
    """The first word at every answer token; the first position is predicted by nothing."""
    return torch.where(torch.cat([table.answer_mask[:, :1], table.answer_mask], dim=1), 0, -100)


def total(table: TokenLogps, *, weighted: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed log-probabilities of policy and reference."""
    weights = table.weights if weighted and table.weights is not None else 1.0
    assert table.reference is not None
    return (table.policy * weights).sum(1), (table.reference * weights).sum(1)


def sums(t: Tables, *views: View, weighted: bool = False) -> list[torch.Tensor]:
    """All policies in order, then all references."""
    pairs = [total(t[v], weighted=weighted) for v in views]
    return [p for p, _ in pairs] + [r for _, r in pairs]


def means(table: TokenLogps) -> torch.Tensor:
    return table.policy.sum(1) / table.lengths


def divergence(table: TokenLogps) -> torch.Tensor:
    assert table.kl is not None
    return table.kl.sum(1)


def plain(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    trainer = SimpleNamespace(beta=0.1, loss_type="sigmoid")
    return f.dpo_loss(trainer, *sums(t, CHOSEN, REJECTED))[0]


def three(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    (other,) = [v for v in t if v.input != "clean"]
    return f.dpo_loss(SimpleNamespace(beta=0.1), *sums(t, CHOSEN, REJECTED, other))[0]


def s_vco(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    blind, other = "without_pictures", {"chosen": "pictures_of_rejected", "rejected": "pictures_of_chosen"}
    order = [
        CHOSEN, view("chosen", other["chosen"]), view("rejected", other["rejected"]), REJECTED, view("chosen", blind),
        view("rejected", blind),
    ]  # fmt: skip
    betas = {
        f"beta_{name}_preference": 0.1
        for name in ("img_win_vs_no_img", "no_img_vs_img_lose", "img_lose_vs_no_img", "no_img_vs_img_win")
    }
    return f.dpo_loss(SimpleNamespace(**betas), *sums(t, *order))["losses"]


def tdpo(second: bool) -> Callable[[SimpleNamespace, Tables], torch.Tensor]:
    def loss(f: SimpleNamespace, t: Tables) -> torch.Tensor:
        chosen, rejected, chosen_ref, rejected_ref = sums(t, CHOSEN, REJECTED)
        divergences = divergence(t[CHOSEN]), divergence(t[REJECTED])
        margins = chosen - chosen_ref, rejected - rejected_ref
        return f.tdpo_loss(*margins, *divergences, beta=0.1, alpha=0.5, if_tdpo2=second)[0]

    return loss


def chip(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    trainer = SimpleNamespace(args=SimpleNamespace(use_cross_modal_loss=True, use_tdpo=True, tok_beta=0.1))
    *policies, chosen_ref, rejected_ref, noised_ref = sums(t, CHOSEN, REJECTED, view("chosen", "noised"), weighted=True)
    divergences = divergence(t[CHOSEN]), divergence(t[REJECTED])
    return f.chip_loss(
        trainer, *policies, chosen_ref, rejected_ref, noised_ref, torch.zeros(()), *divergences, beta=0.1
    )[0]


def weighted_dpo(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    def summed(values: torch.Tensor, table: TokenLogps) -> torch.Tensor:
        labels = torch.where(torch.cat([table.answer_mask[:, :1], table.answer_mask], dim=1), 1, -100)
        return f.compute_weighted_logp(values, labels, table.weights, False)

    policies = [summed(t[v].policy, t[v]) for v in (CHOSEN, REJECTED)]
    references = [summed(t[v].reference, t[v]) for v in (CHOSEN, REJECTED)]  # type: ignore[arg-type]
    return f.dpo_loss(*policies, *references, beta=0.1)[0]


def token_tpo(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    made = trainer(f)

    def scored(kind: str, function: Callable[..., Any], text: View) -> torch.Tensor:
        table, noised = t[text], t[view(text.text, "noised")]
        return function(logits_of(getattr(table, kind)), logits_of(getattr(noised, kind)), labels_of(table))[0]

    raised, lowered = made._get_token_batch_logps, made._get_token_batch_logps_reciprocal
    values = [
        scored(kind, function, text)
        for kind in ("policy", "reference")
        for function, text in ((raised, CHOSEN), (lowered, REJECTED))
    ]
    return made.dpo_loss(torch.ones(()), torch.ones(()), *values)[0]


def v_dpo(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    def guided(text: View) -> torch.Tensor:
        table, null = t[text], t[view(text.text, "null")]
        mask = table.answer_mask.to(table.policy.dtype)
        policy = f.calculate_log_probs(table.policy, mask, randimg_log_probs=null.policy.detach(), gamma=1.5)
        return policy - f.calculate_log_probs(table.reference, mask)

    return -F.logsigmoid(0.1 * (guided(CHOSEN) - guided(REJECTED)))


def mm_dpo(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    trainer = SimpleNamespace(
        beta=0.1, loss_type="sigmoid", label_smoothing=1.0, reference_free=False, accelerator=_ANSWER,
        args=SimpleNamespace(ls_factor_weight=0.1),
    )  # fmt: skip
    return f.dpo_loss(trainer, *sums(t, CHOSEN, REJECTED), ls_factor=t[CHOSEN].signals["margin"], implicit_beta=False)[
        0
    ]


def dama(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    gaps = t[CHOSEN].signals["clip_similarity"]
    return f.dpo_loss(
        *sums(t, CHOSEN, REJECTED), gaps, torch.zeros_like(gaps), 0.1, 0, 1, torch.zeros(1, dtype=gaps.dtype), None
    )[0]


class _Says(Module):
    """A model that answers each call with the next of what it was given."""

    def __init__(self, outputs: Iterator[dict[str, torch.Tensor]]) -> None:
        super().__init__()
        self._outputs = outputs

    def forward(self, **_: Any) -> dict[str, torch.Tensor]:
        return next(self._outputs)


def opa_tokens(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """The whole loss of a batch, with scores for the revised and the own answers."""
    true, masked = view("truth"), view("truth", "masked")
    arguments = SimpleNamespace(
        detailed_report=True, response_score=True, response_image_relation=False, CoPO=True, CoPO_method="random",
        temperature=1.0, standard_pair_coef=1.0, AI_pair_coef=1.0, CoPO_coef=0.2, AncPO=True, mDPO_anchor=True,
        Anchor_value=0.0, Anchor_coef=1.0,
    )  # fmt: skip
    shown = {"standard": t[true], "original_generate": t[REJECTED], "AI_pseudo": t[CHOSEN]}
    hidden = {"standard": t[masked], "AI_pseudo": t[view("chosen", "masked")]}
    outputs = iter(
        [
            {f"{name}_response_logprobs": table.policy for name, table in shown.items()},
            {f"mask_{name}_response_logprobs": table.policy for name, table in hidden.items()},
        ]
    )
    policy = _Says(outputs)
    rollouts: dict[str, Any] = dict.fromkeys(("queries", "queries_attn_masks", "images", "masked_images"))
    for name, table in shown.items():
        rollouts |= {
            f"{name}_response": None,
            f"ref_base_{name}_response_logprobs": table.reference,
            f"{name}_response_scores": table.weights,
            f"{name}_response_image_relations": None,
        }
    rollouts |= {f"ref_mask_{name}_response_logprobs": table.reference for name, table in hidden.items()}
    names = {
        "common_utils": SimpleNamespace(
            unpack_dict=lambda values, keys: [values[key] for key in keys],
            prepare_inputs=lambda values, device: values,
            flatten_dict=lambda values, **_: values,
        ),
        "masked_mean": lambda values, mask: (values * mask).sum() / mask.sum(),
    }
    f.compute_policy_loss.__globals__.update(names)
    tokenizer = SimpleNamespace(pad_token_id=0)
    one = trainer(f, args=arguments, policy=policy, tokenizer=tokenizer)
    loss: torch.Tensor = one.compute_policy_loss(rollouts)[0]
    return loss


def simpo(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    trainer = SimpleNamespace(
        beta=2.5, gamma_beta_ratio=0.55, label_smoothing=0.0, loss_type="sigmoid", accelerator=_ANSWER
    )
    return f.simpo_loss(trainer, means(t[CHOSEN]), means(t[REJECTED]))[0]


def cpo(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    trainer = SimpleNamespace(beta=0.1, alpha=0.0, label_smoothing=0.0, loss_type="sigmoid", accelerator=_ANSWER)
    return f.cpo_loss(trainer, t[CHOSEN].policy.sum(1), t[REJECTED].policy.sum(1))[0]


def orpo(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    trainer = SimpleNamespace(beta=0.1, accelerator=_ANSWER)
    return -f.odds_ratio_loss(trainer, means(t[CHOSEN]), means(t[REJECTED]))[0]


def by_token(logps: str = "_get_batch_logps", loss: str = "dpo_loss", **fields: Any) -> Callable[..., torch.Tensor]:
    """Their loss of their own sums over the tokens."""

    def function(f: SimpleNamespace, t: Tables) -> torch.Tensor:
        made = trainer(f, **fields)

        def summed(kind: str, v: View) -> torch.Tensor:
            found = getattr(made, logps)(logits_of(getattr(t[v], kind)), labels_of(t[v]), average_log_prob=False)
            return found[0] if isinstance(found, tuple) else found

        values = [summed(kind, v) for kind in ("policy", "reference") for v in (CHOSEN, REJECTED)]
        return getattr(made, loss)(*values)[0]

    return function


def linked(loss: str = "dpo_loss", **fields: Any) -> Callable[..., torch.Tensor]:
    """Their loss of sums that are given."""
    return lambda f, t: getattr(trainer(f, **fields), loss)(*sums(t, CHOSEN, REJECTED))[0]


def whole(worse: View = REJECTED, **fields: Any) -> Callable[..., torch.Tensor]:
    """The whole loss of a batch as the trainers that grew out of LLaVA-Hound's reckon it, likelihood included."""

    def loss(f: SimpleNamespace, t: Tables) -> torch.Tensor:
        made = trainer(f, dpo_alpha=1.0, **fields)
        labels = {v: labels_of(t[v]) for v in (CHOSEN, worse)}

        def scored(kind: str, v: View) -> torch.Tensor:
            return made.get_batch_logps(logits_of(getattr(t[v], kind)), labels[v])

        made.concatenated_forward = lambda model, batch: (
            *(scored("policy", v) for v in labels),
            *(logits_of(t[v].policy) for v in labels),
            *labels.values(),
        )
        references = [scored("reference", v) for v in labels]
        batch = {"reference_chosen_logps": references[0], "reference_rejected_logps": references[1]}
        return made.get_batch_loss_metrics(None, batch)[0]

    return loss


def with_captions(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """HA-DPO's pairs beside rows of captions."""
    made = trainer(f, gamma=0.5, use_dpo_data_collator=True, store_metrics=lambda *_, **__: None)
    made.accelerator = SimpleNamespace(is_main_process=False)
    made.get_batch_metrics = lambda *_, **__: (made.dpo_loss(*sums(t, CHOSEN, REJECTED))[0].mean(), {})
    captions = F.cross_entropy(logits_of(t[TRUTH].policy)[:, :-1].flatten(0, 1), labels_of(t[TRUTH])[:, 1:].flatten())
    made.model = made.ref_model = SimpleNamespace(
        prepare_minigpt4_dpo_inputs=lambda inputs: inputs, forward=lambda inputs: {"loss": captions}
    )
    return made.compute_loss(None, {"data_type": [["pair", "ccsbualign"]]})


def with_truth(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """video-SALMONN 2's pair of one row with its true caption; their reference is the same model a second time."""
    made = trainer(f, label_smoother=None, args=SimpleNamespace(with_ce_loss=True, ce_loss_weight=0.1))
    kinds = iter(("policy", "reference"))
    chosen, rejected = labels_of(t[CHOSEN]), labels_of(t[REJECTED])

    def model(**inputs: Any) -> Any:
        if inputs.get("dpo_forward") is False:
            logits, labels = logits_of(t[TRUTH].policy)[:, :-1], labels_of(t[TRUTH])[:, 1:]
            return {"loss": F.cross_entropy(logits.flatten(0, 1), labels.flatten())}
        kind = next(kinds)
        return logits_of(getattr(t[CHOSEN], kind)), chosen, logits_of(getattr(t[REJECTED], kind)), rejected, 2

    made.model, made.null_ref_context = model, lambda: torch.no_grad()
    f.compute_loss.__globals__["dist"] = SimpleNamespace(get_rank=lambda: 1)
    return made.compute_loss(model, {"labels": chosen, "reject_labels": rejected})[0]


def mpo(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """InternVL's mixture of the losses of the TRL of its time."""
    chosen, rejected, chosen_ref, rejected_ref = sums(t, CHOSEN, REJECTED)
    likelihood = -t[CHOSEN].policy.sum() / t[CHOSEN].lengths.sum()
    spare = torch.zeros(1)
    made = trainer(
        f, loss_type="sigmoid,bco_pair", aux_loss_enabled=False, running=running(f), ref_model="reference",
        args=SimpleNamespace(sigmoid_loss_weight=0.8, bco_pair_loss_weight=0.2, rpo_alpha=1),
    )  # fmt: skip
    made.concatenated_forward = lambda model, batch: (
        ((chosen_ref, rejected_ref) if model == "reference" else (chosen, rejected)) + (spare, spare, likelihood)
    )
    return made.get_batch_loss_metrics("policy", {})[0]


def running(f: SimpleNamespace) -> Any:
    made = f.RunningMoments()
    made.accelerator = _ANSWER
    return made


def bco(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    return trainer(f, loss_type="bco_pair", running=running(f)).dpo_loss(*sums(t, CHOSEN, REJECTED))[0]


def halos(**loss: float) -> Callable[..., torch.Tensor]:
    """HALOs' trainers read log-probabilities by token, with zeros for padding."""

    def function(f: SimpleNamespace, t: Tables) -> torch.Tensor:
        made = trainer(f, config=SimpleNamespace(humanline=False, loss=SimpleNamespace(**loss)))
        tables = (t[CHOSEN], t[REJECTED])
        return made.loss({}, *(v.policy for v in tables), *(v.reference for v in tables))[0]

    return function


def kto(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    loss = SimpleNamespace(beta=0.1, desirable_weight=1.0, undesirable_weight=1.0)
    made = trainer(f, config=SimpleNamespace(humanline=False, loss=loss))
    tables = [t[v] for v in (CHOSEN, REJECTED, MISMATCHED)]
    both = made.loss({}, *(v.policy for v in tables), *(v.reference for v in tables))[0]
    return both.view(2, -1).sum(dim=0)


def sppo(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """With certain preferences; they take half of the sum that ours is."""
    sure = dict(chosen_probs_win=1.0, chosen_probs_lose=0.0)
    return 2 * trainer(f, loss_type="sppo").sppo_loss(*sums(t, CHOSEN, REJECTED), **sure)[0]


def exo(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """Their target is (1, e / (1 - e)), not normalized; ours differs by the constant log(1 - e), e = 0.001."""
    width = max(t[v].policy.shape[1] for v in (CHOSEN, REJECTED))

    def wide(values: torch.Tensor, fill: float) -> torch.Tensor:
        return F.pad(values, (0, width - values.shape[-1]), value=fill)

    losses = []
    for item in range(len(t[CHOSEN].policy)):
        pair = [(t[v], item) for v in (CHOSEN, REJECTED)]
        logits = {
            kind: logits_of(torch.stack([wide(getattr(v, kind)[i], -1.0) for v, i in pair]))
            for kind in ("reference", "policy")
        }
        mask = torch.stack([wide(v.answer_mask[i].long(), 0) for v, i in pair])
        losses.append(
            f.exact_loss(
                *logits.values(), F.pad(mask, (1, 0)), torch.zeros(2, width + 1, dtype=torch.long),
                torch.zeros(2, 1, dtype=torch.long), torch.tensor([[1.0], [0.0]]).double(), beta_model=0.1,
                loss_type="exo-pref",
            )
        )  # fmt: skip
    return torch.stack(losses) - math.log(1 - 1e-3)


def given_beta(name: str = "dpo_loss", **options: Any) -> Callable[..., torch.Tensor]:
    """A function of its own, not of a trainer."""
    return lambda f, t: getattr(f, name)(*sums(t, CHOSEN, REJECTED), beta=0.1, **options)[0]


def alma(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """Their later penalty on the rejected answer, held at 1, leaves the paper's loss."""
    made = trainer(f, relax_cofficient_1=2.0, relax_cofficient_2=0.0)
    lengths = torch.cat([t[CHOSEN].lengths, t[REJECTED].lengths])
    return made.cpo_loss(t[CHOSEN].policy.sum(1), t[REJECTED].policy.sum(1), lengths)[0]


def orpo_whole(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """With a prompt of one token, whose loss is switched off; word 0 is both the answer and their padding."""
    made = trainer(f, label_smoother=None, pad=7, alpha=0.1, disable_prompt_loss=True)
    answer = torch.ones_like(labels_of(t[CHOSEN]))
    prompt = F.pad(torch.ones(len(answer), 1, dtype=torch.long), (0, answer.shape[1] - 1))

    def model(**inputs: Any) -> SimpleNamespace:
        kind = CHOSEN if inputs["input_ids"][0, 0] == 5 else REJECTED
        logits = logits_of(t[kind].policy).flip(-1)
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), inputs["labels"][:, 1:].flatten())
        return SimpleNamespace(logits=logits, loss=loss)

    def ids(first: int) -> torch.Tensor:
        return torch.cat([answer[:, :1] * first, answer[:, 1:]], dim=1)

    f.compute_loss.__globals__["wandb"] = SimpleNamespace(log=lambda facts: None)
    return made.compute_loss(model, {
        "positive_input_ids": ids(5), "negative_input_ids": ids(6), "attention_mask": prompt,
        "positive_attention_mask": answer, "negative_attention_mask": answer,
    })  # fmt: skip


def drifted(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """POVID's second stage, from what the two models say about the three answers."""
    policy = sums(t, CHOSEN, REJECTED, view("drifted"))
    spare = torch.zeros(1)
    made = trainer(f, ref_model="reference", model="policy")
    made.concatenated_multi_forward = lambda model, batch: (
        lambda chosen, rejected, own: (chosen, rejected, spare, spare, own)
    )(*(policy[3:] if model == "reference" else policy[:3]))
    return made.get_batch_metrics("policy", {})[0]


def supervised(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """Of a causal language model, which shifts the labels itself."""
    (table,) = t.values()
    return f.ForCausalLMLoss(logits_of(table.policy), labels_of(table), vocab_size=2)


def rated(f: SimpleNamespace, t: Tables) -> torch.Tensor:
    """LLaVA-RLHF's reward model on two candidates, of which the second was chosen."""
    heads = torch.stack([t[REJECTED].head, t[CHOSEN].head], dim=1)  # type: ignore[list-item]
    size = len(heads)
    space = f.compute_loss.__globals__
    space["unpack_dict"] = lambda inputs, keys: [inputs[k] for k in keys]
    space["batch_select"] = lambda values, index: values.gather(1, index)
    space["einops"] = SimpleNamespace(
        rearrange=lambda values, pattern, **axes: values.view(-1, axes["c"]) if axes else values.flatten(0, 1)
    )
    index = torch.zeros(size, 1, dtype=torch.long)
    return f.compute_loss(None, lambda **_: SimpleNamespace(rewards=heads.flatten()), {
        "input_ids": torch.zeros(size, 2, 1), "attention_mask": torch.zeros(size, 2, 1), "index_0": index,
        "index_1": index + 1, "choice": index + 1, "images": torch.zeros(size, 1, 1, 1),
    })  # fmt: skip
