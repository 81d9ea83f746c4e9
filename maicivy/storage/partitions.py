"""Partitions: made before they are needed, listed, and dropped with what they hold.

`analytics_events` and `visits` have one per UTC day, `visitors` one per salt day, `event_ids` one per generation. A
partition is made aside and attached, which locks out nobody who writes to the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

import sqlalchemy as sa

from maicivy.core.identity import first_id_of
from maicivy.storage.connections import postgres_errors
from maicivy.storage.schema import day_partition

GENERATION: Final = timedelta(days=7)
GENERATION_LOCK: Final = 0x6D61_6901
"""Advisory lock: shared by every storing transaction, exclusive while event_ids moves on to its next generation."""

_PARTITION_LOCK: Final = 0x6D61_6902
_NAME: Final = re.compile(r"(analytics_events|visits|visitors)_([0-9]{4})([0-9]{2})([0-9]{2})")


class Partitions:
    """Makes partitions and remembers, for this process, which there are. Safe for threads."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._known: frozenset[str] = frozenset()
        self._forgotten = 0  # times

    def ensure(self, event_days: Iterable[date], visitor_days: Iterable[date]) -> None:
        """Make what is missing for these UTC days. Costs nothing when nothing is."""
        wanted = {(table, day) for day in event_days for table in ("analytics_events", "visits")}
        wanted |= {("visitors", day) for day in visitor_days}
        missing = sorted(item for item in wanted if day_partition(*item) not in self._known)
        if not missing:
            return
        forgotten = self._forgotten
        with postgres_errors(), self._engine.begin() as connection:
            connection.execute(
                sa.text("/* partitions.ensure */ SELECT pg_advisory_xact_lock(:key)"), {"key": _PARTITION_LOCK}
            )
            there = _names(connection)
            for table, day in missing:
                if day_partition(table, day) not in there:
                    _make(connection, table, day)
        if self._forgotten == forgotten:  # else what was there may have been dropped since
            self._known = there | {day_partition(*item) for item in missing}

    def forget(self) -> None:
        """Ask the database again: partitions were dropped."""
        self._forgotten += 1
        self._known = frozenset()

    def days(self, table: str) -> list[date]:
        """Days that `table` has a partition for, ascending."""
        with postgres_errors(), self._engine.connect() as connection:
            return sorted(day for name, day in map(_parsed, _names(connection)) if name == table)

    def next_generation(self) -> bool:
        """Begin a new generation of event_ids if the current one is seven days old, and drop the one before the last.

        True when it did. Between them the two living generations know every id of at least the last seven days.
        """
        with postgres_errors(), self._engine.begin() as connection:
            connection.execute(
                sa.text("/* partitions.next_generation */ SELECT pg_advisory_xact_lock(:key)"), {"key": GENERATION_LOCK}
            )
            generation = connection.execute(
                sa.text(
                    "/* partitions.next_generation */ UPDATE ledger"
                    " SET generation = generation + 1, generation_since = now()"
                    " WHERE generation_since <= now() - :age RETURNING generation"
                ),
                {"age": GENERATION},
            ).scalar_one_or_none()
            if generation is None:
                return False
            connection.execute(
                sa.text(f"CREATE TABLE event_ids_{generation:d} PARTITION OF event_ids FOR VALUES IN ({generation:d})")
            )
            connection.execute(sa.text(f"DROP TABLE IF EXISTS event_ids_{generation - 2:d}"))
        return True


def _make(connection: sa.Connection, table: str, day: date) -> None:
    name = day_partition(table, day)
    following = day + timedelta(days=1)
    low, high = (
        (first_id_of(day), first_id_of(following))
        if table == "visitors"
        else (f"{day} 00:00+00", f"{following} 00:00+00")
    )
    # A visit grows as its events come: room for its next version on the same page spares the index an entry.
    options = " WITH (fillfactor = 80)" if table == "visits" else ""
    connection.execute(sa.text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS){options}"))
    connection.execute(sa.text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')"))


def _names(connection: sa.Connection) -> frozenset[str]:
    names = connection.execute(
        sa.text(
            "/* partitions.names */ SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent IN ('analytics_events'::regclass, 'visits'::regclass, 'visitors'::regclass)"
        )
    )
    return frozenset(names.scalars())


def _parsed(name: str) -> tuple[str, date]:
    match = _NAME.fullmatch(name)
    if match is None:
        return name, date.min
    return match[1], date(int(match[2]), int(match[3]), int(match[4]))
