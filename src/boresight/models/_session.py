"""The calls of one event loop to one server: tries, waits, seats, and when to give up."""

from __future__ import annotations

import json
import random
import time
from typing import Any, Self

import anyio
import httpx

from boresight.errors import ServerError
from boresight.models._chat_wire import Fault, check_status, read_reply, shown
from boresight.models.chat import Response
from boresight.models.server import Limits, Server
from boresight.models.spending import Ledger

_OTHER_NAME = "max_completion_tokens"


class Session:
    """Calls that share their seats, their waits and their count of failures.

    Args:
        secret: Taken out of everything that is said about a failure, where a server may echo it.
        jitter: Keeps many calls that failed together from coming back together.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        server: Server,
        limits: Limits,
        ledger: Ledger,
        *,
        secret: str,
        jitter: random.Random,
    ) -> None:
        self._client = client
        self._server = server
        self._limits = limits
        self._ledger = ledger
        self._secret = secret
        self._jitter = jitter
        self._seats = _Seats(limits.concurrency)
        self._paused_until = 0.0
        self._length_name = "max_tokens"
        self._has_succeeded = False
        self._failures_in_a_row = 0

    async def ask(self, id: str, body: dict[str, Any], prompt_bytes: int) -> Response:
        """The answer to one request; `failed` if the fault is its own or does not pass in time.

        Raises:
            ServerError: If the server refuses the settings, or nothing has come from it for long.
            BudgetError: If the budget does not cover the call.
        """
        async with self._seats:
            await anyio.sleep_until(self._paused_until)
            reason = "no answer"
            with anyio.move_on_after(self._limits.deadline_s) as scope:
                for tries in range(1, self._limits.tries + 1):
                    try:
                        response = await self._try(id, body, prompt_bytes)
                    except Fault as fault:
                        reason = fault.reason.replace(self._secret, "[key]") if self._secret else fault.reason
                        self._note(fault, reason)
                        if fault.cause != "passing" or not await self._wait(fault, tries, scope.deadline):
                            break
                    else:
                        self._seats.widen()
                        self._has_succeeded, self._failures_in_a_row = True, 0
                        return response
            if scope.cancelled_caught:
                reason = f"no whole answer within {self._limits.deadline_s:g} s; before that: {reason}"
        self._note_failure(reason)
        return Response(id=id, text="", num_tokens=None, status="failed", reason=reason)

    async def _try(self, id: str, body: dict[str, Any], prompt_bytes: int) -> Response:
        with self._ledger.call(prompt_bytes, body["max_tokens"]) as receipt:
            try:
                with anyio.fail_after(self._limits.try_s):
                    data = await self._post(body)
                response, receipt.tokens = read_reply(id, data)
            except Fault as fault:
                receipt.is_free = fault.is_free
                raise
            except TimeoutError:
                raise Fault(f"no whole answer within {self._limits.try_s:g} s", "passing") from None
            except httpx.HTTPError as error:
                # `from None`: the error carries the request, and the request carries the key.
                raise Fault(f"{type(error).__name__}: {shown(str(error))}", "passing") from None
        return response

    async def _post(self, body: dict[str, Any]) -> bytes:
        named = {self._length_name if name == "max_tokens" else name: value for name, value in body.items()}
        url = f"{self._server.url}/chat/completions"
        async with self._client.stream("POST", url, content=json.dumps(named)) as reply:
            if reply.headers.get("content-encoding", "identity") != "identity":
                raise Fault("the reply is compressed, though plain bytes were asked for", "item")
            data = bytearray()
            async for piece in reply.aiter_raw():
                data += piece
                if len(data) > self._limits.max_bytes:
                    raise Fault(f"the reply is longer than {self._limits.max_bytes} bytes", "item")
            if reply.status_code == 400 and _OTHER_NAME.encode() in data and self._length_name != _OTHER_NAME:
                self._length_name = _OTHER_NAME  # newer services refuse the older name, older servers the newer
                raise Fault(f"the server wants {_OTHER_NAME}", "passing", is_free=True)
            check_status(reply.status_code, reply.headers, bytes(data), time.time())
            return bytes(data)

    async def _wait(self, fault: Fault, tries: int, deadline: float) -> bool:
        """Wait before the next try; False, at once, where there is none before the deadline."""
        if tries == self._limits.tries:
            return False
        backoff = min(self._limits.max_wait_s, self._limits.first_wait_s * 2 ** (tries - 1))
        until = anyio.current_time() + max(backoff * self._jitter.uniform(0.5, 1.0), fault.wait_s or 0.0)
        if until > deadline:
            return False
        if fault.wait_s:
            self._paused_until = max(self._paused_until, until)
        await anyio.sleep_until(until)
        return True

    def _note(self, fault: Fault, reason: str) -> None:
        if fault.is_busy:
            self._seats.narrow()
        if fault.cause == "settings" and not self._has_succeeded:
            raise ServerError(
                f"{self._server.url} refuses model {self._server.model!r}: {reason}. Check the address, the model's"
                f" name and the key in {self._server.key_variable}."
            ) from None

    def _note_failure(self, reason: str) -> None:
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= (most := self._limits.failures_in_a_row):  # calls at once can go beyond it
            raise ServerError(
                f"{most} requests in a row failed at {self._server.url}, the last one with:"
                f" {reason}. Every answer so far is kept; run again when the server is well."
            )


class _Seats:
    """As many calls at once as the server bears: half as many when it is too busy, slowly more when it answers."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = float(most)
        self._taken = 0
        self._freed = anyio.Condition()

    async def __aenter__(self) -> Self:
        async with self._freed:
            while self._taken >= int(self._open):
                await self._freed.wait()
            self._taken += 1
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        with anyio.CancelScope(shield=True):
            async with self._freed:
                self._taken -= 1
                self._freed.notify_all()

    def narrow(self) -> None:
        """The server said that it is too busy."""
        self._open = max(1.0, self._open / 2)

    def widen(self) -> None:
        """The server answered."""
        self._open = min(float(self._most), self._open + 1 / self._open)
