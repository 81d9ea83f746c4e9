"""Rollups of visits: closed hours and days of every site, made anew wherever something has changed in them.

A day's bucket holds for each value of a dimension what its visits and events add up to, as arrays in one row. Storing
transactions only mark the hours that they change (`dirty_hours`); here the marked ones are worked out and unmarked,
unless they were marked again meanwhile. A bucket that is marked, or has not closed, is answered from visits.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from maicivy.core.buckets import Grain, starts
from maicivy.core.sites import visits_kept_from
from maicivy.core.visits import midnight_of
from maicivy.metrics import DATABASE_DURATION, timed
from maicivy.storage.bucket_sql import FIGURES, fill
from maicivy.storage.bucket_zones import follow_zone
from maicivy.storage.connections import be_patient, postgres_errors
from maicivy.storage.crossings import reach_of
from maicivy.storage.marks import allow_taking
from maicivy.storage.segments.making import UNFINISHED, SegmentMaker
from maicivy.storage.visit_question import Slice
from maicivy.storage.visit_tiers import KEPT
from maicivy.storage.weeks import drop_weeks, make_weeks

WORK_MEM: Final = "64MB"
"""A day's visits are sorted and counted by many things; with the default each would go by way of the disk."""

REFRESH_LOCK: Final = 0x6D61_6906
"""Advisory lock: one refresh at a time."""

_HOUR: Final = timedelta(hours=1)
_SITES: Final = f"""/* buckets.sites */
SELECT s.id, s.timezone, s.retention_days FROM sites s
WHERE s.id IN (SELECT site_id FROM dirty_hours) OR s.id IN ({UNFINISHED}) ORDER BY s.id
"""
_DIRTY: Final = """/* buckets.dirty */
SELECT hour, seq, rolled FROM dirty_hours WHERE site_id = :site_id AND hour < :before ORDER BY hour
"""
_MADE: Final = """/* buckets.made */
SELECT start FROM buckets WHERE site_id = :site_id AND grain = 'day' AND dimension = 'all' AND start = ANY (:starts)
"""
_DELETE: Final = """/* buckets.make */
DELETE FROM buckets WHERE site_id = :site_id AND grain = :grain AND start = ANY (:starts)
"""
_PRESENT: Final = """/* buckets.make */
INSERT INTO buckets (site_id, grain, dimension, start, bot, long, "values", {columns})
SELECT :site_id, :grain, 'all', start, false, 0, {nothing} FROM unnest(CAST(:starts AS timestamptz[])) AS start
ON CONFLICT DO NOTHING
"""
_LONG: Final = """/* buckets.make */
UPDATE buckets SET long = (
    SELECT count(*) FROM visits v WHERE v.ended >= :day AND v.started < :before AND v.site_id = :site_id
           AND (v.site_id, v.visitor_id, v.started) IN (
               SELECT site_id, visitor_id, started FROM crossings
               WHERE site_id = :site_id AND day = (CAST(:day AS timestamptz) AT TIME ZONE 'UTC')::date)
) WHERE site_id = :site_id AND grain = 'day' AND dimension = 'all' AND start = :day AND NOT bot
"""
_CLEAN: Final = """/* buckets.clean */
DELETE FROM dirty_hours d USING unnest(CAST(:hours AS timestamptz[]), CAST(:seqs AS bigint[])) AS made (hour, seq)
WHERE d.site_id = :site_id AND d.hour = made.hour AND d.seq = made.seq
"""
_ROLLED: Final = """/* buckets.rolled */
UPDATE dirty_hours d SET rolled = made.seq
FROM unnest(CAST(:hours AS timestamptz[]), CAST(:seqs AS bigint[])) AS made (hour, seq)
WHERE d.site_id = :site_id AND d.hour = made.hour AND d.seq = made.seq
"""
_EXPIRE: Final = "/* buckets.expire */ DELETE FROM buckets WHERE grain = :grain AND start < :before"

log = logging.getLogger(__name__)


