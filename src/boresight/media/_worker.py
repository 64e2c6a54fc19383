"""The child process of `DecodePool`: reads encoded pictures from stdin, writes pixels to stdout, until stdin ends.

Run as `python -m boresight.media._worker '{"limits": {...}, "memory_bytes": N, "cpu_s": N}'`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from boresight.errors import MediaError
from boresight.media._wire import read_frame, write_frame
from boresight.media.image import Decoded, ImageLimits, decode_image

if sys.platform != "win32":
    import resource

_MAX_OPEN_FILES = 32  # pipes, and modules that Pillow imports on first use
_MAX_WRITTEN_BYTES = 1_000_000  # the child writes no files but its error output


def serve(decode: Callable[..., Decoded] = decode_image) -> None:
    """Answer frames until stdin ends. `decode` is called as `decode_image` is."""
    config = json.loads(sys.argv[-1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its children
    answers = _take_stdout()
    Image.preinit()  # the readers that `image` does not import, before the limits count
    _limit_process(config["memory_bytes"])
    limits = ImageLimits(**config["limits"])
    write_frame(answers, {"ready": True})
    while (request := read_frame(sys.stdin.buffer, max_body_bytes=limits.max_bytes)) is not None:
        head, data = request
        _limit_cpu(config["cpu_s"])
        try:
            decoded = decode(data, name=head["name"], limits=limits)
            pixels = decoded.image.tobytes()
        except MediaError as error:
            write_frame(answers, {"error": error.reason})
            continue
        facts = {
            "width_px": decoded.width_px,
            "height_px": decoded.height_px,
            "mime": decoded.mime,
            "frames": decoded.frames,
            "changes": decoded.changes,
        }
        write_frame(answers, facts, pixels)


def _take_stdout() -> BinaryIO:
    """Keep stdout for frames; whatever a C library prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _limit_process(memory_bytes: int) -> None:
    """Bound memory, open files, written files and core dumps for good."""
    if sys.platform != "win32":
        _lower(resource.RLIMIT_AS, _address_space_bytes() + memory_bytes, is_final=True)
        _lower(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES, is_final=True)
        _lower(resource.RLIMIT_FSIZE, _MAX_WRITTEN_BYTES, is_final=True)
        _lower(resource.RLIMIT_CORE, 0, is_final=True)


def _limit_cpu(cpu_s: int) -> None:
    """Grant the next picture `cpu_s` seconds: a child that spins after its parent was killed ends as well."""
    if sys.platform != "win32":
        used = resource.getrusage(resource.RUSAGE_SELF)
        _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + cpu_s, is_final=False)


def _lower(kind: int, value: int, *, is_final: bool) -> None:
    if sys.platform != "win32":
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS knows some limits and refuses to set them
            resource.setrlimit(kind, (value, value if is_final else hard))


def _address_space_bytes() -> int:
    """What the interpreter has mapped already; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    serve()
