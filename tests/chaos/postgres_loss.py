"""Postgres comes back as an older copy of itself: what was stored since is gone, and that must be plain to see."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path
from uuid import UUID

from maicivy.standalone.postgres import Postgres
from tests.chaos import oracle
from tests.chaos.clients import event_of, post
from tests.chaos.fault import BEFORE, Arena, Fault
from tests.chaos.oracle import Verdict
from tests.chaos.servers import OwnServer
from tests.chaos.system import System
from tests.standalone.processes import wait_until

SAID = "aggregates_not_to_be_trusted"
NOTICED_S = 30
KEPT_BY_POSTGRES = ("stored", "duplicate", "quarantined")


class PostgresSystem(System):
    """A system whose Postgres the harness runs."""

    def __init__(self, home: Path) -> None:
        self.postgres = OwnServer(Postgres, home.parent)
        super().__init__(home, DATABASE_URL=self.postgres.url)

    def abandon(self) -> None:
        super().abandon()
        self.postgres.close()


class OlderPostgres(Fault):
    """Restored from a copy of a while ago, under a worker and a web that run on."""

    name = "postgres:older copy"
    rounds = 10

    def __init__(self) -> None:
        self._missing = 0

    def start(self, home: Path) -> System:
        return PostgresSystem(home)

    def strike(self, arena: Arena) -> str:
        assert isinstance(arena.system, PostgresSystem)
        postgres = arena.system.postgres
        copy = postgres.data.with_name("copy")
        with arena.quiet():
            then = self._settled(arena)
            postgres.stop()
            subprocess.run(["cp", "-a", postgres.data, copy], check=True)
            kept = arena.record().acknowledged
            postgres.start()
        late = event_of(arena.dice)
        wait_until(lambda: post(arena.system.port, late), 30, "an event acknowledged")
        arena.sent(late)
        arena.load.wait_acknowledged(BEFORE)
        said = arena.system.up.output().count(SAID)
        with arena.quiet():  # what still waits in the inbox would be stored, and not be missing
            missing = self._settled(arena) - then
            self._missing += missing
            arena.gone |= arena.record().acknowledged - kept
            postgres.stop()
            shutil.rmtree(postgres.data)
            copy.rename(postgres.data)
            postgres.start()
        wait_until(lambda: arena.system.up.output().count(SAID) > said, NOTICED_S, f"{SAID} in the log")
        assert post(arena.system.port, late, 15), "an event that is gone is not accepted again"
        self._wait_stored(arena, UUID(late["id"]))
        return f"a copy without the latest {missing} events"

    def check(self, arena: Arena) -> Verdict:
        """The law, but that the accounts lack exactly the events stored after the copy: they are gone."""

        def lacking(ledger: Counter[str]) -> bool:
            return ledger["received"] - oracle.settled(ledger) == self._missing

        return oracle.check(arena.system, arena.record(), accounts=lacking)

    def _settled(self, arena: Arena) -> int:
        """Events whose fate is recorded in Postgres."""
        with arena.system.redis() as client:
            ledger = oracle.ledger_of(client)
        return sum(ledger[name] for name in KEPT_BY_POSTGRES)

    def _wait_stored(self, arena: Arena, event_id: UUID) -> None:
        with arena.system.database() as database:
            query = "SELECT 1 FROM analytics_events WHERE id = %s"
            wait_until(lambda: database.execute(query, [event_id]).fetchone(), 30, "an event stored once more")


FAULTS: list[Fault] = [OlderPostgres()]
