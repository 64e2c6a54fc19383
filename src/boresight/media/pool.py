"""Decode pictures from others in child processes that may crash, hang or run out of memory without harm.

A child is a fresh interpreter that imports Pillow and numpy, gets no environment variables but those it needs to
start, and limits its own memory, processor time and files. It reads encoded bytes and answers raw pixels; nothing is
pickled, so even a child taken over by a picture can only answer wrong pixels of an allowed size.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

from PIL import Image

from boresight.errors import MediaError, UsageError
from boresight.media._wire import WireError, read_frame, write_frame
from boresight.media.image import DEFAULT_LIMITS, MIME_TYPES, Change, Decoded, ImageLimits, check_encoded
from boresight.media.resolver import Resolver

# -P keeps the working directory, where data may lie, off the import path.
_COMMAND = (sys.executable, "-P", "-m", "boresight.media._worker")
_DYING_S = 1.0  # from closing its pipes to its end
_START_TIMEOUT_S = 60.0  # an interpreter on a cold, loaded disk
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP")
_KNOWN_CHANGES = frozenset(get_args(Change))
_KNOWN_MIMES = frozenset(MIME_TYPES.values())

_Frame = tuple[dict[str, Any], bytes]


class DecodePool:
    """Decodes as `decode_image` does, out of process. Safe to use from several threads.

        with DecodePool(workers=2) as pool:
            for outcome in pool.map(files):
                ...

    Children start when they are first needed and are replaced when they die. A picture that kills its child is tried
    once more in a fresh one, because the child may have been ended for another reason.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        limits: ImageLimits = DEFAULT_LIMITS,
        timeout_s: float = 20.0,
        memory_bytes: int = 2_000_000_000,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        """Keep the settings; no process starts yet.

        Args:
            timeout_s: Wall-clock time for one picture, after which its child is killed.
            memory_bytes: Address space of a child beyond what it needs to start. Enforced on Linux.
            command: What starts a child; its settings are appended as one argument. Put a sandbox in front here.

        Raises:
            UsageError: If a number is not positive.
        """
        if workers < 1 or not 0 < timeout_s < math.inf or memory_bytes < 1:
            raise UsageError("DecodePool: workers, timeout_s and memory_bytes must be positive and finite.")
        self._limits = limits
        self._timeout_s = timeout_s
        config = {
            "limits": dataclasses.asdict(limits),
            "memory_bytes": memory_bytes,
            # The clock on the wall decides while this process lives; this one ends orphans.
            "cpu_s": math.ceil(2 * timeout_s),
        }
        self._command = (*command, json.dumps(config))
        self._workers = workers
        self._lock = threading.Lock()
        self._is_closed = False
        self._alive: set[_Child] = set()
        self._seats: queue.LifoQueue[_Child | None] = queue.LifoQueue()  # last in first: idle seats stay empty
        for _ in range(workers):
            self._seats.put(None)

    def decode(self, data: bytes, *, name: str = "image") -> Decoded:
        """Decode one picture.

        Raises:
            MediaError: If the picture is refused, or its child crashed or took too long.
            UsageError: If the pool is closed, or no child can be started.
        """
        check_encoded(data, name=name, limits=self._limits)
        try:
            try:
                return self._attempt(data, name)
            except _CrashError:
                return self._attempt(data, name)
        except _CrashError as crash:
            raise MediaError(
                f"image {name!r} crashed the decoder twice ({crash}). It may be hostile: drop the row."
            ) from None
        except _LateError:
            raise MediaError(
                f"image {name!r} took longer than {self._timeout_s:g} s to decode and was stopped."
                " Drop the row, or raise timeout_s on a slow machine."
            ) from None

    def map(self, pictures: Iterable[bytes]) -> Iterator[Decoded | MediaError]:
        """Decode many pictures, in order. A bad one gives its error and ends nothing.

        Messages count the pictures from 1. Pictures are drawn a few ahead of the one that is awaited.
        """
        return self._in_order(
            partial(self.decode, data, name=f"number {number}") for number, data in enumerate(pictures, 1)
        )

    def map_files(self, uris: Iterable[str], resolver: Resolver) -> Iterator[Decoded | MediaError]:
        """Read and decode many files, in order. A file that cannot be read gives its error and ends nothing."""
        return self._in_order(partial(self._decode_file, uri, resolver) for uri in uris)

    def close(self) -> None:
        """End all children and wait for their end. A decode in another thread raises UsageError."""
        with self._lock:
            self._is_closed = True
            children = tuple(self._alive)
            self._alive.clear()
        for child in children:
            child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decode_file(self, uri: str, resolver: Resolver) -> Decoded:
        return self.decode(resolver.read(uri), name=uri)

    def _in_order(self, tasks: Iterable[Callable[[], Decoded]]) -> Iterator[Decoded | MediaError]:
        threads = ThreadPoolExecutor(self._workers, thread_name_prefix="decode")
        awaited: deque[Future[Decoded | MediaError]] = deque()
        try:
            for task in tasks:
                awaited.append(threads.submit(_outcome, task))
                if len(awaited) > 2 * self._workers:  # enough to keep all busy; bounds the pixels held
                    yield awaited.popleft().result()
            while awaited:
                yield awaited.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _attempt(self, data: bytes, name: str) -> Decoded:
        child = self._seats.get()
        try:
            if child is None or not child.is_alive:
                self._discard(child)
                child = None
                child = self._start()
            return child.decode(data, name, self._limits, self._timeout_s)
        except MediaError:
            raise  # a refusal; the child is well
        except BaseException:
            self._discard(child)
            child = None
            raise
        finally:
            self._seats.put(child)

    def _start(self) -> _Child:
        with self._lock:
            if self._is_closed:
                raise UsageError("this DecodePool is closed; open a new one.")
            child = _Child(self._command)
            self._alive.add(child)
        try:
            child.wait_ready()
        except BaseException:
            self._discard(child)
            raise
        return child

    def _discard(self, child: _Child | None) -> None:
        if child is not None:
            with self._lock:
                self._alive.discard(child)
            child.stop()


