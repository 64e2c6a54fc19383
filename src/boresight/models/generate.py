"""Answers from a model, in batches, greedy or sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from boresight.models.chat import Decoding, Request, Response
from boresight.models.encoding import EncodedPrompt
from boresight.models.policy import Policy


def generate(
    policy: Policy,
    requests: Sequence[Request],
    decoding: Decoding,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Response]:
    """Answer requests in order; answers come as soon as their batch is done.

    The draw of a batch depends on the seed and on the ids in it alone, so a run that goes on where another stopped
    gives the same answers when it forms the same batches. The model's own random state is left as it was.

    Raises:
        InputError: If a prompt is longer than the model takes.
    """
    was_training = policy.training
    policy.eval()
    try:
        for start in range(0, len(requests), decoding.batch_size):
            batch = requests[start : start + decoding.batch_size]
            yield from _batch(policy, batch, decoding, start)
            progress(min(start + len(batch), len(requests)), len(requests))
    finally:
        policy.train(was_training)


@torch.no_grad()
def _batch(policy: Policy, batch: Sequence[Request], decoding: Decoding, start: int) -> Iterator[Response]:
    prompts = [policy.encoder.prompt(r.messages, r.images) for r in batch]
    for prompt in prompts:
        policy.encoder.check_length(prompt, {})
    said: dict[int, list[int]] = {}
    with torch.random.fork_rng(devices=[policy.device] if policy.device.type == "cuda" else []):
        torch.manual_seed(decoding.seed * 1_000_003 + start)
        for members in policy.passes(prompts):
            said.update(zip(members, _continued(policy, [prompts[i] for i in members], decoding), strict=True))
    ends = policy.encoder.end_of_turn_ids
    for row, request in enumerate(batch):
        end = next((i for i, token in enumerate(said[row]) if token in ends), None)
        answer = said[row][:end]
        yield Response(
            id=request.id,
            text=policy.encoder.decode(answer),
            num_tokens=len(answer),
            status="truncated" if end is None else "complete",
        )


def _continued(policy: Policy, prompts: Sequence[EncodedPrompt], decoding: Decoding) -> list[list[int]]:
    """What the model says after each prompt, token by token, with padding behind the end of its turn."""
    sampling: dict[str, Any] = {"do_sample": False}
    if decoding.temperature > 0:
        sampling = {"do_sample": True, "temperature": decoding.temperature, "top_k": 0, "top_p": 1.0}
    inputs = _left_padded(policy, prompts)
    output = policy.model.generate(
        **inputs,
        **sampling,
        max_new_tokens=decoding.max_new_tokens,
        eos_token_id=list(policy.encoder.end_of_turn_ids),
        pad_token_id=_pad_id(policy),
        use_cache=True,
    )
    answers: list[list[int]] = output[:, inputs["input_ids"].shape[1] :].tolist()
    return answers


def _left_padded(policy: Policy, prompts: Sequence[EncodedPrompt]) -> dict[str, Tensor]:
    width = max(p.num_tokens for p in prompts)
    ids = torch.full((len(prompts), width), _pad_id(policy), dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - prompt.num_tokens :] = prompt.input_ids
        mask[row, width - prompt.num_tokens :] = 1
    token_inputs = {
        name: torch.stack(
            [torch.cat([p.token_inputs[name].new_zeros(width - p.num_tokens), p.token_inputs[name]]) for p in prompts]
        )
        for name in prompts[0].token_inputs
    }
    tensors = {"input_ids": ids, "attention_mask": mask, **token_inputs}
    return {**{k: v.to(policy.device) for k, v in tensors.items()}, **policy.media_inputs(prompts)}


def _pad_id(policy: Policy) -> int:
    pad = policy.encoder.tokenizer.pad_token_id
    return int(pad if pad is not None else policy.encoder.end_of_turn_ids[0])
