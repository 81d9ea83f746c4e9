"""Live viewers: how long an event takes to reach them, and what a frame costs beside a bare sendall."""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

import msgspec

from bench.figures import Effort, Figure, Figures, Scene, Target
from bench.live import Result, Sender, Viewers, burst, handshake, paced, processor_s, start_plain, through
from bench.processes import named
from bench.servers import MOST_VIEWERS, Maicivy, Servers
from maicivy.core.events import Event, announcement
from maicivy.storage.live import ANNOUNCED_EVENTS, RedisLiveFeed
from maicivy.web.websocket import text_frame

VIEWERS = MOST_VIEWERS
RATE = 20.0
FRAMES_PER_S = 75_000

Pattern = Callable[[Sender, int, argparse.Namespace, Result], None]


def measure(wanted: frozenset[str], effort: Effort, servers: Servers) -> Figures:
    """The same viewers for both rows, and as many of a process that does nothing but send."""
    viewers = 50 if effort.quick else VIEWERS
    order = argparse.Namespace(
        paced=max(1, int(RATE * effort.seconds)),
        rate=RATE,
        frames=max(viewers * ANNOUNCED_EVENTS, int(FRAMES_PER_S * effort.seconds)),
    )
    figures: dict[str, list[Figure]] = {}
    maicivy = servers.maicivy()
    watching = Viewers()
    try:
        for _ in range(viewers):
            watching.add(*handshake(maicivy.port))
        watching.drain(1.0)
        if "live-latency" in wanted:
            figures["live-latency"] = _latency(maicivy, watching, viewers, order, effort.rounds)
        if "live-frames" in wanted:
            figures["live-frames"] = _frames(maicivy, watching, viewers, order, effort.rounds)
    finally:
        watching.close()
    return figures


def _latency(maicivy: Maicivy, watching: Viewers, viewers: int, order: argparse.Namespace, rounds: int) -> list[Figure]:
    with socket.create_connection(("127.0.0.1", maicivy.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sender = Sender("maicivy", watching, _posting(connection, maicivy), lambda: 0.0)
        paced(sender, viewers, argparse.Namespace(paced=3, rate=RATE), Result())
        results = [Result() for _ in range(rounds)]
        for result in results:
            paced(sender, viewers, order, result)
    note = f"{viewers} viewers, {RATE:g} events/s; from before the POST to the frame at the viewer"
    return [
        Figure("p50", "ms", [result.percentile_ms(50) for result in results], Target("<", 20.0), note=note),
        Figure("p99", "ms", [result.percentile_ms(99) for result in results], Target("<", 50.0), note=note),
    ]


def _frames(maicivy: Maicivy, watching: Viewers, viewers: int, order: argparse.Namespace, rounds: int) -> list[Figure]:
    web = named(maicivy.processes[0].pid, "gunicorn")[-1]
    feed = RedisLiveFeed(maicivy.redis, maicivy.redis)
    process, orders, plain_viewers = start_plain(viewers)
    try:
        ours = Sender("maicivy", watching, feed.publish, lambda: processor_s(web))
        plain = Sender("sendall of each frame", plain_viewers, through(orders), lambda: processor_s(process.pid or 0))
        joined = Sender("sendall of all at once", plain_viewers, _joined(orders), plain.used_s)
        singly = argparse.Namespace(paced=max(1, order.frames // viewers // 10), rate=float("inf"))

        def beside(name: str, pattern: Pattern, much: argparse.Namespace, other: Sender, at_least: float) -> Figure:
            per_core: dict[str, list[float]] = {ours.name: [], other.name: []}
            for _ in range(rounds):
                for sender in (ours, other):
                    result = Result()
                    pattern(sender, viewers, much, result)
                    per_core[sender.name].append(result.per_core)
            target = Target(">=", at_least, "ratio") if at_least else None
            return Figure(name, "frames/s/core", per_core[ours.name], target, other.name, per_core[other.name])

        return [
            beside("one event at a time", paced, singly, plain, 0.4),
            beside("500 events at a time", burst, order, plain, 0.4),
            beside("500 events at a time, joined", burst, order, joined, 0.0),
        ]
    finally:
        plain_viewers.close()
        process.kill()
        process.join()


def _joined(orders: Connection) -> Callable[[list[Event]], None]:
    """Has the plain process send all events of a burst with one sendall to each socket, as cheaply as can be."""

    def send(events: list[Event]) -> None:
        orders.send([b"".join(text_frame(msgspec.json.encode(announcement(event))) for event in events)])

    return send


def _posting(connection: socket.socket, maicivy: Maicivy) -> Callable[[list[Event]], None]:
    """Posts events one by one, and reads the answers when there is time: the next time that it is called."""

    def post(events: list[Event]) -> None:
        connection.setblocking(False)
        with suppress(BlockingIOError):
            connection.recv(65536)
        connection.setblocking(True)
        for event in events:
            body = json.dumps(
                {"event_type": event.event_type, "event_data": event.event_data, "page_url": event.page_url}
            ).encode()
            head = f"POST {maicivy.events_path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

    return post


SCENE = Scene(
    {
        "live-latency": "live: event sent to frame received",
        "live-frames": "live: frames per second and core",
    },
    measure,
)
