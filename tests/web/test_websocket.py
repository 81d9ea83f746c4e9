"""A WebSocket over a real pair of sockets, wsproto at the other end: nothing is lost in silence, nothing gets stuck."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from maicivy.web import websocket
from maicivy.web.websocket import (
    FRAMES_AT_ONCE,
    MESSAGE_BYTES,
    QUEUE_BYTES,
    QUEUE_EVENTS,
    CloseCode,
    WebSocket,
    text_frame,
)
from tests.standalone.processes import wait_until


class Client:
    """The other end."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.protocol = Connection(ConnectionType.CLIENT)
        self._pending: list[Event] = []
        sock.settimeout(10)

    def send(self, event: Event) -> None:
        self.sock.sendall(self.protocol.send(event))

    def next(self) -> Event:
        """The next event; a message that comes in pieces is put together."""
        text = ""
        while True:
            while not self._pending:
                received = self.sock.recv(1 << 16)
                assert received, "the connection ended"
                self.protocol.receive_data(received)
                self._pending = list(self.protocol.events())
            event = self._pending.pop(0)
            if not isinstance(event, TextMessage):
                return event
            text += event.data
            if event.message_finished:
                return TextMessage(data=text)

    def text(self) -> str:
        event = self.next()
        assert isinstance(event, TextMessage), event
        return event.data

    def close_code(self) -> int:
        while not isinstance(event := self.next(), CloseConnection):
            pass
        return event.code


class Served:
    """A `WebSocket` served by a thread, and what it handed on."""

    def __init__(self, echo: Callable[[str | None], None] | None = None) -> None:
        ours, theirs = socket.socketpair()
        self.ours = ours
        self.client = Client(theirs)
        self.heard: list[str | None] = []
        self.socket = WebSocket(ours, lambda dropped: text_frame(b'{"gap":%d}' % dropped))
        self.thread = threading.Thread(target=self.socket.serve, args=(echo or self.heard.append,))

    def start(self) -> Served:
        self.thread.start()
        return self

    def stop(self) -> None:
        if self.thread.ident is not None:
            self.socket.abort()
            self.thread.join(10)
        assert not self.thread.is_alive()
        self.ours.close()
        self.client.sock.close()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.stop()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 300_000])
def test_a_frame_of_any_length_arrives_whole(served: Served, size: int) -> None:
    served.start().socket.offer(text_frame(b"x" * size))
    assert served.client.text() == "x" * size


def test_frames_arrive_in_the_order_in_which_they_were_offered(served: Served) -> None:
    served.start()
    for number in range(300):
        served.socket.offer(text_frame(b"%d" % number))
    assert [served.client.text() for _ in range(300)] == [str(n) for n in range(300)]


def test_a_client_that_does_not_read_gets_what_fits_then_one_gap(served: Served) -> None:
    """The writer starts after all frames were offered, so what fits is exactly the queue."""
    for number in range(QUEUE_EVENTS + 100):
        served.socket.offer(text_frame(b"%d" % number))
    served.socket.offer(text_frame(b"heartbeat"), events=0)
    served.start()
    assert [served.client.text() for _ in range(QUEUE_EVENTS)] == [str(n) for n in range(QUEUE_EVENTS)]
    assert json.loads(served.client.text()) == {"gap": 100}
    assert served.socket.dropped == 100
    served.socket.offer(text_frame(b"after"))
    assert served.client.text() == "after"