class _CrashError(Exception):
    """The child ended, or answered nonsense, while it had a picture."""


class _LateError(Exception):
    """The child was killed because its time was up."""


class _Child:
    """One child process and its pipes. Used by one thread at a time, but for `stop`."""

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by stop()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(),
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests = self._process.stdin
        self._answers = self._process.stdout

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self) -> None:
        """Wait for the first frame. Raises UsageError if none comes: no picture is to blame for that."""
        try:
            self._within(_START_TIMEOUT_S, lambda: read_frame(self._answers, max_body_bytes=0))
        except (_CrashError, _LateError) as error:
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
            raise UsageError(
                f"the image decoder could not start ({said[-1] if said else error}). Its command is"
                f" {self._process.args!r}; raise memory_bytes if memory is short."
            ) from None

    def decode(self, data: bytes, name: str, limits: ImageLimits, timeout_s: float) -> Decoded:
        """The picture. Raises MediaError if the child refuses it; after other errors the child must be stopped."""

        def exchange() -> _Frame | None:
            write_frame(self._requests, {"name": name}, data)
            return read_frame(self._answers, max_body_bytes=3 * limits.max_pixels)

        head, pixels = self._within(timeout_s, exchange)
        if isinstance(head.get("error"), str):
            raise MediaError(head["error"])
        decoded = _checked(head, pixels, hashlib.sha256(data).hexdigest())
        if decoded is None:
            raise _CrashError("its answer makes no sense")
        return decoded

    def stop(self) -> None:
        """Kill the process, wait for its end, close its pipes. May be called again, and from another thread."""
        self._process.kill()
        self._process.wait()
        for stream in (self._requests, self._answers, self._errors):
            with contextlib.suppress(OSError):  # unsent bytes cannot be flushed to a dead process
                stream.close()

    def _within(self, timeout_s: float, talk: Callable[[], _Frame | None]) -> _Frame:
        """The frame that `talk` receives. A timer kills the process when time is up, which ends the waiting."""
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.start()
        started_s = time.monotonic()
        frame = fault = None
        try:
            with contextlib.suppress(OSError):  # it closed its end; the cause follows below
                frame = talk()
        except WireError as error:
            fault = str(error)
        finally:
            timer.cancel()
        if frame is not None:
            return frame
        if time.monotonic() - started_s >= timeout_s:
            raise _LateError
        raise _CrashError(fault or self._cause_of_death())

    def _cause_of_death(self) -> str:
        try:
            code = self._process.wait(_DYING_S)
        except subprocess.TimeoutExpired:
            return "it stopped answering"
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _checked(head: dict[str, Any], pixels: bytes, sha256: str) -> Decoded | None:
    """The picture in an answer, or None where the answer is not one. A child that read hostile bytes is not trusted."""
    width, height, frames = (head.get(key) for key in ("width_px", "height_px", "frames"))
    mime, changes = head.get("mime"), head.get("changes")
    if not (isinstance(width, int) and isinstance(height, int) and isinstance(frames, int)):
        return None
    if min(width, height, frames) < 1 or len(pixels) != 3 * width * height:
        return None
    if not isinstance(changes, list) or not _KNOWN_CHANGES.issuperset(map(str, changes)):
        return None
    if not isinstance(mime, str) or mime not in _KNOWN_MIMES:
        return None
    return Decoded(
        image=Image.frombytes("RGB", (width, height), pixels),
        width_px=width,
        height_px=height,
        mime=mime,
        sha256=sha256,
        frames=frames,
        changes=tuple(changes),
    )


def _outcome(task: Callable[[], Decoded]) -> Decoded | MediaError:
    try:
        return task()
    except MediaError as error:
        return error


def _environment() -> dict[str, str]:
    """What a child needs to start, and none of the parent's secrets."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    # The same modules as here, however they were found. One thread: numpy would map gigabytes for its pool.
    paths = [*filter(None, sys.path), str(Path(__file__).parents[2])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
