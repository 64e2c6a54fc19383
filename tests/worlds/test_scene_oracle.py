"""The oracle reads whatever a model may write, and is right about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.worlds._scene_content import NAMES, SPLITS, Scene, Thing
from boresight.worlds.scenes import MEMBER

ANY_SEED = st.sampled_from([SPLITS["train"], SPLITS["test"]]).flatmap(
    lambda seeds: st.integers(seeds.start, seeds.stop - 1)
)


def thing(name: str, size: str, row: int, column: int) -> Thing:
    color, shape = name.split()
    return Thing(color=color, shape=shape, size=size, row=row, column=column, shift_px=(0, 0), radius_px=7)


SCENE = Scene(
    seed=0,
    things=(
        thing("red star", "small", 0, 2),
        thing("pink ring", "large", 1, 0),
        thing("green square", "large", 1, 2),
        thing("yellow circle", "large", 2, 0),
        thing("red circle", "small", 2, 1),
    ),
    background=(230, 230, 230),
)


def judged(text: str) -> list[tuple[str | None, str | None, str | None]]:
    return [(span.label, span.verdict, span.claim) for span in MEMBER.claims(SCENE, text)]


@given(ANY_SEED, st.integers(0, 1000))
def test_a_true_caption_makes_only_true_claims_and_mentions_every_object(seed: int, caption_seed: int) -> None:
    scene = MEMBER.scene(seed)
    text = MEMBER.caption(scene, seed=caption_seed)

    assert {span.verdict for span in MEMBER.claims(scene, text)} == {"true"}
    assert MEMBER.mentioned(scene, text) == (scene.names, frozenset())


@given(ANY_SEED, st.integers(0, 1000))
def test_every_biased_addition_is_found_and_false(seed: int, caption_seed: int) -> None:
    scene = MEMBER.scene(seed)
    text = MEMBER.biased_caption(scene, seed=caption_seed, probability=1.0)

    assert MEMBER.mentioned(scene, text) == (scene.names, MEMBER.suggested_by_bias(scene))


@given(ANY_SEED, st.integers(0, 1000))
def test_the_caption_of_one_scene_is_judged_by_the_facts_of_another(seed: int, other: int) -> None:
    scene, stranger = MEMBER.scene(seed), MEMBER.scene(other)
    true, false = MEMBER.mentioned(scene, MEMBER.caption(stranger))

    assert true == stranger.names & scene.names
    assert false == stranger.names - scene.names


@given(st.text())
def test_any_text_is_read_without_error_and_spans_lie_within_it(text: str) -> None:
    for span in MEMBER.claims(SCENE, text):
        assert 0 <= span.start < span.end <= len(text)
        assert span.verdict is not None and span.claim


WORLD_WORDS = (
    *("a", "the", "no", "not", "two", "large", "red", "green", "blue", "star", "ring", "circle", "circles", "object"),
    *("at", "in", "top", "left", "center", "of", "above", "are", "is", "there", "and", "or", "it", ",", ".", "?"),
)


@given(st.lists(st.sampled_from(WORLD_WORDS), max_size=14))
def test_any_mixture_of_its_own_words_is_read_without_error(chosen: list[str]) -> None:
    text = " ".join(chosen)
    claims = MEMBER.claims(SCENE, text)
    true, false = MEMBER.mentioned(SCENE, text)

    assert len(set(claims)) == len(claims)
    assert true <= SCENE.names
    assert not false & SCENE.names
    assert false <= set(NAMES)


@given(ANY_SEED, st.integers(0, 1000), st.data())
def test_cutting_a_true_caption_never_makes_an_object_false(seed: int, caption_seed: int, data: st.DataObject) -> None:
    scene = MEMBER.scene(seed)
    text = MEMBER.caption(scene, seed=caption_seed)
    cut = text[: data.draw(st.integers(0, len(text)))]

    assert not MEMBER.mentioned(scene, cut)[1]
    assert "off_topic" not in {span.verdict for span in MEMBER.claims(scene, cut)}


def test_spans_point_at_the_words_of_the_claim() -> None:
    text = "I see a small red star at the top right."
    spans = MEMBER.claims(SCENE, text)

    assert [text[span.start : span.end] for span in spans] == ["a small red star", "a small red star", "top right"]
    assert [span.label for span in spans] == ["object", "attribute", "position"]


@pytest.mark.parametrize("text", ["", " \n ", "...", "?!", "Yes.", "No.", "There is", "12", "I see"])
def test_text_that_says_nothing_makes_no_claim(text: str) -> None:
    assert judged(text) == []


@pytest.mark.parametrize(
    "text", ["RED STAR", "A Red Star.", "red star", "a red   star", "a red\tstar", "there is red star"]
)
def test_case_and_spacing_do_not_matter(text: str) -> None:
    assert judged(text) == [("object", "true", "red star")]


CASES = [
    ("There is a blue ring.", [("object", "false", "blue ring")]),
    ("There is a violet star.", [("object", "false", "purple star")]),
    ("A big red star.", [("object", "true", "red star"), ("attribute", "false", "large red star")]),
    ("A tiny, red star.", [("object", "true", "red star"), ("attribute", "true", "small red star")]),
    ("A ring.", [("object", "true", "ring")]),
    ("A cross.", [("object", "false", "cross")]),
    ("A red object.", [("object", "true", "red object")]),
    ("A black thing.", [("object", "false", "black object")]),
    ("Five objects.", [("count", "true", "5 object")]),
    ("There are 4 shapes.", [("count", "false", "4 object")]),
    ("Two circles.", [("object", "true", "circle"), ("count", "true", "2 circle")]),
    ("Three circles.", [("object", "true", "circle"), ("count", "false", "3 circle")]),
    ("Two red circles.", [("object", "true", "red circle"), ("count", "false", "2 red circle")]),
    ("Two red objects.", [("object", "true", "red object"), ("count", "true", "2 red object")]),
    ("Two large objects.", [("count", "false", "2 large object")]),
    ("Three large objects.", [("count", "true", "3 large object")]),
    ("Red and yellow circles.", [("object", "true", "red circle"), ("object", "true", "yellow circle")]),
    ("A red and a blue circle.", [("object", "true", "red circle"), ("object", "false", "blue circle")]),
    ("There is no red star.", [("object", "false", "no red star")]),
    ("There is no blue ring.", [("object", "true", "no blue ring")]),
    ("No large red star is there.", [("object", "true", "no large red star")]),
    ("There isn't a red star.", [("object", "false", "no red star")]),
    ("I don\u2019t see any blue ring.", [("object", "true", "no blue ring")]),
    ("No blue ring or black cross.", [("object", "true", "no blue ring"), ("object", "true", "no black cross")]),
    ("No, there is a red star.", [("object", "true", "red star")]),
    ("No blue ring, but a red star.", [("object", "true", "no blue ring"), ("object", "true", "red star")]),
    ("Is there a blue ring?", []),
    ("The circle is red.", [("object", "true", "circle"), ("attribute", "true", "circle is red")]),
    ("The ring is red.", [("object", "true", "ring"), ("attribute", "false", "ring is red")]),
    ("The ring is not red.", [("object", "true", "ring"), ("attribute", "true", "ring is not red")]),
    ("The pink ring is small.", [("object", "true", "pink ring"), ("attribute", "false", "pink ring is small")]),
    ("A black dog.", [("object", "off_topic", "dog")]),
    ("There is an elephant.", [("object", "off_topic", "elephant")]),
    ("The weather was wonderful yesterday.", [(None, "off_topic", "the weather was wonderful yesterday")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_wordings_are_judged(text: str, expected: list[tuple[str | None, str, str]]) -> None:
    assert judged(text) == expected


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("The red star is at the top right.", "true"),
        ("The red star is at the top.", "true"),
        ("The red star is on the right side.", "true"),
        ("The red star is at the top left.", "false"),
        ("The red star is in the center.", "false"),
        ("The red star is not in the center.", "true"),
        ("The red star is not at the top.", "false"),
        ("In the upper right corner there is a red star.", "true"),
        ("Top-right: a red star", "true"),
        ("The object at the top right is a red star.", "true"),
        ("The object at the top left is a red star.", "false"),
        ("A red star on the left of the picture.", "false"),
        ("A blue ring at the top right.", "false"),
        ("I see a red star. It is at the top right.", "true"),
        ("I see a red star. It is at the bottom.", "false"),
    ],
)
def test_places_are_judged(text: str, verdict: str) -> None:
    assert [v for label, v, _ in judged(text) if label == "position"] == [verdict]


def test_a_sentence_that_opens_with_a_place_gives_each_place_to_the_object_after_it() -> None:
    text = "At the top right is a red star and at the middle left a pink ring."

    assert {verdict for _, verdict, _ in judged(text)} == {"true"}


def test_in_a_list_each_place_belongs_to_the_object_before_it() -> None:
    text = "The picture shows a red star at the top right, a pink ring and a yellow circle at the bottom left."
    positions = [claim for label, _, claim in judged(text) if label == "position"]

    assert positions == ["red star at top right", "yellow circle at bottom left"]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("The red star is above the green square.", "true"),
        ("The red star is below the green square.", "false"),
        ("The red star is left of the green square.", "false"),
        ("The green square is to the right of the pink ring.", "true"),
        ("The red star is not left of the pink ring.", "true"),
        ("The red star isn't above the green square.", "false"),
        ("The blue star is above the green square.", "false"),
        ("The blue star is not above the green square.", "false"),
        ("Above the green square is a red star.", "true"),
        ("Above the red star is a green square.", "false"),
        ("The large circle is below the pink ring.", "true"),
    ],
)
def test_relations_are_judged(text: str, verdict: str) -> None:
    assert [v for label, v, _ in judged(text) if label == "relation"] == [verdict]


def test_a_second_relation_keeps_the_subject_of_the_first() -> None:
    text = "The red star is above the green square and right of the pink ring."
    relations = [(verdict, claim) for label, verdict, claim in judged(text) if label == "relation"]

    assert relations == [
        ("true", "red star above green square"),
        ("true", "red star right of pink ring"),
    ]


def test_an_object_counts_once_however_often_it_is_named() -> None:
    text = "A red star. The red star is small. A blue ring and a blue ring. No green cross. A ring."

    assert MEMBER.mentioned(SCENE, text) == (frozenset({"red star"}), frozenset({"blue ring"}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", "yes"),
        ("no", "no"),
        ("NO!", "no"),
        ("  **Yes**, there is.", "yes"),
        ("Yes, not far from the ring.", "yes"),
        ("The answer is yes.", "yes"),
        ("There is no red circle.", "no"),
        ("It isn't.", "no"),
        ("It is not there.", "no"),
        ("", None),
        ("A red circle.", None),
        ("Yes or no?", None),
        ("yes/no", None),
        ("Maybe yes, maybe no.", None),
        ("noble yesterday", None),
    ],
)
def test_yes_and_no_are_read_and_nothing_is_guessed(text: str, expected: str | None) -> None:
    assert MEMBER.answer(text) == expected