def test_the_queue_is_bounded_in_bytes_too(served: Served) -> None:
    frame = text_frame(b"x" * 100_000)
    fitting = -(-QUEUE_BYTES // len(frame))
    for _ in range(fitting + 3):
        served.socket.offer(frame)
    served.start()
    for _ in range(fitting):
        assert len(served.client.text()) == 100_000
    assert json.loads(served.client.text()) == {"gap": 3}


def test_every_frame_is_whole_and_none_is_missing_without_a_gap_whatever_the_pace(served: Served) -> None:
    """Offers run against a reader that stops and goes; numbers heard plus numbers in gaps are all numbers."""
    served.start()
    total = 30_000
    offering = threading.Thread(
        target=lambda: [served.socket.offer(text_frame(b'{"n":%d,"pad":"%s"}' % (n, b"x" * 200))) for n in range(total)]
    )
    offering.start()
    expected = 0
    while expected < total:
        message = json.loads(served.client.text())
        if "gap" in message:
            expected += message["gap"]
        else:
            assert message["n"] == expected
            expected += 1
    offering.join()
    assert expected == total


def test_a_gap_is_told_before_the_goodbye(served: Served) -> None:
    for _ in range(QUEUE_EVENTS + 5):
        served.socket.offer(text_frame(b"x"))
    served.socket.close(CloseCode.GOING_AWAY)
    served.start()
    for _ in range(QUEUE_EVENTS):
        served.client.text()
    assert json.loads(served.client.text()) == {"gap": 5}
    assert served.client.close_code() == 1001


def test_messages_are_handed_on_text_as_text_and_binary_as_none(served: Served) -> None:
    served.start()
    for data, finished in (("one", True), ("tw", False), ("o é", True), (b"\x00", True)):
        served.client.send(Message(data=data, message_finished=finished))
    wait_until(lambda: len(served.heard) == 3)
    assert served.heard == ["one", "two é", None]


def test_a_ping_is_answered_with_its_payload(served: Served) -> None:
    served.start().client.send(Ping(payload=b"abc"))
    assert served.client.next() == Pong(payload=b"abc")


@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.send(Message(data="x" * (MESSAGE_BYTES + 1))),
        lambda client: client.send(Message(data="é" * (MESSAGE_BYTES // 2 + 1))),
        lambda client: client.send(Message(data=b"x" * 1_000_000)),
        lambda client: [client.send(Message(data="x" * 3000, message_finished=False)) for _ in range(2)],
    ],
    ids=["one byte more", "counted in bytes", "a megabyte", "in fragments"],
)
def test_a_message_that_is_too_long_ends_the_connection(served: Served, send: Callable[[Client], None]) -> None:
    served.start()
    sending = threading.Thread(target=_ignoring_resets, args=(send, served.client))
    sending.start()
    assert served.client.close_code() == CloseCode.TOO_BIG
    sending.join(10)
    assert served.heard == []
    assert served.socket.over.wait(10)


def _ignoring_resets(send: Callable[[Client], None], client: Client) -> None:
    with contextlib.suppress(OSError):
        send(client)


def test_the_longest_message_is_heard(served: Served) -> None:
    served.start().client.send(Message(data="x" * MESSAGE_BYTES))
    wait_until(lambda: served.heard)
    assert served.heard == ["x" * MESSAGE_BYTES]


@pytest.mark.parametrize("event", [Message(data="x"), Ping(), Pong(), Message(data="", message_finished=False)])
def test_a_flood_ends_the_connection(served: Served, event: Event) -> None:
    served.start().client.sock.sendall(b"".join(served.client.protocol.send(event) for _ in range(1000)))
    assert served.client.close_code() == CloseCode.POLICY
    assert len(served.heard) <= FRAMES_AT_ONCE + 5


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x01x", 1002),  # not masked
        (b"\x83\x80\0\0\0\0", 1002),  # an opcode that does not exist
        (b"\xc1\x80\0\0\0\0", 1002),  # compressed, which was not agreed
        (b"\x81\x82\0\0\0\0\xc3\x28", 1007),  # no UTF-8
        (b"GET / HTTP/1.1\r\n\r\n", 1002),
    ],
)
def test_broken_frames_end_the_connection(served: Served, data: bytes, code: int) -> None:
    served.start().client.sock.sendall(data)
    assert served.client.close_code() == code
    assert served.socket.over.wait(10)


@pytest.mark.parametrize("said", [1000, 1001, 4000, CloseReason.NO_STATUS_RCVD])
def test_a_goodbye_is_answered_in_kind(served: Served, said: int) -> None:
    served.start().client.send(CloseConnection(code=said))
    assert served.client.close_code() == said
    assert served.client.sock.recv(1) == b""
    assert served.socket.over.wait(10)
    assert served.socket.code == said


def test_a_client_that_vanishes_is_noticed(served: Served) -> None:
    served.start().client.sock.close()
    assert served.socket.over.wait(10)
    assert served.socket.code == CloseCode.LOST


def test_a_client_that_is_silent_is_asked_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "TIMEOUT_S", 0.05)
    served = Served().start()
    assert isinstance(served.client.next(), Ping)
    assert served.socket.over.wait(10)
    served.stop()


def test_a_client_that_answers_pings_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "TIMEOUT_S", 0.3)
    served = Served().start()
    for _ in range(5):
        ping = served.client.next()
        assert isinstance(ping, Ping)
        served.client.send(ping.response())
    assert not served.socket.over.is_set()
    served.stop()


def test_a_client_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "TIMEOUT_S", 0.1)
    served = Served().start()
    for _ in range(QUEUE_EVENTS):
        served.socket.offer(text_frame(b"x" * 4000))
    assert served.socket.over.wait(10)
    served.stop()


def test_closing_a_client_that_takes_nothing_takes_seconds_not_for_ever(served: Served) -> None:
    served.start()
    for _ in range(QUEUE_EVENTS):
        served.socket.offer(text_frame(b"x" * 4000))
    served.socket.close(CloseCode.GOING_AWAY)
    served.socket.abort()
    assert served.socket.over.wait(5)


def test_nothing_is_sent_after_the_goodbye(served: Served) -> None:
    served.start()
    served.socket.close(CloseCode.GOING_AWAY)
    served.socket.offer(text_frame(b"late"))
    served.socket.close(CloseCode.POLICY)
    assert served.client.next() == CloseConnection(code=1001, reason="")
    assert served.client.sock.recv(1) == b""


def test_an_error_while_answering_says_goodbye_and_is_raised() -> None:
    raised: list[BaseException] = []

    def fail(_text: str | None) -> None:
        raise ZeroDivisionError

    served = Served(fail)

    def serve() -> None:
        try:
            served.socket.serve(fail)
        except ZeroDivisionError as error:
            raised.append(error)

    served.thread = threading.Thread(target=serve)
    served.start().client.send(Message(data="x"))
    assert served.client.close_code() == CloseCode.INTERNAL_ERROR
    served.thread.join(10)
    assert len(raised) == 1
    served.stop()


def test_binary_messages_never_reach_the_client(served: Served) -> None:
    served.start().socket.offer(text_frame("naïve".encode()))
    assert not isinstance(served.client.next(), BytesMessage)
