"""What the tests of the command line share."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

Rows = Callable[..., Path]


def jpeg(size: tuple[int, int] = (64, 48)) -> bytes:
    """A sound JPEG with something on it."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, "JPEG")
    return out.getvalue()
