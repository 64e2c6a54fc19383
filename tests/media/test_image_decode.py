from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from picture_zoo import BAD, encode, exif, gradient, png, png_chunk, quadrants
from PIL import Image, ImageFile

from boresight.errors import MediaError, UsageError
from boresight.media.image import ImageLimits, decode_image


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode_image(data).image)


@pytest.mark.parametrize("name", sorted(BAD))
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bad_file_is_refused_with_its_name_and_what_was_found(name: str) -> None:
    make, found = BAD[name]
    with pytest.raises(MediaError) as caught:
        decode_image(make(), name=name)
    message = str(caught.value)
    assert message.startswith(f"image {name!r} ")
    assert found in message
    assert "\n" not in message


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_off_anywhere_is_refused(format: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format)
    with pytest.raises(MediaError):
        decode_image(data[: int(len(data) * share)])


def test_a_progressive_jpeg_without_its_last_hundredth_is_refused(photographs: list[Path]) -> None:
    data = encode(Image.open(photographs[0]), "JPEG", progressive=True)
    with pytest.raises(MediaError, match="damaged or cut off"):
        decode_image(data[: len(data) * 99 // 100])


def test_a_library_that_made_pillow_accept_cut_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(UsageError, match="LOAD_TRUNCATED_IMAGES"):
        decode_image(encode(gradient(), "PNG"))


@pytest.mark.parametrize(
    ("format", "mime"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("AVIF", "image/avif"),
    ],
)
def test_the_type_is_told_by_content_and_not_by_name(format: str, mime: str) -> None:
    data = encode(gradient(), format)
    decoded = decode_image(data, name="named.png")
    assert decoded.mime == mime
    assert (decoded.width_px, decoded.height_px) == decoded.image.size == (96, 64)
    assert decoded.image.mode == "RGB"
    assert decoded.sha256 == hashlib.sha256(data).hexdigest()
    assert decoded.changes == ()
    error = np.abs(np.asarray(decoded.image, dtype=int) - np.asarray(gradient(), dtype=int))
    assert error.mean() < 3  # lossy formats, and GIF's 256 colors


def test_sixteen_bit_gray_is_scaled_to_the_nearest_level() -> None:
    """round(v / 257): 0, 128 -> 0, 129 -> 1, 257 -> 1, 32767 -> 127 (127.498), 32768 -> 128 (127.502), 65535 -> 255."""
    levels = np.array([0, 128, 129, 257, 32767, 32768, 65406, 65535], dtype=np.uint16)
    expected = [0, 0, 1, 1, 127, 128, 254, 255]
    decoded = decode_image(encode(Image.fromarray(np.tile(levels, (8, 1))), "PNG"))
    assert decoded.changes == ("scaled_16_bit",)
    for channel in range(3):
        assert np.asarray(decoded.image)[3, :, channel].tolist() == expected


def test_the_transparent_level_of_sixteen_bit_gray_becomes_white() -> None:
    rows = (b"\0" + struct.pack(">8H", *[1000, 2000] * 4)) * 8
    data = png(8, 8, depth=16, color=0, rows=rows, extra=png_chunk(b"tRNS", struct.pack(">H", 1000)))
    assert pixels(data)[0, :2, 0].tolist() == [255, 8]  # round(2000 / 257) = 8


def test_sixteen_bit_color_is_within_a_level_of_its_eight_bit_twin() -> None:
    levels = [0, 300, 12345, 40000, 65535, 65278, 256, 511]
    rows = (b"\0" + struct.pack(">24H", *[level for level in levels for _ in range(3)])) * 8
    shown = pixels(png(8, 8, depth=16, color=2, rows=rows))[4, :, 1]
    assert np.abs(shown - np.array(levels) / 257).max() <= 1


def test_the_transparent_color_of_sixteen_bit_color_becomes_white() -> None:
    rows = (b"\0" + struct.pack(">24H", *[level for level in [1000, 40000] * 4 for _ in range(3)])) * 8
    key = png_chunk(b"tRNS", struct.pack(">3H", 40000, 40000, 40000))
    assert pixels(png(8, 8, depth=16, rows=rows, extra=key))[0, :2, 2].tolist() == [3, 255]  # 1000 >> 8 = 3


def test_transparent_pixels_become_white_and_hidden_colors_stay_hidden() -> None:
    image = Image.new("RGBA", (16, 16), (200, 10, 10, 0))
    image.putpixel((3, 4), (10, 20, 30, 255))
    decoded = decode_image(encode(image, "PNG"))
    assert decoded.changes == ("flattened",)
    assert decoded.image.getpixel((3, 4)) == (10, 20, 30)
    assert decoded.image.getpixel((0, 0)) == (255, 255, 255)


def test_half_transparent_black_on_white_is_mid_gray() -> None:
    """0 * 128/255 + 255 * 127/255 = 127."""
    assert (pixels(encode(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG")) == 127).all()


def test_every_kind_of_transparency_is_laid_on_white() -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([9, 9, 9, 50, 60, 70])
    files = [
        encode(palette, "PNG", transparency=1),
        encode(palette, "GIF", transparency=1),
        encode(palette, "PNG", transparency=bytes([255, 0])),
        encode(Image.new("LA", (8, 8), (7, 0)), "PNG"),
        encode(Image.new("L", (8, 8), 7), "PNG", transparency=7),
        encode(Image.new("RGB", (8, 8), (1, 2, 3)), "PNG", transparency=(1, 2, 3)),
    ]
    assert [pixels(data).min() for data in files] == [255] * len(files)


def test_an_opaque_palette_and_one_bit_keep_their_colors() -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([9, 9, 9, 50, 60, 70])
    assert pixels(encode(palette, "PNG"))[0, 0].tolist() == [50, 60, 70]
    assert (pixels(encode(Image.new("1", (8, 8), 1), "PNG")) == 255).all()


@pytest.mark.parametrize(("ink", "expected"), [((0, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((0, 0, 0, 55), 200)])
def test_cmyk_ink_darkens_paper(ink: tuple[int, int, int, int], expected: int) -> None:
    decoded = decode_image(encode(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100))
    assert decoded.changes == ("from_cmyk",)
    assert np.abs(np.asarray(decoded.image, dtype=int) - expected).max() <= 2


def test_cyan_ink_takes_away_red() -> None:
    red, green, blue = pixels(encode(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100))[8, 8]
    assert red < 5 and green > 250 and blue > 250


# Where the stored picture's corners (red, lime, blue, white-free) must land, by the EXIF standard.
_TURNS = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_pixels_upright(orientation: int) -> None:
    decoded = decode_image(encode(quadrants(), "PNG", exif=exif(orientation)))
    expected = _TURNS[orientation](np.asarray(quadrants()))
    assert np.array_equal(np.asarray(decoded.image), expected)
    assert (decoded.height_px, decoded.width_px) == expected.shape[:2]
    assert decoded.changes == (() if orientation == 1 else ("oriented",))


def test_orientation_six_of_a_jpeg_puts_the_stored_left_side_on_top() -> None:
    shown = pixels(encode(gradient(), "JPEG", exif=exif(6)))
    assert shown.shape == (96, 64, 3)
    assert shown[0].mean() < 5 and shown[-1].mean() > 250


def test_an_unknown_orientation_is_ignored() -> None:
    assert decode_image(encode(quadrants(), "PNG", exif=exif(99))).changes == ()


@pytest.mark.filterwarnings("ignore:.*EXIF.*:UserWarning")
@pytest.mark.parametrize("block", [b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0no TIFF header", b"MM\0*\0\0\0"])
def test_a_damaged_exif_block_is_ignored(block: bytes) -> None:
    assert np.array_equal(pixels(encode(quadrants(), "PNG", exif=block)), np.asarray(quadrants()))


def test_nothing_but_pixels_is_kept() -> None:
    data = encode(gradient(), "JPEG", exif=exif(3), comment=b"secret place", icc_profile=b"profile")
    image = decode_image(data).image
    assert image.info == {}
    assert dict(image.getexif()) == {}


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame_and_says_so(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), (40 * n, 0, 200)) for n in range(6)]
    decoded = decode_image(encode(frames[0], format, save_all=True, append_images=frames[1:], duration=50))
    assert decoded.frames == 6
    assert decoded.changes[-1] == "first_frame"
    assert np.abs(np.asarray(decoded.image, dtype=int)[8, 8] - [0, 0, 200]).max() <= 8


def test_the_limits_are_the_callers(photographs: list[Path]) -> None:
    data = photographs[0].read_bytes()
    with pytest.raises(MediaError, match="bytes; the limit is 1000"):
        decode_image(data, limits=ImageLimits(max_bytes=1000))
    with pytest.raises(MediaError, match="pixels; the limit is 10000"):
        decode_image(data, limits=ImageLimits(max_pixels=10_000))
    small = encode(Image.new("RGB", (2, 1)), "PNG")
    assert decode_image(small, limits=ImageLimits(min_side_px=1)).width_px == 2


def test_a_picture_exactly_at_the_limits_passes() -> None:
    limits = ImageLimits(max_pixels=3200, min_side_px=8, max_side_px=400, max_aspect=50)
    assert decode_image(encode(Image.new("RGB", (400, 8)), "PNG"), limits=limits).width_px == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_bytes": 0},
        {"max_pixels": 200_000_000},
        {"max_side_px": 7},
        {"max_aspect": 0.5},
        {"max_aspect": float("nan")},
    ],
)
def test_limits_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="ImageLimits"):
        ImageLimits(**wrong)


def test_a_bomb_is_refused_before_a_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the pixels were decoded")

    data = encode(Image.new("1", (9_000, 9_000)), "PNG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)
    with pytest.raises(MediaError, match="9000 x 9000 px"):
        decode_image(data)


def test_no_reader_outside_the_list_is_tried() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, format="PPM")
    with pytest.raises(MediaError, match="none of JPEG, PNG"):
        decode_image(stream.getvalue())


def test_all_photographs_decode(photographs: list[Path]) -> None:
    assert len(photographs) == 20
    for path in photographs:
        decoded = decode_image(path.read_bytes(), name=path.name)
        assert decoded.mime == "image/jpeg"
        assert np.asarray(decoded.image).std() > 5
