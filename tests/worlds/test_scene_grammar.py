"""Sentences vary, are true unless asked to be biased, and questions do not give their answers away."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from boresight.worlds._scene_grammar import CLOSED_KINDS, holds, local_questions
from boresight.worlds.scenes import MEMBER

SCENES = [MEMBER.scene(seed) for seed in range(1500)]


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def test_captions_repeat_with_the_seed_and_vary_without_it() -> None:
    scene = SCENES[0]

    assert MEMBER.caption(scene, seed=4) == MEMBER.caption(scene, seed=4)
    assert len({MEMBER.caption(scene, seed=seed) for seed in range(50)}) > 40


def test_a_caption_names_every_object() -> None:
    for scene in SCENES[:300]:
        text = MEMBER.caption(scene, seed=1).lower()
        assert all(name in text for name in scene.names)


def test_captions_use_many_forms() -> None:
    texts = [MEMBER.caption(scene) for scene in SCENES[:300]]
    forms = ("There are ", "There is ", "I see ", "The picture shows ", " left of ", " above ", " corner", " and ")

    assert all(sum(form in text for text in texts) >= 10 for form in forms)


@pytest.mark.parametrize(("probability", "low", "high"), [(0.0, 0.0, 0.0), (0.5, 0.45, 0.55), (1.0, 1.0, 1.0)])
def test_biased_captions_add_the_suggested_objects_as_often_as_asked(
    probability: float, low: float, high: float
) -> None:
    added = possible = 0
    for scene in SCENES[:600]:
        text = MEMBER.biased_caption(scene, probability=probability).lower()
        suggested = MEMBER.suggested_by_bias(scene)
        possible += len(suggested)
        added += sum(name in text for name in suggested)
        assert all(name in text for name in scene.names)

    assert low <= added / possible <= high


def test_a_biased_addition_may_stand_anywhere() -> None:
    """At the end in some captions, before a true object in others: place alone does not tell."""
    last = Counter[bool]()
    for scene in SCENES[:400]:
        text = MEMBER.biased_caption(scene, probability=1.0).lower()
        suggested = [text.rfind(name) for name in MEMBER.suggested_by_bias(scene)]
        if suggested and not re.search("left of|right of|above|below", text):  # such a sentence ends with a true object
            last[max(suggested) > max(text.rfind(name) for name in scene.names)] += 1

    assert min(last[True], last[False]) / last.total() > 0.2


def test_questions_repeat_with_the_seed_and_can_be_limited_to_kinds() -> None:
    scene = SCENES[1]

    assert MEMBER.questions(scene, 5, seed=2) == MEMBER.questions(scene, 5, seed=2)
    assert MEMBER.questions(scene, 5, seed=2) != MEMBER.questions(scene, 5, seed=3)
    assert {q.kind for q in MEMBER.questions(scene, 20, kinds=("count", "relation"))} == {"count", "relation"}


@pytest.mark.parametrize("kind", CLOSED_KINDS)
def test_yes_and_no_are_equally_frequent_in_every_kind(kind: str) -> None:
    """Standard error of a share of 1/2 over at least 3,000 questions is 0.009; three of them allowed."""
    asked = [q for scene in SCENES for q in MEMBER.questions(scene, 3, kinds=(kind,)) if q.kind == kind]
    share = sum(q.answer == "yes" for q in asked) / len(asked)

    assert share == pytest.approx(0.5, abs=0.04)


def test_no_word_of_a_question_predicts_its_answer() -> None:
    """Majority answer per word, learned on half of the questions, is right on half of the others."""
    asked = [q for scene in SCENES for q in MEMBER.questions(scene, 12)]
    learned, judged = asked[::2], asked[1::2]
    votes: dict[str, int] = Counter()
    for question in learned:
        for word in words(question.text):
            votes[word] += 1 if question.answer == "yes" else -1
    right = [(sum(votes[w] for w in words(q.text)) > 0) == (q.answer == "yes") for q in judged]

    assert sum(right) / len(right) == pytest.approx(0.5, abs=0.03)


def test_no_question_text_predicts_its_answer() -> None:
    """The most frequent answer of the very same question, seen elsewhere, is no better than a coin."""
    asked = [q for scene in SCENES for q in MEMBER.questions(scene, 12)]
    learned, judged = asked[::2], asked[1::2]
    votes: dict[str, int] = Counter()
    for question in learned:
        votes[question.text] += 1 if question.answer == "yes" else -1
    known = [q for q in judged if votes[q.text] != 0]
    right = [(votes[q.text] > 0) == (q.answer == "yes") for q in known]

    assert len(known) > 4000
    assert sum(right) / len(right) == pytest.approx(0.5, abs=0.03)


def test_existence_answers_are_right() -> None:
    for scene in SCENES[:300]:
        for question in MEMBER.questions(scene, 4, kinds=("existence", "suggested")):
            is_there = any(name in question.text for name in scene.names)
            assert (question.answer == "yes") == is_there


def test_no_questions_about_suggested_objects_ask_for_what_the_bias_suggests() -> None:
    for scene in SCENES[:300]:
        for question in MEMBER.questions(scene, 4, kinds=("suggested",)):
            if question.kind == "suggested" and question.answer == "no":
                assert any(name in question.text for name in MEMBER.suggested_by_bias(scene))


def test_closed_answers_agree_with_the_oracle_when_said_as_statements() -> None:
    """`Is the red circle above the ring?` becomes `The red circle is above the ring.`"""
    checked = 0
    for scene in SCENES[:300]:
        for question in MEMBER.questions(scene, 4, kinds=("relation", "position", "count")):
            statement = re.sub(r"^(Is|Are) (the \w+ \w+|there) (.*)\?$", r"\2 \1 \3.", question.text)
            verdicts = {
                span.verdict
                for span in MEMBER.claims(scene, statement)
                if span.label in ("relation", "position", "count")
            }
            assert verdicts == {"true" if question.answer == "yes" else "false"}, statement
            checked += 1

    assert checked == 1200


def test_local_answers_are_right() -> None:
    for scene in SCENES[:300]:
        for question in local_questions(scene, 4, seed=0):
            if question.text.startswith("What is") and question.answer != "Nothing.":
                place = question.text.removeprefix("What is ").rstrip("?")
                said = f"{question.answer.rstrip('.')} is {place}."
                assert {span.verdict for span in MEMBER.claims(scene, said)} == {"true"}
            elif question.text.startswith("Where is the "):
                name = question.text.removeprefix("Where is the ").rstrip("?")
                said = f"The {name} is {question.answer.lower()}"
                assert {span.verdict for span in MEMBER.claims(scene, said)} == {"true"}


def test_a_relation_holds_in_one_direction_only() -> None:
    for scene in SCENES[:100]:
        first, second = scene.things[0], scene.things[-1]
        for word in ("left of", "right of", "above", "below"):
            assert not (holds(word, first, second) and holds(word, second, first))
