"""How long an event takes from being published to a viewer, and what a frame costs beside a bare sendall, in one run.

    python -m bench.live [--viewers 50,500] [--frames 300000] [--paced 200] [--rate 20] [--rounds 3]

Starts Valkey and gunicorn (one worker) and opens the viewers from this process. Two patterns, which take turns with a
plain process that does nothing but `sendall` the very same frames to as many sockets of the same kind:
  paced  one event at a time, `rate` a second: what a viewer sees of a site; gives the latencies
  burst  500 events per publish, the next when the last has arrived everywhere: what a full batch costs
Frames per core are frames sent by second of processor time of the sending process; the ratio is that of maicivy to
the plain process. The targets are p50 < 20 ms, p99 < 50 ms, ratio >= 0.4. Nothing is asserted here.
"""

from __future__ import annotations

import argparse
import base64
import multiprocessing
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import redis

from bench.history import now
from maicivy.core.events import DEFAULT_SITE, PAGE_VIEW, Event, announcement, uuid7
from maicivy.core.identity import first_id_of
from maicivy.standalone.datadir import DataDir
from maicivy.standalone.process import start_ready
from maicivy.standalone.valkey import Valkey
from maicivy.storage.live import ANNOUNCED_EVENTS, RedisLiveFeed
from maicivy.web.websocket import text_frame

ROOT = Path(__file__).parents[1]
PATH = "/ws/analytics"
_PING = 0x89
_MASKED_PONG = bytes((0x8A, 0x80, 0, 0, 0, 0))
WITHIN_S = 60.0
_SENT = b'"sent":'
_EPOCH = 10**15  # added to microseconds, so that a stamp always has sixteen digits


