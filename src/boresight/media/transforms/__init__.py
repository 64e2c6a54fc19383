"""Variants of a picture: one per file, seeded and pure. Same picture, fields and seed: same pixels on any machine."""

from __future__ import annotations

from typing import Protocol

from PIL import Image


class Transform(Protocol):
    """A frozen dataclass with JSON-able fields; calling it makes the variant and leaves the picture as it was."""

    def __call__(self, image: Image.Image, *, seed: int) -> Image.Image:
        """The variant of an RGB picture. A transform that draws nothing ignores the seed."""
        ...
