"""Beat twice, and beat absent when retention is due: what has expired goes once, and what it had counted stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from maicivy import faults, queue
from maicivy.config import Settings
from maicivy.storage import keys
from tests.chaos import oracle
from tests.chaos.clients import event_of, post_answer
from tests.chaos.fault import Arena, Fault
from tests.chaos.oracle import Verdict
from tests.chaos.system import System
from tests.e2e.running import ROOT
from tests.standalone.processes import wait_until

RETENTION_DAYS = 3
LATE_DAYS = 2.9
"""Age of events that are sent late: still accepted, and expired two days on."""

STEP_DAYS = 2
"""By which each round sets the clock forward, over two times 02:00."""

LATE_EVENTS = 300
EVERYTHING = "chaos_everything"
_SETUP = f"""
CREATE TABLE IF NOT EXISTS chaos_expired (LIKE analytics_events);
CREATE OR REPLACE VIEW {EVERYTHING} AS SELECT * FROM analytics_events UNION ALL SELECT * FROM chaos_expired
"""
_PARTITIONS = (
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'analytics_events'::regclass AND right(c.relname, 8) < %s"
)


class ShortMemory(System):
    """A system that keeps rows for three days, on a clock that is `shift` ahead."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, MAICIVY_RETENTION_DAYS=str(RETENTION_DAYS), MAICIVY_WORKER_CONCURRENCY="2")
        self.shift = timedelta()

    def now(self) -> datetime:
        """Its time."""
        return datetime.now(UTC) + self.shift


class Expiring(Fault):
    """What befalls a system whose clock every round sets two days forward."""

    rounds = 5

    @property
    def ground(self) -> object:
        return Expiring

    def start(self, home: Path) -> System:
        return ShortMemory(home)

    def check(self, arena: Arena) -> Verdict:
        """The law over the rows that are there and those that have expired, which the harness has copied before."""
        return oracle.check(arena.system, arena.record(), rows=EVERYTHING)

    def send_late(self, arena: Arena) -> None:
        """Events of almost three days ago."""
        assert isinstance(arena.system, ShortMemory)
        at = (arena.system.now() - timedelta(days=LATE_DAYS)).isoformat()
        events = [event_of(arena.dice) | {"timestamp": at} for _ in range(LATE_EVENTS)]
        arena.sent(*events)
        status, _ = post_answer(arena.system.port, events)
        assert status == 202, f"late events were answered {status}"

    def set_forward(self, arena: Arena, database: psycopg.Connection[Any]) -> date:
        """Set the clock forward, with a copy of all rows that expire by that; the first day that is still kept."""
        assert isinstance(arena.system, ShortMemory)
        arena.system.shift += timedelta(days=STEP_DAYS)
        kept_from = (arena.system.now() - timedelta(days=RETENTION_DAYS)).date()
        database.execute(_SETUP)
        database.execute("INSERT INTO chaos_expired SELECT * FROM analytics_events WHERE created_at < %s", [kept_from])
        clock = arena.system.faults / faults.CLOCK
        clock.with_suffix(".new").write_text(str(arena.system.shift.total_seconds()))
        clock.with_suffix(".new").replace(clock)
        return kept_from


class TwoBeats(Expiring):
    """A second beat with a schedule of its own, and two retention runs that begin at once."""

    name = "beats:two"

    def strike(self, arena: Arena) -> str:
        with _second_beat(arena.system):
            self.send_late(arena)
            with arena.quiet(), arena.system.database() as database:
                kept_from = self.set_forward(arena, database)
                gone = len(_expired(database, kept_from))
                assert gone, "nothing expires"
                app = queue.celery_app(_settings(arena.system))
                for _ in range(2):
                    app.send_task(queue.RETENTION)
                app.close()
                wait_until(lambda: not _expired(database, kept_from), 30, "expired partitions dropped")
                _rebuild(arena)
            arena.load.wait_acknowledged(100)
        return f"two beats, {gone} partitions dropped by two runs at once"


class BeatAway(Expiring):
    """Beat stands still over 02:00. The worker's next start makes up for the run that was missed."""

    name = "beats:none at 02.00"

    def strike(self, arena: Arena) -> str:
        self.send_late(arena)
        beat = arena.system.pid("beat")
        with arena.quiet(), arena.system.database() as database:
            os.kill(beat, signal.SIGSTOP)
            try:
                kept_from = self.set_forward(arena, database)
                gone = len(_expired(database, kept_from))
                assert gone, "nothing expires"
                arena.system.kill("celery main", signal.SIGTERM)
                started = time.monotonic()
                wait_until(lambda: not _expired(database, kept_from), 60, "expired partitions dropped without beat")
                seconds = time.monotonic() - started
            finally:
                with suppress(ProcessLookupError):
                    os.kill(beat, signal.SIGCONT)
            _rebuild(arena)  # by the next sweep, which takes beat
        return f"{gone} partitions dropped {seconds:.1f} s after the worker's restart, without beat"


def _expired(database: psycopg.Connection[Any], kept_from: date) -> list[str]:
    return [name for (name,) in database.execute(_PARTITIONS, [f"{kept_from:%Y%m%d}"])]


def _rebuild(arena: Arena) -> None:
    """Have everything counted anew, from what retention has left."""
    with arena.system.redis() as client:
        client.delete(keys.CURSOR)
        wait_until(lambda: client.exists(keys.CURSOR), 30, "a rebuild")


def _environ(system: System) -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "MAICIVY_DATA_DIR": str(system.home), "LOG_LEVEL": "warning"}


def _settings(system: System) -> Settings:
    return Settings.from_env(_environ(system) | {"REDIS_URL": system.redis_url, "DATABASE_URL": system.database_url})


@contextmanager
def _second_beat(system: System) -> Iterator[None]:
    """One more, started as somebody might who does not know of the first."""
    schedule = system.home.parent / "second" / "schedule"
    schedule.parent.mkdir(exist_ok=True)
    servers = {"REDIS_URL": system.redis_url, "DATABASE_URL": system.database_url}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "celery", "--quiet", "-A", "workers.beat", "beat", "-s", str(schedule)],
        cwd=ROOT,
        env=os.environ | _environ(system) | servers,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: process.poll() is not None or any(schedule.parent.iterdir()), 20, "a second beat")
        assert process.poll() is None, "the second beat ended"
        yield
    finally:
        process.terminate()
        process.wait(10)


FAULTS: list[Fault] = [TwoBeats(), BeatAway()]
