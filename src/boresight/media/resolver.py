"""From what a record calls a medium to its bytes, and never to anything else on the machine.

Data name files; data are not trusted. A path is resolved, must lie beneath the data root, is opened without following
links again, and must be a regular file within the size limit before a byte is read. The network is never used.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from boresight.errors import MediaError, UsageError
from boresight.media._content import name_content
from boresight.records.record import Media

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BASE64_PREFIXES = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")  # JPEG, PNG, GIF, WebP
_MIN_BASE64_CHARS = 64  # a shorter text with such a beginning is more likely a path
_SHOWN_CHARS = 120

# Windows lacks these flags, and needs O_BINARY instead.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_READ = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_ENTER = os.O_RDONLY | _NO_FOLLOW | getattr(os, "O_DIRECTORY", 0)

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """Reads media by path or by content hash. Every failure is a `MediaError` that names the medium."""

    root: Path
    """Data root. Relative paths start here; paths that leave it are refused."""
    store: Path | None = None
    """Content-addressed folder: the file of hash `abcd...` is `ab/abcd...`. Read when a medium has no path."""
    allow_outside: bool = False
    """Also read files outside the root. Only for data you wrote yourself."""
    allow_inline: bool = False
    """Also read `data:` addresses and bare base64 text."""
    max_bytes: int = 50_000_000
    """Larger files are refused before they are read. Default: 50 MB, room for a 50-megapixel photograph."""

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise UsageError(f"Resolver.max_bytes must be >= 1, got {self.max_bytes}.")

    def read_medium(self, medium: Media) -> bytes:
        """The bytes of a medium: by its path where it has one, else from the store.

        Raises:
            MediaError: If it cannot be read, or is not the content that the record was made with.
        """
        if medium.uri is None:
            if medium.sha256 is None:
                raise MediaError(f"medium {medium.id!r} has neither uri nor sha256; give it one of them.")
            return self.read_sha256(medium.sha256)
        data = self.read(medium.uri)
        if medium.sha256 is not None:
            _check_hash(data, medium.sha256, f"medium {_show(medium.uri)}")
        return data

    def read(self, uri: str) -> bytes:
        """The bytes at a path (or an inline address, if allowed).

        Raises:
            MediaError: If the address is of a refused kind, leaves the root, is no regular file, is too large, is
                empty, or holds a placeholder such as a Git LFS pointer or an HTML error page.
        """
        shown = f"medium {_show(uri)}"
        try:
            data = self._inline(uri) if _is_inline(uri) else self._file(uri)
            _check_content(data)
        except MediaError as error:
            raise MediaError(f"{shown} {error.reason}") from None
        return data

    def read_sha256(self, sha256: str) -> bytes:
        """The bytes in the store under a hash, verified.

        Raises:
            MediaError: If there is no store, no such file in it, or the file does not have this hash.
        """
        shown = f"medium {_show(sha256)}"
        if _SHA256.fullmatch(sha256) is None:
            raise MediaError(f"{shown} is not a sha256; expected 64 lower-case hex digits.")
        if self.store is None:
            raise MediaError(f"{shown} is known by hash only, and no store was given. Pass the store it is in.")
        try:
            data = self._read_beneath(self.store, store_path(sha256))
        except MediaError as error:
            raise MediaError(f"{shown} {error.reason}") from None
        _check_hash(data, sha256, shown)
        return data

    def _inline(self, uri: str) -> bytes:
        if not self.allow_inline:
            raise MediaError("is inline data, not a path. Save it as a file and name that, or set allow_inline=True.")
        body = uri
        if uri[:5].lower() == "data:":
            head, _, body = uri.partition(",")
            if not head.lower().endswith(";base64"):
                raise MediaError("is a data address without base64; only `data:<type>;base64,<data>` is read.")
        if len(body) // 4 * 3 > self.max_bytes:
            raise MediaError(f"holds about {len(body) // 4 * 3} bytes; the limit is {self.max_bytes}. Raise max_bytes.")
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as error:
            raise MediaError(f"is not valid base64 ({error}). Encode the file again.") from None

    def _file(self, uri: str) -> bytes:
        scheme = _SCHEME.match(uri)
        if scheme is not None:
            raise MediaError(
                f"is a {scheme.group(1).lower()} address; expected a path. Nothing is downloaded here:"
                " fetch the file and name its path."
            )
        if not uri or "\0" in uri:
            raise MediaError("is not a path: it is empty or holds a NUL character. Name a file beneath the data root.")
        return self._read_beneath(self.root, Path(uri))

    def _read_beneath(self, root: Path, path: Path) -> bytes:
        real_root = Path(os.path.realpath(root))
        real = Path(os.path.realpath(real_root / path))
        if not (self.allow_outside or real.is_relative_to(real_root)):
            raise MediaError(
                f"lies outside the data root {str(root)!r}; only files beneath it are read."
                " Copy the file there, or set allow_outside=True if you trust the data."
            )
        try:
            opened = _open_beneath(real_root, real) if real.is_relative_to(real_root) else os.open(real, _READ)
            try:
                return _read_regular(opened, self.max_bytes)
            finally:
                os.close(opened)
        except OSError as error:
            raise MediaError(_why(error, root)) from None


def store_path(sha256: str) -> Path:
    """Where a content-addressed folder keeps the file of this hash."""
    return Path(sha256[:2]) / sha256


def _open_beneath(root: Path, real: Path) -> int:
    """Open a resolved path one component at a time, following no link.

    A folder that is swapped for a link after the check makes this fail; it never leads elsewhere.
    """
    if os.open not in os.supports_dir_fd:  # Windows
        return os.open(real, _READ)
    *folders, name = real.relative_to(root).parts or (".",)
    here = os.open(root, _ENTER)
    try:
        for folder in folders:
            inner = os.open(folder, _ENTER, dir_fd=here)
            os.close(here)
            here = inner
        return os.open(name, _READ, dir_fd=here)
    finally:
        os.close(here)


def _read_regular(opened: int, max_bytes: int) -> bytes:
    """Read an open file whole, if it is a regular file of a fair size. Asks the open file, not its name."""
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "a special file")
        raise MediaError(f"is {kind}; expected a regular file. Name the file itself.")
    if status.st_size > max_bytes:
        raise MediaError(f"is {status.st_size} bytes; the limit is {max_bytes}. Shrink it or raise max_bytes.")
    if status.st_size == 0:  # not read: files of /proc say this, and hold a process's environment
        return b""
    with os.fdopen(opened, "rb", closefd=False) as file:
        data = file.read(status.st_size + 1)  # one more than promised shows a file that grows
    if len(data) != status.st_size:
        raise MediaError("changed while it was read. Run again when nothing writes to it.")
    return data


def _check_content(data: bytes) -> None:
    if not data:
        raise MediaError("is an empty file. Download it again, or drop the row.")
    content = name_content(data)
    if content is not None and content.is_placeholder:
        raise MediaError(f"is {content.name}, not the medium itself. {content.advice}")


def _check_hash(data: bytes, expected: str, shown: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise MediaError(
            f"{shown} has sha256 {found[:12]}..., the record says {expected[:12]}...: the content changed."
            " Restore the file, or build the data again."
        )


def _is_inline(uri: str) -> bool:
    if uri[:5].lower() == "data:":
        return True
    return len(uri) >= _MIN_BASE64_CHARS and uri.startswith(_BASE64_PREFIXES) and "." not in uri


def _show(uri: str) -> str:
    """The name for a message; inline data may be megabytes long."""
    return repr(uri if len(uri) <= _SHOWN_CHARS else f"{uri[:_SHOWN_CHARS]}...")


def _why(error: OSError, root: Path) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"does not exist beneath {str(root)!r}. Check the path and the data root."
    if error.errno == errno.ELOOP:
        return "goes through a symbolic link that leads in a circle, or changed while it was opened."
    if error.errno == errno.ENXIO:
        return "is a socket or a device; expected a regular file. Name the file itself."
    return f"cannot be read: {error.strerror or error}. Check the file and its permissions."
