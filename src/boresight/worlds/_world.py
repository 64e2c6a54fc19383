"""What every world offers, whatever its media are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from PIL import Image

from boresight.records.record import Span

YesNo = Literal["yes", "no"]
Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question about one item, and its right answer."""

    text: str
    answer: str
    """`yes` or `no` for closed questions; a short sentence for open ones."""
    kind: str
    """What is asked: existence, suggested, attribute, position, relation, count, local..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(Generic[Facts]):
    """One picture with what is true about it and a prompt that asks for a description."""

    id: str
    seed: int
    facts: Facts
    image: Image.Image
    prompt: str


class World(Protocol[Facts]):
    """Everything is a pure function of its arguments; seeds are the only source of chance."""

    splits: Mapping[str, range]
    """Seeds of each split. No content occurs in two splits."""

    def items(self, split: str, count: int, *, start: int = 0) -> Iterator[Item[Facts]]: ...

    def questions(self, facts: Facts, count: int, *, seed: int = 0) -> tuple[Question, ...]: ...

    def caption(self, facts: Facts, *, seed: int = 0) -> str: ...

    def biased_caption(self, facts: Facts, *, seed: int = 0, probability: float = ...) -> str: ...

    def claims(self, facts: Facts, response: str) -> tuple[Span, ...]: ...

    def answer(self, response: str) -> YesNo | None: ...
