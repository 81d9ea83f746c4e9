"""What people send to open ports, to the gunicorn that faces them: each is answered or cut off, and nothing breaks.

gunicorn itself answers what is no HTTP, by `maicivy/serving.py`; the application never sees it.
"""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from maicivy.core.gate import REASONS
from maicivy.storage import keys
from tests.live_server import Server
from tests.standalone.processes import wait_until

EVENT = b'{"event_type":"click"}'
POST = b"POST /api/v1/analytics/event HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
WATCH = (
    b"GET /ws/analytics HTTP/1.1\r\nHost: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def get(target: bytes, headers: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%b\r\n" % (target, headers)


def post(headers: bytes, body: bytes = EVENT) -> bytes:
    return POST + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


# name -> what is sent (and then no more), the status, the error code
HOSTILE: dict[str, tuple[bytes, int, str | None]] = {
    "noise": (b"\x00\x01\xff\r\n\r\n", 400, "bad_request"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 500 + b"\r\n\r\n", 400, "bad_request"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400, "bad_request"),
    "HTTP/3.7": (b"GET / HTTP/3.7\r\nHost: x\r\n\r\n", 400, "bad_request"),
    "PROXY protocol": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get(b"/healthz"), 400, "bad_request"),
    "bare line feeds": (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400, "bad_request"),
    "a lower-case method": (b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    "an invented method": (get(b"/healthz").replace(b"GET", b"FOO!BAR"), 405, "method_not_allowed"),
    "two hosts": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_request"),
    "a host that is none": (get(b"/healthz").replace(b": x", b': a b<>"\\..@:99999999'), 200, None),
    "a query of 100 KB": (get(b"/api/v1/analytics/stats?period=" + b"a" * 100_000), 414, "uri_too_long"),
    "a query of 7 KB": (get(b"/api/v1/analytics/stats?period=" + b"a" * 7000), 400, "invalid_parameter"),
    "a thousand parameters": (get(b"/api/v1/analytics/stats?" + b"&".join([b"a=1"] * 1000)), 400, "unknown_parameter"),
    "200 headers": (POST + b"X-A: 1\r\n" * 200 + b"\r\n", 431, "headers_too_large"),
    "a header of 20 KB": (POST + b"X-A: " + b"a" * 20_000 + b"\r\n\r\n", 431, "headers_too_large"),
    "a folded header": (POST + b"X-A: 1\r\n  2\r\n\r\n", 400, "bad_request"),
    "NUL in a header": (POST + b"X-A: a\x00b\r\n\r\n", 400, "bad_request"),
    "two equal lengths": (POST + b"Content-Length: 22\r\nContent-Length: 22\r\n\r\n" + EVENT, 400, "bad_request"),
    "two lengths": (POST + b"Content-Length: 22\r\nContent-Length: 2\r\n\r\n" + EVENT, 400, "bad_request"),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n" + EVENT, 400, "bad_request"),
    "a length with a sign": (POST + b"Content-Length: +22\r\n\r\n" + EVENT, 400, "bad_request"),
    "a length in other digits": (POST + b"Content-Length: \xd9\xa2\xd9\xa2\r\n\r\n" + EVENT, 400, "bad_request"),
    "a length of 5,000 digits": (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400, "bad_request"),
    "length and chunks": (CHUNKED.replace(b"Tr", b"Content-Length: 5\r\nTr") + CHUNK, 400, "bad_request"),
    "a coding nobody knows": (POST + b"Transfer-Encoding: xchunked\r\n\r\n" + EVENT, 400, "bad_request"),
    "a length beyond any body": (POST + b"Content-Length: %d\r\n\r\n" % 10**20, 413, "body_too_large"),
    "no length": (POST + b"\r\n" + EVENT, 400, "invalid_json"),
    "half a body": (POST + b"Content-Length: 22\r\n\r\n" + EVENT[:9], 400, "incomplete_body"),
    "less than announced": (POST + b"Content-Length: 100\r\n\r\n" + EVENT, 400, "incomplete_body"),
    "more than announced": (POST + b"Content-Length: 22\r\n\r\n" + EVENT + b"more", 202, None),
    "chunks": (CHUNKED + CHUNK + b"0\r\n\r\n", 202, None),
    "a chunk without a size": (CHUNKED + b"zz\r\n", 400, "incomplete_body"),
    "a chunk of negative size": (CHUNKED + b"-16\r\n" + EVENT, 400, "incomplete_body"),
    "a chunk of 2**72 bytes": (CHUNKED + b"f" * 18 + b"\r\n" + EVENT, 400, "incomplete_body"),
    "a chunk without an end": (CHUNKED + b"16\r\n" + EVENT + b"0\r\n\r\n", 400, "incomplete_body"),
    "chunks that stop": (CHUNKED + CHUNK, 400, "incomplete_body"),
    "an endless chunk size": (CHUNKED + b"0" * 100_000, 400, "incomplete_body"),
    "a bad trailer": (CHUNKED + CHUNK + b"0\r\n bad\x00\r\n\r\n", 400, "incomplete_body"),
    "chunks beyond the largest body": (
        CHUNKED + CHUNK.replace(EVENT, EVENT + b" " * 65_514).replace(b"16", b"10000") * 17 + b"0\r\n\r\n",
        413,
        "body_too_large",
    ),
    "an expectation": (post(b"Expect: 200-maybe\r\n"), 417, "expectation_failed"),
    "headers that are not ASCII": (
        post(b"".join(b"%b: \xff\xed\xa0\r\n" % n for n in (b"User-Agent", b"X-Request-ID", b"Referer", b"Origin"))),
        202,
        None,
    ),
    "a token that is not ASCII": (post(b"Authorization: Bearer \xff\xff\r\n"), 401, "unauthorized"),
    "a content coding": (post(b"Content-Encoding: gzip\r\n"), 202, None),
    "X-Forwarded-For of 10 KB": (post((b"X-Forwarded-For: " + b"1.2.3.4," * 640 + b"\r\n") * 2), 202, None),
    "another host's URL": (get(b"http://user:pw@evil.example:99999/healthz"), 200, None),
    "a URL that is none": (get(b"http://[::1/healthz"), 400, "bad_request"),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404, "not_found"),
    "two slashes": (get(b"//evil.example/healthz"), 404, "not_found"),
    "two slashes within": (get(b"/api//v1/analytics/stats"), 404, "not_found"),
    "NUL in a path": (get(b"/api/v1/analytics/%00"), 404, "not_found"),
    "no UTF-8 in a path": (get(b"/%zz%ff%fe/%c0%80"), 404, "not_found"),
    "line ends in a path": (get(b"/%0d%0aX-A:%20b"), 404, "not_found"),
    "conditions that are none": (get(b"/metrics", b'If-None-Match: "\xff, W/,\r\nRange: bytes=5-1,-,\r\n'), 200, None),
    "a subprotocol that is not ASCII": (WATCH % b"x" + b"Sec-WebSocket-Protocol: \xff, a b\r\n\r\n", 101, None),
    "cookies of 24 KB": (WATCH % b"x" + (b"Cookie: a=" + b"b" * 8000 + b"\r\n") * 3 + b"\r\n", 101, None),
    "a viewer's host that is none": (WATCH % (b"xn--\xff" + b"a" * 70) + b"\r\n", 400, "bad_request"),
}  # fmt: skip

