"""Bodies that never come, break off, or are badly chunked: answered, counted, and never taken for whole."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from maicivy.errors import Refusal
from maicivy.web.bodies import Deadlines, read_body

MOST = 100


def read(stream: io.RawIOBase | io.BytesIO, length: int | None = None) -> bytes:
    environ: dict[str, object] = {"wsgi.input": stream, "wsgi.input_terminated": True}
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    return read_body(environ, MOST)


class Broken(io.RawIOBase):
    """A stream that ends as gunicorn's does where a chunk has no size."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: object) -> int:
        raise NotImplementedError("Invalid chunk size: b'zz'")  # of no class that anybody could know


def test_a_whole_body_is_read() -> None:
    assert read(io.BytesIO(b"a" * MOST), MOST) == b"a" * MOST
    assert read(io.BytesIO(b"a" * MOST)) == b"a" * MOST
    assert read(io.BytesIO(), 0) == b""


@pytest.mark.parametrize("length", [None, MOST + 1, MOST * 1000])
def test_one_byte_too_many_is_too_many_whether_announced_or_not(length: int | None) -> None:
    with pytest.raises(Refusal) as refusal:
        read(io.BytesIO(b"{}" + b" " * (MOST - 1)), length)
    assert refusal.value.code == "body_too_large"


def test_a_body_that_broke_off_is_not_taken_for_a_whole_one() -> None:
    with pytest.raises(Refusal) as refusal:
        read(io.BytesIO(b"{}"), 3)
    assert refusal.value.code == "incomplete_body"


def test_what_a_server_finds_wrong_with_chunks_is_a_refusal() -> None:
    with pytest.raises(Refusal) as refusal:
        read(io.BufferedReader(Broken()))
    assert refusal.value.code == "incomplete_body"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    server, client = socket.socketpair()
    with closing(server), closing(client):
        yield server, client


def test_a_body_that_does_not_come_ends_and_can_still_be_answered(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    deadlines = Deadlines(0.0, look_s=0.01)
    deadlines.begin(server)
    assert server.recv(1) == b""
    deadlines.end(server)
    server.sendall(b"400")
    assert client.recv(3) == b"400"


def test_a_body_that_came_in_time_is_left_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    late, client = pair
    punctual, other = socket.socketpair()
    deadlines = Deadlines(0.0, look_s=0.01)
    deadlines.begin(punctual)
    deadlines.end(punctual)
    deadlines.begin(late)
    assert late.recv(1) == b""  # so it has looked
    with closing(punctual), closing(other):
        other.sendall(b"more")
        assert punctual.recv(4) == b"more"
    client.close()
