"""Small pictures and rows that the data tests share."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image


def picture(color: str = "red", size: tuple[int, int] = (16, 12), format: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, format)
    return out.getvalue()


def pair_row(**changes: Any) -> dict[str, Any]:
    row = {
        "conversations": [{"from": "human", "value": "<image>What is it?"}],
        "chosen": {"from": "gpt", "value": "A red field."},
        "rejected": {"from": "gpt", "value": "A blue field."},
        "images": ["a.png"],
    }
    return {key: value for key, value in {**row, **changes}.items() if value is not ...}
