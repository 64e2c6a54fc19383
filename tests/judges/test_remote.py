"""The client of model servers against servers that misbehave: every call ends, as it should, and no key gets out."""

from __future__ import annotations

import dataclasses
import logging
import resource
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from faulty_server import BEHAVIORS, KEY, FaultyServer, serving
from PIL import Image

from boresight.errors import BudgetError, ServerError, UsageError
from boresight.models._chat_wire import retry_after_s
from boresight.models._session import _Seats
from boresight.models.chat import Decoding, Request, Response
from boresight.models.remote import Remote
from boresight.models.server import Limits, Server
from boresight.models.spending import Budget, Ledger, Prices
from boresight.records import Message, Part

pytestmark = [pytest.mark.enable_socket, pytest.mark.allow_hosts(["127.0.0.1"])]

STEADY = Limits(tries=3, first_wait_s=0.01, max_wait_s=0.05, max_bytes=1_000_000, concurrency=4)
"""Tries of a minute, as users have them: calls are counted, and a busy machine must not make one more."""

QUICK = dataclasses.replace(STEADY, deadline_s=0.9, try_s=0.4)
"""For servers that hang."""


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    with serving(BEHAVIORS) as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORESIGHT_API_KEY", KEY)


@pytest.fixture(autouse=True)
def fresh(server: FaultyServer) -> None:
    server.hits.clear()
    server.bodies.clear()
    server.authorizations.clear()


def request(id: str = "1", text: str = "Which?", *images: Image.Image) -> Request:
    media = tuple(Part(type="media", media=str(n)) for n in range(len(images)))
    return Request(id=id, messages=(Message(role="user", parts=(*media, Part(type="text", text=text))),), images=images)


def ask(server: FaultyServer, name: str, count: int = 1, **options: object) -> list[Response]:
    remote = Remote(Server(url=server.url(name), model="m"), seed=0, **{"limits": STEADY, **options})  # type: ignore[arg-type]
    requests = [request(str(number)) for number in range(count)]
    return list(remote.answer(requests, Decoding(max_new_tokens=8)))


def test_there_are_more_behaviors_than_the_26_that_were_seen() -> None:
    assert len(BEHAVIORS) >= 40


@pytest.mark.parametrize(
    ("name", "hits"),
    [
        ("well", 1), ("429-seconds", 2), ("429-plain", 2), ("429-garbage", 2), ("429-date", 2), ("502-once", 2),
        ("503-once", 2), ("529-once", 2), ("reset-once", 2), ("short-once", 2), ("html-type", 1),
        ("other-name", 2),
    ],
)  # fmt: skip
def test_what_passes_is_tried_again_until_it_is_answered(server: FaultyServer, name: str, hits: int) -> None:
    (response,) = ask(server, name)
    assert (response.status, response.text, response.num_tokens) == ("complete", "Verdict: 1", 10)
    assert server.hits[name] == hits


def test_a_server_that_hangs_once_is_asked_again(server: FaultyServer) -> None:
    """It hangs for 1.5 s."""
    (response,) = ask(server, "hang-once", limits=dataclasses.replace(STEADY, try_s=1.0))
    assert response.status == "complete" and server.hits["hang-once"] == 2


@pytest.mark.parametrize(
    ("name", "hits", "reason"),
    [
        ("500", 3, "HTTP 500: boom"),
        ("reset", 3, "Error"),
        ("short", 3, "RemoteProtocolError"),
        ("not-http", 3, "RemoteProtocolError"),
        ("html", 3, "begins '<html>proxy login</html>'"),
        ("cut-json", 3, "bad reply"),
        ("empty", 3, "bad reply"),
        ("deep", 3, "bad reply"),
        ("error-in-200", 3, "choices: Field required"),
        ("no-choices", 3, "choices"),
        ("empty-choices", 3, "choices"),
        ("wrong-types", 3, "choices.0.message.content"),
        ("list-content", 3, "choices.0.message.content"),
        ("surrogate", 3, "hex escape"),
        ("bad-usage", 3, "usage"),
        ("text-usage", 3, "usage.prompt_tokens"),
        ("429-hour", 1, "HTTP 429"),
        ("400-context", 1, "maximum context length"),
        ("413", 1, "HTTP 413: too large"),
        ("huge", 1, "longer than 1000000 bytes"),
        ("chunked-huge", 1, "longer than 1000000 bytes"),
        ("gzip-bomb", 1, "compressed"),
    ],
)
def test_a_request_without_a_usable_answer_fails_alone_with_the_reason(
    server: FaultyServer, name: str, hits: int, reason: str
) -> None:
    (response,) = ask(server, name)
    assert (response.status, response.text) == ("failed", "")
    assert reason in response.reason
    assert server.hits[name] == hits


