"""Clients that take their time: headers and bodies that dribble, answers that nobody reads, connections without a word.

Hundreds of them must not be noticed by anybody else, and are let go after a while. With nginx at hand the same is done
to deploy/nginx.conf, behind which maicivy does not see them at all.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bench import closed_loop
from tests.abuse.nonsense import EVENT_PATH
from tests.abuse.overload import BODY
from tests.abuse.proxy import nginx
from tests.abuse.scenario import Finding, Options
from tests.abuse.target import Target, abused
from tests.standalone.processes import wait_until

EACH: Final = 150
CLIENTS: Final = 8
MOST_P99_MS: Final = 100.0
NGINX_AT_A_TIME: Final = 100
"""What deploy/nginx.conf allows one address."""
FREED_S: Final = {"silent": 8.0, "idle": 8.0, "header": 8.0, "body": 25.0, "unread": 60.0}
"""Until all connections of a kind are let go: the server's limits, and some."""

_HEAD = b"POST %b HTTP/1.1\r\nHost: x\r\n" % EVENT_PATH
_GET = b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
_BEGINNINGS: Final[dict[str, bytes]] = {
    "silent": b"",
    "idle": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "header": _HEAD,
    "body": _HEAD + b"Content-Length: 10000\r\n\r\n",
    "unread": _GET * 100,
}
_MORE: Final[dict[str, bytes]] = {"header": b"X-A: 1\r\n", "body": b" ", "unread": _GET}


def run(options: Options) -> Finding:
    finding = Finding()
    with abused(finding, LOG_LEVEL="warning") as target:
        dawdle(target, tuple(FREED_S), EACH, min(options.seconds, 10.0), finding)
        if shutil.which("nginx"):
            with nginx(target) as port:
                _behind(port, target, min(options.seconds, 10.0), finding)
    return finding


def dawdle(
    target: Target, kinds: tuple[str, ...], each: int, seconds: float, finding: Finding, is_measured: bool = True
) -> None:
    """`each` slow clients of every kind at once, others besides, and then wait for the slow ones to be let go."""
    before = target.pss_mb("web")
    alone = _ask(target.port, seconds / 2)
    with _crowd(target.port, kinds, each) as dribble:
        wait_until(lambda: _is_quiet(target), 30, "the answers that nobody reads fill their buffers")
        among = _ask(target.port, seconds, dribble)
        began = time.monotonic()
        for kind in sorted(kinds, key=FREED_S.__getitem__):
            try:
                wait_until(lambda kind=kind: dribble(kind) == 0, FREED_S[kind] + 10, f"all {kind} connections freed")
            except AssertionError as error:
                finding.breaches.append(f"{error}: {dribble(kind)} are left")
            finding.figures[f"{kind} let go within"] = f"{time.monotonic() - began + seconds:.0f} s"
    after = target.pss_mb("web")
    finding.figures["p99 of others"] = f"{among.percentile_ms(99):.0f} ms, alone {alone.percentile_ms(99):.0f} ms"
    finding.figures["rate of others"] = f"{among.rate:,.0f}/s, alone {alone.rate:,.0f}/s"
    finding.figures["web"] = f"{before:.0f} to {after:.0f} MB, {len(kinds) * each} slow clients"
    finding.must(set(among.statuses) == {202}, f"others were answered {among.statuses}")
    if is_measured:
        finding.must(among.percentile_ms(99) < MOST_P99_MS, f"p99 of others {among.percentile_ms(99):.0f} ms")


def _behind(port: int, target: Target, seconds: float, finding: Finding) -> None:
    kinds = ("silent", "header", "body")
    with _crowd(port, kinds, EACH, "127.0.0.2") as dribble:
        among = _ask(port, seconds, dribble)
        seen = established(target.port)
        wait_until(lambda: not any(map(dribble, ("silent", "header"))), 30, "nginx lets slow clients go")
        wait_until(lambda: dribble("body") <= NGINX_AT_A_TIME, 30, "nginx limits those who go on dribbling")
    finding.must(set(among.statuses) == {202}, f"behind nginx others were answered {among.statuses}")
    finding.must(among.percentile_ms(99) < MOST_P99_MS, f"behind nginx p99 of others {among.percentile_ms(99):.0f} ms")
    finding.must(seen <= CLIENTS + 40, f"{seen} connections reach maicivy through nginx")
    finding.figures["behind nginx"] = (
        f"p99 of others {among.percentile_ms(99):.0f} ms, {seen} connections to maicivy, {len(kinds) * EACH} to nginx"
    )


@contextmanager
def _crowd(port: int, kinds: tuple[str, ...], each: int, address: str = "127.0.0.1") -> Iterator[Callable[[str], int]]:
    """Connections of each kind. Calling what this gives dribbles a little on those of a kind: how many still stand."""
    connections: dict[str, list[socket.socket]] = {kind: [] for kind in kinds}
    for kind, opened in connections.items():
        for _ in range(each):
            connection = socket.socket()
            if kind == "unread":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.bind((address, 0))
            connection.connect(("127.0.0.1", port))
            connection.setblocking(False)
            with suppress(BlockingIOError):
                connection.send(_BEGINNINGS[kind])
            opened.append(connection)

    def dribble(kind: str) -> int:
        for connection in connections[kind].copy():
            try:
                with suppress(BlockingIOError):
                    if kind in _MORE:
                        connection.send(_MORE[kind])
                with suppress(BlockingIOError):
                    if kind != "unread" and not connection.recv(65_536):
                        raise ConnectionResetError
            except OSError:
                connection.close()
                connections[kind].remove(connection)
        time.sleep(0.05)
        return len(connections[kind])

    try:
        yield dribble
    finally:
        for opened in connections.values():
            for connection in opened:
                connection.close()


def _ask(port: int, seconds: float, dribble: Callable[[str], int] | None = None) -> closed_loop.Samples:
    """What others experience meanwhile; the slow ones dribble once a second."""
    samples = closed_loop.Samples()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        samples.add(closed_loop.run(port, EVENT_PATH.decode(), CLIENTS, min(1.0, seconds), body=BODY))
        if dribble is not None:
            for kind in ("header", "body"):
                with suppress(KeyError):
                    dribble(kind)
    return samples


def _is_quiet(target: Target) -> bool:
    began = time.monotonic()
    statuses = {target.get("/api/v1/analytics/themes")[0] for _ in range(10)}
    return statuses == {200} and time.monotonic() - began < 0.1


def established(port: int) -> int:
    """Connections that stand at this end of a port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01" for line in lines)
