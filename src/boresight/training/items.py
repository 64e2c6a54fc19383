"""An item is what an objective reads: a prompt, named texts, and the pictures under named inputs."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from boresight.errors import InputError, ModelError, RecordError, UsageError
from boresight.media.decoded import DecodedMedium, change_pictures
from boresight.media.seeds import derive_seed
from boresight.models.encoding import EncodedPrompt, Encoder
from boresight.objectives import CLEAN, View
from boresight.records import Media, Message, Record, Span
from boresight.training.inputs import Absent, Adversarial, Input, OtherRecord, ShownWith, Stored
from boresight.training.token_weights import Answer, TokenWeights

Pictures = Callable[[Media], DecodedMedium]
"""Gives the canonical decode of a medium."""


class Attack(Protocol):
    """Makes a prompt's pictures adversarial."""

    def __call__(self, prompt: EncodedPrompt, attack: Adversarial, *, seed: int) -> EncodedPrompt: ...


@dataclass(frozen=True, kw_only=True)
class Item:
    """One prompt with the texts that an objective may score after it."""

    id: str
    record: Record
    texts: Mapping[str, tuple[Message, ...]]
    """chosen, rejected, truth..."""
    swaps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For a text that was judged under other media: place in the prompt -> medium to read instead."""
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    """What was marked in a text."""
    signals: Mapping[str, float] = field(default_factory=dict)
    """Numbers that the objective reads, such as `margin`."""
    partner: Record | None = None
    """Another record, for objectives that show or say something which does not belong here."""
    file: str | None = None
    """Where the record was read from, for errors."""

    @property
    def place(self) -> tuple[str, int | None]:
        """File (or record) and row (from 1) that the item came from, for errors."""
        return place_of(self.record, self.file)

    def media(self, text: str) -> tuple[Media, ...]:
        """What the prompt shows when `text` is scored, in the order of its places."""
        swap = self.swaps.get(text, {})
        return tuple(self.record.medium(swap.get(id, id)) for id in _shown_ids(self.record))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a prompt shows under a view."""

    record_id: str
    """Whose media they are."""
    media: tuple[Media, ...]
    transform: str = CLEAN
    """Name of the input that changes them."""

    @property
    def key(self) -> tuple[str, ...]:
        """Equal where the same is shown, so that a prompt can be shared."""
        return (self.record_id, self.transform, *(medium.id for medium in self.media))


@dataclass(frozen=True, kw_only=True)
class ItemEncoder:
    """Encodes items for one model, with every input variant drawn once per record from the run's seed.

    The policy, the reference and a resumed run therefore see the same crop.
    """

    encoder: Encoder
    pictures: Pictures
    inputs: Mapping[str, Input] = field(default_factory=dict)
    seed: int = 0
    token_weights: TokenWeights | None = None
    attack: Attack | None = None
    """Makes adversarial pictures; the trainer sets it."""
    _answers: dict[tuple[str, str], Int[Tensor, " token"]] = field(default_factory=dict)
    _weights: dict[str, dict[str, Float[Tensor, " token"]]] = field(default_factory=dict)

    def shown(self, item: Item, view: View) -> Shown | None:
        """What the prompt shows under a view, see `what_is_shown`."""
        return what_is_shown(item, view, self.inputs)

    def prompt(self, item: Item, view: View) -> EncodedPrompt:
        """The prompt as `view` sees it; the item must have the view."""
        shown = self.shown(item, view)
        assert shown is not None
        images = self.images(item, shown)
        messages = item.record.messages if shown.media else _without_media(item.record.messages)
        with _Located(item):
            prompt = self.encoder.prompt(messages, images)
        attack = self.inputs.get(shown.transform)
        if not isinstance(attack, Adversarial):
            return prompt
        if self.attack is None:
            raise UsageError(f"input {shown.transform!r} is made from a model; without a trainer there is none.")
        return self.attack(prompt, attack, seed=derive_seed(self.seed, item.record.id, shown.transform))

    def images(self, item: Item, shown: Shown) -> list[DecodedMedium]:
        """The pictures, clips and recordings that a prompt shows, before the model's own processor."""
        return [self._picture(item, medium, shown.transform, i) for i, medium in enumerate(shown.media)]

    def answer(self, item: Item, text: str) -> Int[Tensor, " token"]:
        """Token ids of one of the item's texts, with the end of the turn."""
        key = (item.id, text)
        if key not in self._answers:
            with _Located(item):
                kinds = [medium.kind for medium in item.media(text)]
                self._answers[key] = self.encoder.answer(item.record.messages, item.texts[text], kinds)
        return self._answers[key]

    def weights(self, item: Item, text: str) -> Float[Tensor, " token"]:
        """How much each token of a text counts in a reward; 1 where nothing is said about it."""
        if item.id not in self._weights:
            answers = {name: self._described(item, name) for name in item.texts} if self.token_weights else {}
            found = self.token_weights(answers) if self.token_weights else {}
            if not isinstance(found, Mapping) or not found.keys() <= answers.keys():
                got = sorted(found) if isinstance(found, Mapping) else type(found).__name__
                raise UsageError(f"token_weights must give weights by text, of {', '.join(answers)}, got {got}.")
            self._weights[item.id] = {name: _weights(values, answers[name], name) for name, values in found.items()}
        known = self._weights[item.id]
        return known[text] if text in known else torch.ones(len(self.answer(item, text)))

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

    def _described(self, item: Item, text: str) -> Answer:
        ids = self.answer(item, text).tolist()
        whole = [
            self.encoder.tokenizer.decode(ids[:n], clean_up_tokenization_spaces=False) for n in range(len(ids) + 1)
        ]
        pieces = [after[len(before) :] for before, after in itertools.pairwise(whole)]
        return Answer(ids=ids, pieces=pieces, messages=item.texts[text], spans=item.spans.get(text, ()))

    def _picture(self, item: Item, medium: Media, input: str, index: int) -> DecodedMedium:
        with _Located(item):
            decoded = self.pictures(medium)
        transform = self.inputs.get(input)
        if transform is None or isinstance(transform, Adversarial):
            return decoded
        assert not isinstance(transform, Absent | ShownWith | Stored | OtherRecord)
        seed = derive_seed(self.seed, item.record.id, f"{input}/{index}")
        return change_pictures(decoded, transform, seed=seed)


