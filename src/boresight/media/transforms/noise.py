"""Gaussian noise on every channel of every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from PIL import Image

from boresight.errors import UsageError

_STEPS = 65_536  # one quantile for each 16-bit draw; the outermost lie at 4.3 standard deviations


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Add independent Gaussian noise and clip to 0..255.

    The noise is looked up by raw 16-bit draws in a table of rounded quantiles: sampling a normal distribution in
    floating point may differ between versions and machines, integers do not.
    """

    sigma: float = 64.0
    """Standard deviation in gray levels of 0..255. The default leaves large shapes and hides small objects."""

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= 1000:  # more would only paint every channel 0 or 255
            raise UsageError(f"Noise.sigma must be in (0, 1000], got {self.sigma}.")

    def __call__(self, image: Image.Image, *, seed: int) -> Image.Image:
        """`image` with noise."""
        pixels = np.asarray(image, dtype=np.int16)
        words = np.random.PCG64(seed).random_raw(-(-pixels.size // 4))  # each holds four draws of 16 bits
        draws = words.astype("<u8").view("<u2")[: pixels.size].reshape(pixels.shape)
        noisy = np.clip(pixels + _quantiles(self.sigma)[draws], 0, 255)
        return Image.fromarray(noisy.astype(np.uint8))


@lru_cache(maxsize=8)
def _quantiles(sigma: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    inverse = NormalDist(0.0, sigma).inv_cdf
    return np.array([round(inverse((step + 0.5) / _STEPS)) for step in range(_STEPS)], dtype=np.int16)


MEMBER = Noise
