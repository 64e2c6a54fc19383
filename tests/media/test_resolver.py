from __future__ import annotations

import base64
import hashlib
import os
import socket
from pathlib import Path

import pytest

from boresight.errors import MediaError, UsageError
from boresight.media import resolver as resolver_module
from boresight.media.resolver import Resolver, store_path
from boresight.records.record import Media

CONTENT = b"\x89PNG some bytes"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with `a/b.png`, beside a secret that must never be read."""
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "b.png").write_bytes(CONTENT)
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (tmp_path / "data_evil").mkdir()
    (tmp_path / "data_evil" / "x.png").write_bytes(b"evil")
    return tmp_path / "data"


@pytest.mark.parametrize("uri", ["a/b.png", "./a/b.png", "a/../a/b.png"])
def test_a_path_beneath_the_root_is_read(root: Path, uri: str) -> None:
    assert Resolver(root=root).read(uri) == CONTENT


def test_an_absolute_path_that_lies_beneath_the_root_is_read(root: Path) -> None:
    assert Resolver(root=root).read(str(root / "a" / "b.png")) == CONTENT


def test_a_relative_root_is_read_from_the_working_directory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    assert Resolver(root=Path("data")).read("a/b.png") == CONTENT


@pytest.mark.parametrize("uri", ["../secret.txt", "a/../../secret.txt", "/etc/passwd", "../data_evil/x.png", "..", "/"])
def test_a_path_out_of_the_root_is_refused(root: Path, uri: str) -> None:
    with pytest.raises(MediaError, match="lies outside the data root"):
        Resolver(root=root).read(uri)


def test_a_link_out_of_the_root_is_refused(root: Path) -> None:
    (root / "file.png").symlink_to(root.parent / "secret.txt")
    (root / "folder").symlink_to(root.parent)
    for uri in ("file.png", "folder/secret.txt"):
        with pytest.raises(MediaError, match="lies outside the data root"):
            Resolver(root=root).read(uri)


def test_a_link_within_the_root_is_followed(root: Path) -> None:
    (root / "link.png").symlink_to("a/b.png")
    (root / "link").symlink_to("a")
    assert Resolver(root=root).read("link.png") == CONTENT
    assert Resolver(root=root).read("link/b.png") == CONTENT


@pytest.mark.parametrize("swapped", ["a", "a/b.png"])
def test_a_link_swapped_in_after_the_check_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    (root.parent / "b.png").write_bytes(b"secret")
    open_beneath = resolver_module._open_beneath

    def swap_then_open(*paths: Path) -> int:
        (root / swapped).rename(root / "away")
        (root / swapped).symlink_to(root.parent if swapped == "a" else root.parent / "b.png")
        return open_beneath(*paths)

    monkeypatch.setattr(resolver_module, "_open_beneath", swap_then_open)
    with pytest.raises(MediaError):
        Resolver(root=root).read("a/b.png")


def test_links_in_a_circle_are_refused(root: Path) -> None:
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    with pytest.raises(MediaError, match="medium 'x'"):
        Resolver(root=root).read("x")


def test_files_outside_the_root_are_read_when_allowed(root: Path) -> None:
    assert Resolver(root=root, allow_outside=True).read("../secret.txt") == b"secret"
    assert Resolver(root=root, allow_outside=True).read("a/b.png") == CONTENT


@pytest.mark.parametrize("uri", ["", "a/b.png\0.txt"])
def test_an_empty_path_and_nul_are_refused(root: Path, uri: str) -> None:
    with pytest.raises(MediaError, match="is not a path"):
        Resolver(root=root).read(uri)


@pytest.mark.parametrize(
    "uri", ["http://x.org/a.png", "HTTPS://x.org/a.png", "file:///etc/passwd", "s3://b/k", "hf://d"]
)
def test_addresses_are_refused_and_nothing_is_downloaded(root: Path, uri: str) -> None:
    with pytest.raises(MediaError, match=rf"is a {uri.split(':')[0].lower()} address; expected a path"):
        Resolver(root=root, allow_outside=True, allow_inline=True).read(uri)


def test_a_colon_in_a_file_name_is_no_address(root: Path) -> None:
    (root / "img:1.png").write_bytes(CONTENT)
    assert Resolver(root=root).read("img:1.png") == CONTENT


def test_special_files_are_refused_without_blocking(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.relpath(root / "sock.png"))
    read = Resolver(root=root, allow_outside=True).read
    try:
        for uri, kind in [
            ("pipe.png", "a named pipe"),
            ("a", "a folder"),
            (".", "a folder"),
            ("/dev/zero", "a device"),
        ]:
            with pytest.raises(MediaError, match=f"is {kind}"):
                read(uri)
        with pytest.raises(MediaError, match="is a socket"):
            read("sock.png")
    finally:
        listener.close()


def test_process_files_are_refused_even_when_outside_is_allowed(root: Path) -> None:
    with pytest.raises(MediaError, match="empty"):
        Resolver(root=root, allow_outside=True).read("/proc/self/environ")


def test_a_missing_file_names_itself_and_the_root(root: Path) -> None:
    with pytest.raises(MediaError) as caught:
        Resolver(root=root).read("a/c.png")
    assert str(caught.value) == (
        f"medium 'a/c.png' does not exist beneath {str(root)!r}. Check the path and the data root."
    )


def test_a_name_longer_than_the_system_takes_is_refused(root: Path) -> None:
    with pytest.raises(MediaError) as caught:
        Resolver(root=root).read("x" * 5000)
    assert len(str(caught.value)) < 400


def test_a_large_file_is_refused_before_it_is_read(root: Path) -> None:
    with (root / "large.png").open("wb") as file:
        file.truncate(10**12)  # sparse: reading it would fail for memory
    with pytest.raises(MediaError, match="is 1000000000000 bytes; the limit is 50000000"):
        Resolver(root=root).read("large.png")


def test_the_limit_itself_passes(root: Path) -> None:
    assert Resolver(root=root, max_bytes=len(CONTENT)).read("a/b.png") == CONTENT
    with pytest.raises(MediaError, match="the limit is"):
        Resolver(root=root, max_bytes=len(CONTENT) - 1).read("a/b.png")
    with pytest.raises(UsageError, match="max_bytes"):
        Resolver(root=root, max_bytes=0)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html>404</html>", "an HTML page"),
    ],
)
def test_a_placeholder_is_named(root: Path, content: bytes, found: str) -> None:
    (root / "x.png").write_bytes(content)
    with pytest.raises(MediaError, match=found):
        Resolver(root=root).read("x.png")


def test_inline_data_are_refused_unless_allowed(root: Path) -> None:
    body = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()
    for uri in (f"data:image/png;base64,{body}", body):
        with pytest.raises(MediaError, match="is inline data, not a path"):
            Resolver(root=root).read(uri)
        assert Resolver(root=root, allow_inline=True).read(uri) == b"\x89PNG\r\n\x1a\n" + bytes(60)


@pytest.mark.parametrize("uri", ["data:image/png;base64,@@@@", "data:image/svg+xml,%3Csvg%3E", "data:"])
def test_inline_data_that_are_not_base64_are_refused(root: Path, uri: str) -> None:
    with pytest.raises(MediaError, match=r"is not valid base64|without base64"):
        Resolver(root=root, allow_inline=True).read(uri)


def test_inline_data_over_the_limit_are_refused_before_they_are_decoded(root: Path) -> None:
    body = base64.b64encode(bytes(3000)).decode()
    with pytest.raises(MediaError, match="holds about 3000 bytes; the limit is 2999") as caught:
        Resolver(root=root, allow_inline=True, max_bytes=2999).read(f"data:;base64,{body}")
    assert len(str(caught.value)) < 300


@pytest.fixture
def store(tmp_path: Path) -> Path:
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = tmp_path / "store" / digest[:2] / digest
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return tmp_path / "store"


def test_a_hash_is_read_from_the_store(root: Path, store: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    resolver = Resolver(root=root, store=store)
    assert resolver.read_sha256(digest) == CONTENT
    assert resolver.read_medium(Media(id="m", kind="image", sha256=digest)) == CONTENT


def test_a_damaged_file_in_the_store_is_refused(root: Path, store: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    (store / store_path(digest)).write_bytes(b"other")
    with pytest.raises(MediaError, match="the content changed"):
        Resolver(root=root, store=store).read_sha256(digest)


@pytest.mark.parametrize("sha256", ["../../secret.txt", "ABCD", "0" * 63, "0" * 64 + "\n"])
def test_what_is_no_hash_never_becomes_a_path(root: Path, store: Path, sha256: str) -> None:
    with pytest.raises(MediaError, match="is not a sha256"):
        Resolver(root=root, store=store).read_sha256(sha256)


def test_an_unknown_hash_and_a_missing_store_are_told_apart(root: Path, store: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        Resolver(root=root, store=store).read_sha256("0" * 64)
    with pytest.raises(MediaError, match="no store was given"):
        Resolver(root=root).read_sha256("0" * 64)


def test_a_file_that_is_not_the_one_recorded_is_refused(root: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    resolver = Resolver(root=root)
    assert resolver.read_medium(Media(id="m", kind="image", uri="a/b.png", sha256=digest)) == CONTENT
    with pytest.raises(MediaError, match="the content changed"):
        resolver.read_medium(Media(id="m", kind="image", uri="a/b.png", sha256="0" * 64))


def test_a_medium_with_neither_path_nor_hash_is_refused(root: Path) -> None:
    with pytest.raises(MediaError, match="medium 'm' has neither uri nor sha256"):
        Resolver(root=root).read_medium(Media(id="m", kind="image"))


def test_no_descriptor_is_left_open(root: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    resolver = Resolver(root=root)
    for uri in ["a/b.png", "a", "a/c.png", "../secret.txt", "x/y/z"] * 5:
        try:
            resolver.read(uri)
        except MediaError:
            continue
    assert len([*Path("/proc/self/fd").iterdir()]) == before
