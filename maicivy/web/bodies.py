"""Reading the body of a request, of which nothing may be taken for granted: how long it is, that all of it comes, or
that anything comes at all.

gunicorn gives the header five seconds, but waits for a body for ever, and hands out one that broke off as if it were
whole.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from maicivy.errors import Refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BODY_S: Final = 20.0
"""Seconds for a whole body: 1 MiB at the 420 kbit/s of a poor mobile connection."""


class Deadlines:
    """Cuts connections off whose body does not come in time: reading then ends as if the client had gone, while an
    answer can still be sent. One thread for all of them, which looks once a second. Safe for threads.
    """

    def __init__(self, seconds: float, look_s: float = 1.0) -> None:
        self._seconds = seconds
        self._look_s = look_s
        self._ends: dict[socket.socket, float] = {}
        self._waiting = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, connection: socket.socket) -> None:
        """The reading of a body begins; `end` must follow."""
        self._ends[connection] = time.monotonic() + self._seconds
        self._waiting.set()
        if self._thread is None:
            with self._start:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="body-deadlines", daemon=True)
                    self._thread.start()

    def end(self, connection: socket.socket) -> None:
        """The body is there, or will never be."""
        self._ends.pop(connection, None)

    def _run(self) -> None:
        while self._waiting.wait():
            time.sleep(self._look_s)
            now = time.monotonic()
            for connection, ends in self._ends.copy().items():
                if ends < now:
                    with suppress(OSError):  # it has just been closed
                        connection.shutdown(socket.SHUT_RD)
            self._waiting.clear()
            if self._ends:
                self._waiting.set()


_deadlines = Deadlines(BODY_S)


def read_body(environ: WSGIEnvironment, most: int) -> bytes:
    """All of the body of a request.

    Raises:
        Refusal: `body_too_large` for more than `most` bytes, `incomplete_body` when it breaks off, does not come
            within `BODY_S`, or is chunked in a way that cannot be read.
    """
    expected = _expected_bytes(environ)
    if expected is not None and expected > most:
        raise _too_large(most)
    connection: socket.socket | None = environ.get("gunicorn.socket")
    if connection is not None:
        _deadlines.begin(connection)
    try:
        body: bytes = environ["wsgi.input"].read(most + 1 if expected is None else expected)
    except Exception as error:  # an edge: each server has classes of its own for what is wrong with a body
        raise Refusal("incomplete_body", "the body broke off, or its chunks cannot be read") from error
    finally:
        if connection is not None:
            _deadlines.end(connection)
    if len(body) > most:
        raise _too_large(most)
    if expected is not None and len(body) < expected:
        raise Refusal("incomplete_body", f"the body broke off after {len(body)} of {expected} bytes")
    return body


def _expected_bytes(environ: WSGIEnvironment) -> int | None:
    """What the request says of its length: 0 when it announces no body, None for a chunked one, which ends itself.

    Taken from the environment: werkzeug's ways to length and body cost as much as parsing an event.
    """
    length: str = environ.get("CONTENT_LENGTH") or ""
    if length:
        return int(length) if length.isdecimal() else 0
    return None if environ.get("wsgi.input_terminated") else 0


def _too_large(most: int) -> Refusal:
    return Refusal("body_too_large", f"the body has more than {most} bytes")
