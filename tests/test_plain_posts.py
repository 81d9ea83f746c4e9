"""The short way through gunicorn: it takes nothing that gunicorn's own parser would have taken otherwise."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.wsgi import create
from hypothesis import given
from hypothesis import strategies as st

from maicivy import plain_posts
from maicivy.plain_posts import PATHS, PlainPosts, base_of, plain
from maicivy.web import shortcut

BODY = b'{"event_type":"click"}'
CLIENT, SERVER = ("192.0.2.1", 4711), ("192.0.2.2", 8080)
OF_THE_CONNECTION = {"gunicorn.socket", "wsgi.early_hints", "wsgi.errors", "wsgi.input", "wsgi.multithread"}


def post(*fields: str, path: str = PATHS[0], body: bytes = BODY) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *fields, "", "")
    return "\r\n".join(lines).encode("latin-1") + body


def config() -> Config:
    cfg = Config()
    cfg.set("forwarded_allow_ips", "")
    return cfg


def by_gunicorn(data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """What `by_us` should find."""
    parser = RequestParser(config(), iter([data]), CLIENT)
    request = next(parser)
    _, environ = create(request, SimpleNamespace(), CLIENT, SERVER, request.cfg)
    return environ, environ["wsgi.input"].read(), parser.unreader.take_buffered()


def by_us(data: bytes) -> tuple[dict[str, Any], bytes, bytes] | None:
    """The environment that reaches the application, the body, and the rest; None when gunicorn is to read it."""
    found = plain(data)
    if found is None:
        return None
    environ, taken = found
    return base_of(config(), SERVER, CLIENT) | environ, environ["wsgi.input"].read(), data[taken:]


def assert_alike(ours: tuple[dict[str, Any], bytes, bytes], data: bytes) -> None:
    (environ, *others), (expected, *others_expected) = ours, by_gunicorn(data)
    for name in OF_THE_CONNECTION:
        environ.pop(name, None)
        expected.pop(name, None)
    assert environ == expected
    assert others == others_expected


PLAIN = {
    "the least": post(),
    "a batch": post(path=PATHS[1], body=b"[" + BODY + b"]"),
    "its other name": post(path=PATHS[2], body=b"[" + BODY + b"]"),
    "a browser's": post(
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Accept: */*",
        "accept-language: de,en-US;q=0.7,en;q=0.3",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Content-Type: text/plain;charset=UTF-8",
        "Origin: https://cv.example",
        "Sec-GPC: 1",
        "Connection: Keep-Alive",
        "Cookie: a=b; c=d",
    ),
    "a proxy's": post("X-Forwarded-For: 203.0.113.7, 192.0.2.9", "X-Forwarded-Proto: https", "X-Real-IP: 203.0.113.7"),
    "spaces around values": post("X-A:  b  ", "X-B:", "X-C:c"),
}

NOT_PLAIN = {
    "nothing": b"",
    "half a head": post()[:40],
    "half a body": post()[:-1],
    "another path": post(path="/api/v1/analytics/stats"),
    "a query": post(path=PATHS[0] + "?a=b"),
    "an escape in the path": post(path="/api/v1/analytics/%65vent"),
    "another method": post().replace(b"POST", b"PUT"),
    "HTTP/1.0": post().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "two spaces": post().replace(b"POST ", b"POST  "),
    "no host": post().replace(b"Host: x\r\n", b""),
    "two hosts": post("Host: y"),
    "two lengths": post("Content-Length: 22"),
    "no length": post().replace(b"Content-Length: 22\r\n", b""),
    "no body": post(body=b""),
    "a signed length": post().replace(b": 22", b": +22"),
    "a length in other digits": post().replace(b": 22", b": \xd9\xa2\xd9\xa2"),
    "an endless length": post().replace(b": 22", b": " + b"9" * 5000),
    "chunks": post("Transfer-Encoding: chunked"),
    "an expectation": post("Expect: 100-continue"),
    "an upgrade": post("Upgrade: websocket", "Connection: Upgrade"),
    "a last request": post("Connection: close"),
    "a field twice": post("X-A: 1", "x-a: 2"),
    "an underscore": post("X_Forwarded_For: 192.0.2.1"),
    "a folded field": post("X-A: 1", " 2"),
    "a space before the colon": post("X-A : 1"),
    "no colon": post("X-A"),
    "no name": post(": 1"),
    "a tab": post("X-A: 1\t2"),
    "NUL": post("X-A: 1\x002"),
    "a bare line feed": post("X-A: 1\nX-B: 2"),
    "a bare carriage return": post("X-A: 1\rX-B: 2"),
    "bytes beyond ASCII": post("X-A: \xff"),
    "101 fields": post(*[f"X-{n}: 1" for n in range(99)]),
    "a head of 9 KB": post("X-A: " + "a" * 9000),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_request_reaches_the_application_as_gunicorn_would_have_brought_it(name: str) -> None:
    data = PLAIN[name] + post("X-Next: 1")
    ours = by_us(data)
    assert ours is not None
    assert_alike(ours, data)


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_whatever_leaves_a_choice_is_left_to_gunicorn(name: str) -> None:
    assert plain(NOT_PLAIN[name]) is None


_names = st.sampled_from(["Host", "content-length", "X-A", "Connection", "X_A", "TE", "", "Cookie", "\xdf"])
_values = st.sampled_from(["x", "22", "22 ", "1\r", "\t", "keep-alive", "close", "\x0b2", "\xa0", "2\n2", " "])
_fields = st.lists(st.tuples(_names, st.sampled_from([":", ": ", " :", ""]), _values).map("".join), max_size=4)


@given(_fields, st.integers(0, 120), st.binary(max_size=2), st.integers(0, 2))
def test_nothing_is_read_otherwise_than_by_gunicorn(fields: list[str], at: int, noise: bytes, removed: int) -> None:
    data = post(*fields)
    data = data[:at] + noise + data[at + removed :]
    ours = by_us(data)
    if ours is not None:
        assert_alike(ours, data)


def test_the_paths_are_those_of_the_shortcut() -> None:
    assert set(PATHS) == set(shortcut.PATHS)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Tells which way a request came, and its body; `fail` and `unframed` misbehave."""
    way = b"gunicorn:" if "gunicorn.socket" in environ else b"plain:"
    body = way + environ["wsgi.input"].read()
    if body.endswith(b"fail"):
        raise ValueError
    length = 0 if body.endswith(b"unframed") else len(body)
    start_response("202 ACCEPTED", [("Content-Length", str(length))])
    return [body]


