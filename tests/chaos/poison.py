"""An event that passes the gate and that the database refuses: what an operator's own constraint would do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from tests.chaos.clients import event_of, post_answer
from tests.chaos.fault import Arena, Fault
from tests.standalone.processes import wait_until

BATCH = 500
BATCHES = 20
POSITIONS = list(dict.fromkeys([0, 499, 249, 250, *((n * 149) % BATCH for n in range(BATCH))]))
"""All of them; the ends and the middle first."""

POISON = "poison"


class Poison(Fault):
    """One event that the database refuses, in every position of a batch of 500: 499 are stored, one is put aside."""

    name = "poison"
    rounds = len(POSITIONS) // BATCHES

    def __init__(self) -> None:
        self._next = 0
        self._poisoned = 0

    def strike(self, arena: Arena) -> str:
        healthy_s = self._send(arena, [None] * BATCHES)
        positions = POSITIONS[self._next : self._next + BATCHES]
        self._next = (self._next + BATCHES) % len(POSITIONS)
        with _refusing(arena):
            poisoned_s = self._send(arena, positions)
        return (
            f"{BATCHES} batches of {BATCH} in {healthy_s:.1f} s, with poison at {positions[0]}.. in {poisoned_s:.1f} s"
        )

    def _send(self, arena: Arena, positions: list[int] | list[None]) -> float:
        """Send a batch for each position and wait until all is stored; seconds that took."""
        good: list[UUID] = []
        bad: list[UUID] = []
        started = time.monotonic()
        for position in positions:
            events = [event_of(arena.dice) for _ in range(BATCH)]
            if position is not None:
                events[position]["event_type"] = POISON
            for event in events:
                (bad if event["event_type"] == POISON else good).append(UUID(event["id"]))
            arena.sent(*events)
            assert post_answer(arena.system.port, events)[0] == 202
        with arena.system.database() as database:

            def count(query: str, *values: object) -> int:
                row = database.execute(f"SELECT count(*) FROM {query}", values).fetchone()
                return int(row[0]) if row is not None else 0

            wait_until(
                lambda: count("analytics_events WHERE id = ANY(%s)", good) == len(good), 60, "all but poison stored"
            )
            seconds = time.monotonic() - started
            assert count("analytics_events WHERE id = ANY(%s)", bad) == 0
            self._poisoned += len(bad)
            aside = count("quarantine")
            assert aside == self._poisoned, f"{aside} events in quarantine and not {self._poisoned}"
        return seconds


@contextmanager
def _refusing(arena: Arena) -> Iterator[None]:
    """A constraint that somebody added to the table."""
    with arena.system.database() as database:
        database.execute("SET lock_timeout = '10s'")
        database.execute(f"ALTER TABLE analytics_events ADD CONSTRAINT no_poison CHECK (event_type <> '{POISON}')")
        yield
        database.execute("ALTER TABLE analytics_events DROP CONSTRAINT no_poison")


FAULTS: list[Fault] = [Poison()]
