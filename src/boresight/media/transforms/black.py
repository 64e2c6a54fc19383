"""A black picture of the same size."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Black:
    """Nothing to see, but not nothing to a model: black is a strong input after normalization. See `null`."""

    def __call__(self, image: Image.Image, *, seed: int) -> Image.Image:
        """A black picture of the size of `image`."""
        return Image.new("RGB", image.size)


MEMBER = Black
