"""What the processor makes for an accelerator is made while that computes what came before."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

Key = TypeVar("Key")
Made = TypeVar("Made")


class Ahead(Generic[Key, Made]):
    """Makes one thing at a time in a thread of its own, before it is asked for.

    Whatever `make` reads is in use from `announce` until `take` or `settle`, and must be left alone in between.

    Args:
        make: Must not draw from generators that others draw from: when it is called depends on the pace.
    """

    def __init__(self, make: Callable[[Key], Made]) -> None:
        self._make = make
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._coming: tuple[Key, Future[Made]] | None = None

    def announce(self, key: Key) -> None:
        """Begin to make what will be asked for next."""
        self.settle()
        self._coming = (key, self._thread.submit(self._make, key))

    def take(self, key: Key) -> Made:
        """What was announced, or else made now.

        Raises:
            Exception: Whatever `make` has raised.
        """
        self.settle()
        coming, self._coming = self._coming, None
        if coming is None or coming[0] != key:
            return self._make(key)
        return coming[1].result()

    def settle(self) -> None:
        """Wait until nothing is being made."""
        if self._coming is not None:
            wait([self._coming[1]])