@pytest.mark.parametrize("name", ["hang", "drip-body", "drip-header"])
def test_a_server_that_never_finishes_is_left_at_the_deadline(server: FaultyServer, name: str) -> None:
    began = time.monotonic()
    (response,) = ask(server, name, limits=dataclasses.replace(QUICK, tries=20))
    assert time.monotonic() - began < QUICK.deadline_s + 0.5
    assert response.status == "failed"
    assert "no whole answer within" in response.reason
    assert 2 <= server.hits[name] <= 3  # a try ends before the deadline, so that another one has a chance


@pytest.mark.parametrize("name", ["401", "403", "404", "redirect"])
def test_wrong_settings_end_the_run_at_the_first_call(server: FaultyServer, name: str) -> None:
    with pytest.raises(ServerError, match="refuses model 'm'") as caught:
        ask(server, name, 100)
    assert server.hits[name] <= STEADY.concurrency
    assert KEY not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None


def test_a_refusal_of_one_call_after_a_success_fails_that_call_alone(server: FaultyServer) -> None:
    """Some services answer 403 when they do not like one prompt."""
    server.behaviors["403-second"] = lambda h, n, r: BEHAVIORS["403" if n == 2 else "well"](h, n, r)
    statuses = [r.status for r in ask(server, "403-second", 5, limits=Limits(concurrency=1))]
    assert sorted(statuses) == ["complete"] * 4 + ["failed"]


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("null", "complete", ""),
        ("reasoning-only", "complete", ""),
        ("refusal", "refused", "I cannot"),
        ("filter", "refused", ""),
        ("length", "truncated", "Score"),
    ],
)
def test_an_answer_without_a_verdict_is_told_as_what_it_is(
    server: FaultyServer, name: str, status: str, text: str
) -> None:
    (response,) = ask(server, name)
    assert (response.status, response.text) == (status, text)
    assert server.hits[name] == 1


def test_nobody_listening_is_a_failure_and_no_hang() -> None:
    remote = Remote(Server(url="http://127.0.0.1:9/v1", model="m"), limits=STEADY)
    (response,) = remote.answer([request()], Decoding())
    assert response.status == "failed" and "ConnectError" in response.reason


def test_a_huge_reply_costs_little_memory(server: FaultyServer) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ask(server, "huge")
    ask(server, "gzip-bomb")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kB; the bodies have 400 MB and 50 MB


def test_a_dead_server_ends_the_run_instead_of_failing_every_item(server: FaultyServer) -> None:
    limits = Limits(tries=1, failures_in_a_row=6, concurrency=2, first_wait_s=0.01)
    with pytest.raises(ServerError, match="6 requests in a row failed"):
        ask(server, "500", 100, limits=limits)
    assert server.hits["500"] <= 6 + 2


def test_failures_at_one_moment_are_told_as_the_limit_that_they_reach(server: FaultyServer) -> None:
    everyone = threading.Barrier(8)

    def fail(handler: Any, hit: int, body: dict[str, Any]) -> None:
        everyone.wait(10)
        BEHAVIORS["413"](handler, hit, body)

    server.behaviors["together"] = fail
    for _ in range(10):
        with pytest.raises(ServerError, match=r"^3 requests in a row failed"):
            ask(server, "together", 8, limits=Limits(concurrency=8, failures_in_a_row=3))


def test_failures_between_successes_do_not_end_the_run(server: FaultyServer) -> None:
    server.behaviors["every-other"] = lambda h, n, r: BEHAVIORS["413" if n % 2 else "well"](h, n, r)
    responses = ask(server, "every-other", 12, limits=Limits(concurrency=1, failures_in_a_row=2))
    assert [r.status for r in responses] == ["failed", "complete"] * 6


def test_a_wait_beyond_the_deadline_is_not_begun(server: FaultyServer) -> None:
    began = time.monotonic()
    ask(server, "429-hour", limits=QUICK)
    assert time.monotonic() - began < 0.5 * QUICK.deadline_s


def test_the_wait_that_a_server_asks_for_is_kept_by_all_calls(server: FaultyServer) -> None:
    """Two calls begin at once; one is told to wait 0.3 s, and no third one begins before that."""
    times: list[float] = []

    def limited(handler: Any, hit: int, body: dict[str, Any]) -> None:
        times.append(time.monotonic())
        if hit == 1:
            handler.send(429, "{}", Retry_After="0.3")
        else:
            time.sleep(0.1)
            BEHAVIORS["well"](handler, hit, body)

    server.behaviors["limited"] = limited
    responses = ask(server, "limited", 6, limits=Limits(concurrency=2, first_wait_s=0.01))
    assert [r.status for r in responses] == ["complete"] * 6
    assert len(times) == 7
    assert sorted(times)[2] - times[0] >= 0.28