@dataclass
class Viewers:
    """Sockets that count event frames, and note how long after the time written in it each one arrived."""

    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    buffers: dict[socket.socket, bytearray] = field(default_factory=dict)
    frames: int = 0
    gaps: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, sock: socket.socket, rest: bytes = b"") -> None:
        sock.setblocking(False)
        self.buffers[sock] = bytearray(rest)
        self.selector.register(sock, selectors.EVENT_READ)

    def read_until(self, frames: int, timeout_s: float = WITHIN_S) -> None:
        deadline = time.perf_counter() + timeout_s
        while self.frames < frames:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{self.frames} of {frames} frames, {self.gaps} gaps")
            for key, _ in self.selector.select(0.5):
                self._read(key.fileobj)  # type: ignore[arg-type]

    def drain(self, seconds: float) -> None:
        """Read for a while without counting on anything: heartbeats, first messages."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            for key, _ in self.selector.select(left):
                self._read(key.fileobj)  # type: ignore[arg-type]

    def close(self) -> None:
        for sock in self.buffers:
            sock.close()
        self.selector.close()

    def _read(self, sock: socket.socket) -> None:
        received = sock.recv(1 << 18)
        if not received:
            raise ConnectionError("a viewer was closed")
        arrived = time.perf_counter()
        buffer = self.buffers[sock]
        buffer += received
        at = 0
        while len(buffer) - at >= 2:
            size, head = buffer[at + 1], 2
            if size == 126:
                size, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            if len(buffer) - at < head + size:
                break
            sent = buffer.find(_SENT, at, at + head + size)
            if sent >= 0:
                self.frames += 1
                stamp = int(buffer[sent + len(_SENT) : sent + len(_SENT) + 16])
                self.seconds.append(arrived - (stamp - _EPOCH) / 1e6)
            elif buffer.find(b'"gap"', at, at + head + size) >= 0:
                self.gaps += 1
            elif buffer[at] == _PING:
                sock.send(_MASKED_PONG)
            at += head + size
        del buffer[:at]


def made(count: int) -> list[Event]:
    """Page views that carry the time at which they were made, as sixteen digits of microseconds."""
    moment = now()
    visitor = first_id_of(moment.date())
    sent = _EPOCH + int(time.perf_counter() * 1e6)
    data = {"theme": "backend", "path": "/cv", "sent": sent}
    return [
        Event(
            uuid7(n, os.urandom(10)), DEFAULT_SITE, visitor, None, PAGE_VIEW, data, "/cv?theme=backend", "", 0, moment
        )
        for n in range(count)
    ]


@dataclass
class Sender:
    """One that sends frames to viewers: how it is told to, and how much processor time it has used."""

    name: str
    viewers: Viewers
    send: Callable[[list[Event]], None]
    used_s: Callable[[], float]


@dataclass
class Result:
    """What one sender did in one pattern, over all rounds."""

    frames: int = 0
    processor_s: float = 0.0
    seconds: list[float] = field(default_factory=list)

    @property
    def per_core(self) -> float:
        return self.frames / self.processor_s

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", default="50,500")
    parser.add_argument("--frames", type=int, default=300_000, help="per round of bursts")
    parser.add_argument("--paced", type=int, default=200, help="events per round of the paced pattern")
    parser.add_argument("--rate", type=float, default=20.0, help="events a second of the paced pattern")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    home = DataDir(Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp")))
    home.claim()
    valkey = Valkey(home)
    server = start_ready(valkey.command(), valkey.is_ready, "valkey")
    try:
        print("viewers  pattern  sender       frames  frames/s/core   p50 ms   p99 ms")
        for count in map(int, arguments.viewers.split(",")):
            _measure(home, valkey, count, arguments)
    finally:
        server.stop(10.0)
        home.release()
        shutil.rmtree(home.path, ignore_errors=True)


def _measure(home: DataDir, valkey: Valkey, count: int, arguments: argparse.Namespace) -> None:
    ours = plain = None
    web, port = _start_web(home, valkey, count)
    plain_process, plain_end, plain_viewers = start_plain(count)
    try:
        client = redis.Redis(unix_socket_path=str(valkey.socket))
        feed = RedisLiveFeed(client, client)
        viewers = Viewers()
        for _ in range(count):
            viewers.add(*handshake(port))
        ours = Sender("maicivy", viewers, feed.publish, lambda: processor_s(_worker_of(web.pid)))
        plain = Sender("sendall", plain_viewers, through(plain_end), lambda: processor_s(plain_process.pid or 0))
        viewers.drain(1.0)
        for pattern, run in (("paced", paced), ("burst", burst)):
            results = {sender.name: Result() for sender in (ours, plain)}
            for _ in range(arguments.rounds):
                for sender in (ours, plain):
                    run(sender, count, arguments, results[sender.name])
            for name, result in results.items():
                print(
                    f"{count:>7}  {pattern:7}  {name:8}  {result.frames:>9,}  {result.per_core:>13,.0f}  "
                    f"{result.percentile_ms(50):>7.2f}  {result.percentile_ms(99):>7.2f}"
                )
            ratio = results["maicivy"].per_core / results["sendall"].per_core
            print(f"{count:>7}  {pattern:7}  ratio {ratio:.2f}; gaps {viewers.gaps}", flush=True)
        client.close()
    finally:
        for sender in (ours, plain):
            if sender is not None:
                sender.viewers.close()
        plain_process.kill()
        plain_process.join()
        web.send_signal(signal.SIGTERM)
        web.wait(20)


def paced(sender: Sender, count: int, arguments: argparse.Namespace, result: Result) -> None:
    def run() -> None:
        began = time.perf_counter()
        for number in range(arguments.paced):
            sender.viewers.drain(max(0.0, began + number / arguments.rate - time.perf_counter()))
            expected = sender.viewers.frames + count
            sender.send(made(1))
            sender.viewers.read_until(expected)

    _account(sender, result, run)


def burst(sender: Sender, count: int, arguments: argparse.Namespace, result: Result) -> None:
    def run() -> None:
        for _ in range(max(1, arguments.frames // count // ANNOUNCED_EVENTS)):
            expected = sender.viewers.frames + count * ANNOUNCED_EVENTS
            sender.send(made(ANNOUNCED_EVENTS))
            sender.viewers.read_until(expected)

    _account(sender, result, run)


def _account(sender: Sender, result: Result, run: Callable[[], None]) -> None:
    viewers = sender.viewers
    viewers.drain(0.2)  # answers pings that came while the other sender had its turn
    viewers.seconds.clear()
    frames, used_s = viewers.frames, sender.used_s()
    run()
    result.processor_s += sender.used_s() - used_s
    result.frames += viewers.frames - frames
    result.seconds += viewers.seconds


def handshake(port: int) -> tuple[socket.socket, bytes]:
    sock = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(4096)
    head, _, rest = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(head.decode())
    return sock, rest


def _start_web(home: DataDir, valkey: Valkey, viewers: int) -> tuple[subprocess.Popen[bytes], int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    environ = os.environ | {
        "PORT": str(port),
        "DATABASE_URL": f"postgresql://nobody@/nothing?host={home.run}",  # nothing here asks the database
        "REDIS_URL": f"unix://{valkey.socket}",
        "MAICIVY_DATA_DIR": str(home.path / "web"),
        "MAICIVY_WS_MAX_CLIENTS": str(viewers),
        "WEB_CONCURRENCY": "1",
        "LOG_LEVEL": "warning",
    }
    with (home.path / "web.log").open("ab") as log:
        web = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"],
            cwd=ROOT,
            env=environ,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + 30
    while True:
        try:
            handshake(port)[0].close()
        except OSError:
            if web.poll() is not None or time.monotonic() > deadline:
                web.kill()
                raise
            time.sleep(0.1)
        else:
            return web, port


def start_plain(count: int) -> tuple[multiprocessing.process.BaseProcess, Connection, Viewers]:
    """A process with `count` connections to viewers of this one."""
    viewers = Viewers()
    ours, theirs = multiprocessing.Pipe()
    with socket.create_server(("127.0.0.1", 0), backlog=count) as listener:
        process = multiprocessing.get_context("fork").Process(target=_plain, args=(listener, count, theirs))
        process.start()
        for _ in range(count):
            viewers.add(socket.create_connection(listener.getsockname()))
    return process, ours, viewers


def _plain(listener: socket.socket, count: int, orders: Connection) -> None:
    connections = []
    for _ in range(count):
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 17)
        connections.append(connection)
    while True:
        for frame in orders.recv():
            for connection in connections:
                connection.sendall(frame)


def through(orders: Connection) -> Callable[[list[Event]], None]:
    def send(events: list[Event]) -> None:
        orders.send([text_frame(msgspec.json.encode(announcement(event))) for event in events])

    return send


def _worker_of(master: int) -> int:
    return int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])


def processor_s(pid: int) -> float:
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


if __name__ == "__main__":
    main()
