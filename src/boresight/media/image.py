"""The one canonical decode: bytes to upright RGB pixels, 8 bits a channel.

Trainer, judge and viewer see the same pixels, because nobody else decodes. What Pillow does silently is either done
right here (16-bit gray is scaled, not clipped; transparency is laid on white; EXIF orientation is applied) or refused.
Color profiles are not applied: the models were trained on pictures read without them.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import (
    AvifImagePlugin,  # noqa: F401  named ones only: registering all of Pillow's readers doubles the start of a child
    Image,
    ImageFile,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from boresight.errors import MediaError, UsageError
from boresight.media._content import name_content

Change = Literal["oriented", "flattened", "scaled_16_bit", "from_cmyk", "first_frame"]

# TIFF is left out: a container of many codecs and page layouts, common in advisories and rare in vision data.
MIME_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG with further pictures behind it, as phones write; Pillow opens it as JPEG first
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "AVIF": "image/avif",
}
_FORMATS = tuple(name for name in MIME_TYPES if name != "MPO")
_SIGNATURES = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM"),
    "AVIF": re.compile(rb"....ftypavi[fs]", re.DOTALL),
}
_PILLOW_MAX_PIXELS = 178_956_970  # Pillow's own guard refuses twice its MAX_IMAGE_PIXELS

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WHITE = (255, 255, 255, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What a picture may be. Sizes are read from its header, before any pixel is decoded."""

    max_bytes: int = 50_000_000
    max_pixels: int = 50_000_000
    """Width times height; 150 MB once decoded."""
    min_side_px: int = 8
    """Some processors spend thousands of tokens on a single pixel."""
    max_side_px: int = 16_384
    max_aspect: float = 100.0
    """Long side over short side; Qwen's processors refuse 200."""

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or self.max_pixels < 1 or self.min_side_px < 1:
            raise UsageError("ImageLimits: max_bytes, max_pixels and min_side_px must be >= 1.")
        if self.max_pixels > _PILLOW_MAX_PIXELS:
            raise UsageError(
                f"ImageLimits.max_pixels must be <= {_PILLOW_MAX_PIXELS}, got {self.max_pixels}: Pillow refuses"
                " larger pictures. Resize them first."
            )
        if self.max_side_px < self.min_side_px:
            raise UsageError(
                f"ImageLimits.max_side_px must be >= min_side_px, got {self.max_side_px} < {self.min_side_px}."
            )
        if not self.max_aspect >= 1:
            raise UsageError(f"ImageLimits.max_aspect must be >= 1, got {self.max_aspect}.")


DEFAULT_LIMITS = ImageLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A picture and the facts that a record keeps about it."""

    image: Image.Image
    """RGB, upright, without metadata."""
    width_px: int
    height_px: int
    mime: str
    """By content; a file's name is not looked at."""
    sha256: str
    """Of the encoded bytes, not of the pixels."""
    frames: int
    """1, or the frames of an animation, of which `image` is the first."""
    changes: tuple[Change, ...]
    """What was done beyond decoding, so that reports can count it."""


