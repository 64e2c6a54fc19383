"""A model server on this machine that misbehaves in every way that was seen in the wild, one way per address."""

from __future__ import annotations

import email.utils
import gzip
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-CANARY-0123456789"


def reply(content: Any = "Verdict: 1", **changes: Any) -> dict[str, Any]:
    """A whole answer of the protocol."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return {"id": "x", "model": "m", "choices": [{**choice, **changes.pop("choice", {})}], "usage": usage, **changes}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyServer

    def log_message(self, *_: Any) -> None:
        pass

    def send(self, status: int, body: Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.split("/")[1]
        with self.server.counting:
            self.server.hits[name] += 1
            hit = self.server.hits[name]
            self.server.bodies.append(body)
            self.server.authorizations.append(self.headers.get("Authorization"))
            self.server.active += 1
        try:
            self.server.behaviors[name](self, hit, body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has given up, as it should
        finally:
            with self.server.counting:
                self.server.active -= 1


Behavior = Callable[[Handler, int, dict[str, Any]], None]


class FaultyServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, behaviors: dict[str, Behavior]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviors = behaviors
        self.hits: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.active = 0
        self.counting = threading.Lock()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serving(behaviors: dict[str, Behavior]) -> Iterator[FaultyServer]:
    server = FaultyServer(behaviors)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def always(status: int, body: Any, **headers: str) -> Behavior:
    return lambda handler, hit, request: handler.send(status, body, **headers)


def once(first: Behavior) -> Behavior:
    """Wrong at the first call, well afterwards."""
    return lambda handler, hit, request: (first if hit == 1 else well)(handler, hit, request)


def well(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    handler.send(200, reply())


def hang(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    time.sleep(1.5)


def _head(handler: Handler, length: int, **headers: str) -> None:
    handler.send_response(200)
    for name, value in {"Content-Length": str(length), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def drip_body(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    _head(handler, 1000)
    for _ in range(40):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def drip_header(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(40):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)


def reset(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def short(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    _head(handler, 9999)
    handler.wfile.write(b'{"id": "x"')
    handler.close_connection = True


def huge(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    _head(handler, 400_000_000)
    for _ in range(400):
        handler.wfile.write(b" " * 1_000_000)


def lying_length(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(400):
        handler.wfile.write(b"f4240\r\n" + b" " * 1_000_000 + b"\r\n")


def not_http(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    handler.close_connection = True


def wants_other_name(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    if "max_completion_tokens" in request:
        well(handler, hit, request)
    else:
        handler.send(400, {"error": {"message": "Use 'max_completion_tokens' instead of 'max_tokens'."}})


def busy(handler: Handler, hit: int, request: dict[str, Any]) -> None:
    """Bears four calls at once."""
    if handler.server.active > 4:
        handler.send(429, {"error": {"message": "too many"}})
    else:
        time.sleep(0.01)
        well(handler, hit, request)


def until(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


BEHAVIORS: dict[str, Behavior] = {
    "well": well,
    "429-seconds": once(always(429, {"error": {"message": "slow"}}, Retry_After="0.2")),
    "429-plain": once(always(429, {"error": {"message": "slow"}})),
    "429-hour": always(429, {"error": {"message": "slow"}}, Retry_After="3600"),
    "429-garbage": once(always(429, "{}", Retry_After="soon")),
    "429-date": once(lambda h, n, r: h.send(429, "{}", Retry_After=until(-5))),
    "500": always(500, "boom", Content_Type="text/plain"),
    "502-once": once(always(502, "<html>bad gateway</html>")),
    "503-once": once(always(503, "{}")),
    "529-once": once(always(529, {"error": {"message": "overloaded"}})),
    "401": always(401, {"error": {"message": f"bad key {KEY}"}}),
    "403": always(403, {"error": {"message": "no"}}),
    "404": always(404, {"error": {"message": "model not found"}}),
    "400-context": always(400, {"error": {"message": "maximum context length is 4096 tokens"}}),
    "400-key": always(400, {"error": {"message": f"header Bearer {KEY} \x1b[2J"}}),
    "413": always(413, "too large"),
    "redirect": always(307, "", Location="http://127.0.0.1:9/elsewhere"),
    "hang": hang,
    "hang-once": once(hang),
    "drip-body": drip_body,
    "drip-header": drip_header,
    "reset": reset,
    "reset-once": once(reset),
    "short": short,
    "short-once": once(short),
    "not-http": not_http,
    "html": always(200, "<html>proxy login</html>", Content_Type="text/html"),
    "html-type": always(200, reply(), Content_Type="text/html"),
    "cut-json": always(200, '{"id": "x", "choices": ['),
    "empty": always(200, ""),
    "deep": always(200, "[" * 100_000),
    "error-in-200": always(200, {"error": {"message": "engine dead"}}),
    "no-choices": always(200, {"id": "x"}),
    "empty-choices": always(200, {**reply(), "choices": []}),
    "wrong-types": always(200, reply(7)),
    "list-content": always(200, reply(["a"])),
    "surrogate": always(200, '{"choices": [{"message": {"content": "\\ud800"}}]}'),
    "bad-usage": always(200, {**reply(), "usage": {"prompt_tokens": -5, "completion_tokens": "many"}}),
    "text-usage": always(200, {**reply(), "usage": {"prompt_tokens": "5", "completion_tokens": 1}}),
    "null": always(200, reply(None)),
    "reasoning-only": always(200, reply(choice={"message": {"content": None, "reasoning_content": "A is better"}})),
    "refusal": always(200, reply(choice={"message": {"content": None, "refusal": "I cannot"}})),
    "filter": always(200, reply("", choice={"finish_reason": "content_filter"})),
    "length": always(200, reply("Score", choice={"finish_reason": "length"})),
    "huge": huge,
    "chunked-huge": lying_length,
    "gzip-bomb": always(200, gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"),
    "other-name": wants_other_name,
    "busy": busy,
}