def test_seats_are_halved_by_a_busy_server_and_come_back_one_by_one() -> None:
    async def story() -> list[int]:
        seats = _Seats(8)
        found = []
        for change in (seats.narrow, seats.narrow, seats.widen, seats.widen, seats.narrow, seats.narrow, seats.narrow):
            change()
            found.append(int(seats._open))
        return found

    assert anyio.run(story) == [4, 2, 2, 2, 1, 1, 1]


def test_a_crowd_of_calls_shrinks_to_what_the_server_bears(server: FaultyServer) -> None:
    limits = Limits(concurrency=32, tries=8, first_wait_s=0.02, max_wait_s=0.5, deadline_s=20)
    responses = ask(server, "busy", 60, limits=limits)
    assert [r.status for r in responses] == ["complete"] * 60
    assert sorted(r.id for r in responses) == sorted(str(n) for n in range(60))


def test_calls_run_at_once_but_never_more_than_allowed(server: FaultyServer) -> None:
    lock, active, counts = threading.Lock(), [], []

    def slow(handler: Any, number: int, row: Any) -> None:
        with lock:
            active.append(number)
            counts.append(len(active))
        time.sleep(0.05)  # long enough for the others to begin: a call too many would be seen
        with lock:  # before the answer, which lets the next call come
            active.remove(number)
        BEHAVIORS["well"](handler, number, row)

    server.behaviors["slow"] = slow
    ask(server, "slow", 12, limits=Limits(concurrency=3))
    assert max(counts) == 3


def test_the_key_goes_into_the_header_and_nowhere_else(
    server: FaultyServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    remote = Remote(Server(url=server.url("400-key"), model="m"), limits=STEADY)
    responses = list(remote.answer([request()], Decoding()))
    assert server.authorizations == [f"Bearer {KEY}"]
    printed = capfd.readouterr()
    said = f"{responses} {remote!r} {remote.server!r} {caplog.text} {printed.out} {printed.err}"
    assert "[key]" in responses[0].reason and "\x1b" not in responses[0].reason
    assert KEY not in said


def test_without_a_key_no_authorization_is_sent(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BORESIGHT_API_KEY")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    ask(server, "well")
    assert server.authorizations == [None]


def test_a_variable_that_holds_no_key_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORESIGHT_API_KEY", f"{KEY}\nX-Evil:1")
    with pytest.raises(UsageError) as caught:
        Remote(Server(url="http://127.0.0.1:9", model="m"))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "localhost:8000#m", "http://h/v1", "http://h/v1#", "ftp://h#m", f"http://u:{KEY}@h/v1#m", "file:///etc#m",
        f"http://h/v1?key={KEY}#m", "http://a\\@127.0.0.1/#m", "http://h\n/#m", "http://#m", "http://h:0/#m", "#m",
        "http://h:port/#m",
    ],
)  # fmt: skip
def test_an_address_that_is_not_plain_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(UsageError, match="URL#MODEL") as caught:
        Server.parse(text)
    assert KEY not in str(caught.value)


