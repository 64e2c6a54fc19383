"""What a scene holds: a few named objects on a 3 x 3 grid, drawn from a seed.

An object is known by its color and shape, `red circle`; no scene holds two of the same name.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from boresight.errors import UsageError

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
COLORS = ("red", "green", "blue", "yellow", "purple", "orange", "black", "pink")
SIZES = ("small", "large")
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "center", "right")
COUNTS = (2, 3, 4, 5)
NAMES = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)

SPLITS: Mapping[str, range] = MappingProxyType(
    {
        "train": range(0, 10_000_000),
        "validation": range(10_000_000, 11_000_000),
        "test": range(11_000_000, 12_000_000),
    }
)
_BUCKETS = 20  # content hashes 0 and 1 of 20 are held out: 5 % of all contents each
_HELD_OUT = {"test": 0, "validation": 1}

_RADII_PX = {"small": (6, 8), "large": (11, 13)}
_CELL_HALF_PX = 16
_MAX_SHIFT_PX = 4

_PARTNER_SHAPE = {"circle": "triangle", "star": "ring", "cross": "square"}
_PARTNER_COLOR = dict(zip(COLORS, (*COLORS[1:], COLORS[0]), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One object of a scene."""

    color: str
    shape: str
    size: str
    row: int
    column: int
    shift_px: tuple[int, int]
    """How far its middle lies from the middle of its cell, right and down."""
    radius_px: int

    @property
    def name(self) -> str:
        """Color and shape: what makes it the same object in two sentences."""
        return f"{self.color} {self.shape}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that is true about one picture."""

    seed: int
    things: tuple[Thing, ...]
    """In reading order."""
    background: tuple[int, int, int]

    @property
    def names(self) -> frozenset[str]:
        """The objects present."""
        return frozenset(thing.name for thing in self.things)

    @property
    def content(self) -> str:
        """What the picture shows, without the accidents of drawing. Equal content means the same scene."""
        return "; ".join(f"{t.size} {t.name} {t.row},{t.column}" for t in self.things)

    def named(self, name: str) -> Thing | None:
        """The object of this name, if present."""
        return next((thing for thing in self.things if thing.name == name), None)

    def at(self, row: int, column: int) -> Thing | None:
        """The object in this cell, if any."""
        return next((t for t in self.things if (t.row, t.column) == (row, column)), None)


def scene(seed: int) -> Scene:
    """The scene of a seed. It is redrawn until its content belongs to the split that owns the seed."""
    split = split_of(seed)
    rng = random.Random(f"scenes/{seed}")
    while True:
        drawn = _draw_content(seed, rng)
        if content_split(drawn.content) == split:
            return drawn


def split_of(seed: int) -> str:
    """The split that owns this seed."""
    for name, seeds in SPLITS.items():
        if seed in seeds:
            return name
    raise UsageError(f"scene seeds must lie in [0, {SPLITS['test'].stop}), got {seed}.")


def content_split(content: str) -> str:
    """The only split in which this content may occur, by its hash."""
    bucket = zlib.crc32(content.encode()) % _BUCKETS
    return next((name for name, held_out in _HELD_OUT.items() if held_out == bucket), "train")


def suggested_by_bias(scene: Scene) -> frozenset[str]:
    """Objects that are absent but usually come with one that is present, in the biased captions."""
    partners = {partner(thing.name) for thing in scene.things}
    return frozenset(name for name in partners if name is not None) - scene.names


def partner(name: str) -> str | None:
    """The object that biased captions like to add to this one: a one-to-one table over half of the shapes."""
    color, shape = name.split()
    return f"{_PARTNER_COLOR[color]} {_PARTNER_SHAPE[shape]}" if shape in _PARTNER_SHAPE else None


def may_be_suggested(name: str) -> bool:
    """Whether some object has this one as its partner."""
    return name.split()[1] in _PARTNER_SHAPE.values()


def cell_name(row: int, column: int) -> str:
    """`top left`, `middle right`, `center`..."""
    return "center" if (row, column) == (1, 1) else f"{ROWS[row]} {COLUMNS[column]}"


def _draw_content(seed: int, rng: random.Random) -> Scene:
    count = rng.choice(COUNTS)
    cells = sorted(rng.sample(range(len(ROWS) * len(COLUMNS)), count))
    names = rng.sample(NAMES, count)
    things = tuple(_draw_thing(name, cell, rng) for name, cell in zip(names, cells, strict=True))
    background = (rng.randint(205, 255), rng.randint(205, 255), rng.randint(205, 255))
    return Scene(seed=seed, things=things, background=background)


def _draw_thing(name: str, cell: int, rng: random.Random) -> Thing:
    color, shape = name.split()
    size = rng.choice(SIZES)
    radius = rng.randint(*_RADII_PX[size])
    reach = min(_MAX_SHIFT_PX, _CELL_HALF_PX - 1 - radius)  # the object never leaves its cell
    return Thing(
        color=color,
        shape=shape,
        size=size,
        row=cell // len(COLUMNS),
        column=cell % len(COLUMNS),
        shift_px=(rng.randint(-reach, reach), rng.randint(-reach, reach)),
        radius_px=radius,
    )
