"""A load that does not wait for answers: requests at a rate, over many connections, by one cheap thread.

Open loop: request n is due at n / rate seconds, whatever has been answered by then. It goes out on a connection that is
free; when none is, there is nobody left to send it, and it counts as unsent. A client that hears nothing for
`PATIENCE_S` hangs up and comes back.

On a machine of two cores the client takes time from the server, and may be what limits both: `busy_s` is the time it
worked, and a flood in which it worked all the time measures the client.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

PATIENCE_S: Final = 5.0
_HUNG_UP: Final = suppress(OSError)
_IN, _OUT = select.EPOLLIN | select.EPOLLRDHUP, select.EPOLLOUT


@dataclass
class Told:
    """What became of the requests that were due. `seconds` are from sending to the whole answer, of those accepted."""

    seconds_s: float = 0.0
    busy_s: float = 0.0
    due: int = 0
    unsent: int = 0
    unanswered: int = 0
    cut: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    seconds: list[float] = field(default_factory=list)

    def rate(self, status: int) -> float:
        return self.statuses[status] / self.seconds_s

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.seconds) or [float("inf")]
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


class _Connection:
    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.received = b""
        self.sent_at = 0.0


class Flood:
    """So many `connections` that send `request` at `rate` per second."""

    def __init__(self, port: int, request: bytes, rate: float, connections: int) -> None:
        self._port = port
        self._request = request
        self._rate = rate
        self._poll = select.epoll()
        self._known: dict[int, _Connection] = {}
        self._free: deque[_Connection] = deque()
        self._told = Told()
        for _ in range(connections):
            self._connect(_Connection())

    def run(self, seconds: float) -> Told:
        """Send for so long; then wait for what is still to come, at most `PATIENCE_S`."""
        told = self._told
        began = looked = time.perf_counter()
        busy = time.process_time()
        while (now := time.perf_counter()) - began < seconds:
            due = int((now - began) * self._rate) - told.due
            told.due += due
            sendable = min(due, len(self._free))
            for _ in range(sendable):
                self._send(self._free.popleft(), now)
            told.unsent += due - sendable
            self._answers(0.001)
            if now - looked > 0.5:
                looked = now
                self._lose_patience(now)
        told.seconds_s = seconds
        told.busy_s = time.process_time() - busy
        until = time.perf_counter() + PATIENCE_S
        while any(connection.sent_at for connection in self._known.values()) and time.perf_counter() < until:
            self._answers(0.05)
        self._lose_patience(float("inf"))
        self.close()
        return told

    def close(self) -> None:
        for connection in self._known.values():
            if connection.socket is not None:
                connection.socket.close()
        self._known.clear()
        self._poll.close()

    def _connect(self, connection: _Connection) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        connection.socket, connection.received, connection.sent_at = sock, b"", 0.0
        self._known[sock.fileno()] = connection
        if sock.connect_ex(("127.0.0.1", self._port)) == 0:
            self._poll.register(sock, _IN)
            self._free.append(connection)
        else:
            self._poll.register(sock, _OUT)

    def _send(self, connection: _Connection, now: float) -> None:
        assert connection.socket is not None
        connection.sent_at = now
        with _HUNG_UP:  # it will be seen, and counted, when the answer is looked for
            connection.socket.send(self._request)

    def _answers(self, wait_s: float) -> None:
        told, clock = self._told, time.perf_counter
        for fd, events in self._poll.poll(wait_s):
            connection = self._known.get(fd)
            if connection is None or connection.socket is None:
                continue
            if events & _OUT and not connection.sent_at:
                self._poll.modify(fd, _IN)
                self._free.append(connection)
                continue
            try:
                data = connection.socket.recv(65_536)
            except OSError:
                data = b""
            # Nearly all answers are like this, and looking closer would cost as much as all the rest.
            if data.startswith(b"HTTP/1.1 202") and data.endswith(b"}") and connection.sent_at:
                told.statuses[202] += 1
                told.seconds.append(clock() - connection.sent_at)
                connection.sent_at = 0.0
                self._free.append(connection)
                continue
            connection.received += data
            if connection.sent_at and self._is_whole(connection):
                self._note(connection, time.perf_counter())
                if b"close" in connection.received[:200]:
                    self._again(connection)
                else:
                    connection.received, connection.sent_at = b"", 0.0
                    self._free.append(connection)
            elif not data:
                self._told.cut += connection.sent_at > 0
                self._again(connection)

    @staticmethod
    def _is_whole(connection: _Connection) -> bool:
        head, end, body = connection.received.partition(b"\r\n\r\n")
        if not end:
            return False
        length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
        return len(body) >= int(length or 0)

    def _note(self, connection: _Connection, now: float) -> None:
        status = int(connection.received[9:12])
        self._told.statuses[status] += 1
        if status == 202:
            self._told.seconds.append(now - connection.sent_at)
        elif b"\nretry-after:" not in connection.received.lower():
            self._told.without_retry_after += 1

    def _lose_patience(self, now: float) -> None:
        for connection in list(self._known.values()):
            if connection.sent_at and now - connection.sent_at > PATIENCE_S:
                self._told.unanswered += 1
                self._again(connection)

    def _again(self, connection: _Connection) -> None:
        """Hang up and come back."""
        assert connection.socket is not None
        del self._known[connection.socket.fileno()]
        was_free = not connection.sent_at
        connection.socket.close()
        if was_free:
            with suppress(ValueError):
                self._free.remove(connection)
        self._connect(connection)