def what_is_shown(item: Item, view: View, inputs: Mapping[str, Input]) -> Shown | None:
    """What an item's prompt shows under a view; None where the item lacks the view.

    It lacks an input variant when it has no picture to vary: a variant would be the prompt itself, and a pair of
    equal sides would count and teach nothing.
    """
    if view.text not in item.texts:
        return None
    media = item.media(view.text)
    if view.input == CLEAN:
        return Shown(item.record.id, media)
    input = inputs[view.input]
    if not media:
        return None
    if isinstance(input, Absent):
        return Shown(item.record.id, ())
    source = item.record
    if isinstance(input, ShownWith):
        others = item.media(input.text)
    elif isinstance(input, Stored):
        others = _derived(item.record, media, input.transform)
    elif isinstance(input, OtherRecord):
        source = item.partner or item.record
        others = tuple(source.medium(id) for id in _shown_ids(source))
    else:
        return Shown(item.record.id, media, view.input)
    return Shown(source.id, others) if len(others) == len(media) and others != media else None


def place_of(record: Record, file: str | None) -> tuple[str, int | None]:
    """File (or record) and row (from 1) that a record came from, for errors."""
    origin = record.provenance
    if origin is None or origin.row is None:
        return f"{file}, record {record.id!r}" if file else f"record {record.id!r}", None
    return file or origin.dataset or f"record {record.id!r}", origin.row


def _shown_ids(record: Record) -> list[str]:
    return [p.media for m in record.messages for p in m.parts if p.type == "media" and p.media]


def _derived(record: Record, media: tuple[Media, ...], transform: str) -> tuple[Media, ...]:
    """For each picture the one that was made from it."""
    made = {m.derived.source: m for m in record.media if m.derived and m.derived.transform == transform}
    return tuple(made[m.id] for m in media if m.id in made)


def _without_media(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(
        dataclasses.replace(message, parts=tuple(p for p in message.parts if p.type != "media")) for message in messages
    )


def _weights(values: Sequence[float], answer: Answer, text: str) -> Float[Tensor, " token"]:
    """What a rule of token weights gave for a text, if it can be used."""
    if len(values) != len(answer.ids):
        raise UsageError(f"token_weights gave {len(values)} weights for the {len(answer.ids)} tokens of {text!r}.")
    bad = [value for value in values if not 0 <= value < math.inf]
    if bad:
        raise UsageError(f"token_weights gave {text!r} a weight of {bad[0]!r}; weights must be >= 0 and finite.")
    return torch.tensor(values)


def _refuse_equal(item: Item, answers: Mapping[str, Int[Tensor, " token"]]) -> None:
    """Two texts that tokenize alike under the same media teach nothing, whatever their characters."""
    names = list(answers)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if {first, second} == {"chosen", "truth"}:  # the true answer may be the chosen one
                continue
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
