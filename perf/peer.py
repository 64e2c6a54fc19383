"""A process that takes a training step each time it is asked: what is compared shares neither memory nor caches.

It is asked by a line on its standard input, and answers with a line of JSON on its standard output.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any


class Peer:
    """Such a process, seen from the one that asks."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a peer ended early; its error stands above.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
