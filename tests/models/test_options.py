"""Words that are weighed instead of answered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from PIL import Image

from boresight.errors import InputError, ModelError
from boresight.models._chat_wire import payload
from boresight.models.chat import Decoding, Request, Response
from boresight.models.loading import load_policy
from boresight.models.local import LocalModel
from boresight.models.options import weigh
from boresight.models.policy import Policy
from boresight.studies.demo import NANO
from boresight.studies.prompts import request

COLORS = ("red", "blue", "small red circle", "red circle")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(NANO)


def asked(opening: str = "a", options: tuple[str, ...] = COLORS, *, id: str = "q", shade: int = 200) -> Request:
    plain = request(id, "describe the picture", Image.new("RGB", (96, 96), (shade, 30, 30)))
    return Request(id=id, messages=plain.messages, images=plain.images, opening=opening, options=options)


@torch.no_grad()
def by_hand(policy: Policy, asking: Request, given: str, option: str) -> float:
    """From the logits of transformers' own forward pass: the tokens that follow those of `given`, summed."""
    prompt = policy.encoder.prompt(asking.messages, asking.images)
    tokenizer = policy.encoder.tokenizer
    before = tokenizer(given, add_special_tokens=False)["input_ids"] if given else []
    whole = tokenizer(f"{given} {option}".strip(), add_special_tokens=False)["input_ids"]
    ids = torch.cat([prompt.input_ids, torch.tensor(whole)])[None]
    inputs = {**{k: v[None] for k, v in prompt.token_inputs.items()}, **policy.media_inputs([prompt])}
    logits = policy.bare(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs).logits[0]
    table = torch.log_softmax(logits, dim=-1)
    first = prompt.num_tokens + len(before)
    return float(sum(table[place - 1, ids[0, place]] for place in range(first, ids.shape[1])))


@pytest.mark.parametrize("opening", ["a", "", "there is a small"])
def test_an_option_weighs_what_transformers_gives_its_tokens(policy: Policy, opening: str) -> None:
    found = weigh(policy, asked(opening)).option_logps
    assert found == pytest.approx({o: by_hand(policy, asked(opening), opening, o) for o in COLORS}, abs=1e-4)
    assert len({round(value, 3) for value in found.values()}) == len(COLORS)


def test_the_likeliest_option_is_the_text(policy: Policy) -> None:
    found = weigh(policy, asked())
    assert found.option_logps[found.text] == max(found.option_logps.values())
    longest = weigh(policy, asked(options=("small red circle",)))
    assert (longest.text, found.status) == ("small red circle", "complete")
    assert longest.num_tokens == len(policy.encoder.tokenizer(" small red circle", add_special_tokens=False).input_ids)


def test_the_picture_and_nothing_else_that_is_asked_decides(policy: Policy) -> None:
    """Alone, beside others, and between requests for answers: equal to the last bit."""
    alone = weigh(policy, asked(id="x")).option_logps
    crowd = [asked(id="x"), request("words", "describe the picture"), asked(id="y", shade=10)]
    model = LocalModel(policy, "nano")

    def answers(size: int) -> Sequence[Response]:
        return list(model.answer(crowd, Decoding(max_new_tokens=2, batch_size=size)))

    for size in (1, 3):
        found = answers(size)
        assert [answer.id for answer in found] == ["x", "words", "y"]
        assert found[0].option_logps == alone
        assert found[1].option_logps == {} and found[1].num_tokens is not None
        assert found[2].option_logps != alone


def test_weighing_leaves_the_model_in_its_mode(policy: Policy) -> None:
    policy.train()
    try:
        weigh(policy, asked())
        assert policy.training
    finally:
        policy.eval()


def test_an_option_that_does_not_fit_fails_alone(policy: Policy) -> None:
    long = asked(options=("red", "red circle " * 4000))
    with pytest.raises(InputError, match="Shorten it"):
        weigh(policy, long)
    (failed, good) = LocalModel(policy, "nano").answer([long, asked(id="good")], Decoding())
    assert (failed.status, good.status) == ("failed", "complete")


def test_a_served_model_says_that_it_cannot_weigh() -> None:
    with pytest.raises(ModelError, match=r"weighs the words red, blue.* Give a model by its folder or id"):
        payload("model", asked(options=("red", "blue")), Decoding())
