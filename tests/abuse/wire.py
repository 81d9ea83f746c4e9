"""Bytes to a port, and whatever comes back: no client library that would refuse to send nonsense."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

DEADLINE_S = 30.0
_BEGINS = re.compile(rb"HTTP/1\.\d \d\d\d ")  # gunicorn answers in the version that it was asked in


@dataclass(frozen=True)
class Answer:
    """One answer, as far as it came."""

    status: int
    head: bytes
    body: bytes

    @property
    def is_json(self) -> bool:
        return b"application/json" in self.head

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(port: int, sent: bytes) -> tuple[list[Answer], float]:
    """Send it all, and no more; every answer until the server hangs up, and the seconds that took.

    Raises:
        TimeoutError: no end within `DEADLINE_S`.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        began = time.perf_counter()
        with suppress(OSError):  # it may have read enough, and answered
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while data := connection.recv(262_144):
                received += data
        took = time.perf_counter() - began
    return list(_answers(received)), took


def request(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> bytes:
    """A request whose headers are exactly these: nothing is added."""
    lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % pair for pair in headers), b"", body]
    return b"\r\n".join(lines)


def _answers(received: bytes) -> Iterator[Answer]:
    """One behind the other; the last may be cut."""
    while _BEGINS.match(received):
        head, _, rest = received.partition(b"\r\n\r\n")
        status = int(head[9:12])
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if status < 200 or status in (204, 304) or _BEGINS.match(rest):  # or to a HEAD
            body = b""
        else:
            body = rest[: int(length[1])] if length else rest
        yield Answer(status, head, body)
        received = rest[len(body) :]
