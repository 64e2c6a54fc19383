"""Messages and media to tokens, with the model's own chat template and processor. Nothing is ever cut."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from transformers.video_utils import VideoMetadata

from boresight.errors import InputError, ModelError, RecordError
from boresight.media.clip import Clip
from boresight.media.decoded import DecodedMedium, kind_of
from boresight.media.sound import Sound
from boresight.records import Message
from boresight.records.record import MediaKind

_NOT_MODEL_INPUTS = {"input_ids", "attention_mask", "labels"}
_TOKEN_INPUTS = {"token_type_ids", "mm_token_type_ids"}
_MS = 1000
# What the processor has for a kind of medium, and how people call that kind.
_READERS: Mapping[str, tuple[str, str]] = {
    "image": ("image_processor", "pictures"),
    "video": ("video_processor", "clips"),
    "audio": ("feature_extractor", "recordings"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPrompt:
    """A prompt as the model takes it. Media placeholders are expanded."""

    input_ids: Int[Tensor, " token"]
    token_inputs: Mapping[str, Tensor]
    """Other inputs with one value per token, each of shape (token,), such as `mm_token_type_ids`."""
    media_inputs: Mapping[str, Tensor]
    """Inputs of the media towers, such as `pixel_values`, as the processor made them."""

    @property
    def num_tokens(self) -> int:
        return int(self.input_ids.shape[0])


class Encoder:
    """Turns messages into token ids with one model's processor.

    Args:
        processor: A transformers processor, or a tokenizer for models of text only.
        takes_media: Whether the model has an input for media of any kind.
        max_tokens: Longest row the model takes, or None.
        name: How errors call the model.
        end_ids: Tokens besides the tokenizer's own that end an answer.
        without: Kinds of media that the model has no part for, whatever its processor reads.
        mixes_clips: Whether pictures and clips may stand in one prompt.

    Raises:
        ModelError: If there is no chat template, or no token ends an answer.
    """

    def __init__(
        self,
        processor: Any,
        *,
        takes_media: bool,
        max_tokens: int | None,
        name: str,
        end_ids: Sequence[int] = (),
        without: Collection[MediaKind] = (),
        mixes_clips: bool = True,
    ) -> None:
        self.processor = processor
        self.tokenizer = getattr(processor, "tokenizer", processor)
        eos = self.tokenizer.eos_token_id
        self.end_of_turn_ids = tuple(dict.fromkeys([*([] if eos is None else [int(eos)]), *end_ids]))
        """Tokens that end an answer; the first is the one that is appended where a template closes no turn."""
        if not self.end_of_turn_ids:
            raise ModelError(f"model {name} names no token that ends an answer (eos_token); set one in its tokenizer.")
        self.takes_media = takes_media
        self.max_tokens = max_tokens
        self.name = name
        self._without = without
        self._mixes_clips = mixes_clips
        self._is_multimodal = processor is not self.tokenizer
        if not (getattr(processor, "chat_template", None) or self.tokenizer.chat_template):
            raise ModelError(
                f"model {name} has no chat template, so a prompt cannot be told from an answer. "
                "Add chat_template.jinja to its folder."
            )
        self.special = tuple(sorted(_special_strings(processor, self.tokenizer), key=len, reverse=True))
        """Texts that the model reads as commands, longest first."""

    def prompt(self, messages: Sequence[Message], media: Sequence[DecodedMedium]) -> EncodedPrompt:
        """Encode everything up to where the answer begins.

        Args:
            messages: Turns with typed parts; the order of media parts is the order of `media`.
            media: Pictures, clips and recordings, one per media part.

        Raises:
            ModelError: If the model has no input for a kind of media that is there.
            RecordError: If text holds one of the model's special tokens, media and places differ, a recording is
                longer than the model hears, or the processor refuses the prompt.
        """
        kinds = [kind_of(medium) for medium in media]
        self._check(messages, kinds)
        text = self._render(messages, kinds, generation_prompt=True)
        if not self._is_multimodal:
            ids = self._token_ids(text)
            return EncodedPrompt(input_ids=torch.tensor(ids), token_inputs={}, media_inputs={})
        features = self._processed(text, self._media_arguments(media))
        ids = features["input_ids"]
        other = {k: v for k, v in features.items() if k not in _NOT_MODEL_INPUTS and isinstance(v, Tensor)}
        per_token = {k: v[0] for k, v in other.items() if k in _TOKEN_INPUTS}
        return EncodedPrompt(
            input_ids=ids[0],
            token_inputs=per_token,
            media_inputs={k: v for k, v in other.items() if k not in per_token},
        )

    def answer(
        self, messages: Sequence[Message], answer: Sequence[Message], kinds: Sequence[MediaKind] = ()
    ) -> Int[Tensor, " token"]:
        """Token ids of an answer that follows `messages`, with the token that ends the turn.

        The answer is tokenized together with the prompt. Where that changes the prompt's own tokens it is tokenized
        alone, which is what the model meets when it generates.

        Args:
            kinds: Of the media in `messages`, in order; pictures where none are given.

        Raises:
            ModelError: If the template renders a prompt differently once an answer follows.
            RecordError: If text holds one of the model's special tokens.
        """
        self._check_text((*messages, *answer))
        before = self._render(messages, kinds, generation_prompt=True)
        whole = self._render((*messages, *answer), kinds, generation_prompt=False)
        if not whole.startswith(before):
            raise ModelError(
                f"the chat template of {self.name} renders a prompt differently once an answer follows it, "
                "so answer tokens cannot be found. Use a template that only appends."
            )
        prompt_ids, ids = self._token_ids(before), self._token_ids(whole)
        if ids[: len(prompt_ids)] == prompt_ids:
            answer_ids = ids[len(prompt_ids) :]
        else:
            answer_ids = self.tokenizer(whole[len(before) :], add_special_tokens=False)["input_ids"]
        if not set(answer_ids) & set(self.end_of_turn_ids):
            # Templates such as LLaVA-1.5's close no turn; without an end the model never learns to stop.
            text = whole[len(before) :].rstrip()
            answer_ids = [
                *self.tokenizer(text, add_special_tokens=False)["input_ids"],
                self.end_of_turn_ids[0],
            ]
        return torch.tensor(answer_ids, dtype=torch.long)

    def check_length(self, prompt: EncodedPrompt, answers: Mapping[str, Int[Tensor, " _token"]]) -> None:
        """Refuse what the model cannot hold, instead of cutting it.

        Raises:
            InputError: If the prompt alone, or the prompt with one of the answers, is too long.
        """
        if self.max_tokens is None:
            return
        if prompt.num_tokens >= self.max_tokens:
            raise InputError(
                f"the prompt has {prompt.num_tokens} tokens with its media; {self.name} takes at most "
                f"{self.max_tokens}. Shorten it, use smaller pictures, or drop the row."
            )
        for name, ids in answers.items():
            total = prompt.num_tokens + len(ids)
            if total > self.max_tokens:
                raise InputError(
                    f"answer '{name}' would be cut away: prompt {prompt.num_tokens} + answer {len(ids)} = {total} "
                    f"tokens; {self.name} takes at most {self.max_tokens}. Shorten it or drop the row."
                )

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, without special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def _render(self, messages: Sequence[Message], kinds: Sequence[MediaKind], *, generation_prompt: bool) -> str:
        places = iter(kinds)
        turns = [{"role": m.role, "content": self._content(m, places)} for m in messages]
        return str(self.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=generation_prompt))

    def _content(self, message: Message, kinds: Iterator[MediaKind]) -> str | list[dict[str, str]]:
        if not self._is_multimodal:
            return message.text
        return [
            {"type": _seen(next(kinds, "image"))} if part.type == "media" else {"type": "text", "text": part.text or ""}
            for part in message.parts
        ]

    def _processed(self, text: str, media_arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        adds_special = self._adds_special(text)
        try:
            features: Mapping[str, Any] = self.processor(
                text=[text], add_special_tokens=adds_special, return_tensors="pt", **media_arguments
            )
        except ValueError as error:  # what it was not made for, such as a second clip
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise RecordError(
                f"the processor of {self.name} refuses the prompt: {reason}. Change the row or drop it."
            ) from error
        return features

    def _media_arguments(self, media: Sequence[DecodedMedium]) -> dict[str, Any]:
        """What the processor is called with. It gets decoded media only: a name would make it read files."""
        clips = [medium for medium in media if isinstance(medium, Clip)]
        sounds = [medium for medium in media if isinstance(medium, Sound)]
        given: dict[str, Any] = {"images": [medium for medium in media if not isinstance(medium, Clip | Sound)] or None}
        if clips:
            # By prompt: before transformers 5.18 SmolVLM's processor takes frames of a flat list for clips.
            given["videos"] = [[np.stack([np.asarray(frame) for frame in clip.frames]) for clip in clips]]
            given["videos_kwargs"] = {
                "do_sample_frames": False,
                "fps": _one_rate(clips),
                "video_metadata": [_metadata(clip) for clip in clips],
            }
        if sounds:
            extractor = self.processor.feature_extractor
            given["audio"] = [self._samples(sound, extractor) for sound in sounds]
            given["audio_kwargs"] = {"sampling_rate": extractor.sampling_rate}
        return given

    def _samples(self, sound: Sound, extractor: Any) -> np.ndarray:
        samples = sound.at(extractor.sampling_rate)
        most = _most_samples(extractor)
        if most is not None and len(samples) > most:
            raise RecordError(
                f"a recording lasts {sound.seconds:.1f} s; {self.name} hears {most / extractor.sampling_rate:g} s and "
                "would be given its beginning only. Cut it, or set clip_s."
            )
        return samples

    def _token_ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=self._adds_special(text))["input_ids"])

    def _adds_special(self, text: str) -> bool:
        bos = self.tokenizer.bos_token  # a template that writes it must not get a second one
        return not (bos and text.startswith(bos))

    def _check(self, messages: Sequence[Message], kinds: Sequence[MediaKind]) -> None:
        places = sum(part.type == "media" for m in messages for part in m.parts)
        if places != len(kinds):
            raise RecordError(f"{len(kinds)} media for {places} places in the prompt; they must be equal.")
        self._check_text(messages)
        for kind in dict.fromkeys(kinds):
            reader, called = _READERS[kind]
            if getattr(self.processor, reader, None) is None or kind in self._without:
                raise ModelError(f"the data have {called}, but {self.name} takes none. Choose another model.")
        if not self._mixes_clips and {"image", "video"} <= set(kinds):
            raise RecordError(
                f"pictures and clips stand in one prompt; {self.name} cannot tell them apart. "
                "Put them into prompts of their own."
            )

    def _check_text(self, messages: Sequence[Message]) -> None:
        if not self.takes_media and any(part.type == "media" for m in messages for part in m.parts):
            raise ModelError(
                f"the data have media, but {self.name} is a model of text only. "
                "Choose a multimodal model or drop the media."
            )
        for message in messages:
            for part in message.parts:
                found = next((s for s in self.special if part.text and s in part.text), None)
                if found:
                    raise RecordError(
                        f"text holds {found!r}, a special token of {self.name}; it would be read as a command, "
                        "not as text. Remove it or drop the row."
                    )


def _seen(kind: MediaKind) -> str:
    """A kind of medium as chat templates name it."""
    return "video" if kind == "frames" else kind


def _most_samples(extractor: Any) -> int | None:
    """How many samples an extractor hears, if it cuts what is longer."""
    of_instance = getattr(extractor, "n_samples", None)
    if of_instance is not None:
        return int(of_instance)
    parameter = inspect.signature(extractor.__call__).parameters.get("max_length")
    return None if parameter is None or not isinstance(parameter.default, int) else parameter.default


def _metadata(clip: Clip) -> VideoMetadata:
    """Times of the frames, for processors that tell them to the model, as numbers of frames that last a millisecond."""
    height, width = clip.frames[0].height, clip.frames[0].width
    return VideoMetadata(
        total_num_frames=max(1, round(clip.seconds * _MS)),
        fps=_MS,
        width=width,
        height=height,
        duration=clip.seconds,
        frames_indices=[round(time * _MS) for time in clip.times_s],
    )


def _one_rate(clips: Sequence[Clip]) -> float:
    """Frames per second of all clips; some processors take one number for a whole prompt."""
    rates = [clip.per_s for clip in clips]
    if max(rates) > 1.05 * min(rates):
        raise RecordError(
            f"clips of {min(rates):.2g} and {max(rates):.2g} frames per second stand in one prompt; "
            "draw them alike, or put them into prompts of their own."
        )
    return rates[0]


def _special_strings(processor: Any, tokenizer: Any) -> set[str]:
    special = set(tokenizer.all_special_tokens)
    special |= {t.content for t in tokenizer.added_tokens_decoder.values() if t.special}
    special |= {
        token
        for name in ("image_token", "video_token", "audio_token")
        if isinstance(token := getattr(processor, name, None), str)
    }
    return {s for s in special if s.strip()}
