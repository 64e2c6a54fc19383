"""The same answer tokens, losses and gradients as TRL 1.16's DPOTrainer, on the same model and rows."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig

from boresight import registry
from boresight.models.fake import fake_llava
from boresight.models.loading import Lora
from boresight.models.policy import Policy
from boresight.objectives import Objective, pairwise
from boresight.records import Message
from boresight.training.forest import answer_lengths, plan
from boresight.training.items import Item
from boresight.training.reference import AdapterOff, FrozenCopy
from engine_examples import (
    CHOSEN,
    REJECTED,
    TINY,
    differing,
    gradients,
    item_encoder,
    mixed_items,
    picture,
    tiny_policy,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # at import these warn about packages that they lack
    import datasets
    from trl import DPOConfig, DPOTrainer

# TRL, accelerate and datasets warn about their own future while they run.
pytestmark = pytest.mark.filterwarnings(
    *(f"ignore:::{module}" for module in ("trl", "accelerate", "datasets", "transformers", "torch", "peft", "dill"))
)

OBJECTIVE = Objective((pairwise(CHOSEN, REJECTED, beta=0.3),))
LORA = Lora(rank=4, alpha=8.0)
ROWS = {"one_picture": (0, 3, 6), "two_turns": (1, 4), "mixed": (0, 1, 2, 3, 4, 5)}


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "checkpointing"])
@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("rows", ROWS.values(), ids=list(ROWS))
def test_losses_and_all_gradients_are_trls(
    rows: tuple[int, ...], lora: Lora | None, recompute: bool, tmp_path: Path
) -> None:
    items = [mixed_items(7)[i] for i in rows]
    policy, other = tiny_policy(lora=lora).train(), tiny_policy(seed=5)
    if recompute:
        policy.bare.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        policy.bare.enable_input_require_grads()
    theirs = Trl(items, policy, other, lora is not None, recompute, tmp_path)
    encoder = item_encoder(policy)
    answers = [encoder.answer(i, text).tolist() for text in ("chosen", "rejected") for i in items]
    assert answers == theirs.answers()

    reference = AdapterOff(policy, shared=True) if lora else FrozenCopy(other, shared=True)
    forest = plan(OBJECTIVE.views, items, encoder)
    logps = forest.gather(OBJECTIVE.views, policy(forest.rows), reference.score(forest).logps)
    (term,) = OBJECTIVE
    torch.testing.assert_close(term(logps).loss.detach(), theirs.pair_losses(), rtol=1e-5, atol=1e-6)
    counts = OBJECTIVE.counts(answer_lengths(OBJECTIVE.views, items, encoder))
    OBJECTIVE.reduce(logps, counts).loss.backward()
    ours, expected = gradients(policy), theirs.gradients()
    assert ours.keys() == expected.keys() and len(ours) > 10
    assert differing(ours, expected, 1e-5) == {}


LINKS = {
    "dpo": ("sigmoid", 0.0), "dpo:hinge": ("hinge", 0.0), "dpo:ipo": ("ipo", 0.0), "dpo:robust": ("robust", 0.1),
    "dpo:exo": ("exo_pair", 1e-3), "dpo:nca": ("nca_pair", 0.0), "dpo:apo_zero": ("apo_zero", 0.0),
    "dpo:apo_down": ("apo_down", 0.0), "dpo:sppo": ("sppo_hard", 0.0),
}  # fmt: skip


def test_every_link_gives_the_losses_of_trls(tmp_path: Path) -> None:
    """TRL's `bco_pair` has no running mean; the link `bco` is that one, the variant is the paper's."""
    items = [mixed_items(7)[i] for i in ROWS["mixed"]]
    policy, other = tiny_policy().train(), tiny_policy(seed=5)
    theirs = Trl(items, policy, other, False, False, tmp_path)
    encoder = item_encoder(policy)
    forest = plan(OBJECTIVE.views, items, encoder)
    reference = FrozenCopy(other, shared=True).score(forest).logps
    logps = forest.gather(OBJECTIVE.views, policy(forest.rows), reference)
    terms = {name: registry.load("boresight.methods", name).objective.terms[0] for name in LINKS}
    terms["bco"] = pairwise(CHOSEN, REJECTED, link="bco")
    for name, (link, smoothing) in {**LINKS, "bco": ("bco_pair", 0.0)}.items():
        theirs.trainer.loss_types, theirs.trainer.label_smoothing = [link], smoothing
        ours = dataclasses.replace(terms[name], beta=0.3)(logps).loss.detach()
        torch.testing.assert_close(ours, theirs.pair_losses(), rtol=1e-4, atol=1e-5, msg=name)


class Trl:
    """TRL's trainer on a model of its own with the same weights."""

    def __init__(
        self, items: list[Item], policy: Policy, other: Policy, lora: bool, recompute: bool, folder: Path
    ) -> None:
        model, processor = fake_llava(TINY)
        self.rows = datasets.Dataset.from_list([trl_row(i) for i in items])
        self.trainer = DPOTrainer(
            model=model,
            ref_model=None if lora else copy.deepcopy(other.bare).eval(),
            args=DPOConfig(
                output_dir=str(folder),
                per_device_train_batch_size=len(items),
                max_length=None,
                beta=0.3,
                report_to=[],
                bf16=False,
                use_cpu=True,
                gradient_checkpointing=recompute,
                gradient_checkpointing_kwargs={"use_reentrant": False},
                save_strategy="no",
                disable_tqdm=True,
                max_steps=1,
            ),
            train_dataset=self.rows,
            processing_class=processor,
            peft_config=lora_config(policy) if lora else None,
        )
        if not lora:
            self.trainer.ref_model.set_attn_implementation("sdpa")
        self.trainer.model.load_state_dict(policy.model.state_dict())
        self.trainer.model.train()

    def batch(self, rows: Any) -> Any:
        return self.trainer.data_collator([dict(self.trainer.train_dataset[i]) for i in rows])

    def answers(self) -> list[list[int]]:
        """Tokens that TRL counts as answers: all chosen ones, then all rejected ones."""
        batch = self.batch(range(len(self.rows)))
        pairs = zip(batch["input_ids"], batch["completion_mask"], strict=True)
        return [ids[mask.bool()].tolist() for ids, mask in pairs]

    def pair_losses(self) -> torch.Tensor:
        losses = [self.trainer.compute_loss(self.trainer.model, self.batch([i])) for i in range(len(self.rows))]
        return torch.stack([loss.detach() for loss in losses])

    def gradients(self) -> dict[str, torch.Tensor]:
        model = self.trainer.model
        model.zero_grad(set_to_none=True)
        self.trainer.compute_loss(model, self.batch(range(len(self.rows)))).backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def lora_config(policy: Policy) -> LoraConfig:
    ours = policy.model.peft_config["default"]
    return LoraConfig(r=ours.r, lora_alpha=ours.lora_alpha, target_modules=ours.target_modules, bias="none")


def trl_row(item: Item) -> dict[str, Any]:
    return {
        "images": [picture(medium) for medium in item.record.media],
        "prompt": [trl_turn(m) for m in item.record.messages],
        **{name: [trl_turn(m) for m in item.texts[name]] for name in ("chosen", "rejected")},
    }


def trl_turn(message: Message) -> dict[str, Any]:
    content = [
        {"type": "image", "text": None} if part.type == "media" else {"type": "text", "text": part.text}
        for part in message.parts
    ]
    return {"role": message.role, "content": content}
