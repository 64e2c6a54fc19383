"""A small random piece of the picture: an input on which the chosen answer should be less likely.

Source: Wang et al. 2024 (mDPO), arXiv:2406.11839; the area range and the shape are those of the authors' code, which
draws a `RandomResizedCrop`.
Differs from the authors' code: the piece keeps its own size and the model's processor resizes it, where the code
stretches it to the model's input; a piece that does not fit the picture keeps its area and changes its shape, where
the code draws another area.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from boresight.errors import UsageError

_Draw = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomCrop:
    """Cut out a piece whose share of the area is uniform in a range."""

    area: tuple[float, float] = (0.01, 0.20)
    """Smallest and largest share of the picture's area."""
    max_aspect: float = 4 / 3
    """Largest ratio of its sides; the ratio is log-uniform, and either side may be the longer one."""

    def __post_init__(self) -> None:
        low, high = self.area
        if not 0 < low <= high <= 1:
            raise UsageError(f"RandomCrop.area must be 0 < low <= high <= 1, got {self.area!r}.")
        if not 1 <= self.max_aspect < math.inf:
            raise UsageError(f"RandomCrop.max_aspect must be >= 1, got {self.max_aspect}.")

    def __call__(self, image: Image.Image, *, seed: int) -> Image.Image:
        """The piece."""
        draw = random.Random(seed).random  # the one generator whose stream Python promises to keep
        low, high = self.area
        area = (low + (high - low) * draw()) * image.width * image.height
        aspect = self._draw_aspect(draw)
        width = _fit(math.sqrt(area * aspect), image.width)
        height = _fit(area / width, image.height)
        width = _fit(area / height, image.width)
        left = int(draw() * (image.width - width + 1))
        top = int(draw() * (image.height - height + 1))
        return image.crop((left, top, left + width, top + height))

    def _draw_aspect(self, draw: _Draw) -> float:
        """Width over height, log-uniform, from arithmetic that is exact on every machine (log and exp are not)."""
        while True:
            ratio = 1 + (self.max_aspect - 1) * draw()
            if draw() * ratio < 1:  # keeps a ratio with probability 1 / ratio
                return ratio if draw() < 0.5 else 1 / ratio


def _fit(side: float, limit: int) -> int:
    return min(max(round(side), 1), limit)


MEMBER = RandomCrop
