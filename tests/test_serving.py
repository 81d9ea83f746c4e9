"""What the gunicorn worker answers by itself. tests/web/test_hostile.py and tests/abuse have it in a real gunicorn."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator

import pytest
from gunicorn.http import errors

from maicivy.serving import Worker, _waited_s, answer
from maicivy.web.openapi.error_codes import CODES
from tests.standalone.processes import wait_until

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both ends of a TCP connection: the client's, the server's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    with client, accepted:
        yield client, accepted


def told(pair: Pair, error: BaseException) -> tuple[str, dict[str, str]]:
    """Status line and error that the client gets for what went wrong."""
    client, accepted = pair
    worker = Worker.__new__(Worker)
    worker.log = logging.getLogger("test_serving")
    client.shutdown(socket.SHUT_WR)
    worker.handle_error(None, accepted, ("192.0.2.1", 5), error)
    head, _, body = client.recv(65_536).decode().partition("\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head
    assert "X-Request-ID: " in head
    found = json.loads(body)
    assert found["success"] is False
    return head.partition("\r\n")[0], found["error"]


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequestLine("qzsecretqz"),
        errors.LimitRequestLine(9000, 8190),
        errors.LimitRequestHeaders("too many"),
        errors.ExpectationFailed("200-ok"),
        errors.UnsupportedTransferCoding("xyz"),
        errors.InvalidHeader("qzsecretqz"),
    ],
)
def test_what_cannot_be_read_has_a_code_and_is_not_quoted(
    pair: Pair, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    status, found = told(pair, error)
    assert int(status.split()[1]) == CODES[found["code"]].status
    assert [record.message for record in caplog.records] == ["unreadable_request"]
    assert "qzsecretqz" not in caplog.text + found["message"]


@pytest.mark.parametrize("error", [ValueError("ours"), errors.InvalidResponseHeader("ours"), KeyError()])
def test_what_is_our_fault_is_a_500_and_logged(pair: Pair, caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    status, found = told(pair, error)
    assert (status, found["code"]) == ("HTTP/1.1 500 Internal Server Error", "internal_error")
    assert [(record.message, record.levelname) for record in caplog.records] == [("unexpected_error", "ERROR")]


def test_an_answer_is_a_whole_one() -> None:
    head, _, body = (answer(503, "Busy", "overloaded", "later") % b"0123").decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 503 Busy\r\nConnection: close\r\n")
    assert {"X-Request-ID: 0123", f"Content-Length: {len(body)}"} <= set(head.split("\r\n"))
    assert json.loads(body) == {"success": False, "error": {"code": "overloaded", "message": "later"}}


def waited_s(connection: socket.socket) -> float:
    return _waited_s({"gunicorn.socket": connection})


def test_the_kernel_tells_how_long_a_request_has_waited(pair: Pair) -> None:
    client, accepted = pair
    client.sendall(b"a")
    wait_until(lambda: waited_s(accepted) >= 0.05, what="the wait to grow")
    client.sendall(b"b")
    wait_until(lambda: waited_s(accepted) < 0.05, what="the wait to begin anew")


def test_a_unix_socket_does_not_tell() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert waited_s(here) == 0
