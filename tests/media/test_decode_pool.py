from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from picture_zoo import BAD, encode, gradient
from PIL import Image

from boresight.errors import MediaError, UsageError
from boresight.media.image import Decoded, ImageLimits, decode_image
from boresight.media.pool import DecodePool
from boresight.media.resolver import Resolver

# A child whose decoder does what the picture says. Pictures are a verb and padding.
EVIL_CHILD = """
import ctypes, dataclasses, os, time
from PIL import Image
from boresight.media import _worker
from boresight.media.image import Decoded

IMAGE = Image.new("RGB", (4, 5), (1, 2, 3))
GOOD = Decoded(image=IMAGE, width_px=4, height_px=5, mime="image/png", sha256="", frames=1, changes=())

def decode(data, *, name, limits):
    verb = data.split(b"\\0")[0]
    if verb == b"segfault":
        ctypes.string_at(0)
    if verb == b"exit":
        os._exit(3)
    if verb == b"hang":
        time.sleep(60)
    if verb == b"spin":
        while True: pass
    if verb == b"memory":
        bytearray(10**12)
    if verb == b"print":
        os.write(1, b"noise of a library")
        raise _worker.MediaError("printed")
    if verb == b"once" and not os.path.exists(name):
        open(name, "w").close()
        os._exit(1)
    if verb == b"secret":
        raise _worker.MediaError(repr(sorted(os.environ)))
    if verb == b"limits":
        import resource
        kinds = (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)
        raise _worker.MediaError(str([resource.getrlimit(kind)[1] for kind in kinds]))
    if verb == b"lie":
        return dataclasses.replace(GOOD, width_px=99)
    if verb == b"lie_mime":
        return dataclasses.replace(GOOD, mime="text/html")
    return GOOD

_worker.serve(decode)
"""
EVIL = (sys.executable, "-P", "-c", EVIL_CHILD)


