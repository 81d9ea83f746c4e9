"""The gunicorn worker: sends people away when there are too many, and answers what is no HTTP in the one error shape.

By default gunicorn answers that with a page of HTML, before the application sees anything of it. Nothing of either
reaches the ledger: how many events are in a request that was not read, nobody knows. `maicivy_requests_shed_total`
counts those sent away.

gunicorn's master loads this module as well, so nothing of the application is imported before there is a worker.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import time
from contextlib import suppress
from typing import Any, Final

import gevent
from gunicorn.http import errors

from maicivy.admission import Admission, Crowd
from maicivy.plain_posts import PlainPosts

UNREAD_MS: Final = 30_000
"""After so long a client that takes nothing of its answer is cut off."""

LINGER_S: Final = 1.0
LINGER_BYTES: Final = 1 << 20
_LAST_DATA_RECV: Final = 52
_TCP_INFO_BYTES: Final = 56
_MOST_BYTES: Final = 65_536

# status, reason and code for what is the client's fault. An unknown transfer coding is 400 and not the 501 of RFC 9112:
# a 5xx tells proxies that the server is broken, and some then take it out.
_BAD_REQUEST: Final = (400, "Bad Request", "bad_request")
_REFUSALS: Final[tuple[tuple[type[Exception], tuple[int, str, str]], ...]] = (
    (errors.LimitRequestLine, (414, "URI Too Long", "uri_too_long")),
    (errors.LimitRequestHeaders, (431, "Request Header Fields Too Large", "headers_too_large")),
    (errors.ExpectationFailed, (417, "Expectation Failed", "expectation_failed")),
    (errors.ParseException, _BAD_REQUEST),
    (ssl.SSLError, _BAD_REQUEST),
)
_OURS: Final = (errors.ConfigurationProblem, errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


def answer(status: int, reason: str, code: str, message: str) -> bytes:
    """A whole answer in the shape of `web/errors.py`, after which the connection ends. `%b` in it is for an id."""
    body = json.dumps({"success": False, "error": {"code": code, "message": message}}, separators=(",", ":"))
    lines = (
        f"HTTP/1.1 {status} {reason}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "X-Request-ID: %b",
    )
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("ascii")


class Worker(PlainPosts):
    """gunicorn's gevent worker, as maicivy needs it."""

    def run(self) -> None:
        """Serve until told to stop."""
        from maicivy.metrics import REQUESTS_SHED  # in the master it would make a file of counters for the master

        crowd = Crowd(time.perf_counter)
        loop = gevent.get_hub().loop
        falls_asleep, wakes = loop.prepare(ref=False, priority=-2), loop.check(ref=False, priority=2)
        falls_asleep.start(crowd.sleep)
        wakes.start(crowd.wake)
        self.wsgi.wsgi_app = Admission(self.wsgi.wsgi_app, crowd, _waited_s, gevent.sleep, REQUESTS_SHED.inc)
        super().run()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve a connection to its end."""
        if hasattr(socket, "TCP_USER_TIMEOUT") and client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        super().handle(listener, client, addr)

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> Any:
        """Have the application answer a request."""
        try:
            goes_on = super().handle_request(listener_name, req, sock, addr)
        except TimeoutError:  # UNREAD_MS have passed; gunicorn would log that as an error of ours
            raise StopIteration from None  # which is how gunicorn says that the connection ends
        # Whose next request is there already waits for the others' turn. Else an answer that waits for nothing is given
        # to one connection over and over: p99 of /healthz was 65 ms at a median of 0.4, 16 connections asking.
        _give_way()
        return goes_on

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:  # noqa: ARG002
        """Answer for a request that could not be read, or whose answer failed outside of the application."""
        request_id = _new_id()
        facts = {"request_id": request_id.decode()}
        for kind, (status, reason, code) in _REFUSALS:
            if isinstance(exc, kind) and not isinstance(exc, _OURS):
                # The kind of mistake and no more: the message of the error quotes what the client sent.
                self.log.warning("unreadable_request", extra=facts | {"reason": type(exc).__name__})
                message = "the request is not proper HTTP, or too large"
                _send(client, answer(status, reason, code, message) % request_id)
                return
        self.log.error("unexpected_error", exc_info=exc, extra=facts)
        message = "an error of ours; it was logged with the id in X-Request-ID"
        _send(client, answer(500, "Internal Server Error", "internal_error", message) % request_id)


def _give_way() -> None:
    """Once round the event loop. `sleep(0)` is less: the loop looks for what has come in after fifty of them only."""
    hub = gevent.get_hub()
    with hub.loop.idle(priority=2) as turn:
        hub.wait(turn)


def _new_id() -> bytes:
    return os.urandom(8).hex().encode()


def _waited_s(environ: dict[str, Any]) -> float:
    """How long ago the last bytes of a request came in, as the kernel tells: 0 where it does not.

    `tcpi_last_data_recv` of `struct tcp_info` in linux/tcp.h, in milliseconds; asking costs one microsecond.
    """
    client = environ.get("gunicorn.socket")
    if client is None:
        return 0.0
    try:
        told = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except (OSError, AttributeError):  # a unix socket, or no Linux
        return 0.0
    return int.from_bytes(told[_LAST_DATA_RECV:_TCP_INFO_BYTES], sys.byteorder) / 1000


def _send(client: socket.socket, data: bytes) -> None:
    """Send it and wait a moment for the client to hang up: closed with bytes unread, TCP would take the answer back."""
    with suppress(OSError):  # gone, or not listening: there is nobody to tell
        client.settimeout(LINGER_S)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        left = LINGER_BYTES
        while left > 0 and (unread := client.recv(_MOST_BYTES)):
            left -= len(unread)
