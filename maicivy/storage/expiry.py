"""Dropping a partition without losing what it had counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec
import psycopg
import sqlalchemy as sa

from maicivy import faults
from maicivy.errors import Unavailable
from maicivy.metrics import DATABASE_DURATION, timed
from maicivy.storage.connections import postgres_errors
from maicivy.storage.disuse import forget_disused
from maicivy.storage.partitions import Partitions
from maicivy.storage.recount import STATEMENT_TIMEOUT
from maicivy.storage.rollups import Rollups
from maicivy.storage.schema import day_partition
from maicivy.storage.segments.keeping import drop_day, drop_properties

LOCK_TIMEOUT: Final = "500ms"
"""While a drop waits for the table, everybody who comes later waits behind it: so it soon gives up and tries again."""

JOB: Final = "retention"
DROP_LOCK: Final = 0x6D61_6904
"""Advisory lock of whoever deletes events and adds to what is kept for good of them."""

_LOCK_NOT_AVAILABLE: Final = "55P03"


_CROSSINGS: Final = sa.text("/* expiry.drop */ DELETE FROM crossings WHERE day <= :day")
_DIRTY: Final = sa.text("""/* expiry.is_dirty */
SELECT EXISTS (
    SELECT FROM dirty_hours WHERE (CAST(:site_id AS int) IS NULL OR site_id = :site_id)
    AND hour >= CAST(:day AS timestamp) AT TIME ZONE 'UTC'
    AND hour < CAST(:day AS timestamp) AT TIME ZONE 'UTC' + interval '3 days'
)
""")


class Dropped(msgspec.Struct, frozen=True):
    """One partition that went, or would go: its table, its UTC day, its rows."""

    table: str
    day: date
    rows: int


class Hindrance(StrEnum):
    """Why a partition is still there, or why it was not this call that dropped it."""

    GONE = "somebody else dropped it"
    UNPREPARED = "its rollup does not stand for its rows"
    BUSY = "the table was in use"
    DIRTY = "its visits are still to be rolled up"


class Expiry:
    """What retention asks of the store."""

    def __init__(self, engine: sa.Engine, partitions: Partitions, rollups: Rollups) -> None:
        self._engine = engine
        self._partitions = partitions
        self._rollups = rollups

    def days(self, table: str) -> Sequence[date]:
        """UTC days that `table` has partitions for."""
        return self._partitions.days(table)

    def now(self) -> datetime:
        """The time, as Postgres has it; where a test has shifted the clock, it has shifted all."""
        with postgres_errors(), self._engine.connect() as connection:
            now: datetime = connection.execute(sa.text("/* expiry.now */ SELECT now()")).scalar_one()
            return now + timedelta(seconds=faults.clock_shift_s())

    def look(self, table: str, day: date) -> Dropped | Hindrance:
        """What `drop` would drop."""
        with postgres_errors(), self._engine.begin() as connection:
            if table == "visits" and is_dirty(connection, day):
                return Hindrance.DIRTY
            return Dropped(table, day, _rows(connection, table, day))

    def forget_disused(self) -> int:
        """Delete rows of the dictionary that no visit refers to any more; how many."""
        return forget_disused(self._engine)

    def is_prepared(self, day: date) -> bool:
        """Whether a rollup of the partition of `day` lies ready and no row has come since. Counts its rows."""
        with postgres_errors(), self._engine.begin() as connection:
            connection.execute(sa.text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
            standing = self._rollups.standing(connection, day)
            return standing is not None and standing == _rows(connection, "analytics_events", day)

    def prepare(self, day: date) -> None:
        """Make the rollup of the partition of `day` ahead, if it is still there. Keeps no writer waiting."""
        snapshot = self._engine.execution_options(isolation_level="REPEATABLE READ")
        with postgres_errors(), timed(DATABASE_DURATION, "prepare_rollup"):
            try:
                with snapshot.begin() as connection:
                    connection.execute(sa.text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
                    _lock(connection, "ACCESS SHARE", day_partition("analytics_events", day))
                    rollup = self._rollups.work_out(connection, day)
            except sa.exc.ProgrammingError as error:
                if isinstance(error.orig, psycopg.errors.UndefinedTable):
                    return
                raise
            # A transaction of its own: two that prepare at once both find room, and either one's rollup is right.
            with self._engine.begin() as connection:
                self._rollups.save(connection, day, rollup)

    def drop(self, table: str, day: date, *, insist: bool = False) -> Dropped | Hindrance:
        """Add the partition's rollup to what is kept for good and drop it, in one transaction, or say what hinders.

        The whole table is locked while the rows of one partition are counted and it is dropped; with `insist`, while
        the rollup is worked out too, so that no flood of late events can keep a partition for ever. Safe to repeat
        and to run side by side.
        """
        try:
            with postgres_errors(), timed(DATABASE_DURATION, "drop_partition"), self._engine.connect() as connection:
                outcome = self._drop(connection, table, day, insist)
                if isinstance(outcome, Dropped):
                    connection.commit()
        except Unavailable as failure:
            if failure.reason.startswith(_LOCK_NOT_AVAILABLE):
                return Hindrance.BUSY
            raise
        self._partitions.forget()
        return outcome

    def last_run(self) -> datetime | None:
        """When retention last ended well."""
        with postgres_errors(), self._engine.connect() as connection:
            return connection.execute(
                sa.text("/* expiry.last_run */ SELECT finished_at FROM jobs WHERE name = :job"), {"job": JOB}
            ).scalar_one_or_none()

    def mark_run(self, now: datetime) -> None:
        """Remember that retention ended well."""
        with postgres_errors(), self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "/* expiry.mark_run */ INSERT INTO jobs (name, finished_at) VALUES (:job, :now)"
                    " ON CONFLICT (name) DO UPDATE SET finished_at = excluded.finished_at"
                ),
                {"job": JOB, "now": now},
            )

    def _drop(self, connection: sa.Connection, table: str, day: date, insist: bool) -> Dropped | Hindrance:
        connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(sa.text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
        # One drop at a time: two partitions may add to the rollup of one local day.
        connection.execute(sa.text("/* expiry.drop */ SELECT pg_advisory_xact_lock(:key)"), {"key": DROP_LOCK})
        name = day_partition(table, day)
        if not _is_there(connection, name):
            return Hindrance.GONE
        if table == "visitors":
            _lock(connection, "ACCESS EXCLUSIVE", table, name)
            rows = self._rollups.keep_new_visitors(connection, day)
        elif table == "visits":
            _lock(connection, "ACCESS EXCLUSIVE", table, name)
            if is_dirty(connection, day):
                return Hindrance.DIRTY
            rows = _rows(connection, table, day)
            connection.execute(_CROSSINGS, {"day": day})
            drop_day(connection, day)
        else:
            if insist:
                _lock(connection, "ACCESS EXCLUSIVE", table, name)
                self._rollups.save(connection, day, self._rollups.work_out(connection, day))
            expected = self._rollups.keep(connection, day)
            if expected is None:
                return Hindrance.UNPREPARED
            # The table before the partition, as with those who write; dropping a partition locks its table too.
            _lock(connection, "ACCESS EXCLUSIVE", table, name)
            rows = _rows(connection, table, day)
            if rows != expected:
                return Hindrance.UNPREPARED
            drop_properties(connection, day)
        connection.execute(sa.text(f"DROP TABLE {name}"))
        return Dropped(table, day, rows)


def is_dirty(connection: sa.Connection, day: date, site_id: int | None = None) -> bool:
    """Whether visits of a UTC day, of one site or of any, are wanted yet: to roll up that day, or one of the next two,
    on which they may go on.
    """
    return bool(connection.execute(_DIRTY, {"day": day, "site_id": site_id}).scalar_one())


def _lock(connection: sa.Connection, mode: str, *tables: str) -> None:
    names = ", ".join(f"ONLY {table}" for table in tables)
    connection.execute(sa.text(f"/* expiry.lock */ LOCK TABLE {names} IN {mode} MODE"))


def _is_there(connection: sa.Connection, name: str) -> bool:
    # Not to_regclass: what it knows may be from before the wait for the advisory lock.
    found = connection.execute(
        sa.text("/* expiry.is_there */ SELECT EXISTS (SELECT FROM pg_class WHERE relname = :name AND relispartition)"),
        {"name": name},
    )
    return bool(found.scalar_one())


def _rows(connection: sa.Connection, table: str, day: date) -> int:
    count: int = connection.execute(
        sa.text(f"/* expiry.rows */ SELECT count(*) FROM {day_partition(table, day)}")
    ).scalar_one()
    return count
