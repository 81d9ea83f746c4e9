"""Viewers of the live channel who trust nothing: every byte that the server sends is held against RFC 6455.

They speak through bare sockets, so that they can also send what no client library would.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

PATH: Final = "/ws/analytics"
TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
DEADLINE_S: Final = 15.0


class RefusedError(Exception):
    """The handshake was answered with something else than 101."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer[:200])
        self.status = int(answer[9:12])
        self.answer = answer


def handshake(*headers: str, path: str = PATH, method: str = "GET") -> bytes:
    """A proper handshake; headers given are added to it."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: live.example",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def frame(first: int, payload: bytes = b"", *, masked: bool = True, size: int | None = None) -> bytes:
    """A frame of a client, of which everything may be wrong; `size` is what it claims."""
    size = len(payload) if size is None else size
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 1 << 16:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    return head + (b"\0\0\0\0" if masked else b"") + payload


@dataclass(eq=False)
class Viewer:
    """One connection after its handshake. `wrong` is what the server must not have sent, `code` its goodbye."""

    sock: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    messages: int = 0
    dropped: int = 0
    code: int | None = None
    ended: bool = False
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def come(cls, port: int, *headers: str, buffer_bytes: int | None = None) -> Viewer:
        """A viewer who has been let in.

        Raises:
            RefusedError: it has not.
        """
        sock = socket.socket()
        if buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        sock.settimeout(DEADLINE_S)
        try:
            sock.connect(("127.0.0.1", port))
            sock.sendall(handshake(*headers))
            received = b""
            while b"\r\n\r\n" not in received:
                data = sock.recv(1 if buffer_bytes else 4096)
                if not data:
                    raise ConnectionResetError("no answer to a handshake")
                received += data
            head, _, rest = received.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101 "):
                raise RefusedError(received)
            assert ACCEPT in head, head
        except BaseException:
            sock.close()
            raise
        return cls(sock, bytearray(rest))

    def take(self, hear: Callable[[Any], None] | None = None) -> None:
        """Read what has arrived, answer pings, give each message to `hear`."""
        try:
            data = self.sock.recv(1 << 18)
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return
        self.buffer += data
        self._parse(hear)

    def until_ended(self, within_s: float = DEADLINE_S) -> float:
        """Read until the server hangs up, at most so long; the seconds that took."""
        began = time.monotonic()
        self.sock.settimeout(0.2)
        while not self.ended and time.monotonic() - began < within_s:
            self.take()
        return time.monotonic() - began

    def send(self, data: bytes) -> None:
        """Send it, unless the server has hung up."""
        with suppress(OSError):
            self.sock.sendall(data)

    def leave(self, *, rudely: bool = False) -> None:
        if rudely:  # a reset
            with suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def _parse(self, hear: Callable[[Any], None] | None) -> None:
        buffer, at = self.buffer, 0
        while len(buffer) - at >= 2:
            first, size, head = buffer[at], buffer[at + 1], 2
            if size == 126:
                size, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
            if len(buffer) - at < head + size:
                break
            if self.code is not None:
                self.wrong.append("a frame after the goodbye")
            if (size < 126 and head > 2) or (size < 1 << 16 and head > 4) or size > 1 << 20:
                self.wrong.append(f"a length of {size} in {head} bytes")
                break
            self._hear(first, bytes(buffer[at + head : at + head + size]), hear)
            at += head + size
        del buffer[:at]

    def _hear(self, first: int, payload: bytes, hear: Callable[[Any], None] | None) -> None:
        if first == TEXT:
            try:
                message = json.loads(payload)
                kind = message["type"]
            except (ValueError, KeyError, TypeError):
                self.wrong.append(f"no message: {payload[:80]!r}")
                return
            self.messages += 1
            if kind == "gap":
                self.dropped += message["dropped"]
            if hear is not None:
                hear(message)
        elif first == PING and len(payload) < 126:
            self.send(frame(PONG, payload))
        elif first == CLOSE and len(payload) != 1:
            self.code = int.from_bytes(payload[:2], "big") if payload else 1005
            self.send(frame(CLOSE, payload[:2]))
        elif first != PONG:
            self.wrong.append(f"a frame of kind {first:#x}")


class Crowd:
    """Viewers who read all the time, in the one thread that calls `read`."""

    def __init__(self, viewers: Iterable[Viewer]) -> None:
        self.viewers = list(viewers)
        self._selector = selectors.DefaultSelector()
        for viewer in self.viewers:
            viewer.sock.setblocking(False)
            self._selector.register(viewer.sock, selectors.EVENT_READ, viewer)

    def read(self, seconds: float, hear: Callable[[Any], None] | None = None) -> None:
        """For so long, or until all have been hung up on."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self._selector.get_map():
            for key, _ in self._selector.select(left):
                key.data.take(hear)
                if key.data.ended:
                    self._selector.unregister(key.fileobj)

    def leave(self) -> None:
        self._selector.close()
        for viewer in self.viewers:
            viewer.leave()


def address(number: int) -> str:
    """The header of a client of its own, as a trusted proxy tells it."""
    return f"X-Forwarded-For: 198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def noise(size: int) -> bytes:
    """Bytes that are nothing."""
    return os.urandom(size)
