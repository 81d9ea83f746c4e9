"""Waiting for Postgres only as long as it lives.

A server that hangs, with its machine or for its disk, closes no connection and heeds no statement_timeout: who waits
for it waits until somebody else gives up. But a question may rightly take long, so no deadline tells the two apart.
What does is whether the server lets anybody in.
"""

from __future__ import annotations

import _thread
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import sqlalchemy as sa

from maicivy.errors import Unavailable

T = TypeVar("T")

PATIENCE_S: Final = 1.0
KNOCK_S: Final = 2

_UNKNOWN: Final = -1e9


class Pulse:
    """Asks a server by knocking: a connection of its own, at most one at a time and one a second. Safe for threads."""

    def __init__(self, engine: sa.Engine) -> None:
        self._door = sa.create_engine(engine.url, poolclass=sa.NullPool, connect_args={"connect_timeout": KNOCK_S})
        self._knocking = threading.Lock()
        self._asked_at = _UNKNOWN
        self._is_alive = True

    def follow(self, question: Callable[[], T]) -> T:
        """What `question` returns or raises, however long it takes, as long as the server lives.

        It runs in a thread of its own. When the server does not live the thread is left to itself: it ends with the
        connection that it waits for.

        Raises:
            Unavailable: the server has not answered for `PATIENCE_S`, and does not open to a knock of `KNOCK_S`.
        """
        answers: list[T] = []
        errors: list[BaseException] = []

        over = threading.Lock()
        over.acquire()

        def ask() -> None:
            try:
                answers.append(question())
            except BaseException as error:  # noqa: BLE001 - it is raised again, where it is waited for
                errors.append(error)
            finally:
                over.release()

        # Not threading.Thread, which waits until the thread has begun: that took a sixth of what a timeline costs.
        _thread.start_new_thread(contextvars.copy_context().run, (ask,))
        while not over.acquire(timeout=PATIENCE_S):
            if not self._beats() and over.locked():
                raise Unavailable("postgres", "it hangs")
        if errors:
            raise errors[0]
        return answers[0]

    def _beats(self) -> bool:
        with self._knocking:  # those who wait here find a fresh answer
            if time.monotonic() - self._asked_at > PATIENCE_S:
                try:
                    self._door.connect().close()
                    self._is_alive = True
                except sa.exc.DBAPIError:
                    self._is_alive = False
                self._asked_at = time.monotonic()
            return self._is_alive