UNREADABLE = {"bad_request", "uri_too_long", "headers_too_large", "expectation_failed"}
"""Codes of gunicorn's own: what cannot be read is no event."""


@pytest.fixture(scope="module")
def start(valkey_url: str, postgres_url: str) -> Iterator[Callable[[Path], Server]]:
    servers = []

    def start(directory: Path) -> Server:
        environ = {"MAICIVY_EVENT_RATE_LIMIT": "0", "MAICIVY_INGEST_TOKEN": "a token of sixteen and more"}
        servers.append(Server(directory, valkey_url, postgres_url, **environ))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
        assert "Traceback" not in server.log
        assert "127.0.0.1" not in server.log


@pytest.fixture(scope="module")
def server(start: Callable[[Path], Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    return start(tmp_path_factory.mktemp("hostile"))


def answers(port: int, sent: bytes, deadline_s: float = 15.0) -> list[tuple[int, Any]]:
    """(status, body) of every answer until the server hangs up; the body of an upgrade is not read."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=deadline_s) as connection:
        with suppress(OSError):  # it may have read enough, and answered
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while not received.startswith(b"HTTP/1.1 101") and (data := connection.recv(65_536)):
                received += data
    found = []
    for answer in re.split(rb"(?=HTTP/1\.[01] \d\d\d )", received)[1:]:
        head, _, body = answer.partition(b"\r\n\r\n")
        is_json = b"application/json" in head
        found.append((int(head[9:12]), json.loads(body) if is_json else body))
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_answered_in_the_one_error_shape(server: Server, name: str) -> None:
    sent, status, code = HOSTILE[name]
    (got, body), *others = answers(server.port, sent)
    assert got == status, body
    assert others == []
    if code is not None:
        assert body["success"] is False
        assert body["error"]["code"] == code
        assert body["error"]["message"]


def test_whatever_reaches_the_inbox_or_is_refused_there_is_accounted_for(
    start: Callable[[Path], Server], tmp_path: Path, redis_client: redis.Redis
) -> None:
    port = start(tmp_path).port
    posted = [case for case in HOSTILE.values() if case[0].startswith(POST) and case[2] not in UNREADABLE]
    outcomes = [answers(port, sent)[0] for sent, _, _ in posted]
    refused = Counter(body["error"]["code"] for status, body in outcomes if status != 202)
    assert refused.keys() <= REASONS

    def ledger() -> dict[str, int]:
        return {name.decode(): int(n) for name, n in redis_client.hgetall(keys.LEDGER).items()}

    wait_until(lambda: ledger().get("received") == len(posted), what="every event in the ledger")
    assert ledger() == {"received": len(posted)} | {f"rejected:{code}": n for code, n in refused.items()}
    assert int(redis_client.hget(keys.INBOX_SIZE, "events") or 0) == len(posted) - refused.total()


def test_requests_one_behind_the_other_are_answered_in_order(server: Server) -> None:
    good = post(b"").replace(b"Connection: close\r\n", b"")
    bad = post(b"", b"not JSON").replace(b"Connection: close\r\n", b"")
    found = answers(server.port, (good + bad) * 10 + get(b"/healthz"))
    assert [status for status, _ in found] == [202, 400] * 10 + [200]


def test_after_a_body_that_cannot_be_read_the_connection_ends(server: Server) -> None:
    """Where the next request begins, nobody knows: another client's, smuggled in, is what a proxy might take it for."""
    smuggled = CHUNKED.replace(b"Connection: close\r\n", b"") + b"zz\r\n" + get(b"/metrics")
    (status, body), *others = answers(server.port, smuggled)
    assert (status, body["error"]["code"]) == (400, "incomplete_body")
    assert [status for status, _ in others if status < 400] == []


def test_who_does_not_wait_for_answers_does_not_keep_others_waiting(server: Server) -> None:
    many = 3000
    question = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as greedy:
        greedy.sendall(question * many)
        received = greedy.recv(1)  # it is being served
        assert answers(server.port, get(b"/healthz"))[0][0] == 200
        greedy.setblocking(False)
        with suppress(BlockingIOError):
            while data := greedy.recv(1 << 20):
                received += data
        assert 0 < received.count(b"HTTP/1.1 200") < many
