"""Judges any response about a scene: every claim it makes, with a place in the text and a verdict.

A claim about an object that is absent is false, whatever it says of it. Partial places are true when they fit:
`at the top` holds for `top left`. Denials are claims too (`no red circle`), but they do not mention the object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from boresight.records.record import Span, Verdict
from boresight.worlds._scene_content import COLUMNS, NAMES, ROWS, Scene, Thing, cell_name
from boresight.worlds._scene_grammar import holds
from boresight.worlds._scene_reading import Phrase, Place, Predicate, Reading, Relation, Unknown, read
from boresight.worlds._world import YesNo

_NAMES = frozenset(NAMES)
_CHOICE = re.compile(r"\byes\s*(?:or|/)\s*no\b")
_YES_OR_NO = re.compile(r"\b(?:(yes|yeah|yep)|(no|nope|not|\w+n't))\b")


def claims(scene: Scene, response: str) -> tuple[Span, ...]:
    """Every claim of the response, in the order of the text."""
    found = dict.fromkeys(span for reading in read(response) for span in _judge(scene, reading))
    return tuple(sorted(found, key=lambda span: (span.start, span.end)))


def mentioned(scene: Scene, response: str) -> tuple[frozenset[str], frozenset[str]]:
    """Objects that the response asserts, present and absent, by color and shape.

    An object counts once however often it is named. `the ring` alone, and `no red ring`, mention no object.
    """
    names = {span.claim for span in claims(scene, response) if span.label == "object"} & _NAMES
    asserted = frozenset(name for name in names if name is not None)
    return asserted & scene.names, asserted - scene.names


def answer(response: str) -> YesNo | None:
    """The yes or no of an answer: its first word if that is one, else the only one it holds."""
    text = _CHOICE.sub(" ", response.lower().replace("\u2019", "'"))
    found: list[YesNo] = ["yes" if match.group(1) else "no" for match in _YES_OR_NO.finditer(text)]
    if not found:
        return None
    first = _YES_OR_NO.search(text)
    leads = first is not None and not re.search(r"\w", text[: first.start()])
    return found[0] if leads or len(set(found)) == 1 else None


def _judge(scene: Scene, reading: Reading) -> Iterator[Span]:
    for phrase in reading.phrases:
        yield from _judge_phrase(scene, phrase)
    for relation in reading.relations:
        yield _judge_relation(scene, relation)
    for predicate in reading.predicates:
        yield _judge_predicate(scene, predicate)
    for unknown in reading.unknown:
        yield _off_topic(unknown)


def _judge_phrase(scene: Scene, phrase: Phrase) -> Iterator[Span]:
    bare = _bare_words(phrase)
    same = _matching(scene, phrase)
    if phrase.is_negated:
        yield _denial(scene, phrase)
        return
    if phrase.shape is not None or phrase.color is not None:
        yield _span(phrase.start, phrase.end, "object", bool(same), bare)
    if phrase.size is not None and (phrase.shape is not None or phrase.color is not None):
        sized = [thing for thing in same if thing.size == phrase.size]
        yield _span(phrase.start, phrase.end, "attribute", bool(sized), f"{phrase.size} {bare}")
    if phrase.number is not None and phrase.number != 1:
        sized = [thing for thing in same if phrase.size in (None, thing.size)]
        number_matches = len(sized) == phrase.number
        yield _span(phrase.start, phrase.end, "count", number_matches, f"{phrase.number} {_words(phrase)}")
    if phrase.place is not None:
        there = [thing for thing in same if _lies(thing, phrase.place)]
        claim = f"{bare} at {_place_name(phrase.place)}"
        verdict = bool(same) and not there if phrase.place_is_negated else bool(there)
        claim = f"not {claim}" if phrase.place_is_negated else claim
        yield _span(phrase.place.start, phrase.place.end, "position", verdict, claim)


def _denial(scene: Scene, phrase: Phrase) -> Span:
    denied = [t for t in _matching(scene, phrase) if phrase.size in (None, t.size)]
    claim = f"no {_words(phrase)}"
    end = phrase.end
    if phrase.place is not None:
        denied = [thing for thing in denied if _lies(thing, phrase.place)]
        claim += f" at {_place_name(phrase.place)}"
        end = max(end, phrase.place.end)
    return _span(phrase.start, end, "object", not denied, claim)


def _judge_relation(scene: Scene, relation: Relation) -> Span:
    firsts, seconds = _described(scene, relation.first), _described(scene, relation.second)
    is_so = any(holds(relation.word, a, b) for a in firsts for b in seconds if a is not b)
    if relation.is_negated:
        is_so = bool(firsts and seconds) and not is_so
    claim = f"{_words(relation.first)} {relation.word} {_words(relation.second)}"
    start = min(relation.first.start, relation.second.start)
    end = max(relation.first.end, relation.second.end)
    return _span(start, end, "relation", is_so, f"not {claim}" if relation.is_negated else claim)


def _judge_predicate(scene: Scene, predicate: Predicate) -> Span:
    subjects = _described(scene, predicate.subject)
    so = [t for t in subjects if predicate.value in (t.color, t.size)]
    is_so = bool(subjects) and not so if predicate.is_negated else bool(so)
    claim = f"{_words(predicate.subject)} is {'not ' if predicate.is_negated else ''}{predicate.value}"
    return _span(predicate.start, predicate.end, "attribute", is_so, claim)


def _off_topic(unknown: Unknown) -> Span:
    return Span(
        start=unknown.start,
        end=unknown.end,
        label="object" if unknown.is_object else None,
        verdict="off_topic",
        claim=unknown.text,
        by="scenes",
    )


def _matching(scene: Scene, phrase: Phrase) -> list[Thing]:
    """Objects of the phrase's color and shape. Size and place are claims of their own."""
    return [
        thing for thing in scene.things if phrase.color in (None, thing.color) and phrase.shape in (None, thing.shape)
    ]


def _described(scene: Scene, phrase: Phrase) -> Sequence[Thing]:
    """Objects that fit all of the phrase, as the subject of a further claim."""
    return [
        thing
        for thing in _matching(scene, phrase)
        if phrase.size in (None, thing.size) and (phrase.place is None or _lies(thing, phrase.place))
    ]


def _lies(thing: Thing, place: Place) -> bool:
    return place.row in (None, thing.row) and place.column in (None, thing.column)


def _bare_words(phrase: Phrase) -> str:
    return " ".join(word for word in (phrase.color, phrase.shape or "object") if word)


def _words(phrase: Phrase) -> str:
    return f"{phrase.size} {_bare_words(phrase)}" if phrase.size else _bare_words(phrase)


def _place_name(place: Place) -> str:
    if place.row is not None and place.column is not None:
        return cell_name(place.row, place.column)
    if place.row is not None:
        return ROWS[place.row]
    return COLUMNS[place.column] if place.column is not None else "somewhere"


def _span(start: int, end: int, label: str, is_true: bool, claim: str) -> Span:
    verdict: Verdict = "true" if is_true else "false"
    return Span(start=start, end=end, label=label, verdict=verdict, claim=claim, by="scenes")
