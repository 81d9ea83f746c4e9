"""A load generator of one thread: a fixed number of connections, each asking again as soon as it was answered.

It spends about 25 microseconds per request, so that on a small machine the server is measured and not the client.
"""

from __future__ import annotations

import itertools
import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Samples:
    """Seconds per request, and how many answers there were by status."""

    seconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    took_s: float = 0.0

    def add(self, other: Samples) -> None:
        self.seconds += other.seconds
        self.took_s += other.took_s
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.took_s if self.took_s else 0.0


class _Connection:
    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.requests = requests
        self.socket = connect(port)
        self.closes = False
        self.received = bytearray()
        self.sent_at = 0.0

    def ask(self) -> None:
        self.received.clear()
        request = next(self.requests)
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def answered(self) -> int:
        """The status when the whole answer has arrived, else 0."""
        chunk = self.socket.recv(262_144)
        if not chunk:
            raise ConnectionError("the server hung up")
        self.received += chunk
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0:
            return 0
        head = bytes(self.received[:head_end]).lower()
        self.closes = b"connection: close" in head
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head[9:12]) if len(self.received) >= head_end + 4 + length else 0


def connect(port: int) -> socket.socket:
    """A connection to a server on this machine that sends at once what it is given."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def run(
    port: int, path: str, concurrency: int, seconds: float, headers: str = "", body: bytes | Iterator[bytes] = b""
) -> Samples:
    """Ask for `path` over `concurrency` connections for so many `seconds`; post `body` to it where there is one, or one
    after the other of several."""
    requests = (
        itertools.repeat(_request(path, headers, body))
        if isinstance(body, bytes)
        else (_request(path, headers, each) for each in body)
    )
    samples = Samples()
    with selectors.DefaultSelector() as selector:
        connections = [_Connection(port, requests) for _ in range(concurrency)]
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.ask()
        began = time.perf_counter()
        open_ones = len(connections)
        while open_ones:
            for key, _ in selector.select():
                connection = key.data
                status = connection.answered()
                if not status:
                    continue
                now = time.perf_counter()
                samples.seconds.append(now - connection.sent_at)
                samples.statuses[status] = samples.statuses.get(status, 0) + 1
                if now - began < seconds:
                    if connection.closes:  # as a server does that has too much to do
                        selector.unregister(connection.socket)
                        connection.socket.close()
                        connection.socket = connect(port)
                        selector.register(connection.socket, selectors.EVENT_READ, connection)
                    connection.ask()
                else:
                    selector.unregister(connection.socket)
                    connection.socket.close()
                    open_ones -= 1
        samples.took_s = time.perf_counter() - began
    return samples


def _request(path: str, headers: str, body: bytes) -> bytes:
    if body:
        headers += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n".encode() + body
