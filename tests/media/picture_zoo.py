"""Pictures, good and bad, built when a test asks for them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 96, 64


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, depth: int = 8, color: int = 2, rows: bytes = b"", extra: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(rows, 1))
    return b"\x89PNG\r\n\x1a\n" + header + extra + body + png_chunk(b"IEND", b"")


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=format, **options)
    return stream.getvalue()


def gradient() -> Image.Image:
    """Dark left, bright right, so that a wrong turn shows."""
    row = np.linspace(0, 255, WIDTH, dtype=np.uint8)
    return Image.fromarray(np.repeat(np.tile(row, (HEIGHT, 1))[:, :, None], 3, axis=2))


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def quadrants() -> Image.Image:
    """Four colors, so that every turn and flip gives another picture."""
    image = Image.new("RGB", (48, 32), "red")
    image.paste("lime", (24, 0, 48, 16))
    image.paste("blue", (0, 16, 24, 32))
    return image


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.jpg": (lambda: b"", "is empty"),
    "header_only.jpg": (lambda: encode(gradient(), "JPEG")[:20], "begins as JPEG, but its header"),
    "html.jpg": (lambda: b"<html>404 not found</html>", "an HTML page"),
    "doctype.jpg": (lambda: b"\n <!DOCTYPE html><html></html>", "an HTML page"),
    "json.jpg": (lambda: b'{"error": "not found"}', "a JSON text"),
    "lfs.jpg": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n", "git lfs pull"),
    "bomb_50k.png": (lambda: png(50_000, 50_000), "too large"),
    "bomb_1bit.png": (lambda: png(16_000, 16_000, depth=1, color=0, rows=bytes(2_001 * 16_000)), "too large"),
    "bomb_9k.png": (lambda: png(9_000, 9_000), "9000 x 9000 px, 81000000 pixels; the limit is 50000000"),
    "zero.png": (lambda: png(0, 0), "begins as PNG, but its header"),
    "wide.png": (lambda: encode(Image.new("RGB", (16_000, 9)), "PNG"), "100 times"),
    "long.png": (lambda: encode(Image.new("RGB", (20_000, 300)), "PNG"), "longest side must be <= 16384"),
    "pixel.png": (lambda: encode(Image.new("RGB", (1, 1)), "PNG"), "1 x 1 px; the shortest side must be >= 8"),
    "crc.png": (lambda: _flip(encode(gradient(), "PNG"), -20), "damaged"),
    "ztxt.png": (lambda: png(9, 9, extra=_huge_text()), "Decompressed data too large"),
    "float.tiff": (lambda: encode(Image.new("F", (16, 16)), "TIFF"), "a TIFF picture"),
    "drawing.svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "an SVG drawing"),
    "prolog.svg": (lambda: b'<?xml version="1.0"?><!-- x --><svg></svg>', "an SVG drawing"),
    "page.eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "PostScript"),
    "page.pdf": (lambda: b"%PDF-1.7\n", "a PDF document"),
    "text.png": (lambda: b"hello world", "b'hello wo'"),
}


def _flip(data: bytes, position: int) -> bytes:
    damaged = bytearray(data)
    damaged[position] ^= 0xFF
    return bytes(damaged)


def _huge_text() -> bytes:
    return png_chunk(b"zTXt", b"k\0\0" + zlib.compress(b"A" * 80_000_000, 1))