class Buckets:
    """Makes and drops rollups. Safe for threads; `zone` is that of sites that have none of their own."""

    def __init__(self, engine: sa.Engine, zone: ZoneInfo) -> None:
        self._engine = engine
        self._zone = zone

    def refresh(self, now: datetime, retention_days: int | None = None, most: int = 400) -> int:
        """Make what is marked and closed, at most about `most` days, the latest first; how many buckets were made.
        Segments of the hours that are marked no longer have been made before.

        Sites without a zone of their own have the days of the installation's: when that is another one now, what was
        made is forgotten first. A day of which visits may be gone already keeps the buckets that it has;
        `retention_days` are those of sites that do not say (None: nothing ever goes). Each day is a transaction of its
        own. None is made while somebody else is at it. Safe to repeat.
        """
        made = 0
        with postgres_errors(), self._engine.connect() as lock:
            if not lock.scalar(sa.text("/* buckets.lock */ SELECT pg_try_advisory_lock(:key)"), {"key": REFRESH_LOCK}):
                return 0
            try:
                follow_zone(self._engine, self._zone)
                sites = lock.execute(sa.text(_SITES), {"midnight": midnight_of(now)}).all()
                lock.commit()
                for row in sites:
                    zone = ZoneInfo(row.timezone or str(self._zone))
                    days = row.retention_days or retention_days
                    kept_from = visits_kept_from(now, days) if days is not None else None
                    made += self._refresh(row.id, zone, now, kept_from, most)
                made += make_weeks(self._engine, [row.id for row in sites], self._zone, now)
            finally:
                lock.execute(sa.text("/* buckets.lock */ SELECT pg_advisory_unlock(:key)"), {"key": REFRESH_LOCK})
        if made:
            log.info("buckets_made", extra={"buckets": made, "sites": len(sites)})
        return made

    def expire(self, now: datetime) -> int:
        """Delete rollups that are older than they are kept; how many."""
        with postgres_errors(), self._engine.begin() as connection:
            return sum(
                connection.execute(sa.text(_EXPIRE), {"grain": str(grain), "before": now - age}).rowcount
                for grain, age in KEPT.items()
            )

    def _refresh(self, site_id: int, zone: ZoneInfo, now: datetime, kept_from: datetime | None, most: int) -> int:
        with self._engine.begin() as connection:
            dirty = connection.execute(sa.text(_DIRTY), {"site_id": site_id, "before": now}).all()
        segments = SegmentMaker(self._engine, site_id, now)
        changed = [row for row in dirty if row.seq]
        made = self._settle_all(site_id, zone, now, kept_from, most, changed, segments) if changed else 0
        # Hours that have their rollups, but no segments since an upgrade (migration 0006).
        missing = [row.hour for row in reversed(dirty) if not row.seq and row.hour <= now - _HOUR]
        for _, hours in islice(groupby(missing, midnight_of), most):
            of_day = list(hours)
            segments.make(of_day)
            self._settle(_CLEAN, site_id, of_day, dict.fromkeys(of_day, 0))
        segments.finish()
        return made

    def _settle_all(
        self,
        site_id: int,
        zone: ZoneInfo,
        now: datetime,
        kept_from: datetime | None,
        most: int,
        dirty: Sequence[sa.Row[Any]],
        segments: SegmentMaker,
    ) -> int:
        hours = {row.hour: row.seq for row in dirty}
        days = _touched(Grain.DAY, hours, zone)[-most:]
        closed = [day for day in days if day[1] <= now]
        final = self._final(site_id, [start for start, _ in closed if kept_from and _before(start, zone) < kept_from])
        stale = {row.hour for row in dirty if row.rolled != row.seq}
        made = 0
        left = set(hours)
        for n, (start, end) in enumerate(reversed(closed), 1):
            if start not in final:
                made += self._make(site_id, zone, start, end, stale)
            # An hour that two days share is settled with the second of them.
            covered = {hour for hour in left if _covers(closed[-n:], hour)}
            segments.make(covered & stale)
            self._settle(_CLEAN, site_id, covered, hours)
            left -= covered
        # Of a day that goes on, hours that are over are made already, so that today by the hour costs little.
        waiting = {hour: hours[hour] for hour in left & stale}
        over = [hour for hour in _touched(Grain.HOUR, waiting, zone) if hour[1] <= now and not _covers(closed, hour[0])]
        if over:
            self._make_hours(site_id, [start for start, _ in over])
            made += len(over)
            settled = [hour for hour in waiting if _covers(over, hour)]
            segments.make(settled)
            self._settle(_ROLLED, site_id, settled, waiting)
        return made

    def _final(self, site_id: int, starts: Sequence[datetime]) -> set[datetime]:
        """Of days, those that have been made."""
        if not starts:
            return set()
        with self._engine.begin() as connection:
            return set(connection.execute(sa.text(_MADE), {"site_id": site_id, "starts": list(starts)}).scalars())

    def _settle(self, statement: str, site_id: int, hours: Collection[datetime], seqs: dict[datetime, int]) -> None:
        if hours:
            with self._engine.begin() as connection:
                values = {"site_id": site_id, "hours": list(hours), "seqs": [seqs[hour] for hour in hours]}
                allow_taking(connection)
                connection.execute(sa.text(statement), values)

    def _make(self, site_id: int, zone: ZoneInfo, start: datetime, end: datetime, stale: Collection[datetime]) -> int:
        """A closed day, its minutes, and those of its hours in which something is `stale`."""
        before = _before(start, zone)
        changed = _touched(Grain.HOUR, dict.fromkeys(stale, 0), zone)
        hours = [hour for hour, _ in changed if start <= hour < end]
        both = (before, start)
        with timed(DATABASE_DURATION, "make_buckets"), self._engine.begin() as connection:
            _prepare(connection, site_id, Grain.DAY, [start])
            reach = reach_of(connection, site_id, start)
            fill(connection, site_id, Grain.DAY, Slice(before, end, both, (before, before), 2, 2, reach))
            connection.execute(sa.text(_LONG), {"site_id": site_id, "day": start, "before": before})
        if hours:
            self._make_hours(site_id, hours)
        self._make_minutes(site_id, starts(Grain.MINUTE, start, end, zone), end)
        return 1 + len(hours)

    def _make_minutes(self, site_id: int, minutes: Sequence[datetime], end: datetime) -> None:
        """The minutes of a day, those in which nothing happened apart; of no dimension."""
        with timed(DATABASE_DURATION, "make_buckets"), self._engine.begin() as connection:
            _clear(connection, site_id, Grain.MINUTE, minutes)
            bounds = tuple(minutes)
            reach = reach_of(connection, site_id, minutes[0])
            fill(connection, site_id, Grain.MINUTE, Slice(minutes[0], end, bounds, bounds, 1, len(bounds), reach))

    def _make_hours(self, site_id: int, hours: Sequence[datetime]) -> None:
        with timed(DATABASE_DURATION, "make_buckets"), self._engine.begin() as connection:
            _prepare(connection, site_id, Grain.HOUR, hours)
            # One pass over runs of hours, which are usually those of a day.
            for run in _runs(hours):
                end = run[-1] + _HOUR
                reach = reach_of(connection, site_id, run[0])
                fill(connection, site_id, Grain.HOUR, Slice(run[0], end, run, run, 1, len(run), reach))


