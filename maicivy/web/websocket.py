"""One WebSocket after its handshake: what goes out, what comes in, and an end that comes in time.

simple-websocket does the handshake and no more. Its own way on from there sends with `send`, which may write half a
frame to a slow reader and go on with the next one (simple-websocket 1.1, issue 45), and buffers without bound what a
client sends. Here whoever has something to say never waits: what the kernel takes at once is sent at once, which is
the rule and costs no switch between threads; the rest goes into a bounded queue, which a thread of the connection
works off.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from queue import Empty, SimpleQueue
from typing import Final

from wsproto.connection import Connection as Parser
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

QUEUE_EVENTS: Final = 512
QUEUE_BYTES: Final = 2 << 20
"""What may wait for one client. One call of `LiveFeed.publish` fits in, so that a reader who keeps up loses nothing."""

MESSAGE_BYTES: Final = 4096
"""Longest message from a client."""

FRAMES_PER_S: Final = 20.0
FRAMES_AT_ONCE: Final = 60.0
"""What a client may send: a bucket of `FRAMES_AT_ONCE` that fills up at `FRAMES_PER_S`; pings and pongs count too."""

TIMEOUT_S: Final = 10.0
"""A client that takes nothing for so long is given up. One that says nothing for so long is asked with a ping."""

SILENT_TIMEOUTS: Final = 3
CLOSE_WAIT_S: Final = 1.0

_SEND_BYTES: Final = 1 << 16
_KERNEL_BYTES: Final = 1 << 17  # what the kernel may buffer per client: a slow one shows, and gets its gap, early
# Reset when closed: else the kernel keeps what one who never reads has not taken, and the connection, for minutes.
_AT_ONCE: Final = struct.pack("ii", 1, 0)
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A  # final frames of RFC 6455, 5.2; a server does not mask
_END: Final = (b"", 0)


class CloseCode(IntEnum):
    """Why a connection ends (RFC 6455, 7.4.1). `LOST` is never sent: the other end is not there any more."""

    NORMAL = 1000
    GOING_AWAY = 1001
    NOT_SAID = 1005
    LOST = 1006
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011


def text_frame(payload: bytes) -> bytes:
    """A whole text message as one frame. The same bytes serve every client."""
    return _frame(_TEXT, payload)


class WebSocket:
    """A connection whose client gets what `offer` is given, in order, or a `gap` frame where something is missing.

    `gap` makes that frame from the number of events lost. `offer` and `close` never wait; `serve` is called once, by
    the thread that reads.
    """

    def __init__(self, sock: socket.socket, gap: Callable[[int], bytes]) -> None:
        sock.settimeout(TIMEOUT_S)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.code: int = CloseCode.LOST
        self.dropped = 0
        self.over = threading.Event()
        self._sock = sock
        self._direct = -1 if isinstance(sock, ssl.SSLSocket) else sock.fileno()  # TLS has a state of its own
        self._gap = gap
        self._lock = threading.Lock()  # guards all that follows, and sending on `_direct`
        self._queue: SimpleQueue[tuple[bytes, int]] = SimpleQueue()
        self._waiting_bytes = 0
        self._waiting_events = 0
        self._missed = 0
        self._queueing = True  # the queue, and not `_direct`, is where to put frames
        self._closing = False
        self._message = bytearray()
        self._bucket = FRAMES_AT_ONCE
        self._filled_at = time.monotonic()
        self._writer = threading.Thread(target=self._write, name="websocket-writer", daemon=True)

    def offer(self, frames: bytes, events: int = 1) -> None:
        """Send or queue whole frames that tell of `events` events. Once some did not fit all are dropped until the
        queue is empty, so that a slow client gets one gap and not a riddled stream."""
        with self._lock:
            if self._closing:
                return
            if self._missed or self._waiting_events >= QUEUE_EVENTS or self._waiting_bytes >= QUEUE_BYTES:
                self._missed += events
                self.dropped += events
            else:
                self._put(frames, events)

    def close(self, code: int) -> None:
        """Say goodbye after what is queued. Only the first close counts."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self.code = code
                if self._missed:
                    self._put(self._gap(self._missed))
                self._put(_frame(_CLOSE, code.to_bytes(2, "big") if code != CloseCode.NOT_SAID else b""))
                self._queue.put(_END)

    def abort(self) -> None:
        """Cut the connection; both its threads notice at once."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._queue.put(_END)
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self._sock.shutdown(socket.SHUT_RDWR)

    def serve(self, handle: Callable[[str | None], None]) -> None:
        """Read until the connection is over, calling `handle` with each text message, or None for a binary one.

        Ends at most `TIMEOUT_S` and a few seconds after the client has gone, and about a second after `close`.
        """
        self._writer.start()
        try:
            self._read(handle)
        except OSError:
            self.abort()
        except BaseException:
            self.close(CloseCode.INTERNAL_ERROR)
            raise
        finally:
            self._finish()

    def _put(self, frames: bytes, events: int = 0) -> None:
        if not self._queueing:
            # Not the socket's own `send`: that of gevent is Python, and costs as much again as the system call. This
            # never waits, for a socket with a timeout is one that does not block, and gevent knows no others.
            try:
                sent = os.write(self._direct, frames)
            except OSError:  # full: the queue is for that; broken: the threads of the connection notice
                sent = 0
            if sent == len(frames):
                return
            frames = frames[sent:]
            self._queueing = True
        self._waiting_bytes += len(frames)
        self._waiting_events += events
        self._queue.put((frames, events))

    def _read(self, handle: Callable[[str | None], None]) -> None:
        """Until the connection is closing.

        Raises:
            OSError: the client has gone without a goodbye.
        """
        parser = Parser(ConnectionType.SERVER)
        silent = 0
        while not self._closing:
            try:
                received = self._sock.recv(MESSAGE_BYTES)
            except TimeoutError:
                silent += 1
                if silent == SILENT_TIMEOUTS:
                    raise
                self._control(_PING)
                continue
            if not received:
                raise ConnectionResetError
            silent = 0
            parser.receive_data(received)
            for event in parser.events():
                self._obey(event, handle)

    def _obey(self, event: Event, handle: Callable[[str | None], None]) -> None:
        if self._closing:
            return
        if isinstance(event, CloseConnection):  # the client's, or the parser's answer to broken input
            self.close(event.code)
        elif not self._may_send(finished=getattr(event, "frame_finished", True)):
            self.close(CloseCode.POLICY)
        elif isinstance(event, Ping):
            self._control(_PONG, bytes(event.payload))
        elif isinstance(event, TextMessage):
            self._collect(event.data.encode(), event.message_finished, handle, text=True)
        elif isinstance(event, BytesMessage):
            self._collect(event.data, event.message_finished, handle, text=False)

    def _collect(
        self, part: bytes | bytearray, finished: bool, handle: Callable[[str | None], None], *, text: bool
    ) -> None:
        self._message += part
        if len(self._message) > MESSAGE_BYTES:
            self.close(CloseCode.TOO_BIG)
        elif finished:
            message = self._message.decode() if text else None
            self._message.clear()
            handle(message)

    def _may_send(self, *, finished: bool) -> bool:
        """Token bucket over whole frames: a frame that arrives in pieces counts once."""
        if finished:
            now = time.monotonic()
            self._bucket = min(FRAMES_AT_ONCE, self._bucket + (now - self._filled_at) * FRAMES_PER_S)
            self._filled_at = now
            self._bucket -= 1
        return self._bucket >= 0

    def _control(self, opcode: int, payload: bytes = b"") -> None:
        with self._lock:
            if not self._closing:
                self._put(_frame(opcode, payload))

    def _write(self) -> None:
        try:
            while batch := self._next():
                view = memoryview(batch)
                while view:
                    view = view[self._sock.send(view) :]
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort()

    def _next(self) -> bytes:
        """What waits, up to about `_SEND_BYTES` in one piece, for a system call costs more than a copy. Waits for the
        first frames; empty at the end."""
        with self._lock:
            if not self._queue.qsize():
                if self._missed and not self._closing:
                    frame = self._gap(self._missed)
                    self._missed = 0
                    return frame
                self._queueing = self._direct < 0
        taken = [self._queue.get()]
        with self._lock:
            size = len(taken[0][0])
            with suppress(Empty):
                while taken[-1] != _END and size < _SEND_BYTES:
                    taken.append(self._queue.get_nowait())
                    size += len(taken[-1][0])
            if taken[-1] == _END and len(taken) > 1:
                self._queue.put(_END)
            self._waiting_bytes -= size
            self._waiting_events -= sum(events for _, events in taken)
        return b"".join(frames for frames, _ in taken)

    def _finish(self) -> None:
        """Let the close frame out and the client's last words in: a socket closed with input unread is reset, and a
        reset may overtake the close frame."""
        deadline = time.monotonic() + CLOSE_WAIT_S
        with suppress(OSError):
            self._sock.settimeout(CLOSE_WAIT_S)
            while self._sock.recv(MESSAGE_BYTES) and time.monotonic() < deadline:
                pass
        self._writer.join(max(0.0, deadline - time.monotonic()))
        if self._writer.is_alive():
            self.abort()
            self._writer.join(CLOSE_WAIT_S)
        with self._lock:
            self._queueing = True
            self._direct = -1  # the server closes the descriptor, and its number will be another connection's
        self.over.set()


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 1 << 16:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + payload