def decode_image(data: bytes, *, name: str = "image", limits: ImageLimits = DEFAULT_LIMITS) -> Decoded:
    """Decode a picture in this process. For files from others, `DecodePool` does the same in a child process.

    Args:
        name: What messages call the picture.

    Raises:
        MediaError: If it is too large, damaged, or of a format or pixel layout that is not read.
        UsageError: If some library told Pillow to accept truncated files.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise UsageError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, so damaged pictures would pass as whole ones."
            " Switch it off, or decode in a DecodePool."
        )
    check_encoded(data, name=name, limits=limits)
    try:
        return _decode(data, limits)
    except MediaError as error:
        raise MediaError(f"image {name!r} {error.reason}") from None


def check_encoded(data: bytes, *, name: str, limits: ImageLimits) -> None:
    """Refuse what can be refused without looking inside.

    Raises:
        MediaError: If the data are empty or larger than allowed.
    """
    if not data:
        raise MediaError(f"image {name!r} is empty. Download it again, or drop the row.")
    if len(data) > limits.max_bytes:
        raise MediaError(
            f"image {name!r} is {len(data)} bytes; the limit is {limits.max_bytes}. Shrink it or raise max_bytes."
        )


def _decode(data: bytes, limits: ImageLimits) -> Decoded:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            _check_size(opened.size, limits)
            mime = MIME_TYPES[opened.format or ""]
            frames = int(getattr(opened, "n_frames", 1))  # only the formats with animation have it
            opened.load()
            image, changes = _canonical(opened)
    except MediaError:
        raise
    except Image.DecompressionBombError:
        raise MediaError(
            f"is too large: its header promises more pixels than Pillow decodes; the limit is {limits.max_pixels}."
            " Resize it first."
        ) from None
    except UnidentifiedImageError:
        raise MediaError(_not_a_picture(data)) from None
    except MemoryError:
        raise MediaError("needs more memory than this process may use. Resize it.") from None
    except Exception as error:  # noqa: BLE001  on hostile bytes Pillow's readers raise nearly anything
        raise MediaError(
            f"is damaged or cut off: {type(error).__name__}: {error}. Download it again, or drop the row."
        ) from None
    return Decoded(
        image=image,
        width_px=image.width,
        height_px=image.height,
        mime=mime,
        sha256=hashlib.sha256(data).hexdigest(),
        frames=frames,
        changes=changes if frames == 1 else (*changes, "first_frame"),
    )


def _check_size(size: tuple[int, int], limits: ImageLimits) -> None:
    found = f"is {size[0]} x {size[1]} px"
    short, long = sorted(size)
    if short < limits.min_side_px:
        raise MediaError(
            f"{found}; the shortest side must be >= {limits.min_side_px}. Drop the row or lower min_side_px."
        )
    if long > limits.max_side_px:
        raise MediaError(f"{found}; the longest side must be <= {limits.max_side_px}. Resize it or raise max_side_px.")
    if short * long > limits.max_pixels:
        raise MediaError(
            f"{found}, {short * long} pixels; the limit is {limits.max_pixels}. Resize it or raise max_pixels."
        )
    if long > limits.max_aspect * short:
        raise MediaError(
            f"{found}; the long side may be {limits.max_aspect:g} times the short one. Crop it or raise max_aspect."
        )


def _not_a_picture(data: bytes) -> str:
    for format, signature in _SIGNATURES.items():
        if signature.match(data):
            return f"begins as {format}, but its header is damaged or cut off. Download it again, or drop the row."
    expected = ", ".join(_FORMATS)
    content = name_content(data)
    if content is None:
        return f"starts with {data[:8]!r}, which is the start of none of {expected}. Convert it to PNG or JPEG."
    return f"is {content.name}; expected one of {expected}. {content.advice}"


def _canonical(image: Image.Image) -> tuple[Image.Image, tuple[Change, ...]]:
    """Upright RGB without metadata, and what it took."""
    transpose = _UPRIGHT.get(_orientation(image))
    changes: list[Change] = []
    if image.mode.startswith("I;16"):
        rgb = _from_16_bit(image)
        changes.append("scaled_16_bit")
    elif image.has_transparency_data:
        rgb = _on_white(image)
        changes.append("flattened")
    elif image.mode == "CMYK":
        rgb = image.convert("RGB")
        changes.append("from_cmyk")
    elif image.mode in ("1", "L", "P", "RGB", "RGBX"):
        rgb = image.convert("RGB")
    else:
        raise MediaError(f"has pixels of layout {image.mode!r}, which is not read. Convert it to 8-bit RGB.")
    if transpose is not None:
        rgb = rgb.transpose(transpose)
        changes.append("oriented")
    bare = Image.new("RGB", rgb.size)
    bare.paste(rgb)  # a converted copy keeps EXIF, comments and profiles in `info`; this one has none
    return bare, tuple(changes)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, or 1 where the tag is missing or the block is damaged."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001  a broken EXIF block says nothing about the pixels
        return 1
    return value if isinstance(value, int) else 1


def _from_16_bit(image: Image.Image) -> Image.Image:
    """16-bit gray to RGB. Pillow's own conversion clips at 255, which turns almost everything white."""
    values = np.asarray(image).astype(np.uint32)
    gray = ((values + 128) // 257).astype(np.uint8)  # round(value / 257): 65535 = 255 * 257
    gray[values == image.info.get("transparency", -1)] = 255  # the one value a PNG may declare transparent
    return Image.fromarray(gray).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Lay a transparent picture on white. Dropping alpha would show colors that no viewer shows."""
    key = image.info.get("transparency")
    if isinstance(key, tuple) and max(key) > 255:  # of 16-bit color Pillow keeps the high bytes, but the whole key
        image.info["transparency"] = tuple(level >> 8 for level in key)
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, _WHITE), rgba).convert("RGB")