def _before(start: datetime, zone: ZoneInfo) -> datetime:
    """Start of the day before; what goes on from it is told apart."""
    return starts(Grain.DAY, start - _HOUR, start, zone)[0]


def _touched(grain: Grain, hours: dict[datetime, int], zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    """The buckets of a zone that the UTC hours have a part in: start and end, ascending."""
    found: dict[datetime, datetime] = {}
    for hour in sorted(hours):
        bounds = starts(grain, hour, hour + _HOUR, zone)
        for start in bounds:
            if start not in found:
                found[start] = starts(grain, start, start + timedelta(hours=49), zone)[1]
    return sorted(found.items())


def _covers(ranges: Sequence[tuple[datetime, datetime]], hour: datetime) -> bool:
    """Whether all of a UTC hour lies in ranges, which are ascending."""
    at = hour
    for start, end in ranges:
        if start <= at < end:
            at = end
    return at >= hour + _HOUR


def _runs(hours: Sequence[datetime]) -> list[tuple[datetime, ...]]:
    runs: list[list[datetime]] = []
    for hour in hours:
        if runs and hour - runs[-1][-1] == _HOUR:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    return [tuple(run) for run in runs]


def _prepare(connection: sa.Connection, site_id: int, grain: Grain, bounds: Sequence[datetime]) -> None:
    """Take away what there was, and show with an empty bucket that these have been made."""
    _clear(connection, site_id, grain, bounds)
    values = {"site_id": site_id, "grain": str(grain), "starts": list(bounds)}
    columns = ["visitors", *FIGURES]
    connection.execute(
        sa.text(_PRESENT.format(columns=", ".join(columns), nothing=", ".join(["'{}'"] * (len(columns) + 1)))), values
    )


def _clear(connection: sa.Connection, site_id: int, grain: Grain, bounds: Sequence[datetime]) -> None:
    be_patient(connection)
    connection.execute(sa.text(f"SET LOCAL work_mem = '{WORK_MEM}'"))
    connection.execute(sa.text(_DELETE), {"site_id": site_id, "grain": str(grain), "starts": list(bounds)})
    if grain is Grain.DAY:
        drop_weeks(connection, site_id, bounds)