def children_of(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread ended meanwhile
            found.update(map(int, (task / "children").read_text().split()))
    return found


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    before = children_of(os.getpid())
    yield
    assert children_of(os.getpid()) == before


def is_running(pid: int) -> bool:
    """False also for a zombie that init has not collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def evil_pool(**options: object) -> DecodePool:
    return DecodePool(**{"workers": 1, "command": EVIL, "timeout_s": 10.0} | options)


def test_the_pool_gives_the_same_pixels_and_facts_as_a_decode_in_this_process(photographs: list[Path]) -> None:
    files = [path.read_bytes() for path in photographs[:6]]
    with DecodePool(workers=2) as pool:
        outcomes = list(pool.map(files))
    assert len(outcomes) == 6
    for data, outcome in zip(files, outcomes, strict=True):
        here = decode_image(data)
        assert isinstance(outcome, Decoded)
        assert np.array_equal(np.asarray(outcome.image), np.asarray(here.image))
        for fact in ("width_px", "height_px", "mime", "sha256", "frames", "changes"):
            assert getattr(outcome, fact) == getattr(here, fact)


def test_a_bad_file_among_good_ones_gives_one_error_in_its_place() -> None:
    good = [encode(Image.new("RGB", (16, 16), (n, 0, 0)), "PNG") for n in range(12)]
    files = [*good[:5], BAD["crc.png"][0](), *good[5:], b""]
    with DecodePool(workers=2) as pool:
        outcomes = list(pool.map(files))
    reds = [o.image.getpixel((0, 0))[0] for o in outcomes if isinstance(o, Decoded)]
    assert reds == list(range(12))
    assert [n for n, o in enumerate(outcomes) if isinstance(o, MediaError)] == [5, 13]
    assert str(outcomes[5]).startswith("image 'number 6' is damaged")


def test_files_are_read_and_decoded_in_order(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(encode(gradient(), "PNG"))
    (tmp_path / "bad.png").write_bytes(b"nothing")
    uris = ["good.png", "bad.png", "missing.png", "../outside.png", "good.png"]
    with DecodePool(workers=2) as pool:
        outcomes = list(pool.map_files(uris, Resolver(root=tmp_path)))
    assert [type(outcome) for outcome in outcomes] == [Decoded, MediaError, MediaError, MediaError, Decoded]
    assert "image 'bad.png' starts with" in str(outcomes[1])
    assert "medium 'missing.png' does not exist" in str(outcomes[2])


@pytest.mark.parametrize(("verb", "cause"), [("segfault", "SIGSEGV"), ("exit", "exit status 3")])
def test_a_crash_costs_one_picture_and_not_the_run(verb: str, cause: str) -> None:
    with evil_pool() as pool:
        outcomes = list(pool.map([b"good", verb.encode(), b"good"]))
    assert [type(outcome) for outcome in outcomes] == [Decoded, MediaError, Decoded]
    assert f"crashed the decoder twice ({cause})" in str(outcomes[1])


def test_a_child_killed_from_outside_is_replaced_and_its_picture_decoded(tmp_path: Path) -> None:
    with evil_pool() as pool:
        assert pool.decode(b"once", name=str(tmp_path / "seen")).width_px == 4


def test_an_idle_child_that_died_is_replaced() -> None:
    with evil_pool() as pool:
        before = children_of(os.getpid())
        pool.decode(b"good")
        (child,) = children_of(os.getpid()) - before
        os.kill(child, signal.SIGKILL)
        time.sleep(0.1)
        assert pool.decode(b"good").width_px == 4


@pytest.mark.parametrize("verb", [b"hang", b"spin"])
def test_a_hang_is_stopped_at_the_time_limit_and_the_run_goes_on(verb: bytes) -> None:
    with evil_pool(timeout_s=1.0) as pool:
        pool.decode(b"good")
        started = time.monotonic()
        with pytest.raises(MediaError, match=r"took longer than 1 s"):
            pool.decode(verb)
        assert 0.9 < time.monotonic() - started < 30
        assert pool.decode(b"good").width_px == 4


def test_one_hanging_picture_does_not_hold_up_the_others() -> None:
    with evil_pool(workers=2, timeout_s=2.0) as pool:
        outcomes = list(pool.map([b"hang"] + [b"good"] * 4))
    assert [type(outcome) for outcome in outcomes] == [MediaError] + [Decoded] * 4


def test_out_of_memory_is_an_outcome(photographs: list[Path]) -> None:
    large = encode(Image.new("RGB", (6000, 6000)), "PNG")
    with DecodePool(workers=1, memory_bytes=150_000_000) as pool:
        with pytest.raises(MediaError, match="needs more memory"):
            pool.decode(large)
        assert pool.decode(photographs[0].read_bytes()).width_px == 511


def test_memory_beyond_the_limit_is_not_given() -> None:
    with evil_pool() as pool, pytest.raises(MediaError, match="crashed"):
        pool.decode(b"memory")


def test_what_a_library_prints_does_not_disturb_the_answers() -> None:
    with evil_pool() as pool, pytest.raises(MediaError, match=r"^printed$"):
        pool.decode(b"print")


@pytest.mark.parametrize("verb", [b"lie", b"lie_mime"])
def test_an_answer_that_makes_no_sense_is_refused(verb: bytes) -> None:
    before = children_of(os.getpid())
    with evil_pool() as pool:
        with pytest.raises(MediaError, match="makes no sense"):
            pool.decode(verb)
        assert pool.decode(b"good").width_px == 4
        assert len(children_of(os.getpid()) - before) == 1  # those that lied are gone


def test_a_picture_larger_than_the_limit_cannot_come_back() -> None:
    with evil_pool(limits=ImageLimits(max_pixels=19)) as pool, pytest.raises(MediaError, match="crashed"):
        pool.decode(b"good")


def test_a_child_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-CANARY")
    with evil_pool() as pool, pytest.raises(MediaError) as caught:
        pool.decode(b"secret")
    assert "PYTHONPATH" in str(caught.value)
    assert "OPENAI_API_KEY" not in str(caught.value)


def test_a_child_writes_no_core_dump_and_opens_few_files() -> None:
    with evil_pool() as pool, pytest.raises(MediaError, match=r"^\[0, 32\]$"):
        pool.decode(b"limits")


def test_limits_hold_in_the_child() -> None:
    with DecodePool(workers=1, limits=ImageLimits(max_side_px=50)) as pool, pytest.raises(MediaError, match="<= 50"):
        pool.decode(encode(gradient(), "PNG"), name="x.png")


def test_a_child_that_cannot_start_ends_the_run_with_its_reason() -> None:
    command = (sys.executable, "-c", "raise SystemExit('no such module')")
    with DecodePool(workers=1, command=command) as pool, pytest.raises(UsageError, match="no such module"):
        pool.decode(encode(gradient(), "PNG"))


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"timeout_s": 0.0}, {"timeout_s": float("nan")}, {"memory_bytes": 0}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="DecodePool"):
        DecodePool(**wrong)


def test_a_closed_pool_says_so() -> None:
    pool = evil_pool()
    pool.decode(b"good")
    pool.close()
    pool.close()
    with pytest.raises(UsageError, match="closed"):
        pool.decode(b"good")


def test_closing_ends_a_decode_in_another_thread() -> None:
    pool = evil_pool(timeout_s=30.0)
    pool.decode(b"good")
    caught: list[BaseException] = []

    def hang() -> None:
        try:
            pool.decode(b"hang")
        except (MediaError, UsageError) as error:
            caught.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    time.sleep(0.2)
    pool.close()
    thread.join(5)
    assert not thread.is_alive()
    assert len(caught) == 1


def test_leaving_a_map_early_leaves_the_pool_usable() -> None:
    with evil_pool(workers=2) as pool:
        outcomes = pool.map(b"good" for _ in range(1000))
        next(outcomes)
        outcomes.close()
        assert pool.decode(b"good").width_px == 4


def test_pictures_are_drawn_only_a_few_ahead() -> None:
    drawn = []

    def pictures() -> Iterator[bytes]:
        for number in range(100):
            drawn.append(number)
            yield b"good"

    with evil_pool(workers=2) as pool:
        outcomes = pool.map(pictures())
        next(outcomes)
        assert len(drawn) <= 6
        outcomes.close()


SCRIPT = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with it ignored
from boresight.media.pool import DecodePool
pool = DecodePool(workers=2)
print([o.width_px for o in pool.map([Path(sys.argv[1]).read_bytes()] * 3)], flush=True)
if sys.argv[2] == "close":
    pool.close()
if sys.argv[2] == "wait":
    with pool:
        for _ in pool.map(iter(lambda: time.sleep(0.01) or Path(sys.argv[1]).read_bytes(), None)):
            pass
"""


@contextlib.contextmanager
def started_script(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "x.png").write_bytes(encode(gradient(), "PNG"))
    (tmp_path / "script.py").write_text(SCRIPT)  # no `if __name__` guard: spawned pools would recurse
    command: Sequence[str] = (sys.executable, str(tmp_path / "script.py"), str(tmp_path / "x.png"), *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as script:
        try:
            yield script
        finally:
            script.kill()


@pytest.mark.parametrize("ending", ["close", "forget"])
def test_a_plain_script_needs_no_main_guard_and_ends_by_itself(tmp_path: Path, ending: str) -> None:
    with started_script(tmp_path, ending) as script:
        out, _ = script.communicate(timeout=120)
    assert (script.returncode, out) == (0, "[96, 96, 96]\n")


@pytest.mark.parametrize("deadly", [signal.SIGINT, signal.SIGKILL])
def test_no_child_outlives_its_parent(tmp_path: Path, deadly: signal.Signals) -> None:
    with started_script(tmp_path, "wait") as script:
        assert script.stdout is not None
        script.stdout.readline()
        children = children_of(script.pid)
        script.send_signal(deadly)
        script.communicate(timeout=60)
    assert children
    deadline = time.monotonic() + 60
    while any(map(is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [*filter(is_running, children)]


def test_starting_a_child_imports_no_torch() -> None:
    code = "import sys, boresight.media._worker; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    out = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True).stdout
    assert out == "[]\n"
