"""A record's media by their kind."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_zoo import encode, gradient
from PIL import Image

from boresight.errors import MediaError, UsageError
from boresight.media.clip import Clip, FrameSampling
from boresight.media.decoded import (
    change_pictures,
    content,
    decode_medium,
    kind_of,
    num_values,
    shown_to_people,
    silence,
)
from boresight.media.resolver import Resolver
from boresight.media.sound import Sound
from boresight.media.transforms.null import Null
from boresight.media.transforms.random_crop import RandomCrop
from boresight.records import Media
from clip_zoo import clip, recording, tone


@pytest.fixture
def read(tmp_path: Path) -> Any:
    (tmp_path / "a.mp4").write_bytes(clip())
    (tmp_path / "a.wav").write_bytes(recording(tone()))
    (tmp_path / "a.png").write_bytes(encode(gradient(), "PNG"))
    for number in range(4):
        gray = Image.new("RGB", (16, 8), (10 * number,) * 3)
        (tmp_path / f"{number}.png").write_bytes(encode(gray, "PNG"))
    (tmp_path / "odd.png").write_bytes(encode(Image.new("RGB", (20, 20)), "PNG"))
    return Resolver(root=tmp_path).read_medium


def test_every_kind_is_read_by_its_own_reader(read: Any) -> None:
    picture = decode_medium(Media(id="p", kind="image", uri="a.png"), read)
    film = decode_medium(Media(id="v", kind="video", uri="a.mp4"), read)
    sound = decode_medium(Media(id="a", kind="audio", uri="a.wav"), read)
    assert isinstance(picture, Image.Image) and isinstance(film, Clip) and isinstance(sound, Sound)
    assert [kind_of(m) for m in (picture, film, sound)] == ["image", "video", "audio"]
    assert num_values(picture) == picture.width * picture.height
    assert num_values(film) == 4 * 48 * 32 and num_values(sound) == 8_000


def test_the_part_of_a_record_is_what_is_read(read: Any) -> None:
    film = decode_medium(Media(id="v", kind="video", uri="a.mp4", clip_s=(0.0, 1.0)), read)
    sound = decode_medium(Media(id="a", kind="audio", uri="a.wav", clip_s=(0.0, 0.1)), read)
    assert isinstance(film, Clip) and film.seconds == 1.0
    assert isinstance(sound, Sound) and sound.seconds == pytest.approx(0.1)


@pytest.mark.parametrize(("kind", "uri"), [("video", "a.png"), ("audio", "a.mp4"), ("image", "a.wav")])
def test_what_is_not_of_its_kind_is_refused(kind: Any, uri: str, read: Any) -> None:
    with pytest.raises(MediaError, match=f"'{uri}' .*(expected|start of none of)"):
        decode_medium(Media(id="x", kind=kind, uri=uri), read)


def stored(*names: str, fps: float | None = None) -> Media:
    return Media(id="f", kind="frames", frames=names, fps=fps)


def test_pictures_in_a_row_are_a_clip(read: Any) -> None:
    """Four frames at 4 per second last 1 s, of which 2 are drawn per second: the second and the last."""
    film = decode_medium(stored("0.png", "1.png", "2.png", "3.png", fps=4), read)
    assert isinstance(film, Clip) and kind_of(film) == "video"
    assert [f.getpixel((0, 0)) for f in film.frames] == [(10,) * 3, (30,) * 3]
    assert (film.seconds, film.times_s, film.num_frames) == (1.0, (0.25, 0.75), 4)


def test_pictures_without_a_rate_are_all_shown(read: Any) -> None:
    film = decode_medium(stored("2.png", "0.png", "1.png"), read, sampling=FrameSampling(per_s=3.0))
    assert isinstance(film, Clip)
    assert [f.getpixel((0, 0)) for f in film.frames] == [(20,) * 3, (0,) * 3, (10,) * 3] and film.seconds == 1.0


def test_frames_of_a_store_are_read_by_their_hash(tmp_path: Path) -> None:
    data = encode(Image.new("RGB", (16, 8), (50, 60, 70)), "PNG")
    sha256 = hashlib.sha256(data).hexdigest()
    (tmp_path / sha256[:2]).mkdir()
    (tmp_path / sha256[:2] / sha256).write_bytes(data)
    film = decode_medium(stored(f"sha256:{sha256}", fps=2), Resolver(root=tmp_path, store=tmp_path).read_medium)
    assert isinstance(film, Clip) and film.frames[0].getpixel((0, 0)) == (50, 60, 70)


def test_frames_that_are_no_clip_are_refused(read: Any) -> None:
    with pytest.raises(MediaError, match="'f' of kind 'frames' names no frames"):
        decode_medium(stored(), read)
    with pytest.raises(MediaError, match="'f' has frames of different sizes"):
        decode_medium(stored("0.png", "odd.png"), read)


def test_a_variant_changes_every_frame_alike(read: Any) -> None:
    film = decode_medium(Media(id="v", kind="video", uri="a.mp4"), read)
    cropped = change_pictures(film, RandomCrop(area=(0.2, 0.5)), seed=3)
    assert isinstance(film, Clip) and isinstance(cropped, Clip)
    assert cropped.times_s == film.times_s and len({f.size for f in cropped.frames}) == 1
    assert cropped.frames[0].size != film.frames[0].size
    blank = change_pictures(film, Null(), seed=0)
    assert isinstance(blank, Clip) and {f.getpixel((1, 1)) for f in blank.frames} == {(127, 127, 127)}


def test_a_picture_is_changed_as_it_is(read: Any) -> None:
    picture = decode_medium(Media(id="p", kind="image", uri="a.png"), read)
    crop = RandomCrop(area=(0.2, 0.5))
    assert content(change_pictures(picture, crop, seed=3)) == content(crop(picture, seed=3))  # type: ignore[arg-type]


def test_a_recording_has_no_variant_made_for_pictures(read: Any) -> None:
    sound = decode_medium(Media(id="a", kind="audio", uri="a.wav"), read)
    with pytest.raises(UsageError, match="Null changes pictures, and the prompt holds a recording"):
        change_pictures(sound, Null(), seed=0)
    assert isinstance(sound, Sound)
    quiet = silence(sound)
    assert len(quiet.samples) == len(sound.samples) and not quiet.samples.any() and sound.samples.any()


def test_people_are_shown_the_middle_of_a_clip_and_no_sound(read: Any) -> None:
    film = decode_medium(Media(id="v", kind="video", uri="a.mp4"), read)
    assert isinstance(film, Clip) and shown_to_people(film) is film.frames[2]
    assert shown_to_people(decode_medium(Media(id="a", kind="audio", uri="a.wav"), read)) is None
    picture = decode_medium(Media(id="p", kind="image", uri="a.png"), read)
    assert shown_to_people(picture) is picture


def test_content_differs_where_a_model_could_see_or_hear_it(read: Any) -> None:
    film = decode_medium(Media(id="v", kind="video", uri="a.mp4"), read)
    later = decode_medium(Media(id="v", kind="video", uri="a.mp4", clip_s=(0.5, 1.5)), read)
    sound = decode_medium(Media(id="a", kind="audio", uri="a.wav"), read)
    assert isinstance(film, Clip) and isinstance(sound, Sound)
    faster = Clip(**{n: getattr(film, n) for n in Clip.__slots__} | {"times_s": tuple(t / 2 for t in film.times_s)})
    slower = Sound(**{n: getattr(sound, n) for n in Sound.__slots__} | {"rate_hz": 8_000})
    seen = [content(m) for m in (film, later, faster, sound, slower, silence(sound), film.frames[0])]
    assert len(set(seen)) == len(seen)
    assert content(film) == content(decode_medium(Media(id="w", kind="video", uri="a.mp4"), read))
    assert np.isfinite(sound.samples).all()


def test_a_transform_that_draws_into_its_picture_leaves_the_original_alone() -> None:
    def stamped(image: Image.Image, *, seed: int) -> Image.Image:
        image.paste((255, 0, 0), (0, 0, *image.size))
        return image

    picture = Image.new("RGB", (4, 4))
    changed = change_pictures(picture, stamped, seed=0)
    assert isinstance(changed, Image.Image) and changed.getpixel((0, 0)) == (255, 0, 0)
    assert picture.getpixel((0, 0)) == (0, 0, 0)
