"""Sentences about scenes: descriptions, closed questions balanced in yes and no, short local questions.

No question gives its answer away: each kind first tosses for the answer, then fills the template so that every word
is as likely under yes as under no.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from boresight.worlds._scene_content import (
    COLORS,
    COLUMNS,
    COUNTS,
    NAMES,
    ROWS,
    SHAPES,
    SIZES,
    Scene,
    Thing,
    cell_name,
    may_be_suggested,
    partner,
    suggested_by_bias,
)
from boresight.worlds._world import Question

PROMPTS = (
    "Describe the picture.",
    "Describe the image.",
    "Please describe this image in detail.",
    "What is in the picture?",
    "What do you see?",
    "Which objects are in the image?",
)
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RELATIONS = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}
"""Sign of (row, column) of the first object minus the second; 0 means that the axis does not matter."""

CELLS = tuple((row, column) for row in range(len(ROWS)) for column in range(len(COLUMNS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mention:
    """An object as a caption speaks of it, whether it is there or not."""

    name: str
    size: str
    row: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Habits:
    """How much one caption says about each object."""

    size_rate: float
    position_rate: float


def caption(scene: Scene, seed: int) -> str:
    """A true description that names every object."""
    rng = random.Random(f"caption/{scene.seed}/{seed}")
    return _write([_mention(thing) for thing in _ordered(scene, rng)], scene, rng)


def biased_caption(scene: Scene, seed: int, probability: float) -> str:
    """A description that names every object and, with this probability each, the partners that are absent.

    Most partners follow the object that suggests them, the others stand at the end: length and place alone do not
    tell a biased caption from a true one.
    """
    rng = random.Random(f"biased/{scene.seed}/{seed}")
    absent = suggested_by_bias(scene)
    empty = [cell for cell in CELLS if scene.at(*cell) is None]
    mentions: list[_Mention] = []
    late: list[_Mention] = []
    for thing in _ordered(scene, rng):
        mentions.append(_mention(thing))
        suggested = partner(thing.name)
        if suggested in absent and rng.random() < probability:
            row, column = rng.choice(empty)
            added = _Mention(name=str(suggested), size=rng.choice(SIZES), row=row, column=column)
            (mentions if rng.random() < 0.75 else late).append(added)
    return _write(mentions + late, scene, rng)


def closed_questions(scene: Scene, count: int, seed: int, kinds: Sequence[str] | None = None) -> tuple[Question, ...]:
    """Yes/no questions, of all kinds in equal shares unless some are named."""
    rng = random.Random(f"closed/{scene.seed}/{seed}")
    asked = kinds or tuple(_CLOSED)
    return tuple(_CLOSED[rng.choice(asked)](scene, rng) for _ in range(count))


def local_questions(scene: Scene, count: int, seed: int) -> tuple[Question, ...]:
    """Short open questions about one place or one object."""
    rng = random.Random(f"local/{scene.seed}/{seed}")
    return tuple(rng.choice(_LOCAL)(scene, rng) for _ in range(count))


CLOSED_KINDS = ("existence", "suggested", "attribute", "position", "relation", "count")


def _ordered(scene: Scene, rng: random.Random) -> tuple[Thing, ...]:
    return scene.things if rng.random() < 0.7 else scene.things[::-1]


def _mention(thing: Thing) -> _Mention:
    return _Mention(name=thing.name, size=thing.size, row=thing.row, column=thing.column)


def _write(mentions: list[_Mention], scene: Scene, rng: random.Random) -> str:
    habits = _Habits(size_rate=rng.choice((0.0, 0.5, 1.0)), position_rate=rng.choice((0.0, 0.5, 1.0)))
    sentences = []
    if rng.random() < 0.2:
        sentences.append(f"There are {NUMBER_WORDS[len(scene.things)]} objects.")
    if rng.random() < 0.6:
        sentences.extend(_sentence(mention, habits, rng) for mention in mentions)
    else:
        sentences.append(_list_sentence(mentions, habits, rng))
    if rng.random() < 0.25:
        sentences.append(_relation_sentence(scene, rng))
    return " ".join(sentences)


def _sentence(mention: _Mention, habits: _Habits, rng: random.Random) -> str:
    phrase = _noun_phrase(mention, habits, rng)
    if rng.random() >= habits.position_rate:
        return rng.choice((f"There is {phrase}.", f"I see {phrase}.", f"The picture shows {phrase}."))
    place = _place(mention.row, mention.column, rng)
    frames = (
        f"There is {phrase} {place}.",
        f"{_capital(phrase)} is {place}.",
        f"{_capital(place)} there is {phrase}.",
        f"{_capital(place)} is {phrase}.",
    )
    return rng.choice(frames)


def _list_sentence(mentions: list[_Mention], habits: _Habits, rng: random.Random) -> str:
    phrases = []
    for mention in mentions:
        place = _place(mention.row, mention.column, rng) if rng.random() < habits.position_rate else ""
        phrases.append(f"{_noun_phrase(mention, habits, rng)} {place}".strip())
    listed = ", ".join(phrases[:-1]) + f" and {phrases[-1]}" if len(phrases) > 1 else phrases[0]
    opener = rng.choice(("The picture shows ", "I see ", "There is ", ""))
    return _capital(f"{opener}{listed}.")


def _relation_sentence(scene: Scene, rng: random.Random) -> str:
    first, second = rng.sample(scene.things, 2)
    true = [word for word in RELATIONS if holds(word, first, second)]
    return f"The {first.name} is {rng.choice(true)} the {second.name}."


def holds(relation: str, first: Thing, second: Thing) -> bool:
    """Whether the first object stands in this relation to the second."""
    row_sign, column_sign = RELATIONS[relation]
    return row_sign * (first.row - second.row) > 0 or column_sign * (first.column - second.column) > 0


def _noun_phrase(mention: _Mention, habits: _Habits, rng: random.Random) -> str:
    words = f"{mention.size} {mention.name}" if rng.random() < habits.size_rate else mention.name
    return _with_article(words)


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _place(row: int, column: int, rng: random.Random) -> str:
    if (row, column) == (1, 1):
        return rng.choice(("in the center", "in the middle"))
    is_corner = row != 1 and column != 1
    if is_corner and rng.random() < 0.3:
        return f"in the {cell_name(row, column)} corner"
    return f"at the {cell_name(row, column)}"


def _at_cell(row: int, column: int) -> str:
    return "in the center" if (row, column) == (1, 1) else f"at the {cell_name(row, column)}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _yes_no(is_yes: bool) -> str:
    return "yes" if is_yes else "no"


def _existence(scene: Scene, rng: random.Random) -> Question:
    is_yes = rng.random() < 0.5
    name = rng.choice(sorted(scene.names) if is_yes else [n for n in NAMES if n not in scene.names])
    return _existence_question(name, is_yes, "existence", rng)


def _suggested(scene: Scene, rng: random.Random) -> Question:
    """Existence again, with absent objects that the bias suggests and present ones that it might have suggested."""
    is_yes = rng.random() < 0.5
    names = sorted(n for n in scene.names if may_be_suggested(n)) if is_yes else sorted(suggested_by_bias(scene))
    if not names:
        return _existence(scene, rng)
    return _existence_question(rng.choice(names), is_yes, "suggested", rng)


def _existence_question(name: str, is_yes: bool, kind: str, rng: random.Random) -> Question:
    phrase = _with_article(name)
    frames = (
        f"Is there {phrase} in the picture?",
        f"Is there {phrase} in the image?",
        f"Is there {phrase}?",
        f"Do you see {phrase}?",
    )
    return Question(text=rng.choice(frames), answer=_yes_no(is_yes), kind=kind)


def _attribute(scene: Scene, rng: random.Random) -> Question:
    is_yes = rng.random() < 0.5
    thing = rng.choice(scene.things)
    values, true = rng.choice(((COLORS, thing.color), (SHAPES, thing.shape), (SIZES, thing.size)))
    asked = true if is_yes else rng.choice([value for value in values if value != true])
    if values is SIZES and rng.random() < 0.5:
        subject = f"the {thing.name}"
    else:
        subject = f"the object {_at_cell(thing.row, thing.column)}"
    return Question(
        text=f"Is {subject} {_with_article(asked) if values is SHAPES else asked}?",
        answer=_yes_no(is_yes),
        kind="attribute",
    )


def _position(scene: Scene, rng: random.Random) -> Question:
    is_yes = rng.random() < 0.5
    thing = rng.choice(scene.things)
    true = (thing.row, thing.column)
    asked = true if is_yes else rng.choice([cell for cell in CELLS if cell != true])
    frames = (f"Is the {thing.name}", f"Is there {_with_article(thing.name)}")
    return Question(text=f"{rng.choice(frames)} {_at_cell(*asked)}?", answer=_yes_no(is_yes), kind="position")


def _relation(scene: Scene, rng: random.Random) -> Question:
    first, second = rng.sample(scene.things, 2)
    word = rng.choice([word for word in RELATIONS if holds(word, first, second) or holds(word, second, first)])
    is_yes = holds(word, first, second)
    return Question(text=f"Is the {first.name} {word} the {second.name}?", answer=_yes_no(is_yes), kind="relation")


def _count(scene: Scene, rng: random.Random) -> Question:
    is_yes = rng.random() < 0.5
    true = len(scene.things)
    asked = true if is_yes else rng.choice([count for count in COUNTS if count != true])
    return Question(text=f"Are there {NUMBER_WORDS[asked]} objects?", answer=_yes_no(is_yes), kind="count")


def _what_is_at(scene: Scene, rng: random.Random) -> Question:
    row, column = rng.choice([(t.row, t.column) for t in scene.things] if rng.random() < 0.7 else CELLS)
    thing = scene.at(row, column)
    answer = "Nothing." if thing is None else _capital(_with_article(f"{thing.size} {thing.name}."))
    return Question(text=f"What is {_at_cell(row, column)}?", answer=answer, kind="local")


def _which_attribute(scene: Scene, rng: random.Random) -> Question:
    thing = rng.choice(scene.things)
    what, answer = rng.choice((("color", thing.color), ("shape", thing.shape), ("size", thing.size)))
    place = _at_cell(thing.row, thing.column)
    return Question(text=f"What {what} is the object {place}?", answer=f"{_capital(answer)}.", kind="local")


def _where_is(scene: Scene, rng: random.Random) -> Question:
    thing = rng.choice(scene.things)
    answer = f"{_capital(_at_cell(thing.row, thing.column))}."
    return Question(text=f"Where is the {thing.name}?", answer=answer, kind="local")


def _how_many(scene: Scene, rng: random.Random) -> Question:
    answer = f"{_capital(NUMBER_WORDS[len(scene.things)])}."
    return Question(text="How many objects are there?", answer=answer, kind="local")


_CLOSED = dict(zip(CLOSED_KINDS, (_existence, _suggested, _attribute, _position, _relation, _count), strict=True))
_LOCAL = (_what_is_at, _what_is_at, _which_attribute, _where_is, _how_many)
