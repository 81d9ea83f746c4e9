"""Dropping a partition without losing what it had counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from maicivy.metrics import DATABASE_DURATION, timed
from maicivy.storage.aggregates import RedisAggregates
from maicivy.storage.connections import postgres_errors
from maicivy.storage.partitions import Partitions
from maicivy.storage.recount import NEW_VISITORS, STATEMENT_TIMEOUT, Recount
from maicivy.storage.schema import day_partition

LOCK_TIMEOUT: Final = "10s"
JOB: Final = "retention"

_UPSERT: Final = """/* expiry.drop */
INSERT INTO rollups_daily (site_id, day, name, value) VALUES (:site_id, :day, :name, :value)
ON CONFLICT (site_id, day, name) DO UPDATE SET value = rollups_daily.value + excluded.value
"""
_UPSERT_HLL: Final = """/* expiry.drop */
INSERT INTO rollup_visitors (site_id, day, hll) VALUES (:site_id, :day, :hll)
ON CONFLICT (site_id, day) DO UPDATE SET hll = excluded.hll
"""


class Dropped(msgspec.Struct, frozen=True):
    """One partition that went, or would go: its table, its UTC day, its rows."""

    table: str
    day: date
    rows: int


class Expiry:
    """What retention asks of the store."""

    def __init__(self, engine: sa.Engine, partitions: Partitions, aggregates: RedisAggregates, zone: ZoneInfo) -> None:
        self._engine = engine
        self._partitions = partitions
        self._aggregates = aggregates
        self._zone = zone

    def days(self, table: str) -> Sequence[date]:
        """UTC days that `table` has partitions for."""
        return self._partitions.days(table)

    def look(self, table: str, day: date) -> Dropped:
        """What `drop` would drop."""
        with postgres_errors(), self._engine.begin() as connection:
            return Dropped(table, day, _rows(connection, table, day))

    def drop(self, table: str, day: date) -> Dropped:
        """Add the partition's counts to the rollups and drop it, in one transaction.

        Nobody can write to it meanwhile. Gives up after `LOCK_TIMEOUT` rather than make writers queue.
        """
        with postgres_errors(), timed(DATABASE_DURATION, "drop_partition"), self._engine.begin() as connection:
            connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            connection.execute(sa.text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
            name = day_partition(table, day)
            connection.execute(sa.text(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"))
            rows = _rows(connection, table, day)
            if table == "visitors":
                self._keep_visitors(connection, day)
            else:
                self._keep_events(connection, day)
            connection.execute(sa.text(f"DROP TABLE {name}"))
        self._partitions.forget()
        return Dropped(table, day, rows)

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

    def _keep_events(self, connection: sa.Connection, day: date) -> None:
        recount = Recount.of_partition(connection, self._zone, day)
        rollups = [
            {"site_id": site_id, "day": iso_day, "name": name, "value": n}
            for site_id, site in recount.counts().sites.items()
            for iso_day, content in site.days.items()
            for name, n in content.counts.items()
        ]
        if rollups:
            connection.execute(sa.text(_UPSERT), rollups)
        for site_id, local_day, visitors in recount.visitors():
            key = {"site_id": site_id, "day": local_day}
            base = connection.execute(
                sa.text("/* expiry.drop */ SELECT hll FROM rollup_visitors WHERE site_id = :site_id AND day = :day"),
                key,
            ).scalar_one_or_none()
            connection.execute(sa.text(_UPSERT_HLL), {**key, "hll": self._aggregates.hll_of(visitors, base)})

    def _keep_visitors(self, connection: sa.Connection, day: date) -> None:
        rows = connection.execute(
            sa.text(
                f"/* expiry.drop */ SELECT site_id, count(*) AS value FROM {day_partition('visitors', day)} GROUP BY 1"
            )
        ).all()
        if rows:
            connection.execute(
                sa.text(_UPSERT),
                [{"site_id": row.site_id, "day": day, "name": NEW_VISITORS, "value": row.value} for row in rows],
            )


def _rows(connection: sa.Connection, table: str, day: date) -> int:
    count: int = connection.execute(
        sa.text(f"/* expiry.rows */ SELECT count(*) FROM {day_partition(table, day)}")
    ).scalar_one()
    return count
