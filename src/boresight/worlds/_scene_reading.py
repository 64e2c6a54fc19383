"""Reads any text for what it says about scenes: noun phrases, places, relations, predicates, and what is negated.

Nothing here knows the scene. Words that the world does not know are kept apart, so that the oracle can call them off
topic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from boresight.worlds._scene_content import COLORS, SHAPES
from boresight.worlds._scene_grammar import NUMBER_WORDS

_COLOR_OF = {color: color for color in COLORS} | {"violet": "purple"}
_SIZE_OF = dict.fromkeys(("small", "little", "tiny"), "small") | dict.fromkeys(("large", "big", "huge"), "large")
_SHAPE_OF = {shape: shape for shape in SHAPES} | {f"{shape}s": shape for shape in SHAPES}
_SHAPE_OF |= {"crosses": "cross", "disc": "circle", "disk": "circle"}
_GENERIC = frozenset(["object", "objects", "shape", "shapes", "thing", "things", "figure", "figures", "item", "items"])
_NUMBER_OF = {word: number for number, word in enumerate(NUMBER_WORDS)} | {str(n): n for n in range(10)}
_FILLERS = frozenset(["colored", "coloured", "bright", "dark", "solid", "filled"])
_DETERMINERS = frozenset(["a", "an", "the", "another", "this", "that", "these", "those", "any", "some", "one"])
_NEGATORS = frozenset(["no", "not", "without", "never", "neither", "nor", "cannot"])
_COPULAS = frozenset(["is", "are", "isn't", "aren't", "looks", "appears"])
_ROW_OF = {"top": 0, "upper": 0, "bottom": 2, "lower": 2}
_COLUMN_OF = {"left": 0, "right": 2}
_MIDDLES = frozenset(("center", "centre", "middle"))
_PLACES = frozenset((*_ROW_OF, *_COLUMN_OF, *_MIDDLES))
_ABOVE_BELOW = {
    "above": "above",
    "over": "above",
    "below": "below",
    "under": "below",
    "beneath": "below",
    "underneath": "below",
}
_PICTURES = frozenset(["picture", "image", "scene", "photo", "drawing", "frame", "canvas", "background"])
_PLAIN_WORDS = """
there here i we you see can it its and or but with of in at on to from by as for be been was were do does don't doesn't
shows show shown showing contains contain has have having includes include visible also other next near beside between
both side corner edge grid yes nothing answer color colors colour size position what which who only just total exactly
plus while where than more all each them they their so very respectively located placed positioned lies sits kind lot
few several many couple describe description please following consists
"""
_PLAIN = _PICTURES | frozenset(_PLAIN_WORDS.split())
_KNOWN = (
    _PLAIN | _GENERIC | _FILLERS | _DETERMINERS | _NEGATORS | _COPULAS | _PLACES
    | frozenset((*_COLOR_OF, *_SIZE_OF, *_SHAPE_OF, *_NUMBER_OF, *_ABOVE_BELOW))
)  # fmt: skip
_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?|\d+|[.!?;\n]|[,:]")
_ENDS = frozenset(".!?;\n")
_NEGATION_REACH = 4  # words from a negator to the noun phrase it negates: "do not see any red circle"


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a mark, in lower case, with its place in the text."""

    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A part of the picture. None leaves that axis open: `at the top` is true of the whole top row."""

    row: int | None
    column: int | None
    start: int
    end: int
    first: int
    """Index of its first token in the sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A noun phrase: `two large red circles`, `the ring`, `an object`."""

    start: int
    end: int
    first: int
    last: int
    color: str | None
    size: str | None
    shape: str | None
    """None for `object`, `thing`..."""
    number: int | None
    is_negated: bool
    place: Place | None = None
    place_is_negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """`first` is `word` of `second`."""

    word: str
    first: Phrase
    second: Phrase
    is_negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """`the circle is red`."""

    subject: Phrase
    attribute: Literal["color", "size"]
    value: str
    start: int
    end: int
    is_negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A thing, or a whole sentence, of which the world knows nothing."""

    text: str
    start: int
    end: int
    is_object: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one sentence says."""

    phrases: tuple[Phrase, ...]
    relations: tuple[Relation, ...]
    predicates: tuple[Predicate, ...]
    unknown: tuple[Unknown, ...]


def read(text: str) -> Iterator[Reading]:
    """The sentences of a text in order. Questions assert nothing and are left out."""
    before: Phrase | None = None
    for tokens, mark in _sentences(text):
        if mark == "?":
            continue
        reading = _read_sentence(text, tokens, before, is_cut=mark == "")
        before = reading.phrases[-1] if reading.phrases else before
        yield reading


def _sentences(text: str) -> Iterator[tuple[list[Token], str]]:
    """Each sentence and the mark that ends it; an empty mark where the text breaks off."""
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        word = match.group().lower().replace("\u2019", "'")
        if word not in _ENDS:
            tokens.append(Token(word, match.start(), match.end()))
        elif tokens:
            yield tokens, word
            tokens = []
    if tokens:
        yield tokens, ""


def _read_sentence(text: str, tokens: Sequence[Token], before: Phrase | None, *, is_cut: bool) -> Reading:
    phrases = _phrases(tokens)
    places, relation_words = _places_and_relations(tokens)
    has_pronoun = any(token.word == "it" for token in tokens)
    antecedent = before if has_pronoun else None
    phrases = _absorb_generic_subjects(tokens, _attach(tokens, phrases, places, antecedent))
    return Reading(
        phrases=tuple(phrases),
        relations=tuple(_relations(tokens, phrases, relation_words, antecedent)),
        predicates=tuple(_predicates(tokens, phrases)),
        unknown=tuple(_unknown(text, tokens, phrases, is_cut=is_cut)),
    )


def _phrases(tokens: Sequence[Token]) -> list[Phrase]:
    phrases: list[Phrase] = []
    floor = 0
    for last, token in enumerate(tokens):
        if token.word not in _SHAPE_OF and token.word not in _GENERIC:
            continue
        first, adjectives = _adjectives_before(tokens, last, floor)
        colors = [_COLOR_OF[word] for word in adjectives if word in _COLOR_OF]
        sizes = [_SIZE_OF[word] for word in adjectives if word in _SIZE_OF]
        numbers = [_NUMBER_OF[word] for word in adjectives if word in _NUMBER_OF]
        negated = _is_negated(tokens, first, floor) or _continues_negation(tokens, first, phrases)
        for color in colors or (None,):  # "red and blue circles" are two phrases
            phrases.append(
                Phrase(
                    start=tokens[first].start,
                    end=token.end,
                    first=first,
                    last=last,
                    color=color,
                    size=sizes[-1] if sizes else None,
                    shape=_SHAPE_OF.get(token.word),
                    number=numbers[0] if numbers and len(colors) < 2 else None,
                    is_negated=negated,
                )
            )
        floor = last + 1
    return phrases


def _adjectives_before(tokens: Sequence[Token], noun: int, floor: int) -> tuple[int, list[str]]:
    """Walk left over adjectives, numbers and determiners; joining words count only between adjectives."""
    first = noun
    adjectives: list[str] = []
    index = noun - 1
    while index >= floor:
        word = tokens[index].word
        if word in _COLOR_OF or word in _SIZE_OF or word in _NUMBER_OF:
            adjectives.insert(0, word)
            first = index
        elif word in _DETERMINERS or word in _FILLERS:
            first = index
        elif not (word in (",", "and") and _joins_colors(tokens, index, floor)):
            break
        index -= 1
    return first, adjectives


def _joins_colors(tokens: Sequence[Token], index: int, floor: int) -> bool:
    """Whether the joint stands between two adjectives, as in `red and blue circles` or `a large, red circle`."""
    if index - 1 < floor:
        return False
    left = tokens[index - 1].word
    return left in _COLOR_OF or left in _SIZE_OF


def _negates(tokens: Sequence[Token], index: int) -> bool:
    word = tokens[index].word
    following = tokens[index + 1].word if index + 1 < len(tokens) else ""
    return (word in _NEGATORS or word.endswith("n't")) and following not in ("only", ",")


def _is_negated(tokens: Sequence[Token], first: int, floor: int) -> bool:
    for index in range(first - 1, max(floor, first - _NEGATION_REACH) - 1, -1):
        if tokens[index].word in (",", ":", "but") or tokens[index].word in _PLACES | _ABOVE_BELOW.keys():
            return False
        if _negates(tokens, index):
            return True
    return False


def _continues_negation(tokens: Sequence[Token], first: int, phrases: Sequence[Phrase]) -> bool:
    """`no red circle or blue star` denies both."""
    if not phrases or not phrases[-1].is_negated:
        return False
    between = [token.word for token in tokens[phrases[-1].last + 1 : first]]
    return bool(between) and all(word in ("or", "nor", ",") for word in between)


def _places_and_relations(tokens: Sequence[Token]) -> tuple[list[Place], list[tuple[str, int, int]]]:
    """Places, and relation words with their first and last token."""
    places: list[Place] = []
    relations: list[tuple[str, int, int]] = []
    index = 0
    while index < len(tokens):
        word = tokens[index].word
        if word in _ABOVE_BELOW:
            relations.append((_ABOVE_BELOW[word], index, index))
        elif word in _PLACES:
            last = index
            while last + 1 < len(tokens) and tokens[last + 1].word in _PLACES:
                last += 1
            run = [token.word for token in tokens[index : last + 1]]
            relation = _relation_of(run, [token.word for token in tokens[last + 1 : last + 4]])
            if relation is not None:
                relations.append((relation, index, last))
            else:
                places.append(_place(run, tokens, index, last))
            index = last
        index += 1
    return places, relations


def _relation_of(run: Sequence[str], following: Sequence[str]) -> str | None:
    """`left of the star` is a relation, `left of the picture` a place."""
    if following[:1] != ["of"] or any(word in _PICTURES for word in following[1:]):
        return None
    return {"left": "left of", "right": "right of", "top": "above"}.get(" ".join(run))


def _place(run: Sequence[str], tokens: Sequence[Token], first: int, last: int) -> Place:
    rows = [_ROW_OF[word] for word in run if word in _ROW_OF]
    columns = [_COLUMN_OF[word] for word in run if word in _COLUMN_OF]
    has_middle = any(word in _MIDDLES for word in run)
    middle = 1 if has_middle else None
    return Place(
        row=rows[0] if rows else middle,
        column=columns[0] if columns else middle,
        start=tokens[first].start,
        end=tokens[last].end,
        first=first,
    )


def _attach(
    tokens: Sequence[Token], phrases: list[Phrase], places: Sequence[Place], antecedent: Phrase | None
) -> list[Phrase]:
    """Give each place to a phrase: the next one if the sentence opens with a place, else the one before."""
    if places and not phrases and antecedent is not None:
        return [replace(antecedent, place=places[0], place_is_negated=False, size=None, number=None)]
    opens_with_place = bool(places and phrases) and places[0].first < phrases[0].first
    attached = list(phrases)
    for place in places:
        if opens_with_place:
            owners = [i for i, phrase in enumerate(phrases) if phrase.first > place.first][:1]
        else:
            owners = [i for i, phrase in enumerate(phrases) if phrase.last < place.first][-1:]
        for i in owners:
            between = range(phrases[i].last + 1, place.first)
            negated = any(_negates(tokens, index) for index in between)
            attached[i] = replace(attached[i], place=place, place_is_negated=negated)
    return attached


def _absorb_generic_subjects(tokens: Sequence[Token], phrases: list[Phrase]) -> list[Phrase]:
    """`the object at the top is a red circle` puts the circle at the top."""
    kept: list[Phrase] = []
    for phrase in phrases:
        before = kept[-1] if kept else None
        if before is not None and before.shape is None and before.place is not None and phrase.place is None:
            between = [token.word for token in tokens[before.last + 1 : phrase.first]]
            if any(word in _COPULAS for word in between):
                negated = phrase.is_negated
                kept[-1] = replace(phrase, place=before.place, is_negated=False, place_is_negated=negated)
                continue
        kept.append(phrase)
    return kept


def _relations(
    tokens: Sequence[Token],
    phrases: Sequence[Phrase],
    words: Sequence[tuple[str, int, int]],
    antecedent: Phrase | None,
) -> Iterator[Relation]:
    before: Relation | None = None
    for word, first, last in words:
        left = [phrase for phrase in phrases if phrase.last < first]
        right = [phrase for phrase in phrases if phrase.first > last]
        if before is not None and left and left[-1] == before.second and _is_continued(tokens, left[-1], first):
            subject: Phrase | None = before.first
        elif left:
            subject = left[-1]
        else:
            subject = right[1] if len(right) > 1 else antecedent
        if subject is None or not right:
            continue
        between = range(subject.last + 1, first) if subject in left else range(0)
        before = Relation(
            word=word,
            first=subject,
            second=right[0],
            is_negated=any(_negates(tokens, index) for index in between),
        )
        yield before


def _is_continued(tokens: Sequence[Token], phrase: Phrase, relation: int) -> bool:
    """`left of the star and above the ring`: the second relation has the subject of the first."""
    return any(token.word == "and" for token in tokens[phrase.last + 1 : relation])


def _predicates(tokens: Sequence[Token], phrases: Sequence[Phrase]) -> Iterator[Predicate]:
    inside = {index for phrase in phrases for index in range(phrase.first, phrase.last + 1)}
    for index, token in enumerate(tokens):
        if index in inside or (token.word not in _COLOR_OF and token.word not in _SIZE_OF):
            continue
        following = tokens[index + 1].word if index + 1 < len(tokens) else ""
        subjects = [phrase for phrase in phrases if phrase.last < index]
        if not subjects or (following and following not in _KNOWN | {",", ":"}):
            continue
        between = range(subjects[-1].last + 1, index)
        if not any(tokens[i].word in _COPULAS for i in between):
            continue
        is_color = token.word in _COLOR_OF
        yield Predicate(
            subject=subjects[-1],
            attribute="color" if is_color else "size",
            value=_COLOR_OF[token.word] if is_color else _SIZE_OF[token.word],
            start=token.start,
            end=token.end,
            is_negated=any(_negates(tokens, i) for i in between),
        )


def _unknown(text: str, tokens: Sequence[Token], phrases: Sequence[Phrase], *, is_cut: bool) -> Iterator[Unknown]:
    """Foreign things, or the sentence as a whole when it says nothing else. A word that was cut does not count."""
    last = len(tokens) - 1 if is_cut else len(tokens)
    strange = [i for i in range(last) if tokens[i].word not in _KNOWN and tokens[i].word not in (",", ":")]
    found = False
    for index in strange:
        first = index
        while first > 0 and _may_precede_noun(tokens[first - 1].word):
            first -= 1
        if first < index:
            found = True
            start, end = tokens[first].start, tokens[index].end
            yield Unknown(text=tokens[index].word, start=start, end=end, is_object=True)
    if strange and not phrases and not found:
        start, end = tokens[0].start, tokens[-1].end
        yield Unknown(text=text[start:end].lower(), start=start, end=end, is_object=False)


def _may_precede_noun(word: str) -> bool:
    return word in ("a", "an") or word in _COLOR_OF or word in _SIZE_OF or word in _FILLERS
