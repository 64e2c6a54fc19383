"""An item is what an objective reads: a prompt, named texts, and the pictures under named inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jaxtyping import Int
from PIL import Image
from torch import Tensor

from boresight.data.pairing import pairs
from boresight.errors import InputError, ModelError, RecordError
from boresight.media.seeds import derive_seed
from boresight.media.transforms import Transform
from boresight.models.encoding import EncodedPrompt, Encoder
from boresight.objectives import CLEAN, View
from boresight.records import Candidate, Media, Message, Record

Pictures = Callable[[Media], Image.Image]
"""Gives the canonical decode of a medium."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One prompt with the texts that an objective may score after it."""

    id: str
    record: Record
    texts: Mapping[str, tuple[Message, ...]]
    """chosen, rejected, truth..."""
    swaps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For a text that was judged under other media: place in the prompt -> medium to read instead."""

    file: str | None = None
    """Where the record was read from, for errors."""

    @property
    def place(self) -> tuple[str, int | None]:
        """File (or record) and row (from 1) that the item came from, for errors."""
        return _place(self.record, self.file)

    def media(self, text: str) -> tuple[Media, ...]:
        """What the prompt shows when `text` is scored, in the order of its places."""
        swap = self.swaps.get(text, {})
        ids = [p.media for m in self.record.messages for p in m.parts if p.type == "media" and p.media]
        return tuple(self.record.medium(swap.get(id, id)) for id in ids)


@dataclass(frozen=True, kw_only=True)
class ItemEncoder:
    """Encodes items for one model, with every input variant drawn once per record from the run's seed.

    The policy, the reference and a resumed run therefore see the same crop.
    """

    encoder: Encoder
    pictures: Pictures
    inputs: Mapping[str, Transform] = field(default_factory=dict)
    seed: int = 0
    _answers: dict[tuple[str, str], Int[Tensor, " token"]] = field(default_factory=dict)

    def prompt(self, item: Item, view: View) -> EncodedPrompt:
        """The prompt as `view` sees it."""
        images = [self._picture(item, medium, view.input, i) for i, medium in enumerate(item.media(view.text))]
        with _Located(item):
            return self.encoder.prompt(item.record.messages, images)

    def answer(self, item: Item, text: str) -> Int[Tensor, " token"]:
        """Token ids of one of the item's texts, with the end of the turn."""
        key = (item.id, text)
        if key not in self._answers:
            with _Located(item):
                self._answers[key] = self.encoder.answer(item.record.messages, item.texts[text])
        return self._answers[key]

    def check(self, item: Item) -> int:
        """Refuse an item that the model cannot take whole; gives its prompt's length in tokens.

        Raises:
            InputError: Names file and row.
        """
        prompt = self.prompt(item, View(next(iter(item.texts))))
        answers = {text: self.answer(item, text) for text in item.texts}
        with _Located(item):
            self.encoder.check_length(prompt, answers)
            _refuse_equal(item, answers)
        return prompt.num_tokens

    def _picture(self, item: Item, medium: Media, input: str, index: int) -> Image.Image:
        with _Located(item):
            image = self.pictures(medium)
        if input == CLEAN:
            return image
        return self.inputs[input](image, seed=derive_seed(self.seed, item.record.id, f"{input}/{index}"))


def make_items(
    records: Iterable[Record],
    texts: Sequence[str],
    rule: str = "preferences",
    files: Mapping[str, str] | None = None,
) -> list[Item]:
    """The items of some records: one per pair where the objective compares answers, else one per record.

    Args:
        texts: Names that the objective reads. With `rejected` among them an item is a pair; else every record's
            best candidate is `chosen`.
        rule: How pairs are made from candidates, see `boresight.data.pairing`.
        files: Record id to the file it was read from, for errors.

    Raises:
        RecordError: If a record has nothing that the objective can read.
    """
    items = []
    for record in records:
        file = (files or {}).get(record.id)
        found = _pair_items(record, rule, file) if "rejected" in texts else _single_items(record, file)
        if not found:
            source, row = _place(record, file)
            raise RecordError(
                f"record {record.id!r} gives no {' and '.join(texts)}: it is of task {record.task!r} with "
                f"{len(record.candidates)} candidates. Choose a method that reads such data, or drop the row.",
                source=source,
                row=row,
            )
        items += found
    return items


def _place(record: Record, file: str | None) -> tuple[str, int | None]:
    origin = record.provenance
    if origin is None or origin.row is None:
        return f"{file}, record {record.id!r}" if file else f"record {record.id!r}", None
    return file or origin.dataset or f"record {record.id!r}", origin.row


def _pair_items(record: Record, rule: str, file: str | None) -> list[Item]:
    return [
        Item(
            id=f"{record.id}#{pair.chosen.id}>{pair.rejected.id}",
            record=record,
            texts={"chosen": pair.chosen.messages, "rejected": pair.rejected.messages},
            swaps={"chosen": _swaps(pair.chosen), "rejected": _swaps(pair.rejected)},
            file=file,
        )
        for pair in pairs(record, rule)
    ]


def _single_items(record: Record, file: str | None) -> list[Item]:
    preferred = {p.chosen for p in record.preferences}
    desired = [c for c in record.candidates if c.id in preferred or c.label]
    best = desired or ([] if record.preferences else [c for c in record.candidates if c.label is None])
    return [
        Item(
            id=f"{record.id}#{c.id}",
            record=record,
            texts={"chosen": c.messages},
            swaps={"chosen": _swaps(c)},
            file=file,
        )
        for c in best[:1]
    ]


def _swaps(candidate: Candidate) -> dict[str, str]:
    return {swap.slot: swap.use for swap in candidate.media_map}


def _refuse_equal(item: Item, answers: Mapping[str, Int[Tensor, " token"]]) -> None:
    """Two texts that tokenize alike under the same media teach nothing, whatever their characters."""
    names = list(answers)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if item.media(first) == item.media(second) and answers[first].equal(answers[second]):
                raise RecordError(f"{first} and {second} are the same for the model; drop the row.")


class _Located:
    """Adds the item's file and row to errors from code that cannot know them."""

    def __init__(self, item: Item) -> None:
        self._item = item

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        source, row = self._item.place
        if isinstance(error, InputError):
            raise error.at(source=source, row=row) from error
        if isinstance(error, ModelError):
            raise ModelError(f"{InputError(str(error), source=source, row=row)}") from error
