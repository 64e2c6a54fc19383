"""What a medium is once it is decoded: a picture, a clip or a recording. One place knows which reader is for which."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Protocol

import numpy as np
from PIL import Image

from boresight.errors import MediaError, UsageError
from boresight.media.clip import DEFAULT_CLIP_LIMITS, DEFAULT_SAMPLING, Clip, ClipLimits, FrameSampling, decode_clip
from boresight.media.frames import frame_media
from boresight.media.image import decode_image
from boresight.media.sound import Sound, decode_sound
from boresight.records.record import Media, MediaKind

DecodedMedium = Image.Image | Clip | Sound


class PictureTransform(Protocol):
    """What makes a variant of a picture, as `boresight.media.transforms` do."""

    def __call__(self, image: Image.Image, *, seed: int) -> Image.Image: ...


def decode_medium(
    medium: Media,
    read: Callable[[Media], bytes],
    *,
    sampling: FrameSampling = DEFAULT_SAMPLING,
    limits: ClipLimits = DEFAULT_CLIP_LIMITS,
) -> DecodedMedium:
    """Decode a record's medium by its kind.

    Args:
        read: Bytes of a medium, also of a single frame.
        sampling: Which frames of a clip are drawn.

    Raises:
        MediaError: If it is not what its kind says, or cannot be read safely.
        UsageError: If the package for its kind is not installed.
    """
    name = medium.uri or medium.id
    if medium.kind == "video":
        return decode_clip(read(medium), name=name, sampling=sampling, part_s=medium.clip_s, limits=limits)
    if medium.kind == "audio":
        return decode_sound(read(medium), name=name, part_s=medium.clip_s)
    if medium.kind == "frames":
        return _from_frames(medium, read, sampling)
    return decode_image(read(medium), name=name).image


def kind_of(decoded: DecodedMedium) -> MediaKind:
    """The kind of medium that models tell apart."""
    if isinstance(decoded, Clip):
        return "video"
    return "audio" if isinstance(decoded, Sound) else "image"


def num_values(decoded: DecodedMedium) -> int:
    """Pixels or samples, for whoever keeps decoded media within a budget."""
    if isinstance(decoded, Clip):
        return sum(frame.width * frame.height for frame in decoded.frames)
    return len(decoded.samples) if isinstance(decoded, Sound) else decoded.width * decoded.height


def change_pictures(decoded: DecodedMedium, transform: PictureTransform, *, seed: int) -> DecodedMedium:
    """A picture's variant, or a clip's with every frame changed alike.

    Raises:
        UsageError: If it is a recording, or what comes of it is no picture.
    """
    if isinstance(decoded, Clip):
        frames = tuple(_changed(frame, transform, seed) for frame in decoded.frames)
        return dataclasses.replace(decoded, frames=frames)
    if isinstance(decoded, Sound):
        raise UsageError(
            f"{type(transform).__name__} changes pictures, and the prompt holds a recording. "
            "Choose a method whose inputs are made for sound, or drop the row."
        )
    return _changed(decoded, transform, seed)


def _changed(image: Image.Image, transform: PictureTransform, seed: int) -> Image.Image:
    changed = transform(image.copy(), seed=seed)  # anybody's transform may draw into what it is given
    if not isinstance(changed, Image.Image) or changed.mode != "RGB":
        got = f"one of mode {changed.mode}" if isinstance(changed, Image.Image) else type(changed).__name__
        raise UsageError(f"{type(transform).__name__} must return an RGB picture, got {got}.")
    return changed


def shown_to_people(decoded: DecodedMedium) -> Image.Image | None:
    """The picture, or the frame in the middle of a clip; None for a recording."""
    if isinstance(decoded, Clip):
        return decoded.frames[len(decoded.frames) // 2]
    return None if isinstance(decoded, Sound) else decoded


def content(decoded: DecodedMedium) -> bytes:
    """All that a model can see or hear of it, for hashes."""
    if isinstance(decoded, Clip):
        return b"".join((repr(decoded.times_s).encode(), *map(content, decoded.frames)))
    if isinstance(decoded, Sound):
        return f"{decoded.rate_hz} ".encode() + decoded.samples.tobytes()
    return f"{decoded.mode} {decoded.width} {decoded.height} ".encode() + decoded.tobytes()


def silence(sound: Sound) -> Sound:
    """The same length of nothing: the media-removed control of a recording."""
    return dataclasses.replace(sound, samples=np.zeros_like(sound.samples))


def _from_frames(medium: Media, read: Callable[[Media], bytes], sampling: FrameSampling) -> Clip:
    """A clip that was stored as pictures; without a frame rate they count as drawn at the rate of the sampling."""
    if not medium.frames:
        raise MediaError(f"medium {medium.id!r} of kind 'frames' names no frames. Name them, or drop the row.")
    per_s = medium.fps or sampling.per_s
    seconds = len(medium.frames) / per_s
    count = sampling.count(seconds, len(medium.frames))
    drawn = [int((k + 0.5) * len(medium.frames) / count) for k in range(count)]
    pictures = frame_media(medium)
    images = [decode_image(read(pictures[i]), name=pictures[i].id) for i in drawn]
    if len({decoded.image.size for decoded in images}) > 1:
        raise MediaError(f"medium {medium.id!r} has frames of different sizes. Resize them alike.")
    return Clip(
        frames=tuple(decoded.image for decoded in images),
        times_s=tuple(i / per_s for i in drawn),
        seconds=seconds,
        sampling=sampling,
        num_frames=len(medium.frames),
        codec="frames",
        mime=images[0].mime,
        sha256=hashlib.sha256("".join(decoded.sha256 for decoded in images).encode()).hexdigest(),
    )
