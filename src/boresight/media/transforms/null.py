"""A uniform picture of the same size: the media-removed control."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from boresight.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """One color everywhere, the same for every picture, so that nothing of the picture is left but its size.

    Its mean color is not used: it would tell sky from forest. The size stays, so that a model spends the same number
    of tokens on it as on the picture.
    """

    color: tuple[int, int, int] = (127, 127, 127)
    """Red, green, blue in 0..255. Mid-gray is about zero after the usual normalization to [-1, 1]."""

    def __post_init__(self) -> None:
        if len(self.color) != 3 or not all(0 <= level <= 255 for level in self.color):
            raise UsageError(f"Null.color must be three levels in 0..255, got {self.color!r}.")

    def __call__(self, image: Image.Image, *, seed: int) -> Image.Image:
        """A picture of the size of `image` in `color`."""
        return Image.new("RGB", image.size, tuple(self.color))


MEMBER = Null
