"""Counting again from what Postgres holds: rows plus rollups, in one snapshot, in the words of `core/tallies.py`.

A rebuild loads the result into Redis, the reconciler compares it, retention keeps it before rows go. The SQL must
agree with `core.tallies.tally` for every event; tests/storage/test_recount.py compares the two on generated events.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from maicivy.core.periods import day_bounds
from maicivy.core.tallies import LABEL_CAPS, LETTERS, TOTAL, DayTally, SiteTally, Tally
from maicivy.storage.connections import postgres_errors
from maicivy.storage.schema import PATH_SQL, day_partition

CHUNK: Final = 2_000
"""Visitor ids at a time. Redis answers nobody else while it adds them to three HyperLogLogs: with 10,000 at a time half
as many readers got an answer during a rebuild, which took as long (bench/rebuild.py)."""

STATEMENT_TIMEOUT: Final = "15min"
REBUILD_LOCK: Final = 0x6D61_6903
NEW_VISITORS: Final = "new_visitors"

_DAY: Final = "(created_at AT TIME ZONE :zone)::date"
_BY_TYPE: Final = f"""/* recount.by_type */
SELECT e.site_id, e.day, coalesce(l.name, 'other') AS type, e.letter, e.kind, sum(e.n)::bigint AS n FROM (
    SELECT site_id, {_DAY} AS day, event_type, event_type = 'letter_generated' AS letter,
           CASE WHEN event_type = 'letter_generated' AND jsonb_typeof(event_data -> 'type') = 'string'
                 AND event_data ->> 'type' IN ('motivation', 'anti_motivation') THEN event_data ->> 'type' END AS kind,
           count(*) AS n
    FROM {{table}} WHERE created_at >= :start GROUP BY 1, 2, 3, 4, 5
) e LEFT JOIN labels l ON l.site_id = e.site_id AND l.kind = 'event' AND l.name = e.event_type
GROUP BY 1, 2, 3, 4, 5
"""
_BY_PATH: Final = f"""/* recount.by_path */
SELECT e.site_id, e.day, coalesce(l.name, 'other') AS path, sum(e.n)::bigint AS n FROM (
    SELECT site_id, {_DAY} AS day, {PATH_SQL} AS path, count(*) AS n
    FROM {{table}} WHERE created_at >= :start AND event_type = 'page_view' GROUP BY 1, 2, 3
) e LEFT JOIN labels l ON l.site_id = e.site_id AND l.kind = 'path' AND l.name = e.path
GROUP BY 1, 2, 3
"""
_BY_THEME: Final = f"""/* recount.by_theme */
SELECT e.site_id, e.day, e.theme, e.n FROM (
    SELECT site_id, {_DAY} AS day, event_data ->> 'theme' AS theme, count(*) AS n
    FROM {{table}} WHERE created_at >= :start AND jsonb_typeof(event_data -> 'theme') = 'string' GROUP BY 1, 2, 3
) e JOIN labels l ON l.site_id = e.site_id AND l.kind = 'theme' AND l.name = e.theme
"""
_VISITORS: Final = f"""/* recount.visitors */
SELECT site_id, {_DAY} AS day, visitor_id FROM {{table}} WHERE created_at >= :start GROUP BY 1, 2, 3 ORDER BY 1, 2
"""
_SEEN: Final = """/* recount.seen_since */
SELECT e.site_id, e.visitor_id, e.at, EXISTS (
    SELECT FROM visits v WHERE v.site_id = e.site_id AND v.visitor_id = e.visitor_id
    AND v.started BETWEEN :begun AND e.at AND v.ended >= e.at AND v.bot > 0
) AS bot
FROM (
    SELECT site_id, visitor_id, max(created_at) AS at FROM analytics_events WHERE created_at >= :moment GROUP BY 1, 2
) e
"""
_MINUTES: Final = """/* recount.minutes_since */
SELECT site_id, extract(epoch FROM date_trunc('minute', created_at))::bigint / 60 AS minute, count(*) AS n
FROM analytics_events WHERE created_at >= :moment GROUP BY 1, 2
"""
_LONGEST_VISIT: Final = timedelta(days=2)
"""Longer is no visit of an id whose salt is renewed at midnight; of others who is here for longer, a bot may be taken
for a visitor until it is seen again."""


class Head(msgspec.Struct, frozen=True):
    """Where the outbox and the ledger stood when the snapshot was taken."""

    seq: int
    token: str
    stored: int
    duplicate: int
    quarantined: int


class Recount:
    """Questions to one snapshot. `table` is `analytics_events` or one of its partitions."""

    def __init__(self, connection: sa.Connection, zone: ZoneInfo, table: str = "analytics_events") -> None:
        self._connection = connection
        self._zone = zone
        self._table = table

    @classmethod
    def of_partition(cls, connection: sa.Connection, zone: ZoneInfo, day: date, site_id: int | None = None) -> Recount:
        """Of one UTC day's rows alone, or of one site's among them, in a transaction that the caller holds."""
        table = day_partition("analytics_events", day)
        if site_id is not None:
            table = f"(SELECT * FROM {table} WHERE site_id = {site_id:d}) AS own"
        return cls(connection, zone, table)

    def try_rebuild_lock(self) -> bool:
        """True for one process at a time, until its snapshot ends: also when that process is killed."""
        return bool(
            self._run(
                "/* recount.rebuild_lock */ SELECT pg_try_advisory_xact_lock(:key)", key=REBUILD_LOCK
            ).scalar_one()
        )

    def head(self) -> Head:
        """The ledger."""
        row = self._run("/* recount.head */ SELECT seq, token, stored, duplicate, quarantined FROM ledger").one()
        return Head(row.seq, row.token, row.stored, row.duplicate, row.quarantined)

    def settled_before(self, entry: str) -> int:
        """Events that came through inbox entries older than `entry`; all of them when it is `""`."""
        total = "SELECT stored + duplicate + quarantined FROM ledger"
        if not entry:
            return int(self._run(f"/* recount.settled_before */ {total}").scalar_one())
        later = "SELECT coalesce(sum(events), 0) FROM receipts WHERE split_part(entry, '-', 1)::bigint >= :since"
        query = f"/* recount.settled_before */ SELECT ({total}) - ({later})"
        return int(self._run(query, since=int(entry.partition("-")[0])).scalar_one())

    def counts(self, since: date | None = None) -> Tally:
        """Counters of every day of rows, or of those from `since` on; no visitors. One scan per family."""
        total = Tally()
        for row in self._scan(_BY_TYPE, since):
            names = [TOTAL, f"events:{row.type}"]
            if row.letter:
                names += [LETTERS, f"{LETTERS}:{row.kind}"] if row.kind else [LETTERS]
            for name in names:
                _add(total, row.site_id, row.day, name, row.n)
            total.stored += row.n
        for row in self._scan(_BY_PATH, since):
            _add(total, row.site_id, row.day, f"path:{row.path}", row.n)
        for row in self._scan(_BY_THEME, since):
            _add(total, row.site_id, row.day, f"theme:{row.theme}", row.n)
        return total

    def visitors(self) -> Iterator[tuple[int, date, list[bytes]]]:
        """(site, day, visitor ids) in chunks of at most `CHUNK` ids; each id of a day once."""
        chunk: list[bytes] = []
        at: tuple[int, date] | None = None
        for row in self._scan(_VISITORS, None, stream=True):
            if at is not None and (at != (row.site_id, row.day) or len(chunk) >= CHUNK):
                yield *at, chunk
                chunk = []
            at = (row.site_id, row.day)
            chunk.append(row.visitor_id.bytes)
        if at is not None:
            yield *at, chunk

    def seen_since(self, moment: datetime) -> Tally:
        """Visitors active from `moment` on, with their latest time, and which of them are taken for bots."""
        total = Tally()
        for row in self._run(_SEEN, moment=moment, begun=moment - _LONGEST_VISIT):
            site = total.sites.setdefault(row.site_id, SiteTally())
            site.seen[row.visitor_id.bytes] = int(row.at.timestamp())
            if row.bot:
                site.bots.append(row.visitor_id.bytes)
        return total

    def minutes_since(self, moment: datetime) -> Tally:
        """Events of each minute from `moment` on, which is the start of one."""
        total = Tally()
        for row in self._run(_MINUTES, moment=moment):
            total.sites.setdefault(row.site_id, SiteTally()).minutes[row.minute] = row.n
        return total

    def new_visitors(self) -> Tally:
        """Visitors ever stored, those of dropped rows apart."""
        total = Tally()
        for row in self._run("/* recount.new_visitors */ SELECT site_id, count(*) AS n FROM visitors GROUP BY 1"):
            total.sites.setdefault(row.site_id, SiteTally()).new_visitors = row.n
        return total

    def rollups(self) -> Tally:
        """What dropped rows had counted, in the same form."""
        total = Tally()
        for row in self._run("/* recount.rollups */ SELECT site_id, day, name, value FROM rollups_daily"):
            if row.name == NEW_VISITORS:
                total.sites.setdefault(row.site_id, SiteTally()).new_visitors += row.value
            else:
                _add(total, row.site_id, row.day, row.name, row.value)
        return total

    def rollup_visitors(self) -> Iterator[tuple[int, date, bytes]]:
        """(site, day, HyperLogLog bytes) of days whose rows were dropped."""
        rows = self._run("/* recount.rollup_visitors */ SELECT site_id, day, hll FROM rollup_visitors ORDER BY 1, 2")
        for row in rows:
            yield row.site_id, row.day, row.hll

    def full_labels(self) -> dict[tuple[int, str], list[str]]:
        """(site, kind) -> admitted names, of the kinds that have no room left."""
        rows = self._run(
            "/* recount.full_labels */ SELECT site_id, kind, array_agg(name) AS names FROM labels GROUP BY 1, 2"
        )
        return {(row.site_id, row.kind): row.names for row in rows if len(row.names) >= LABEL_CAPS[row.kind]}

    def _scan(self, query: str, since: date | None, *, stream: bool = False) -> sa.CursorResult[Any]:
        start = day_bounds(since, self._zone)[0].isoformat() if since is not None else "-infinity"
        return self._run(query.format(table=self._table), stream=stream, zone=str(self._zone), start=start)

    def _run(self, query: str, *, stream: bool = False, **values: Any) -> sa.CursorResult[Any]:
        options = {"yield_per": CHUNK} if stream else {}
        return self._connection.execute(sa.text(query), values, execution_options=options)


@contextmanager
def snapshot(engine: sa.Engine, zone: ZoneInfo) -> Iterator[Recount]:
    """A recount over one moment of the database, undisturbed by what is stored meanwhile."""
    repeatable = engine.execution_options(isolation_level="REPEATABLE READ")
    with postgres_errors(), repeatable.begin() as connection:
        connection.execute(sa.text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
        yield Recount(connection, zone)


def _add(total: Tally, site_id: int, day: date, name: str, n: int) -> None:
    counts = total.sites.setdefault(site_id, SiteTally()).days.setdefault(day.isoformat(), DayTally()).counts
    counts[name] = counts.get(name, 0) + n
