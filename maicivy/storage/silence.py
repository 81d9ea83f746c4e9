"""Leaving a Redis alone that does not answer, where one can do without it.

A server that hangs makes everybody wait who asks it, and a page asks a dozen times: for kept answers, for who is here
now. Whoever waited in vain tells the others, who then go on at once. Not for what must not be lost: whoever takes in
events asks every time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import redis

from maicivy.errors import Unavailable

SILENCE_S: Final = 2.0


class Silence:
    """Remembers that a server did not answer in time. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: float | None = None

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Around `redis_errors`. After `SILENCE_S` one asks again, and until that one knows the others do not.

        Raises:
            Unavailable: the server was asked a moment ago, and did not answer; the block is not entered.
        """
        with self._lock:
            if self._until is not None:
                if self._clock() < self._until:
                    raise Unavailable("redis", "it did not answer a moment ago")
                self._until = self._clock() + SILENCE_S
        try:
            yield
        except Unavailable as error:
            is_silent = isinstance(error.__cause__, redis.TimeoutError)
            self._until = self._clock() + SILENCE_S if is_silent else None
            raise
        self._until = None
