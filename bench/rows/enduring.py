"""A load that lasts: do storing and counting keep up with accepting, and how much memory does everything take."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from time import perf_counter
from typing import Self

import redis

from bench.closed_loop import Samples, run
from bench.collect import CONNECTIONS, SINGLE, take_turn
from bench.figures import Effort, Figure, Figures, Scene, Target
from bench.servers import Maicivy, Servers
from maicivy.storage.inbox import RedisInbox

LOOK_EVERY_S = 0.1


@dataclass
class Load:
    """One round of sustained load."""

    samples: Samples
    oldest_s: float
    counted_after_s: float
    astray: int

    @property
    def accepted(self) -> int:
        return self.samples.statuses.get(202, 0)


@dataclass
class _Watch:
    """Looks at the inbox all along, from a thread of its own."""

    redis_url: str
    oldest_s: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            inbox = RedisInbox(client, client, 1 << 28)
            while not self._over.wait(LOOK_EVERY_S):
                self.oldest_s = max(self.oldest_s, inbox.status().oldest_s)


def measure(wanted: frozenset[str], effort: Effort, servers: Servers) -> Figures:
    """The rounds of sustained load, then the long one before memory is looked at, on the same installation."""
    figures: dict[str, list[Figure]] = {}
    maicivy = servers.maicivy()
    take_turn(maicivy, 0.5)
    if "sustained" in wanted:
        figures["sustained"] = _sustained(maicivy, effort)
    if "memory" in wanted:
        figures["memory"] = _memory(maicivy, effort)
    return figures


def _sustained(maicivy: Maicivy, effort: Effort) -> list[Figure]:
    loads = [_load(maicivy, effort.sustained_s) for _ in range(effort.rounds)]
    accepted = [load.accepted / load.samples.took_s for load in loads]
    counted = [load.accepted / load.counted_after_s for load in loads]
    during = f"rounds of {effort.sustained_s:g} s"
    return [
        Figure("counted", "events/s", counted, Target(">=", 0.99, "ratio"), "accepted", accepted, during),
        Figure("counted, at least", "events/s", counted, Target(">=", 4_000)),
        Figure(
            "lost, or stored or counted twice", "events", [load.astray for load in loads], Target("<=", 0), note=during
        ),
        Figure("oldest event in the inbox, ever", "s", [max(load.oldest_s for load in loads)], Target("<", 2.0)),
    ]


def _load(maicivy: Maicivy, seconds: float) -> Load:
    stored, counted, began = maicivy.stored(), maicivy.counted(), perf_counter()
    with _Watch(maicivy.redis_url) as watch:
        samples = run(maicivy.port, maicivy.events_path, CONNECTIONS, seconds, body=SINGLE)
        accepted = samples.statuses.get(202, 0)
        maicivy.settle(counted + accepted)
        took_s = perf_counter() - began
    astray = abs(maicivy.stored() - stored - accepted) + abs(maicivy.counted() - counted - accepted)
    return Load(samples, watch.oldest_s, took_s, astray)


def _memory(maicivy: Maicivy, effort: Effort) -> list[Figure]:
    load = _load(maicivy, effort.long_s)
    sizes = maicivy.memory_mib()
    after = f"after {effort.long_s:g} s of load, {load.accepted:,} events"
    parts = ", ".join(f"{name} {size:.0f}" for name, size in sizes.items() if name != "all" and size >= 1)
    return [
        Figure("web", "MiB", [sizes["gunicorn"]], Target("<", 120), note=after),
        Figure("worker", "MiB", [sizes["workers.app"]], note=after),
        Figure("all of bin/up", "MiB", [sizes["all"]], Target("<", 500), note=parts),
    ]


SCENE = Scene(
    {
        "sustained": "single events accepted, stored and counted, 1 web and 1 worker, sustained",
        "memory": "memory (proportional set size) after a long load",
    },
    measure,
)
