"""Frames between the pool and its children: a short JSON head and raw bytes. Nothing is unpickled.

frame = head length (4 bytes) | body length (8 bytes) | head (JSON object) | body
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any

_LENGTHS = struct.Struct(">IQ")
_MAX_HEAD_BYTES = 65_536


class WireError(Exception):
    """The other end sent something that is no frame, or ended in the middle of one."""


def write_frame(stream: IO[bytes], head: dict[str, Any], body: bytes = b"") -> None:
    """Send one frame and flush."""
    encoded = json.dumps(head).encode("ascii")
    stream.write(_LENGTHS.pack(len(encoded), len(body)))
    stream.write(encoded)
    stream.write(body)
    stream.flush()


def read_frame(stream: IO[bytes], *, max_body_bytes: int) -> tuple[dict[str, Any], bytes] | None:
    """The next frame, or None where the stream ends between frames.

    Raises:
        WireError: If the frame is cut off, malformed or larger than allowed.
    """
    lengths = stream.read(_LENGTHS.size)
    if not lengths:
        return None
    if len(lengths) != _LENGTHS.size:
        raise WireError("the stream ended within a frame")
    head_bytes, body_bytes = _LENGTHS.unpack(lengths)
    if head_bytes > _MAX_HEAD_BYTES or body_bytes > max_body_bytes:
        raise WireError("a frame is larger than allowed")
    encoded = stream.read(head_bytes)
    body = stream.read(body_bytes)
    if len(encoded) != head_bytes or len(body) != body_bytes:
        raise WireError("the stream ended within a frame")
    try:
        head = json.loads(encoded)
    except (ValueError, RecursionError):
        raise WireError("the head of a frame is not JSON") from None
    if not isinstance(head, dict):
        raise WireError("the head of a frame is not an object")
    return head, body
