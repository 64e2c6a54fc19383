"""The pixels say what the facts say."""

from __future__ import annotations

import numpy as np
import pytest

from boresight.worlds._scene_content import COLORS, SHAPES, Scene, Thing
from boresight.worlds._scene_drawing import _RGB, SIDE_PX, draw, middle_px
from boresight.worlds.scenes import MEMBER

CELL_PX = SIDE_PX // 3


def one_thing(shape: str, *, color: str = "red", radius_px: int = 12) -> Scene:
    thing = Thing(color=color, shape=shape, size="large", row=1, column=2, shift_px=(1, -2), radius_px=radius_px)
    return Scene(seed=0, things=(thing,), background=(230, 230, 230))


def painted(scene: Scene, color: str) -> np.ndarray:
    return (np.asarray(draw(scene)) == np.array(_RGB[color])).all(-1)


def test_each_object_paints_its_color_inside_its_own_cell_only() -> None:
    for seed in range(100):
        scene = MEMBER.scene(seed)
        cells = {color: [] for color in COLORS}
        for thing in scene.things:
            cells[thing.color].append((thing.row, thing.column))
        for color, expected in cells.items():
            rows, columns = np.nonzero(painted(scene, color))
            assert {(r // CELL_PX, c // CELL_PX) for r, c in zip(rows, columns, strict=True)} == set(expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_centered_where_the_facts_put_it(shape: str) -> None:
    scene = one_thing(shape)
    rows, columns = np.nonzero(painted(scene, "red"))
    x, y = middle_px(scene.things[0])

    assert (x, y) == (81, 46)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(x, abs=1)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(y, abs=1.5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_larger_radius_paints_a_wider_shape(shape: str) -> None:
    narrow, wide = (np.ptp(np.nonzero(painted(one_thing(shape, radius_px=r), "red"))[1]) for r in (7, 12))

    assert wide - narrow == pytest.approx(10, abs=1)


def test_no_two_shapes_paint_the_same_pixels() -> None:
    masks = [painted(one_thing(shape, radius_px=7), "red") for shape in SHAPES]

    for i, first in enumerate(masks):
        for second in masks[i + 1 :]:
            assert (first ^ second).sum() > 15


def test_colors_are_far_apart_from_each_other_and_from_every_background() -> None:
    """At least 50 units of 255 in the channel that differs most; backgrounds are 205 or brighter in all three."""
    values = [np.array(_RGB[color]) for color in COLORS]

    assert min(np.abs(a - b).max() for i, a in enumerate(values) for b in values[i + 1 :]) >= 50
    assert all(value.min() < 205 - 50 for value in values)


def test_the_background_is_light_and_varies() -> None:
    backgrounds = {MEMBER.scene(seed).background for seed in range(50)}

    assert len(backgrounds) > 45
    assert min(min(rgb) for rgb in backgrounds) >= 205
