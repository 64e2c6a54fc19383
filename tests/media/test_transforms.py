from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from boresight import registry
from boresight.errors import UsageError
from boresight.media.seeds import derive_seed
from boresight.media.transforms import Transform
from boresight.media.transforms._one_of import OneOf
from boresight.media.transforms.black import Black
from boresight.media.transforms.blur import Blur
from boresight.media.transforms.collage import Collage
from boresight.media.transforms.diffusion_noise import DiffusionNoise, signal_share
from boresight.media.transforms.low_resolution import LowResolution
from boresight.media.transforms.noise import Noise
from boresight.media.transforms.null import Null
from boresight.media.transforms.picture_in_picture import PictureInPicture
from boresight.media.transforms.pixel_mask import PixelMask
from boresight.media.transforms.pixelate import Pixelate
from boresight.media.transforms.random_crop import RandomCrop
from boresight.media.transforms.rotate import Rotate

PACKAGE = "boresight.media.transforms"
NAMES = [
    "black",
    "blur",
    "collage",
    "diffusion_noise",
    "low_resolution",
    "noise",
    "null",
    "picture_in_picture",
    "pixel_mask",
    "pixelate",
    "random_crop",
    "rotate",
]
SEEDED = ["blur", "collage", "diffusion_noise", "noise", "pixel_mask", "pixelate", "random_crop", "rotate"]


def test_the_page_of_media_lists_every_variant_with_its_fields() -> None:
    page = (Path(__file__).parents[2] / "docs" / "media.md").read_text(encoding="utf-8")
    table = page.split("| variant | field | type | default | unit and meaning |\n| --- | --- | --- | --- | --- |\n")[1]
    listed: list[tuple[object, ...]] = []
    for line in table.split("\n\n")[0].splitlines():
        name, field, kind, default, meaning = (cell.strip().strip("`") for cell in line.strip("|").split("|"))
        assert meaning, line
        listed.append((name, field, kind, eval(default)) if field else (name,))
    declared: list[tuple[object, ...]] = []
    for name in registry.names(PACKAGE):
        fields = dataclasses.fields(registry.load(PACKAGE, name))
        declared += [(name, f.name, f.type, f.default) for f in fields] or [(name,)]
    assert listed == declared