class Connection:
    """A client of a worker that serves one connection in a thread of its own."""

    def __init__(self, **settings: Any) -> None:
        cfg = config()
        for name, value in settings.items():
            cfg.set(name, value)
        worker = PlainPosts(1, 1, [], application, 30, cfg, SimpleNamespace(**dict.fromkeys(LOGS, _ignore)))
        worker.wsgi = application
        self.worker = worker
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.client = socket.create_connection(self.listener.getsockname(), timeout=10)
        served, addr = self.listener.accept()
        self.thread = threading.Thread(target=worker.handle, args=(self.listener, served, addr))
        self.thread.start()

    def ask(self, data: bytes) -> list[bytes]:
        """The bodies of the answers to the requests in `data`."""
        self.client.sendall(data)
        bodies = []
        with closing(self.client.makefile("rb")) as answers:
            for _ in range(data.count(b" HTTP/1.1\r\n")):
                head = b"".join(iter(answers.readline, b"\r\n"))
                bodies.append(answers.read(int(head.partition(b"Content-Length: ")[2].split()[0])))
        return bodies

    def close(self) -> None:
        self.client.close()
        self.thread.join(10)
        self.listener.close()
        self.worker.tmp.close()
        assert not self.thread.is_alive()


LOGS = ("debug", "info", "warning", "error", "exception", "access")


def _ignore(*_: object, **__: object) -> None:
    return


@pytest.fixture
def connect() -> Iterator[Callable[..., Connection]]:
    opened: list[Connection] = []

    def connect(**settings: Any) -> Connection:
        opened.append(Connection(**settings))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def test_both_ways_take_turns_on_one_connection(connect: Callable[..., Connection]) -> None:
    connection = connect()
    odd = post("X-A: \xff")
    asked = [post(body=b"1"), post(body=b"2"), odd, post(body=b"3"), odd, odd, post(body=b"4")]
    ways = [way for data in asked for way in connection.ask(data)]
    through_gunicorn = b"gunicorn:" + BODY
    assert ways == [b"plain:1", b"plain:2", through_gunicorn, b"plain:3", *[through_gunicorn] * 2, b"plain:4"]


def test_requests_sent_at_once_are_answered_in_order(connect: Callable[..., Connection]) -> None:
    odd = post("X-A: \xff", body=b"odd")
    bodies = connect().ask(post(body=b"1") + odd + post(body=b"2") + odd + post(body=b"3"))
    assert [body.partition(b":")[2] for body in bodies] == [b"1", b"odd", b"2", b"odd", b"3"]


def test_a_connection_that_only_asks_plainly_ends_when_the_client_goes(connect: Callable[..., Connection]) -> None:
    connection = connect()
    assert connection.ask(post(body=b"1")) == [b"plain:1"]
    connection.client.shutdown(socket.SHUT_WR)
    assert connection.client.recv(1) == b""


@pytest.mark.parametrize("setting", [{"accesslog": "-"}, {"max_requests": 9}, {"forwarded_allow_ips": "*"}])
def test_who_switches_on_what_only_gunicorn_does_gets_it(
    connect: Callable[..., Connection], setting: dict[str, Any]
) -> None:
    assert connect(**setting).ask(post(body=b"1")) == [b"gunicorn:1"]


def test_a_worker_that_is_to_end_lets_gunicorn_say_so(connect: Callable[..., Connection]) -> None:
    connection = connect()
    assert connection.ask(post(body=b"1")) == [b"plain:1"]
    connection.worker.alive = False
    connection.client.sendall(post(body=b"2"))
    with closing(connection.client.makefile("rb")) as answer:
        assert b"Connection: close\r\n" in answer.read()


@pytest.mark.parametrize("fault", [b"fail", b"unframed"])
def test_an_application_that_misbehaves_costs_its_connection_and_nothing_goes_out(
    connect: Callable[..., Connection], fault: bytes
) -> None:
    connection = connect()
    connection.client.sendall(post(body=fault))
    with closing(connection.client.makefile("rb")) as answer:
        assert answer.read().startswith(b"HTTP/1.1 500 ")


def test_the_date_is_that_of_the_second() -> None:
    assert plain_posts._date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
