"""A million events with a kill every half minute: nothing lost, nothing doubled, nothing growing."""

from __future__ import annotations

import threading
import time
from statistics import mean
from typing import Self

from bench.processes import memory_mib
from tests.chaos.clients import Load
from tests.chaos.fault import Arena, Fault, recover
from tests.chaos.system import KINDS, System

KILL_EVERY_S = 30
SHORT_KILL_EVERY_S = 4
SHORT_EVENTS = 10_000
SAMPLE_EVERY_S = 1.0
PACE_S = 0.045
"""Between two requests of a client, so that a million events take some minutes and not half of one."""

WATCHED = ("gunicorn", "workers.app", "valkey", "postgres", "all")
GROWTH = 1.25
GROWTH_MIB = 16
"""What is no growth: a quarter and some. Who was killed begins anew, and pages are shared by more or by fewer."""


class Soak(Fault):
    """A million events in batches of 1 to 100, a random kill every 30 s, memory flat, the law at the end."""

    name = "soak"
    rounds = 1
    events = 1_000_000

    def load(self, system: System, seed: int) -> Load:
        return Load(system.port, seed, batches=tuple(range(1, 101)), pace_s=0.0 if self.is_short else PACE_S)

    def strike(self, arena: Arena) -> str:
        wanted = min(self.events, SHORT_EVENTS) if self.is_short else self.events
        every_s = SHORT_KILL_EVERY_S if self.is_short else KILL_EVERY_S
        killed: list[str] = []
        recoveries: list[float] = []
        started = time.monotonic()
        with Memory(arena.system) as memory:
            while arena.load.count() < wanted:
                before = arena.load.count()
                pause_until = time.monotonic() + every_s
                while time.monotonic() < pause_until and arena.load.count() < wanted:
                    time.sleep(0.1)
                assert arena.load.count() > before, f"no event acknowledged in {every_s} s"
                killed.append(arena.dice.choice(sorted(KINDS)))
                arena.system.kill(killed[-1])
                recoveries.append(recover(arena))
        seconds = time.monotonic() - started
        second, last = memory.quarters()
        if not self.is_short:
            for name in WATCHED:
                grown = f"{name} grew from {second[name]:.0f} to {last[name]:.0f} MiB"
                assert last[name] <= second[name] * GROWTH + GROWTH_MIB, grown
        sizes = ", ".join(f"{name} {second[name]:.0f} to {last[name]:.0f} MiB" for name in WATCHED)
        back = ", ".join(f"{kind} {back_s:.1f}" for kind, back_s in zip(killed, recoveries, strict=True))
        return f"{arena.load.count()} events in {seconds:.0f} s; kills and seconds until back: {back}; {sizes}"


class Memory:
    """Samples what every kind of process takes (proportional set size), all along."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._samples: list[dict[str, float]] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def quarters(self) -> tuple[dict[str, float], dict[str, float]]:
        """Means, in MiB, over the second and the last quarter of the time."""
        n = max(1, len(self._samples) // 4)
        return _means(self._samples[n : 2 * n] or self._samples), _means(self._samples[-n:])

    def _sample(self) -> None:
        while not self._enough.wait(SAMPLE_EVERY_S):
            self._samples.append(memory_mib(self._system.up.process.pid))


def _means(samples: list[dict[str, float]]) -> dict[str, float]:
    return {name: mean(sample.get(name, 0.0) for sample in samples) if samples else 0.0 for name in WATCHED}


FAULTS: list[Fault] = [Soak()]
