"""One record holds everything that any public preference layout says, and nothing is lost on the way in.

A record is a prompt (messages with typed parts), the media it refers to, any number of candidate answers, and what
was said about them: scores, spans, critiques, preferences that may disagree. Pairs are a view over candidates.
Field by field this is the schema `pref.v1`; unset fields are None or empty and are not written out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Task = Literal["preference", "ranking", "unpaired", "sft", "prompt", "critique", "stepwise"]
MediaKind = Literal["image", "video", "audio", "frames"]
PartType = Literal["text", "media", "tool_call", "tool_result", "thinking"]
Verdict = Literal["true", "false", "off_topic"]

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A labelled box in a picture."""

    label: str
    box: tuple[float, float, float, float]
    """Left, top, right, bottom."""
    space: Literal["abs", "norm1", "norm1000"] = "abs"
    """Pixels, or fractions of 1, or of 1000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """How a medium was made from another one."""

    source: str
    """Id of the medium it was made from, in the same record."""
    transform: str
    params: JsonObject = field(default_factory=dict)
    seed: int | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One picture, clip or recording, known by the hash of its bytes."""

    id: str
    """Unique within the record; parts point at it."""
    kind: MediaKind
    uri: str | None = None
    """Path relative to the data root, or an address. None once the bytes are in a store under `sha256`."""
    sha256: str | None = None
    mime: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    duration_s: float | None = None
    sample_rate_hz: int | None = None
    clip_s: tuple[float, float] | None = None
    """Start and end of the part that is meant."""
    frames: tuple[str, ...] = ()
    """For `frames`: one uri per frame, in order."""
    regions: tuple[Region, ...] = ()
    derived: Derivation | None = None
    meta: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a message. The order of parts is the interleaving of text and media."""

    type: PartType
    text: str | None = None
    media: str | None = None
    """Id of a medium of the record, for type `media`."""
    data: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn."""

    role: str
    parts: tuple[Part, ...]
    loss_weight: float | None = None

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text or "" for part in self.parts if part.type == "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who or what wrote a candidate."""

    kind: str
    """human, model, ground_truth, rewrite, injected, completion_without_media..."""
    model: str | None = None
    revision: str | None = None
    params: JsonObject = field(default_factory=dict)
    parent: str | None = None
    """Id of the candidate this one was made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AspectScore:
    """One rating of a candidate under one aspect."""

    aspect: str
    value: float | None = None
    """None when `raw` could not be read as a number; nothing is guessed."""
    low: float | None = None
    high: float | None = None
    raw: str | None = None
    rationale: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A claim within a candidate's text, and what was found about it. Also what an oracle returns for a response."""

    start: int
    """First character, within the text part."""
    end: int
    """One past the last character."""
    message: int = 0
    part: int = 0
    label: str | None = None
    """object, attribute, relation, count, position, ocr, temporal..."""
    verdict: Verdict | None = None
    weight: float | None = None
    replacement: str | None = None
    claim: str | None = None
    """The claim in canonical words, so that two wordings of one claim compare equal."""
    p_yes: float | None = None
    p_no: float | None = None
    media: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSwap:
    """Under this candidate, read medium `use` wherever the prompt refers to `slot`."""

    slot: str
    use: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One judged continuation of the prompt."""

    id: str
    messages: tuple[Message, ...]
    media_map: tuple[MediaSwap, ...] = ()
    rank: int | None = None
    """1 is best; ties allowed."""
    label: bool | None = None
    """Desirable or not, for unpaired data (KTO)."""
    origin: Origin | None = None
    scores: tuple[AspectScore, ...] = ()
    critique: str | None = None
    spans: tuple[Span, ...] = ()

    @property
    def text(self) -> str:
        """The text of all its messages, joined."""
        return "".join(message.text for message in self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Somebody preferred one candidate to another."""

    chosen: str
    rejected: str
    kind: Literal["response", "media", "both"] = "response"
    aspect: str | None = None
    margin: float | None = None
    confidence: float | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotator:
    """A person, a model or a rule that judged."""

    id: str
    kind: Literal["human", "model", "rule"]
    model: str | None = None
    prompt_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What making the record cost."""

    usd: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    accelerator_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the record came from and under which terms."""

    dataset: str | None = None
    revision: str | None = None
    split: str | None = None
    row: int | None = None
    """Counted from 1."""
    license: str | None = None
    pipeline: str | None = None
    step: str | None = None
    config_sha256: str | None = None
    parents: tuple[str, ...] = ()
    annotators: tuple[Annotator, ...] = ()
    cost: Cost | None = None
    created: str | None = None
    """ISO 8601, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One prompt with its media, its candidates and what was said about them."""

    id: str
    task: Task
    messages: tuple[Message, ...]
    """The shared context, up to the judged turn and without it."""
    media: tuple[Media, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    preferences: tuple[Preference, ...] = ()
    tools: tuple[JsonObject, ...] = ()
    tags: tuple[str, ...] = ()
    provenance: Provenance | None = None
    extra: JsonObject = field(default_factory=dict)
    """Source keys that no field claims, untouched."""

    def candidate(self, id: str) -> Candidate:
        """The candidate of this id, or KeyError."""
        for candidate in self.candidates:
            if candidate.id == id:
                return candidate
        raise KeyError(id)

    def medium(self, id: str) -> Media:
        """The medium of this id, or KeyError."""
        for medium in self.media:
            if medium.id == id:
                return medium
        raise KeyError(id)
