"""Whether Redis and Postgres answer, and whether the schema is the one that this code needs.

Each question runs in a thread of its own and is waited for no longer than `TIMEOUT_S`: a server that hangs, which is
worse than one that is gone, holds up nobody. What was found is good for `FRESH_S`, however many ask.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import psycopg

from maicivy.errors import Unavailable
from maicivy.storage.connections import postgres_errors
from maicivy.storage.scrape import Scraper

TIMEOUT_S: Final = 1.0
FRESH_S: Final = 1.0

_REVISION: Final = re.compile(r"^(down_)?revision(?:\s*:[^=]+)?\s*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_OPTIONS: Final = "-c statement_timeout=1000 -c lock_timeout=500"

log = logging.getLogger(__name__)


class Part(msgspec.Struct, frozen=True):
    """One thing that maicivy depends on. `reason`, empty when it is up, is safe to show to anybody."""

    state: Literal["up", "down", "unknown"]
    reason: str = ""


class Standing(msgspec.Struct, frozen=True):
    """What the probes found.

    Attributes:
        parts: `redis`, `postgres`, `migrations`, in this order.
        last_seen: process kind -> Unix second; empty while Redis is down.
        ledger_seq: number of the latest outbox row; None while that is not known.
    """

    parts: Mapping[str, Part]
    last_seen: Mapping[str, float]
    ledger_seq: int | None

    @property
    def down(self) -> list[str]:
        """The parts that are down."""
        return [name for name, part in self.parts.items() if part.state == "down"]


class Probes:
    """Asks Redis and Postgres side by side. Safe for threads and greenlets."""

    def __init__(self, database_url: str, scraper: Scraper) -> None:
        self._url = database_url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._redis = _Question(scraper.last_seen)
        self._postgres = _Question(self._ask_postgres)
        self._round = threading.Lock()
        self._latest: Standing | None = None
        self._asked_at = 0.0

    def look(self) -> Standing:
        """How things stand, at most `FRESH_S` old. Takes `TIMEOUT_S` at the most."""
        with self._round:  # those who wait here find a fresh answer
            if self._latest is None or time.monotonic() - self._asked_at > FRESH_S:
                before, self._latest = self._latest, self._look()
                self._asked_at = time.monotonic()
                _tell(before, self._latest)
            return self._latest

    def _look(self) -> Standing:
        deadline = time.monotonic() + TIMEOUT_S
        self._redis.ask()
        self._postgres.ask()
        last_seen, redis = self._redis.answer(deadline)
        found, postgres = self._postgres.answer(deadline)
        revision, seq = found or (None, None)
        migrations = _judge(revision) if postgres.state == "up" else Part("unknown", "postgres does not tell")
        return Standing({"redis": redis, "postgres": postgres, "migrations": migrations}, last_seen or {}, seq)

    def _ask_postgres(self) -> tuple[str | None, int | None]:
        """Revision of the schema and number of the latest outbox row, each None when there is none."""
        # A connection of its own: requests may have taken the whole pool, which does not mean that Postgres is down.
        with (
            postgres_errors(),
            psycopg.connect(
                self._url, autocommit=True, connect_timeout=2, application_name="maicivy probe", options=_OPTIONS
            ) as connection,
        ):
            try:
                revision = connection.execute("/* probes.revision */ SELECT version_num FROM alembic_version")
                row = revision.fetchone()
                seq = connection.execute("/* probes.ledger_seq */ SELECT seq FROM ledger").fetchone()
            except psycopg.errors.UndefinedTable:
                return None, None
            return str(row[0]) if row else None, int(seq[0]) if seq else None


@functools.cache
def code_revision() -> str:
    """The schema revision that this code needs: the migration that no other one follows.

    Read from the text of the files, for Alembic would cost each web process 30 MB.
    """
    spec = importlib.util.find_spec("migrations")
    revisions: set[str] = set()
    followed: set[str] = set()
    for root in (spec.submodule_search_locations if spec else None) or ():
        for path in Path(root, "versions").glob("*.py"):
            for down, name in _REVISION.findall(path.read_text(encoding="utf-8")):
                (followed if down else revisions).add(name)
    (head,) = revisions - followed
    return head


class _Question:
    """One call that may hang: asked in a thread, never twice at a time."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._thread: threading.Thread | None = None
        self._outcome: tuple[Any, Part] | None = None

    def ask(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._outcome = None
            self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
            self._thread.start()

    def answer(self, deadline: float) -> tuple[Any, Part]:
        """What the call returned, or None, and how its part stands."""
        assert self._thread is not None
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return self._outcome or (None, Part("down", f"no answer within {TIMEOUT_S:g} s"))

    def _run(self) -> None:
        try:
            self._outcome = (self._call(), Part("up"))
        except Unavailable as error:  # the driver's words may name hosts and users: they go to the log
            log.debug("probe_failed", extra={"part": error.part, "reason": error.reason})
            self._outcome = (None, Part("down", "does not answer"))
        except Exception:  # an edge: whatever it is, the part cannot be used
            log.warning("probe_failed", exc_info=True)
            self._outcome = (None, Part("down", "answers with an error"))


def _judge(revision: str | None) -> Part:
    if revision == code_revision():
        return Part("up")
    if revision is None:
        return Part("down", "no migration has run: maicivy db upgrade")
    return Part("down", f"the database is at revision {revision}, this version needs {code_revision()}")


def _tell(before: Standing | None, now: Standing) -> None:
    """Log each part that went down or came back."""
    for name, part in now.parts.items():
        was = before.parts[name].state if before is not None else "up"
        if part.state != was and "down" in (part.state, was):
            level = logging.WARNING if part.state == "down" else logging.INFO
            log.log(level, "part_changed", extra={"part": name, "state": part.state, "reason": part.reason})
