"""The models and rows that are timed."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from boresight.models.fake import FakeShape

WORDS = ["red", "blue", "cube", "sphere", "left", "right", "of", "the", "a", "is", "on", "under", "user"]
PROMPT = "describe the picture in detail"
SHAPES = {
    "small": FakeShape(hidden=256, layers=6, heads=4),
    "1b": FakeShape(hidden=2048, layers=16, heads=32, tower_hidden=1024, tower_layers=24),
    "7b": FakeShape(hidden=4096, layers=32, heads=32, tower_hidden=1024, tower_layers=24),
}
_PATCH_PX = 14


def fake_shape(name: str, media_tokens: int) -> FakeShape:
    """A LLaVA of this size, with pictures of so many tokens or a few less."""
    side_px = _PATCH_PX * int(media_tokens**0.5)
    return dataclasses.replace(SHAPES[name], image_px=side_px, patch_px=_PATCH_PX, vocab=32064, max_tokens=4096)


def noise(rng: np.random.Generator, side_px: int) -> Image.Image:
    """A picture of noise."""
    return Image.fromarray(rng.integers(0, 255, (side_px, side_px, 3), dtype=np.uint8))
