"""A scene becomes a picture of 96 x 96 pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image, ImageDraw

from boresight.worlds._scene_content import COLUMNS, Scene, Thing

SIDE_PX = 96
_CELL_PX = SIDE_PX // len(COLUMNS)
_RGB = {
    "red": (215, 40, 40),
    "green": (40, 160, 60),
    "blue": (45, 80, 215),
    "yellow": (235, 205, 40),
    "purple": (140, 50, 180),
    "orange": (245, 130, 25),
    "black": (25, 25, 25),
    "pink": (250, 135, 195),
}

Rgb = tuple[int, int, int]
Paint = Callable[[ImageDraw.ImageDraw, int, int, int, Rgb], None]


def draw(scene: Scene) -> Image.Image:
    """The picture of a scene, in RGB."""
    picture = Image.new("RGB", (SIDE_PX, SIDE_PX), scene.background)
    canvas = ImageDraw.Draw(picture)
    for thing in scene.things:
        x, y = middle_px(thing)
        _PAINT[thing.shape](canvas, x, y, thing.radius_px, _RGB[thing.color])
    return picture


def middle_px(thing: Thing) -> tuple[int, int]:
    """Where the middle of an object lies, from the left and from the top."""
    x = thing.column * _CELL_PX + _CELL_PX // 2 + thing.shift_px[0]
    y = thing.row * _CELL_PX + _CELL_PX // 2 + thing.shift_px[1]
    return x, y


def _circle(canvas: ImageDraw.ImageDraw, x: int, y: int, radius: int, fill: Rgb) -> None:
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _square(canvas: ImageDraw.ImageDraw, x: int, y: int, radius: int, fill: Rgb) -> None:
    canvas.rectangle((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _triangle(canvas: ImageDraw.ImageDraw, x: int, y: int, radius: int, fill: Rgb) -> None:
    canvas.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=fill)


def _star(canvas: ImageDraw.ImageDraw, x: int, y: int, radius: int, fill: Rgb) -> None:
    points = []
    for corner in range(10):
        angle = (corner / 5 - 0.5) * math.pi
        reach = radius if corner % 2 == 0 else radius * 0.42
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    canvas.polygon(points, fill=fill)


def _cross(canvas: ImageDraw.ImageDraw, x: int, y: int, radius: int, fill: Rgb) -> None:
    arm = max(2, radius // 3)
    canvas.rectangle((x - radius, y - arm, x + radius, y + arm), fill=fill)
    canvas.rectangle((x - arm, y - radius, x + arm, y + radius), fill=fill)


def _ring(canvas: ImageDraw.ImageDraw, x: int, y: int, radius: int, fill: Rgb) -> None:
    box = (x - radius, y - radius, x + radius, y + radius)
    canvas.ellipse(box, outline=fill, width=max(2, radius // 3))


_PAINT: dict[str, Paint] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
}
