"""Events that flow in at a steady rate while something else is measured, sent by a process of their own."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized

from bench.closed_loop import connect
from bench.collect import SINGLE

TICK_S = 0.005
CONNECTIONS = 200
"""Of which as many are used as events wait for their answers: a slow server is sent no less."""


@contextmanager
def inflow(port: int, path: str, per_s: float) -> Iterator[Synchronized[int]]:
    """Single events, `per_s` of them, until it is left; yields how many were accepted until now."""
    context = multiprocessing.get_context("fork")
    accepted, over = context.Value("q", 0), context.Event()
    process = context.Process(target=_send, args=(port, path, per_s, accepted, over), daemon=True)
    process.start()
    try:
        yield accepted
    finally:
        over.set()
        process.join(10)
        process.kill()


def _send(
    port: int, path: str, per_s: float, accepted: Synchronized[int], over: multiprocessing.synchronize.Event
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(SINGLE)}\r\n"
    request = f"{head}\r\n".encode() + SINGLE
    began, sent = time.monotonic(), 0
    with selectors.DefaultSelector() as asking:
        idle = [connect(port) for _ in range(CONNECTIONS)]
        while not over.is_set():
            due = int((time.monotonic() - began) * per_s) - sent
            for _ in range(min(due, len(idle))):
                connection = idle.pop()
                connection.sendall(request)
                asking.register(connection, selectors.EVENT_READ)
                sent += 1
            for key, _ in asking.select(TICK_S):
                connection = key.fileobj  # type: ignore[assignment]
                asking.unregister(connection)
                answer = connection.recv(65536)
                if answer.startswith(b"HTTP/1.1 202"):
                    accepted.value += 1
                else:  # 503, after which the server hangs up: this one is not sent again
                    connection.close()
                    connection = connect(port)
                idle.append(connection)
        for connection in idle:
            connection.close()
