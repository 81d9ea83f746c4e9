"""A short way through gunicorn for what arrives far more often than anything else: a plain POST of events.

Plain means that all of it is there, that its head is what browsers and proxies write every day, and that nothing in it
leaves a choice to whoever reads it. Such a request becomes the WSGI environment that gunicorn's own parser would have
made of it (a test compares the two) in a tenth of the time, and goes to the same application. All else, and whatever
looks odd in any way, is left in the socket for gunicorn: this module refuses nothing and answers no error of its own.

gunicorn's master loads this module as well, so it imports none of the application.
"""

from __future__ import annotations

import io
import os
import re
import socket
import time
from collections.abc import Callable
from contextlib import closing
from functools import cached_property, lru_cache
from typing import Any, Final

from gunicorn import util
from gunicorn.http.wsgi import base_environ
from gunicorn.workers.ggevent import GeventWorker

PATHS: Final = ("/api/v1/analytics/event", "/api/v1/analytics/event/batch", "/api/v1/analytics/batch")
_PATH_OF: Final = {f"POST {path} HTTP/1.1": path for path in PATHS}

MAX_BYTES: Final = 32 << 10
"""What is longer is gunicorn's: 300 events or so, among which its parser costs little each."""

_MAX_HEAD_BYTES: Final = 8 << 10
_MAX_FIELDS: Final = 100
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}")  # no underscore: X_Y and X-Y would become one
_SEPARATE: Final = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}
# Fields that change how a request is read or answered.
_NOT_PLAIN: Final = frozenset({"TRANSFER-ENCODING", "EXPECT", "UPGRADE", "TRAILER", "TE", "HTTP2-SETTINGS"})

Environ = dict[str, Any]


def plain(data: bytes) -> tuple[Environ, int] | None:
    """What `data`, the beginning of a connection's input, adds to the environment of a request, and how many bytes of
    it the request takes; None when it is not plain."""
    end = data.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES)
    if end < 0:
        return None
    head = data[:end].decode("latin-1")
    request_line, *fields = head.split("\r\n")
    path = _PATH_OF.get(request_line)
    if path is None or not head.isascii() or len(fields) > _MAX_FIELDS:
        return None
    environ: Environ = {"PATH_INFO": path, "RAW_URI": path}
    for field in fields:
        name, colon, value = field.partition(":")
        key = _key(name)
        # What is not printable would be a control character, a tab among them, or half of a line's end.
        if key is None or not colon or key in environ or not value.isprintable():
            return None
        environ[key] = value.strip(" ")
    length = environ.get("CONTENT_LENGTH", "")
    if "HTTP_HOST" not in environ or not length.isdecimal() or len(length) > 7:
        return None
    if environ.get("HTTP_CONNECTION", "keep-alive").lower() != "keep-alive":
        return None
    begin = end + 4
    taken = begin + int(length)
    if taken > len(data) or taken == begin:
        return None
    environ["wsgi.input"] = io.BytesIO(data[begin:taken])
    return environ, taken


@lru_cache(512)
def _key(name: str) -> str | None:
    """The key in the environment of a header field; None for one that no plain request has."""
    upper = name.upper()
    if not _NAME.fullmatch(name) or upper in _NOT_PLAIN:
        return None
    return _SEPARATE.get(upper) or "HTTP_" + upper.replace("-", "_")


def base_of(cfg: Any, server: tuple[str, int], client: tuple[str, int]) -> Environ:
    """What the environments of all plain requests on a connection have in common."""
    base: Environ = base_environ(cfg)
    return base | {
        "wsgi.multithread": True,
        "wsgi.url_scheme": "http",
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
    }


class PlainPosts(GeventWorker):  # type: ignore[misc]
    """gunicorn's gevent worker, which serves plain POSTs of events itself."""

    @cached_property
    def _serves_plainly(self) -> bool:
        """Whether nothing is switched on that only gunicorn's own way does."""
        cfg = self.cfg
        return not (
            cfg.is_ssl
            or cfg.accesslog
            or cfg.syslog
            or cfg.statsd_host
            or cfg.max_requests
            or cfg.forwarded_allow_ips
            or cfg.proxy_protocol not in (False, "off")
            or not cfg.keepalive
            or os.environ.get("SCRIPT_NAME")
        )

    def handle(self, listener: socket.socket, client: socket.socket, addr: Any) -> None:
        """Serve a connection until it ends."""
        try:
            goes_on = self._serve(listener.getsockname(), client, addr)
        except OSError:  # the client has gone
            goes_on = False
        except Exception as error:  # noqa: BLE001 - an edge: gunicorn does the same
            self.handle_error(None, client, addr, error)
            goes_on = False
        if goes_on:
            super().handle(listener, client, addr)
        else:
            util.close(client)

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> Any:
        """Serve a request that gunicorn has parsed, and the plain ones that follow."""
        goes_on = super().handle_request(listener_name, req, sock, addr)
        if _leaves_nothing(req) and not self._serve(listener_name, sock, addr):
            raise StopIteration  # gunicorn's word for the end of a connection
        return goes_on

    def _serve(self, server: Any, client: socket.socket, addr: Any) -> bool:
        """Answer plain requests until another kind comes first in the socket (then true), or no more come."""
        if not (self._serves_plainly and isinstance(addr, tuple)):
            return True
        base = base_of(self.cfg, server, addr)
        client.settimeout(self.cfg.keepalive)  # costs something only where there is nothing to read yet
        try:
            while True:
                data = client.recv(MAX_BYTES, socket.MSG_PEEK)
                request = plain(data)
                if request is None or not self.alive:
                    return bool(data)
                environ, taken = request
                client.recv(taken)
                self.nr += 1
                answer = _answer(self.wsgi, base | environ)
                sent = client.send(answer)
                if sent < len(answer):
                    client.sendall(answer[sent:])  # not at once: gevent's asks the system for the size of its buffer
                if len(data) > taken:  # who asks on without waiting for answers waits for the others' turn
                    time.sleep(0)
        except TimeoutError:
            return False
        finally:
            client.setblocking(True)


def _leaves_nothing(req: Any) -> bool:
    """Whether the next request on the connection has not been touched: nothing of this one is left, nor of that one in
    gunicorn's buffer, and the connection still speaks HTTP."""
    if getattr(req.body.reader, "length", None) != 0 or req.should_close():
        return False
    if any(name == "UPGRADE" for name, _ in req.headers):
        return False
    ahead = req.unreader.take_buffered()
    req.unreader.unread(ahead)
    return not ahead


def _answer(application: Callable[..., Any], environ: Environ) -> bytes:
    """What the application answers, as it goes over the wire."""
    began: list[Any] = []
    parts: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        began[:] = status, headers
        return parts.append

    chunks = application(environ, start_response)
    if type(chunks) is list:
        parts += chunks
    else:
        with closing(chunks):
            parts += chunks
    status, headers = began
    body = b"".join(parts)
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if fields.count("\n") != len(headers) or f"Content-Length: {len(body)}\r\n" not in fields:
        raise RuntimeError("the application's headers do not frame its answer")
    head = f"HTTP/1.1 {status}\r\nServer: gunicorn\r\nDate: {_date(int(time.time()))}\r\nConnection: keep-alive\r\n"
    return f"{head}{fields}\r\n".encode("latin-1") + body


@lru_cache(1)
def _date(unix_s: int) -> str:
    return str(util.http_date(unix_s))