def test_a_picture_travels_as_the_pixels_that_the_trainer_sees(server: FaultyServer) -> None:
    import base64
    import io

    from boresight.media.image import decode_image

    out = io.BytesIO()
    Image.effect_noise((40, 30), 80).convert("RGB").save(out, "JPEG")
    seen = decode_image(out.getvalue()).image
    remote = Remote(Server(url=server.url("well"), model="m"), limits=STEADY)
    list(remote.answer([request("1", "What?", seen)], Decoding()))
    first, second = server.bodies[0]["messages"][0]["content"]
    head, _, data = first["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).tobytes() == seen.tobytes()
    assert second == {"type": "text", "text": "What?"}


def test_a_budget_of_calls_is_never_exceeded_and_what_it_bought_is_given(server: FaultyServer) -> None:
    remote = Remote(Server(url=server.url("well"), model="m"), limits=STEADY, budget=Budget(max_calls=5))
    got = []
    with pytest.raises(BudgetError, match="budget of 5 calls is spent"):
        got.extend(remote.answer((request(str(n)) for n in range(100)), Decoding()))
    assert server.hits["well"] == 5 == remote.ledger.calls


def test_answers_come_before_the_budget_ends_the_run(server: FaultyServer) -> None:
    remote = Remote(Server(url=server.url("well"), model="m"), limits=STEADY, budget=Budget(max_calls=5))
    got = []
    with pytest.raises(BudgetError):
        for response in remote.answer((request(str(n)) for n in range(100)), Decoding()):
            got.append(response.id)
    assert len(got) == 5


def test_tries_count_as_calls(server: FaultyServer) -> None:
    remote = Remote(Server(url=server.url("500"), model="m"), limits=STEADY, budget=Budget(max_calls=2))
    with pytest.raises(BudgetError):
        list(remote.answer([request()], Decoding()))
    assert server.hits["500"] == 2


def test_money_is_counted_by_the_tokens_that_the_server_tells(server: FaultyServer) -> None:
    """100 prompt tokens at 1 USD and 10 completion tokens at 5 USD a million: 0.00015 USD a call."""
    budget = Budget(max_usd=1.0, prices=Prices(prompt_usd=1.0, completion_usd=5.0))
    remote = Remote(Server(url=server.url("well"), model="m"), limits=STEADY, budget=budget)
    list(remote.answer([request(str(n)) for n in range(4)], Decoding()))
    assert remote.ledger.usd == pytest.approx(4 * 0.00015)


def test_a_budget_of_money_holds_for_calls_made_at_once(server: FaultyServer) -> None:
    budget = Budget(max_usd=0.001, prices=Prices(prompt_usd=1.0, completion_usd=5.0))
    remote = Remote(Server(url=server.url("well"), model="m"), limits=STEADY, budget=budget)
    with pytest.raises(BudgetError, match="does not cover"):
        list(remote.answer((request(str(n), "x" * 100) for n in range(100)), Decoding(max_new_tokens=10)))
    assert remote.ledger.usd <= 0.001
    # 6 x 0.00015 = 0.0009; a seventh would make 0.00105. Calls in flight hold back more than they will cost, so how
    # many fit depends on how fast replies come.
    assert 1 <= server.hits["well"] <= 6


def test_once_a_call_was_dear_the_next_ones_reserve_as_much() -> None:
    """A picture made 900,000 prompt tokens of 10 bytes: 0.9 USD, so a second call does not fit into 1 USD."""
    ledger = Ledger(Budget(max_usd=1.0, prices=Prices(prompt_usd=1.0, completion_usd=1.0)))
    with ledger.call(10, 10) as receipt:
        receipt.tokens = (900_000, 0)
    with pytest.raises(BudgetError, match=r"up to 0\.9 USD"), ledger.call(10, 10):
        pass


def test_a_call_whose_price_never_becomes_known_is_charged_what_it_reserved() -> None:
    """1,000,000 bytes at 1 USD and 100,000 tokens at 10 USD a million: 2 USD."""
    ledger = Ledger(Budget(prices=Prices(prompt_usd=1.0, completion_usd=10.0)))
    with ledger.call(1_000_000, 100_000):
        pass
    assert ledger.usd == pytest.approx(2.0)
    with ledger.call(1_000_000, 100_000) as receipt:
        receipt.is_free = True
    assert ledger.usd == pytest.approx(2.0)


def test_a_call_that_the_server_refuses_costs_nothing(server: FaultyServer) -> None:
    budget = Budget(prices=Prices(prompt_usd=1.0, completion_usd=5.0))
    remote = Remote(Server(url=server.url("400-context"), model="m"), limits=STEADY, budget=budget)
    list(remote.answer([request()], Decoding()))
    assert (remote.ledger.calls, remote.ledger.usd) == (1, 0.0)


@pytest.mark.parametrize("bad", [{"max_calls": -1}, {"max_usd": -1.0}, {"max_usd": float("nan")}, {"max_usd": 1.0}])
def test_a_budget_that_cannot_be_kept_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Budget(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT", "date": "Thu, 01 Jan 1970 00:01:30 GMT"}, 10.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
    ],
)
def test_the_wait_that_a_header_asks_for_is_read_in_both_forms(headers: dict[str, str], expected: float | None) -> None:
    """The local clock says 10 s after the epoch; where the server tells its own time, that counts."""
    assert retry_after_s(headers, now_s=10.0) == expected


def test_a_consumer_that_stops_early_leaves_no_call_behind(server: FaultyServer) -> None:
    server.behaviors["stops"] = lambda h, n, r: BEHAVIORS["well" if n == 1 else "hang"](h, n, r)
    remote = Remote(Server(url=server.url("stops"), model="m"), limits=Limits(concurrency=4))
    began = time.monotonic()
    answers = remote.answer((request(str(n)) for n in range(100)), Decoding())
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 1.0
    assert server.hits["stops"] <= 5
