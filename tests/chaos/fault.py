"""What a fault is, and how its rounds are run: load, harm, recovery, silence, the law."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from tests.chaos import oracle
from tests.chaos.clients import Load, Record, event_of, post
from tests.chaos.oracle import Verdict
from tests.chaos.system import System
from tests.standalone.processes import wait_until

RECOVERY_S = 60
BEFORE = 100
"""Events acknowledged in a round before it hurts."""

SHORT_PACE_S = 0.02
"""Between two requests of a client in the suite, where comparing what piles up takes longer than the harm."""


@dataclass
class Arena:
    """One system, the load on it, and the dice of this run."""

    system: System
    load: Load
    dice: random.Random
    probes: set[bytes] = field(default_factory=set)
    gone: set[bytes] = field(default_factory=set)
    """Events that the harm itself took away by definition: acknowledged, and yet nobody can demand them."""

    def record(self) -> Record:
        """What all who sent events saw. To be asked while the load pauses."""
        record = self.load.record()
        record.sent |= self.probes
        record.acknowledged -= self.gone
        return record

    def sent(self, *events: dict[str, Any]) -> None:
        """Take note of events that were not sent by the load, so that they are no strangers when stored."""
        self.probes.update(UUID(event["id"]).bytes for event in events)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing moves within the block: all that was sent is stored and counted."""
        self.load.pause()
        with self.system.redis() as client, self.system.database() as database:
            oracle.settle(client, database)
        yield
        self.load.resume()


class Fault:
    """One way to hurt the system. Subclasses name it, say how often, and strike."""

    name: str
    rounds = 5
    missing: str | None = None
    """What this machine lacks to run it; None when nothing."""
    in_suite = True
    """Whether the test suite runs its short form, or others in it show the same."""
    is_short = False
    """Whether seconds matter more than thoroughness: so in the test suite."""

    def start(self, home: Path) -> System:
        """The system to be hurt."""
        return System(home)

    def load(self, system: System, seed: int) -> Load:
        """The clients."""
        return Load(system.port, seed, pace_s=SHORT_PACE_S if self.is_short else 0.0)

    def strike(self, arena: Arena) -> str:
        """Hurt it, under load, and let it go on; what was done, in a few words. An AssertionError is a breach."""
        raise NotImplementedError

    def check(self, arena: Arena) -> Verdict:
        """The law, after a round, while the load pauses."""
        return oracle.check(arena.system, arena.record())

    def close(self) -> None:
        """Give back what `start` took beside the system."""

    @property
    def ground(self) -> object:
        """Faults with equal grounds may hurt one and the same system, one after the other."""
        is_plain = type(self).start is Fault.start and type(self).load is Fault.load
        return Fault if is_plain else self


@dataclass
class Result:
    """What the rounds of one fault came to; recovery in seconds from the end of the harm."""

    name: str
    rounds: int = 0
    sent: int = 0
    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    recovery_s: list[float] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)


def run(fault: Fault, rounds: int, seed: int, say: Callable[[str], None]) -> Result:
    """Run the rounds of a fault on a system of its own."""
    return run_on_one([(fault, rounds)], seed, say)[0]


def run_on_one(faults: Sequence[tuple[Fault, int]], seed: int, say: Callable[[str], None]) -> list[Result]:
    """Run the rounds of several faults, one after the other, on the system of the first.

    Ends at the first broken round: what follows would only repeat it.
    """
    results = [Result(fault.name) for fault, _ in faults]
    result = results[0]
    first = faults[0][0]
    parent = Path(tempfile.mkdtemp(prefix="mvc-", dir="/tmp"))
    system = None
    load = None
    try:
        system = first.start(parent / "data")
        system.up.wait_ready()
        load = first.load(system, seed)
        arena = Arena(system, load, random.Random(f"{seed} {first.name}"))
        load.start()
        for result, (fault, rounds) in zip(results, faults, strict=True):
            while result.rounds < rounds and not any(one.breaches for one in results):
                _round(fault, arena, result, say)
        load.stop()
        result.breaches += system.stop()
    except AssertionError as error:
        result.breaches.append(f"round {result.rounds + 1}: {error}")
    finally:
        if load is not None:
            load.stop()
        if system is not None:
            system.abandon()
        first.close()
        if system is not None and any(one.breaches for one in results):
            say(f"  the last output of the system:\n{system.up.output()[-3000:]}")
        shutil.rmtree(parent, ignore_errors=True)
    return results


def _round(fault: Fault, arena: Arena, result: Result, say: Callable[[str], None]) -> None:
    arena.load.wait_acknowledged(BEFORE)
    done = fault.strike(arena)
    recovered_s = recover(arena)
    arena.load.pause()
    verdict = fault.check(arena)
    result.rounds += 1
    record = arena.record()
    result.sent, result.acknowledged = len(record.sent), len(record.acknowledged)
    result.stored, result.lost, result.doubled = verdict.stored, verdict.lost, verdict.doubled
    result.recovery_s.append(recovered_s)
    result.breaches += [f"round {result.rounds} ({done}): {breach}" for breach in verdict.breaches]
    say(f"  {result.rounds:>3} {done}: back after {recovered_s:.1f} s, {result.stored} stored")
    arena.load.resume()


def recover(arena: Arena) -> float:
    """Seconds until an event that is sent from now on is acknowledged, and then stored."""
    started = time.monotonic()
    event = event_of(arena.dice)
    event_id = UUID(event["id"])
    since = arena.system.now() - timedelta(hours=1)
    arena.sent(event)
    wait_until(lambda: post(arena.system.port, event), RECOVERY_S, "an event acknowledged after the fault")

    def stored() -> bool:
        try:
            with arena.system.database() as database:
                query = "SELECT count(*) FROM analytics_events WHERE id = %s AND created_at > %s"
                row = database.execute(query, [event_id, since]).fetchone()
                return row is not None and row[0] == 1
        except psycopg.Error:  # it may still be starting
            return False

    wait_until(stored, RECOVERY_S, "an event stored after the fault")
    return time.monotonic() - started