def coordinates(width: int = 200, height: int = 120) -> Image.Image:
    """A picture whose red is x and whose green is y, so that a crop tells where it came from."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.dstack([x, y, np.zeros_like(x)]).astype(np.uint8))


def box(crop: Image.Image) -> tuple[int, int, int, int]:
    pixels = np.asarray(crop)
    left, top = pixels[0, 0, :2].tolist()
    right, bottom = pixels[-1, -1, :2].tolist()
    assert (right - left + 1, bottom - top + 1) == crop.size
    return left, top, right + 1, bottom + 1


def test_the_registry_lists_every_variant() -> None:
    assert registry.names(PACKAGE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_variant_is_pure_and_repeats_from_its_seed(name: str) -> None:
    transform: Transform = registry.load(PACKAGE, name)()
    image = coordinates()
    before = image.tobytes()
    first, second = transform(image, seed=5), transform(image, seed=5)
    assert first.tobytes() == second.tobytes() != before
    assert first.mode == "RGB"
    assert image.tobytes() == before


@pytest.mark.parametrize("name", SEEDED)
def test_another_seed_gives_another_variant(name: str) -> None:
    transform: Transform = registry.load(PACKAGE, name)()
    assert transform(coordinates(), seed=1).tobytes() != transform(coordinates(), seed=2).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_fields_survive_json(name: str) -> None:
    make = registry.load(PACKAGE, name)
    fields = json.loads(json.dumps(dataclasses.asdict(make())))
    again = make(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})
    assert again == make()


def fingerprint() -> str:
    """The hash of every variant of one picture under three seeds."""
    digest = hashlib.sha256()
    for name in NAMES:
        for seed in (0, 1, 2**63 - 1):
            digest.update(registry.load(PACKAGE, name)()(coordinates(), seed=seed).tobytes())
    return digest.hexdigest()


def test_another_process_makes_the_same_pixels() -> None:
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import test_transforms as t; print(t.fingerprint())"
    out = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    ).stdout
    assert out.strip() == fingerprint()


def test_the_streams_of_random_numbers_stay_as_they_are() -> None:
    """Pinned: a change here changes the pictures of every stored run."""
    image = coordinates()
    assert [box(RandomCrop()(image, seed=seed)) for seed in (0, 1)] == [(65, 25, 137, 82), (83, 42, 116, 68)]
    assert np.asarray(Noise()(Null()(image, seed=0), seed=0))[50, 100].tolist() == [106, 0, 117]
    assert derive_seed(0, "record", "cropped") == 5886800317968655089


def test_a_seed_depends_on_each_of_its_parts_and_keeps_them_apart() -> None:
    keys = [(0, "a", "bc"), (0, "ab", "c"), (1, "a", "bc"), (0, "a", "b"), (0, "", "abc"), (0, 'a", "b', "c")]
    seeds = {derive_seed(*key) for key in keys}
    assert len(seeds) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_of_strange_ids_are_made() -> None:
    assert derive_seed(0, "\ud800 é \0", "x") != derive_seed(0, "? é \0", "x")


@given(width=st.integers(1, 250), height=st.integers(1, 250), seed=st.integers(0, 2**63 - 1), low=st.floats(0.005, 0.9))
def test_a_crop_lies_within_the_picture_and_its_area_within_the_range(
    width: int, height: int, seed: int, low: float
) -> None:
    """Rounding a side moves the area by at most half of the other side, and a crop has at least one pixel."""
    high = min(1.0, low + 0.1)
    crop = RandomCrop(area=(low, high))(coordinates(width, height), seed=seed)
    left, top, right, bottom = box(crop)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    area, slack = crop.width * crop.height, max(crop.size) / 2 + 1e-6
    assert low * width * height - slack <= area <= max(high * width * height + slack, 1)


def test_the_area_share_is_uniform_over_the_papers_range() -> None:
    """U(0.01, 0.20) has mean 0.105; its tenths each get a tenth of 2000 draws, 200 +- 4.5 * sqrt(180) = 60."""
    image = Image.new("L", (1000, 800))
    shares = [(crop.width * crop.height) / 800_000 for crop in (RandomCrop()(image, seed=s) for s in range(2000))]
    counts, _ = np.histogram(shares, bins=10, range=(0.01, 0.20))
    assert np.mean(shares) == pytest.approx(0.105, abs=0.004)
    assert min(counts) > 140 and max(counts) < 260


def test_the_sides_ratio_is_log_uniform_and_either_side_may_be_longer() -> None:
    """log(w/h) is uniform within +-log(4/3): mean 0, standard deviation log(4/3) / sqrt(3) = 0.166."""
    image = Image.new("L", (1000, 1000))
    crops = [RandomCrop()(image, seed=seed) for seed in range(2000)]
    logs = np.log([crop.width / crop.height for crop in crops])
    assert np.mean(logs) == pytest.approx(0, abs=0.015)
    assert np.std(logs) == pytest.approx(0.1661, abs=0.006)
    assert np.abs(logs).max() < np.log(4 / 3) + 0.02
    # Log-uniform has 0.5 of its mass below sqrt(4/3); a ratio uniform on (1, 4/3) would have 0.464.
    assert np.mean(np.abs(logs) < np.log(4 / 3) / 2) == pytest.approx(0.5, abs=0.035)


def test_crops_reach_every_part_of_the_picture() -> None:
    image = coordinates()
    boxes = np.array([box(RandomCrop()(image, seed=seed)) for seed in range(1500)])
    assert boxes[:, :2].min() == 0
    assert (boxes[:, 2].max(), boxes[:, 3].max()) == (200, 120)
    room = np.array([200, 120]) - (boxes[:, 2:] - boxes[:, :2])
    assert np.mean(boxes[:, :2] / room) == pytest.approx(0.5, abs=0.03)


def test_a_crop_of_a_long_strip_keeps_its_area_and_gives_up_its_shape() -> None:
    """20 % of 1000 x 10 is 2000 pixels: 200 x 10, since no crop can be higher than 10."""
    assert RandomCrop(area=(0.2, 0.2))(Image.new("RGB", (1000, 10)), seed=3).size == (200, 10)


def test_the_whole_area_is_the_whole_picture() -> None:
    image = coordinates()
    assert RandomCrop(area=(1, 1))(image, seed=0).tobytes() == image.tobytes()


def test_black_is_black_and_null_is_the_same_gray_for_every_picture() -> None:
    one, other = coordinates(), Image.new("RGB", (200, 120), "yellow")
    assert Black()(one, seed=0).getcolors() == [(24_000, (0, 0, 0))]
    assert Null()(one, seed=0).getcolors() == [(24_000, (127, 127, 127))]
    assert Null()(one, seed=0).tobytes() == Null()(other, seed=1).tobytes()
    assert Null(color=(1, 2, 3))(one, seed=0).getpixel((9, 9)) == (1, 2, 3)


def test_noise_has_the_spread_that_was_asked_for_and_no_bias() -> None:
    """On mid-gray at sigma 20 nothing clips: 360,000 draws give mean 128 +- 0.1 and deviation 20 +- 0.1."""
    noisy = np.asarray(Noise(sigma=20)(Image.new("RGB", (400, 300), (128, 128, 128)), seed=9), dtype=float)
    assert noisy.mean() == pytest.approx(128, abs=0.15)
    assert noisy.std() == pytest.approx(20, abs=0.1)
    assert np.mean(np.abs(noisy - 128) < 20) == pytest.approx(0.67, abs=0.02)  # normal: 0.68, less rounding
    red, green = noisy[:, :, 0].ravel(), noisy[:, :, 1].ravel()
    assert abs(np.corrcoef(red, green)[0, 1]) < 0.02
    assert abs(np.corrcoef(red[1:], red[:-1])[0, 1]) < 0.02


def test_noise_clips_and_does_not_wrap() -> None:
    white = np.asarray(Noise(sigma=30)(Image.new("RGB", (100, 100), "white"), seed=0))
    assert np.mean(white == 255) == pytest.approx(0.5, abs=0.02)
    assert white.min() > 100
    loud = np.asarray(Noise(sigma=1000)(Image.new("RGB", (100, 100), "white"), seed=0))
    assert np.mean(loud == 255) == pytest.approx(0.5, abs=0.02)


def test_noise_fits_sizes_that_no_word_divides() -> None:
    assert Noise()(Image.new("RGB", (7, 3)), seed=0).size == (7, 3)


def test_blur_keeps_the_mean_and_takes_the_detail() -> None:
    checks = (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    blurred = np.asarray(Blur()(Image.fromarray(np.dstack([checks] * 3)), seed=0), dtype=float)
    assert checks.std() > 127 and blurred.std() < 10
    assert blurred.mean() == pytest.approx(127.5, abs=2)


def test_a_larger_radius_blurs_more() -> None:
    image = coordinates()
    spreads = [np.asarray(Blur(radius_px=(r, r))(image, seed=0))[:, :, 0].std() for r in (2.0, 10.0, 40.0)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[2] < 0.9 * spreads[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomCrop(area=(0, 0.2)),
        lambda: RandomCrop(area=(0.3, 0.2)),
        lambda: RandomCrop(area=(0.1, 1.1)),
        lambda: RandomCrop(max_aspect=0.9),
        lambda: RandomCrop(max_aspect=float("nan")),
        lambda: Blur(radius_px=(0, 1)),
        lambda: Blur(radius_px=(3, 1)),
        lambda: Noise(sigma=0),
        lambda: Noise(sigma=1001),
        lambda: Null(color=(0, 0, 256)),
        lambda: Null(color=(0, 0)),
        lambda: Pixelate(factors=()),
        lambda: Pixelate(factors=(1,)),
        lambda: PixelMask(share=0),
        lambda: PixelMask(share=1.1),
        lambda: DiffusionNoise(step=1000),
        lambda: DiffusionNoise(step=-1),
        lambda: Rotate(degrees=(0, 10)),
        lambda: Rotate(degrees=(20, 10)),
        lambda: LowResolution(short_side_px=0),
        lambda: PictureInPicture(share=1.0),
    ],
)
def test_fields_that_cannot_work_are_refused(make: Callable[[], Transform]) -> None:
    with pytest.raises(UsageError, match=r"must be"):
        make()


def test_a_collage_of_one_cell_and_a_choice_of_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="2 cells or more"):
        Collage(columns=1, rows=1)
    with pytest.raises(UsageError, match="at least one"):
        OneOf(of=())


def test_pixelation_leaves_squares_of_one_color() -> None:
    squares = np.asarray(Pixelate(factors=(20,))(coordinates(200, 120), seed=0))
    blocks = squares.reshape(6, 20, 10, 20, 3)
    assert np.ptp(blocks, axis=(1, 3)).max() == 0
    assert np.abs(blocks[:, 0, :, 0, 0].mean(axis=0) - (np.arange(10) * 20 + 9.5)).max() < 2


def test_pixelation_draws_each_factor_about_as_often() -> None:
    image = coordinates(128, 128)
    colors = [len(Pixelate()(image, seed=seed).getcolors(100_000)) for seed in range(300)]
    assert set(colors) == {64, 16, 4}
    assert min(colors.count(n) for n in (64, 16, 4)) > 70


def test_a_pixel_mask_takes_its_share_and_leaves_the_rest() -> None:
    """30 % of 40,000 pixels: 12,000 +- 4.5 * sqrt(40,000 * 0.21) = 412."""
    white = Image.new("RGB", (200, 200), "white")
    masked = np.asarray(PixelMask(share=0.3)(white, seed=4))
    assert set(np.unique(masked)) == {0, 255}
    black = (masked == 0).all(axis=2)
    assert np.array_equal(black, (masked == 0).any(axis=2))
    assert abs(black.sum() - 12_000) < 412
    assert PixelMask(share=1.0)(white, seed=0).getcolors() == [(40_000, (0, 0, 0))]


def test_diffusion_keeps_as_much_of_the_picture_as_its_schedule_says() -> None:
    """At step 0 nearly all; at 500 sqrt(a) of the contrast and 255 sqrt(1 - a) of noise; at 999 next to nothing.

    The share is held against numpy's own linspace, sigmoid and product.
    """
    betas = 1 / (1 + np.exp(-np.linspace(-6, 6, 1000))) * (0.5e-2 - 1e-5) + 1e-5
    for step in (0, 1, 500, 900, 999):
        assert signal_share(step) == pytest.approx(np.cumprod(1 - betas)[step], rel=1e-9)
    gray = Image.new("RGB", (300, 300), (100, 100, 100))
    kept = np.sqrt(signal_share(250)) * 100
    noisy = np.asarray(DiffusionNoise(step=250)(gray, seed=1), dtype=float)
    assert 0.5 < kept / 100 < 1 and np.median(noisy) == pytest.approx(kept, abs=1.0)
    sharp = np.asarray(DiffusionNoise(step=0)(coordinates(), seed=0), dtype=int)
    assert np.abs(sharp - np.asarray(coordinates(), dtype=int)).mean() < 1.5


def test_more_steps_of_diffusion_leave_less_of_the_picture() -> None:
    image = coordinates()
    clean = np.asarray(image, dtype=float).ravel()
    alike = [
        np.corrcoef(clean, np.asarray(DiffusionNoise(step=s)(image, seed=2), dtype=float).ravel())[0, 1]
        for s in (100, 500, 900)
    ]
    assert alike[0] > 0.8 > alike[1] > alike[2] and alike[2] < 0.2


def test_a_rotation_turns_by_an_angle_of_its_range_about_the_center() -> None:
    image = Image.new("RGB", (101, 101), "white")
    image.putpixel((90, 50), (255, 0, 0))
    angles = set()
    for seed in range(200):
        turned = np.asarray(Rotate(degrees=(30, 60))(image, seed=seed))
        assert turned[50, 50].tolist() == [255, 255, 255] and turned[0, 0].tolist() == [0, 0, 0]
        red = np.argwhere((turned[:, :, 0] == 255) & (turned[:, :, 1] == 0))
        if len(red):
            y, x = red.mean(axis=0) - 50
            angles.add(round(float(np.degrees(np.arctan2(-y, x)))))
    assert min(angles) >= 28 and max(angles) <= 62 and max(angles) - min(angles) > 25


def test_a_low_resolution_picture_keeps_its_size_and_its_large_parts() -> None:
    checks = Image.fromarray(np.dstack([(np.indices((120, 200)).sum(axis=0) % 2 * 255).astype(np.uint8)] * 3))
    small = np.asarray(LowResolution()(checks, seed=0), dtype=float)
    assert small.shape == (120, 200, 3) and small.std() < 12 < 127 < np.asarray(checks, dtype=float).std()
    kept = np.asarray(LowResolution()(coordinates(), seed=0), dtype=float)
    assert np.abs(kept - np.asarray(coordinates(), dtype=float)).mean() < 6


def test_a_collage_holds_the_picture_in_the_cell_that_the_seed_draws() -> None:
    red, others = Image.new("RGB", (40, 30), "red"), [Image.new("RGB", (7, 9), c) for c in ("blue", "lime", "white")]
    cells = set()
    for seed in range(20):
        collage = Collage(columns=2, rows=2)
        grid = collage(red, seed=seed, others=others)
        assert grid.size == (80, 60)
        cell = collage.cell(seed)
        cells.add(cell)
        box = (cell % 2 * 40, cell // 2 * 30, cell % 2 * 40 + 40, cell // 2 * 30 + 30)
        assert grid.crop(box).tobytes() == red.tobytes()
        centers = {grid.getpixel((x, y)) for x in (20, 60) for y in (15, 45)}
        assert centers == {(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 255)}
    assert cells == {0, 1, 2, 3}


def test_an_inset_lies_in_the_middle_of_another_picture() -> None:
    whole = PictureInPicture(share=0.5)(
        Image.new("RGB", (40, 40), "red"), seed=0, others=[Image.new("RGB", (80, 80), "blue")]
    )
    pixels = np.asarray(whole)
    red = (pixels == (255, 0, 0)).all(axis=2)
    assert red.sum() == 400 and red[10:30, 10:30].all()
    assert (pixels[~red] == (0, 0, 255)).all()


def test_one_of_draws_among_its_variants_and_from_their_own_ranges() -> None:
    either = OneOf(of=(Black(), Null(color=(1, 2, 3)), Noise()))
    found = [either(coordinates(), seed=seed).tobytes() for seed in range(60)]
    assert 10 < found.count(Black()(coordinates(), seed=0).tobytes()) < 30
    assert 10 < found.count(Null(color=(1, 2, 3))(coordinates(), seed=0).tobytes()) < 30
    assert len(set(found)) > 10  # noise is drawn anew each time
    assert found[0] == either(coordinates(), seed=0).tobytes()
