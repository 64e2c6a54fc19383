"""Small models and items that the tests of models, training and parity share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from boresight.media.transforms import Transform
from boresight.models.fake import FakeShape, fake_llava
from boresight.models.loading import Lora, make_policy
from boresight.models.policy import Policy
from boresight.objectives import Objective, pairwise, view
from boresight.records import Media, Message, Part, Provenance, Record
from boresight.training.items import Item, ItemEncoder
from boresight.training.loop import Trainer
from boresight.training.spec import Method, RunSettings, Stage

TINY = FakeShape(hidden=16, layers=2, heads=2, max_tokens=256)
CHOSEN, REJECTED = view("chosen"), view("rejected")
PAIR = (CHOSEN, REJECTED)


def turn(role: str, *parts: str) -> Message:
    """A message; a part that starts with `img:` shows that medium."""
    return Message(
        role=role,
        parts=tuple(
            Part(type="media", media=p.removeprefix("img:")) if p.startswith("img:") else Part(type="text", text=p)
            for p in parts
        ),
    )


def picture(medium: Media) -> Image.Image:
    """Noise that depends on the medium's hash alone."""
    seed = int(hashlib.sha256((medium.sha256 or medium.id).encode()).hexdigest()[:8], 16)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (28, 28, 3), dtype=np.uint8))


def item(
    id: str = "a",
    turns: Sequence[Message] | None = None,
    *,
    row: int | None = None,
    **texts: str,
) -> Item:
    """One item; its media are the ones that its turns show."""
    turns = tuple(turns if turns is not None else [turn("user", f"img:{id}", "describe the picture")])
    texts = texts or {"chosen": f"a red circle {id}", "rejected": f"the large blue square is under a dog {id}"}
    shown = dict.fromkeys(p.media for t in turns for p in t.parts if p.media)
    record = Record(
        id=id,
        task="preference",
        messages=turns,
        media=tuple(Media(id=m, kind="image", sha256=m * 4) for m in shown),
        provenance=None if row is None else Provenance(dataset="rows.jsonl", row=row),
    )
    return Item(id=id, record=record, texts={name: (turn("assistant", text),) for name, text in texts.items()})


def mixed_items(count: int = 6) -> list[Item]:
    """One picture, two pictures in two turns, and none, in rotation; answers of different lengths."""
    found = []
    for i in range(count):
        words = ["red", "circle", "left", "of", "the", "large", "blue", "square", "dog"][: 2 + i % 5]
        texts = {"chosen": " ".join(words), "rejected": " ".join(reversed([*words, "sky", "road"]))}
        turns = {
            0: [turn("user", f"img:m{i}", "describe the picture")],
            1: [
                turn("user", f"img:m{i}", "what is left of the dog"),
                turn("assistant", "a child"),
                turn("user", "and here", f"img:n{i}"),
            ],
            2: [turn("user", "is the sky clear")],
        }[i % 3]
        found.append(item(f"i{i}", turns, **texts))
    return found


def tiny_policy(
    shape: FakeShape = TINY,
    *,
    seed: int = 0,
    lora: Lora | None = None,
    dtype: torch.dtype = torch.float32,
) -> Policy:
    """A LLaVA with random weights; LoRA's own weights are made non-zero, so that the adapter does something."""
    model, processor = fake_llava(shape, seed=seed)
    policy = make_policy(model, processor, lora=lora)
    if lora is not None:
        generator = torch.Generator().manual_seed(seed + 1)
        with torch.no_grad():
            for name, parameter in policy.model.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return policy.to(dtype)


def item_encoder(
    policy: Policy, *, inputs: Mapping[str, Transform] | None = None, seed: int = 0, pictures: Any = picture
) -> ItemEncoder:
    return ItemEncoder(encoder=policy.encoder, pictures=pictures, inputs=inputs or {}, seed=seed)


def dpo(**stage: Any) -> Method:
    """DPO with settings that move a tiny model within a few steps."""
    options: dict[str, Any] = {"learning_rate": 1e-3, "batch_items": 2, "epochs": 2.0, "frozen": (), **stage}
    return Method(objective=Objective((pairwise(CHOSEN, REJECTED, beta=0.5),)), stages=(Stage(**options),))


def make_trainer(
    folder: Path,
    *,
    method: Method | None = None,
    items: Sequence[Item] | None = None,
    policy: Policy | None = None,
    reference_folder: Path | None = None,
    probe: Any = None,
    listener: Any = None,
    **settings: Any,
) -> Trainer:
    folder.mkdir(parents=True, exist_ok=True)
    method = method or dpo()
    policy = policy or tiny_policy()
    options: dict[str, Any] = {"device": "cpu", "checkpoint_every": 1, **settings}
    return Trainer(
        policy,
        method,
        mixed_items() if items is None else items,
        item_encoder(policy, inputs=method.inputs, seed=options.get("seed", 0)),
        RunSettings(**options),
        folder,
        reference_folder=reference_folder,
        probe=probe,
        listener=listener,
    )


def weights(policy: Policy) -> dict[str, torch.Tensor]:
    """A copy of all weights by name."""
    return {name: p.detach().clone() for name, p in policy.model.named_parameters()}


def same(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are equal bit by bit."""
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def differing(
    first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor], tolerance: float
) -> dict[str, float]:
    """Gradients that differ by more than a share of their largest value, by name.

    Values below a thousandth of the largest gradient of all are held against that: some are zero but for rounding,
    such as those of key biases, which softmax cancels.
    """
    floor = 1e-3 * max(float(g.abs().max()) for g in second.values())
    found = {}
    for name, value in first.items():
        scale = max(float(second[name].abs().max()), floor)
        found[name] = float((value - second[name]).abs().max()) / scale
    return {name: difference for name, difference in found.items() if not difference <= tolerance}


def gradients(policy: Policy) -> dict[str, torch.Tensor]:
    return {n: p.grad.detach().clone() for n, p in policy.model.named_parameters() if p.grad is not None}
