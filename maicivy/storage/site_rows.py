"""The rows of one site among those of all: deleted when they are older than the site keeps them, or the site is gone.

A partition that holds rows of other sites cannot be dropped, so these go row by row. What old events had counted is
added to what is kept for good in the transaction that deletes them, which sees one moment of the database: exactly the
rows that it counted go. A rollup that was made ahead of a partition stands for its rows no longer when some are
deleted; `Rollups.deleted` tells it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Final

import redis
import sqlalchemy as sa

from maicivy.errors import Unavailable
from maicivy.metrics import DATABASE_DURATION, timed
from maicivy.storage import keys
from maicivy.storage.connections import postgres_errors
from maicivy.storage.expiry import DROP_LOCK, Hindrance, is_dirty
from maicivy.storage.marks import allow_taking
from maicivy.storage.partitions import Partitions
from maicivy.storage.recount import STATEMENT_TIMEOUT
from maicivy.storage.redis_clients import redis_errors
from maicivy.storage.rollups import Rollups
from maicivy.storage.schema import day_partition
from maicivy.storage.segments.keeping import drop_day, drop_properties

BATCH: Final = 10_000
"""Rows of a site that is gone, per transaction: each takes a fraction of a second."""

PARTITIONED: Final = ("analytics_events", "visits", "visitors")
PLAIN: Final = (
    *("crossings", "dirty_hours", "buckets", "segments", "segment_properties"),
    *("actions", "labels", "rollups_daily", "rollup_visitors"),
)
"""Tables that hold rows of sites, in the order in which those of a removed site go. Ids of events, which say nothing of
anybody, go with their generation."""

_SERIALIZATION: Final = "40001"
_TRY_LOCK: Final = sa.text("/* site_rows.lock */ SELECT pg_try_advisory_xact_lock(:key)")
_LOCK: Final = sa.text("/* site_rows.lock */ SELECT pg_advisory_xact_lock(:key)")


class SiteRows:
    """Deletes rows of one site. Every call may be repeated, and broken off anywhere."""

    def __init__(self, engine: sa.Engine, client: redis.Redis, partitions: Partitions, rollups: Rollups) -> None:
        self._engine = engine
        self._client = client
        self._partitions = partitions
        self._rollups = rollups

    def present(self, table: str, day: date, sites: Collection[int]) -> list[int]:
        """Which of `sites` have rows in the partition of `day`. Costs an index probe each; for `visitors`, a scan."""
        name = day_partition(table, day)
        query = (
            f"SELECT DISTINCT site_id FROM {name} WHERE site_id = ANY(:sites)"
            if table == "visitors"
            else f"SELECT s FROM unnest(CAST(:sites AS int[])) AS s WHERE EXISTS (SELECT FROM {name} WHERE site_id = s)"
        )
        with postgres_errors(), self._engine.connect() as connection:
            found = connection.execute(sa.text(f"/* site_rows.present */ {query}"), {"sites": list(sites)})
            return sorted(found.scalars())

    def count(self, table: str, day: date, site_id: int) -> int | Hindrance:
        """Rows that `expire` would delete."""
        query = f"/* site_rows.count */ SELECT count(*) FROM {day_partition(table, day)} WHERE site_id = :site_id"
        with postgres_errors(), self._engine.connect() as connection:
            if table == "visits" and is_dirty(connection, day, site_id):
                return Hindrance.DIRTY
            return int(connection.execute(sa.text(query), {"site_id": site_id}).scalar_one())

    def expire(self, table: str, day: date, site_id: int) -> int | Hindrance:
        """Delete the rows that a site has in the partition of `day`, and keep what they counted; how many they were.

        Rows that are stored meanwhile stay, for a later call.
        """
        snapshot = self._engine.execution_options(isolation_level="REPEATABLE READ")
        try:
            with postgres_errors(), timed(DATABASE_DURATION, "expire_site"), snapshot.begin() as connection:
                return self._expire(connection, table, day, site_id)
        except Unavailable as failure:
            if failure.reason.startswith(_SERIALIZATION):  # somebody deleted them, or added to the same rollup
                return Hindrance.BUSY
            raise

    def remove(self, site_id: int, most: int) -> int:
        """Delete Redis keys and rows of a site that is gone, until about `most` rows went; how many did.

        Fewer than `most`: nothing was left at the end.
        """
        gone = 0
        for table in PARTITIONED:
            for day in self._partitions.days(table):
                while gone < most and (some := self._delete_some(table, site_id, day)):
                    gone += some
        for table in PLAIN:
            while gone < most and (some := self._delete_some(table, site_id)):
                gone += some
        with redis_errors():
            for pattern in keys.all_of(site_id):
                for key in self._client.scan_iter(pattern, count=1000):
                    self._client.unlink(key)
        return gone

    def _expire(self, connection: sa.Connection, table: str, day: date, site_id: int) -> int | Hindrance:
        connection.execute(sa.text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
        # Not waited for: what this transaction sees is from before the wait.
        if not connection.execute(_TRY_LOCK, {"key": DROP_LOCK}).scalar_one():
            return Hindrance.BUSY
        if table == "visits":
            if is_dirty(connection, day, site_id):
                return Hindrance.DIRTY
            drop_day(connection, day, site_id)
        elif table == "analytics_events":
            self._rollups.add(connection, self._rollups.work_out(connection, day, site_id))
            self._rollups.deleted(connection, day)
            drop_properties(connection, day, site_id)
        elif table == "visitors":
            self._rollups.keep_new_visitors(connection, day, site_id)
        query = f"/* site_rows.expire */ DELETE FROM {day_partition(table, day)} WHERE site_id = :site_id"
        return connection.execute(sa.text(query), {"site_id": site_id}).rowcount

    def _delete_some(self, table: str, site_id: int, day: date | None = None) -> int:
        name = table if day is None else day_partition(table, day)
        query = (
            f"/* site_rows.remove */ DELETE FROM {name} WHERE ctid = ANY(ARRAY("
            f"SELECT ctid FROM {name} WHERE site_id = :site_id LIMIT {BATCH:d}))"
        )
        try:
            with postgres_errors(), self._engine.begin() as connection:
                connection.execute(_LOCK, {"key": DROP_LOCK})
                allow_taking(connection)
                gone = connection.execute(sa.text(query), {"site_id": site_id}).rowcount
                if gone and day is not None and table == "analytics_events":
                    self._rollups.deleted(connection, day)
        except sa.exc.ProgrammingError:
            if day is not None and day not in self._partitions.days(table):  # retention has just dropped it
                return 0
            raise
        return gone
