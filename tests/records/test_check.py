"""Every structural rule, broken once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from boresight.errors import RecordError
from boresight.records import (
    PLACEHOLDERS,
    Candidate,
    Derivation,
    Media,
    MediaSwap,
    Message,
    Origin,
    Part,
    Preference,
    Record,
    Span,
    check_record,
)

IMAGE = Media(id="m0", kind="image", uri="a.png")
OTHER = Media(id="m1", kind="image", uri="b.png")


def text(role: str, words: str) -> Message:
    return Message(role=role, parts=(Part(type="text", text=words),))


def answer(id: str, words: str, **fields: Any) -> Candidate:
    return Candidate(id=id, messages=(text("assistant", words),), **fields)


PAIR = Record(
    id="r",
    task="preference",
    messages=(Message(role="user", parts=(Part(type="media", media="m0"), Part(type="text", text="What is it?"))),),
    media=(IMAGE,),
    candidates=(answer("a", "A cat."), answer("b", "A dog.")),
    preferences=(Preference(chosen="a", rejected="b"),),
)


def with_answers(chosen: Candidate, rejected: Candidate, **fields: Any) -> Record:
    return replace(PAIR, candidates=(chosen, rejected), **fields)


def test_a_sound_record_passes() -> None:
    check_record(PAIR)


BROKEN = {
    "empty chosen": (with_answers(answer("a", " \n"), answer("b", "x")), "candidate 'a' is empty"),
    "no turns": (with_answers(Candidate(id="a", messages=()), answer("b", "x")), "candidate 'a' is empty"),
    "equal answers": (with_answers(answer("a", "A cat."), answer("b", "A cat. ")), "are equal .same text, same media"),
    "equal after composition": (with_answers(answer("a", "caf\u00e9"), answer("b", "cafe\u0301")), "are equal"),
    "one candidate preferred to itself": (
        replace(PAIR, preferences=(Preference(chosen="a", rejected="a"),)),
        "are equal",
    ),
    "empty prompt": (replace(PAIR, messages=(text("user", " "),), media=()), "the prompt is empty"),
    "no id": (replace(PAIR, id=" "), "the id is empty"),
    "media id twice": (replace(PAIR, media=(IMAGE, IMAGE)), "medium id 'm0' is used twice"),
    "candidate id twice": (with_answers(answer("a", "x"), answer("a", "y")), "candidate id 'a' is used twice"),
    "dangling place": (
        replace(PAIR, media=()),
        "the prompt refers to medium 'm0', which the record lacks; it has none",
    ),
    "place without medium": (
        replace(PAIR, messages=(Message(role="user", parts=(Part(type="media"),)),)),
        "a place without a medium",
    ),
    "text part with medium": (
        replace(PAIR, messages=(Message(role="user", parts=(Part(type="text", text="x", media="m0"),)),)),
        "of type 'text' that names medium 'm0'",
    ),
    "text part without text": (
        replace(PAIR, messages=(*PAIR.messages, Message(role="user", parts=(Part(type="text"),)))),
        "a part of type 'text' without text",
    ),
    "dangling preference": (
        replace(PAIR, preferences=(Preference(chosen="a", rejected="z"),)),
        "rejects candidate 'z', which the record lacks; it has 'a', 'b'",
    ),
    "dangling swap": (
        with_answers(answer("a", "x", media_map=(MediaSwap(slot="m0", use="m9"),)), answer("b", "y")),
        "uses medium 'm9'",
    ),
    "dangling slot": (
        with_answers(answer("a", "x", media_map=(MediaSwap(slot="m9", use="m0"),)), answer("b", "y")),
        "replaces medium 'm9'",
    ),
    "dangling parent": (
        with_answers(answer("a", "x", origin=Origin(kind="rewrite", parent="z")), answer("b", "y")),
        "was made from candidate 'z'",
    ),
    "dangling derivation": (
        replace(PAIR, media=(replace(IMAGE, derived=Derivation(source="m9", transform="crop")),)),
        "is derived from medium 'm9'",
    ),
    "medium never used": (replace(PAIR, media=(IMAGE, OTHER)), "medium 'm1' .b.png. is never referred to"),
    "medium without bytes": (replace(PAIR, media=(replace(IMAGE, uri=None),)), "neither a uri nor a sha256"),
    "no frames": (replace(PAIR, media=(Media(id="m0", kind="frames"),)), "of kind 'frames' but lists none"),
    "unknown role": (replace(PAIR, messages=(*PAIR.messages, text("human", "x"))), "the role 'human'; expected one of"),
    "answer by the user": (
        with_answers(Candidate(id="a", messages=(text("user", "x"),)), answer("b", "y")),
        "starts with the role 'user'; expected 'assistant'",
    ),
    "NUL": (with_answers(answer("a", "x\0"), answer("b", "y")), r"U\+0000 at character 1"),
    "lone surrogate": (with_answers(answer("a", "\ud800"), answer("b", "y")), r"U\+D800 at character 0"),
    "surrogate in id": (replace(PAIR, id="\udfff"), r"the id holds U\+DFFF"),
    "too few candidates": (replace(PAIR, candidates=PAIR.candidates[:1]), "needs 2 candidates or more, got 1"),
    "no preference": (replace(PAIR, preferences=()), "task 'preference' needs a preference"),
    "no label": (replace(PAIR, task="unpaired", preferences=()), "needs a label, true or false, on every candidate"),
    "no critique": (replace(PAIR, task="critique"), "task 'critique' needs a critique"),
    "no steps": (replace(PAIR, task="stepwise"), "task 'stepwise' needs spans"),
    "rank 0": (with_answers(answer("a", "x", rank=0), answer("b", "y")), "rank 0; ranks start at 1"),
    "span outside": (
        with_answers(answer("a", "x", spans=(Span(start=0, end=2),)), answer("b", "y")),
        r"span \[0, 2\) outside its text of 1 characters",
    ),
    "span in no part": (
        with_answers(answer("a", "x", spans=(Span(start=0, end=1, part=1),)), answer("b", "y")),
        "a span in message 0, part 1, which it lacks",
    ),
    "span about no medium": (
        with_answers(answer("a", "x", spans=(Span(start=0, end=1, media="m9"),)), answer("b", "y")),
        "a span about medium 'm9'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_record_is_refused_in_one_line(case: str) -> None:
    record, message = BROKEN[case]
    with pytest.raises(RecordError, match=message) as caught:
        check_record(record)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("placeholder", [*PLACEHOLDERS, "<|image_1|>", "<image_2>"])
def test_a_placeholder_in_user_text_is_refused(placeholder: str) -> None:
    spoiled = replace(PAIR, messages=(*PAIR.messages, text("user", f"see {placeholder}")))
    with pytest.raises(RecordError, match=r"holds the placeholder .* at character 4; media are typed parts"):
        check_record(spoiled)


def test_a_placeholder_in_an_answer_is_refused() -> None:
    with pytest.raises(RecordError, match="candidate 'b' holds the placeholder '<image>'"):
        check_record(with_answers(answer("a", "x"), answer("b", "<image>")))


@pytest.mark.parametrize(
    "harmless", ["<img src='a.png'>", "an <Image> tag", "image", "</s>", "<|im_start|>", "a < b > c"]
)
def test_text_that_only_looks_like_a_placeholder_passes(harmless: str) -> None:
    check_record(with_answers(answer("a", harmless), answer("b", "y")))


def test_equal_texts_under_different_media_are_a_pair() -> None:
    """The image-side pair: one text, judged with and without the right picture."""
    swapped = answer("b", "A cat.", media_map=(MediaSwap(slot="m0", use="m1"),))
    check_record(with_answers(answer("a", "A cat."), swapped, media=(IMAGE, OTHER)))


def test_a_medium_that_another_is_derived_from_counts_as_used() -> None:
    crop = Media(id="m1", kind="image", uri="b.png", derived=Derivation(source="m2", transform="crop"))
    source = Media(id="m2", kind="image", uri="c.png")
    swapped = answer("b", "A cat.", media_map=(MediaSwap(slot="m0", use="m1"),))
    check_record(with_answers(answer("a", "A cat."), swapped, media=(IMAGE, crop, source)))
