"""Gaussian blur: layout and colors stay, detail goes.

Source: Image DPO, arXiv:2501.00569, blurs with a radius drawn from 20 to 40 pixels.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image, ImageFilter

from boresight.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Blur:
    """Blur with a radius drawn from a range."""

    radius_px: tuple[float, float] = (20.0, 40.0)
    """Smallest and largest standard deviation of the Gaussian; equal numbers fix it."""

    def __post_init__(self) -> None:
        low, high = self.radius_px
        if not 0 < low <= high:
            raise UsageError(f"Blur.radius_px must be 0 < low <= high, got {self.radius_px!r}.")

    def __call__(self, image: Image.Image, *, seed: int) -> Image.Image:
        """`image`, blurred."""
        low, high = self.radius_px
        radius = low + (high - low) * random.Random(seed).random()
        return image.filter(ImageFilter.GaussianBlur(radius))


MEMBER = Blur
