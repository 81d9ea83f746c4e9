"""The tiers that a question is answered from: which of its buckets of time are read from rollups, which from visits.

Closed buckets that nothing has changed since they were rolled up are read from `buckets`, where one dimension is
enough to answer, of whole weeks together where days are not told apart; everything else from visits. Whatever has not
been rolled up by day is in an hour that has changed since.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from maicivy.core.buckets import Grain, is_aligned, start_of, starts
from maicivy.core.query import EVENT_DIMENSIONS, PROPERTY, VISIT_DIMENSIONS, Query
from maicivy.errors import Refusal
from maicivy.storage.segments.dictionaries import Edition
from maicivy.storage.visit_filters import is_one_value, names
from maicivy.storage.visit_question import PARTS, Slice

KEPT: Final = {
    Grain.MINUTE: timedelta(days=30),
    Grain.HOUR: timedelta(days=365),
    Grain.DAY: timedelta(days=5 * 365 + 2),
    Grain.WEEK: timedelta(days=5 * 365 + 2),
}
"""How long rollups are kept."""

MAX_SLICES: Final = 6
"""Parts of the range that are read from visits one by one; of more, everything from the first to the last is."""

_HOUR: Final = timedelta(hours=1)
_WEEK: Final = 7
"""Days."""

_LONGEST: Final = {Grain.MINUTE: timedelta(minutes=1), Grain.HOUR: _HOUR, Grain.DAY: timedelta(hours=25)}

ROLLED_UP: Final = (*EVENT_DIMENSIONS, *VISIT_DIMENSIONS)

_FORGOTTEN: Final = sa.text(
    """
    /* visit_queries.forgotten */
    SELECT EXISTS (SELECT FROM buckets WHERE site_id = :site_id AND dimension = 'all' AND cardinality("values") > 0
        AND (grain = 'hour' AND start > :start - interval '1 hour' AND start <= :since - interval '1 hour'
             OR grain = 'day' AND start > :start - interval '1 day' AND start <= :since - interval '25 hours'))
    """
)
_STANDING: Final = sa.text(
    """
    /* visit_queries.standing */
    SELECT l.seq, l.dictionary_version, concat(pg_postmaster_start_time(), ' ', 'clients'::regclass::oid) AS database,
           b.rolled, b.long, d.dirty, d.stale,
           ARRAY(SELECT start FROM buckets WHERE :with_weeks AND site_id = :site_id AND grain = 'week'
                 AND dimension = 'all' AND NOT bot AND start >= :first AND start < :end) AS weeks,
           s.timezone, s.retention_days, now() AS now
    FROM sites s CROSS JOIN ledger AS l CROSS JOIN (
        SELECT coalesce(array_agg(start), '{}') AS rolled,
               coalesce(sum(long) FILTER (WHERE start >= :first), 0) AS long
        FROM buckets WHERE site_id = :site_id AND grain = :grain AND dimension = 'all'
             AND (NOT bot OR :grain = 'minute') AND start > :before AND start < :end
    ) AS b CROSS JOIN (
        SELECT coalesce(array_agg(hour) FILTER (
                   WHERE seq > 0 AND (:grain <> 'hour' OR rolled <> seq) AND hour > :first - interval '1 hour'
               ), '{}') AS dirty,
               coalesce(array_agg(hour) FILTER (
                   WHERE rolled <> seq AND hour >= date_trunc('day', CAST(:first AS timestamptz), 'UTC')
               ), '{}') AS stale
        FROM dirty_hours WHERE site_id = :site_id AND hour < :end
             AND hour >= date_trunc('day', CAST(:first AS timestamptz) - interval '1 hour', 'UTC')
    ) AS d
    WHERE s.id = :site_id
    """
)
_PARTITIONED_SINCE: Final = sa.text(
    """
    /* visit_queries.partitioned_since */
    SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD'))
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'visits'::regclass
    """
)


class Tiers:
    """Which of a question's buckets are read from rollups, which from visits.

    Attributes:
        grain: of the rollups, weeks apart; by it days, hours or minutes are told apart.
        bounds: when the buckets begin, UTC, ascending; the first may begin before the question's start.
        groups: for each bucket when the group that the question shows begins.
        dimension: whose rollups answer; None: none do.
        rolled, weeks: starts of the buckets that are read from rollups, and of weeks that are in place of their days.
        is_range: nothing else was rolled up between the first and the last of `rolled`.
        slices: what is read from visits.
        raw: and if not from segments, then from stored events.
        stale: UTC hours, of the days of all buckets, whose segments are not up to date.
        seq: the number in the ledger that all this is true for.
        edition: of the dictionaries that ids of visits stand in; another server or another table is another database.
    """

    def __init__(self, connection: sa.Connection, query: Query, zone: ZoneInfo, sums: frozenset[str]) -> None:
        self._query = query
        self._sums = sums
        self._time = next((name for name in query.dimensions if name.startswith("time:")), None)
        self._dimensions = [name for name in query.dimensions if name != self._time]
        shown = Grain(self._time.removeprefix("time:")) if self._time else None
        self.grain = shown if shown in (Grain.MINUTE, Grain.HOUR) else Grain.DAY
        self.bounds = tuple(starts(self.grain, query.start, query.end, query.zone))
        if shown in (Grain.WEEK, Grain.MONTH):
            self.groups = tuple(start_of(shown, bound, query.zone) for bound in self.bounds)
        else:
            self.groups = self.bounds if shown else (self.bounds[0],) * len(self.bounds)
        self.raw = self._needs_raw()
        self.dimension = self._rollup()
        self.rolled: list[datetime] = []
        self.weeks: list[datetime] = []
        self._known: set[datetime] = set()
        self._runs: list[tuple[int, int]] = []
        self._decide(connection, zone)

    @property
    def is_range(self) -> bool:
        return bool(self.rolled) and sum(self.rolled[0] <= start <= self.rolled[-1] for start in self._known) == len(
            self.rolled
        )

    @property
    def slices(self) -> list[Slice]:
        query = self._query
        return [
            Slice(
                query.start,
                query.end,
                self.bounds,
                self.groups,
                first,
                last,
                max(query.start, self.bounds[first - 1]),
            )
            for first, last in self._runs
        ]

    def _needs_raw(self) -> bool:
        """Whether the quarters of an hour that visits keep are too coarse, or know too little."""
        query = self._query
        named = set(self._dimensions) | (names(query.filter) if query.filter else set())
        if any(name.startswith(PROPERTY) for name in named):
            return True
        of_events = any(name.startswith("event:") for name in named) or bool(self._sums & {*PARTS, "readers"})
        return of_events and (self.grain is Grain.MINUTE or not (is_aligned(query.start) and is_aligned(query.end)))

    def _rollup(self) -> str | None:
        """The dimension whose rollups can answer; None when none can."""
        query = self._query
        filtered = names(query.filter) if query.filter else set()
        if not self._dimensions and not filtered and (self.grain is Grain.MINUTE or not self.raw):
            return "all"
        if len(self._dimensions) > 1 or self.grain is Grain.MINUTE or self.raw:
            return None
        dimension = self._dimensions[0] if self._dimensions else next(iter(filtered))
        if filtered - {dimension} or dimension not in ROLLED_UP:
            return None
        # Without a row for each value, several values would count a visitor, or a visit, once for each.
        return dimension if self._dimensions or is_one_value(query.filter) else None

    def _decide(self, connection: sa.Connection, zone: ZoneInfo) -> None:
        query, bounds = self._query, self.bounds
        found = connection.execute(
            _STANDING,
            {
                "site_id": query.site_id,
                "grain": str(self.grain),
                "before": bounds[0] - _LONGEST[self.grain],
                "first": bounds[0],
                "end": query.end,
                "with_weeks": self._has_weeks(),
            },
        ).one()
        self.seq = found.seq
        self.edition = Edition(found.database, found.dictionary_version)
        self.stale = found.stale
        is_native = (found.timezone or str(zone)) == str(query.zone)
        everything = [(1, len(bounds))]
        is_kept = self.grain is Grain.DAY or query.start >= found.now - KEPT[self.grain]
        if self.dimension is None or not is_native or not is_kept:
            self._refuse_forgotten(connection, query.start, found.now, found.retention_days)
            self._runs = everything
            return
        rolled = self._known = set(found.rolled)
        marked = _numbers(bounds, found.dirty, _HOUR)
        # What was rolled up while another zone was in force says nothing of these days but that something happened.
        strange = [start for start in rolled.difference(bounds) if start_of(self.grain, start, query.zone) != start]
        dirty = marked | _numbers(bounds, strange, _LONGEST[self.grain])
        reaching = {1} if bounds[0] < query.start else set()
        if self._full_end() > query.end:
            reaching.add(len(bounds))
        # Where there is neither a mark nor a rollup nothing has ever happened.
        wanted = sorted(dirty.union(number for number in reaching if bounds[number - 1] in rolled))
        apart = {bounds[number - 1] for number in wanted}
        self.rolled = [start for start in bounds if start in rolled and start not in apart]
        if found.long and len(set(self.groups)) < len(bounds):
            # Sums over days would be wrong for visits that last for days (schema: buckets.long).
            self._refuse_forgotten(connection, query.start, found.now, found.retention_days)
            self.rolled, self._runs = [], everything
            return
        self._runs = _runs(wanted)
        if len(self._runs) > MAX_SLICES:
            first, last = self._runs[0][0], self._runs[-1][1]
            covered = set(bounds[first - 1 : last])
            self.rolled = [start for start in self.rolled if start not in covered]
            self._runs = [(first, last)]
        # Visits of a day that has marks are not dropped.
        if self._runs and self._runs[0][0] not in marked:
            start = bounds[self._runs[0][0] - 1]
            self._refuse_forgotten(connection, start, found.now, found.retention_days)
        self._take_weeks(found.weeks, dirty)

    def _has_weeks(self) -> bool:
        """Whether days of the question may be told together."""
        return self.grain is Grain.DAY and self._time != "time:day" and len(self.bounds) >= _WEEK

    def _take_weeks(self, weeks: Sequence[datetime], dirty: set[int]) -> None:
        """Read whole weeks of one group from rollups of their own, which say what those of their days do."""
        query, bounds, groups = self._query, self.bounds, self.groups
        apart = dirty.union(*(range(first, last + 1) for first, last in self._runs))
        told: set[datetime] = set()
        for week in weeks:
            first = bisect_left(bounds, week)
            last = first + _WEEK - 1
            if last >= len(bounds) or groups[first] != groups[last] or not apart.isdisjoint(range(first + 1, last + 2)):
                continue
            end = bounds[last + 1] if last + 1 < len(bounds) else self._full_end()
            is_whole = week >= query.start and end <= query.end
            if is_whole and starts(Grain.WEEK, week, end + _HOUR, query.zone) == [bounds[first], end]:
                self.weeks.append(week)
                told.update(bounds[first : last + 1])
        self.rolled = [start for start in self.rolled if start not in told]

    def _refuse_forgotten(
        self, connection: sa.Connection, start: datetime, now: datetime, retention_days: int | None
    ) -> None:
        """Refuse to read visits from `start` on when they are kept from a later time on and rollups know of earlier
        ones."""
        partitioned_since = _midnight(connection.scalar(_PARTITIONED_SINCE))
        raw_since = now - timedelta(days=retention_days) if retention_days else None
        since = max(filter(None, (raw_since, partitioned_since)), default=None)
        if since is None or start >= since:
            return
        values = {"site_id": self._query.site_id, "start": start, "since": since}
        if connection.scalar(_FORGOTTEN, values):
            raise Refusal(
                "not_kept",
                f"what this question needs is kept since {since.astimezone(self._query.zone):%Y-%m-%d} only;"
                " ask for less time, or by one dimension without other filters in the zone of the site",
                "date_range",
            )

    def _full_end(self) -> datetime:
        """Where the last bucket ends, however much of it the query is about."""
        last = self.bounds[-1]
        return starts(self.grain, last, last + timedelta(hours=49), self._query.zone)[1]


def _midnight(day: Any) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


def _numbers(bounds: Sequence[datetime], moments: Sequence[datetime], length: timedelta) -> set[int]:
    """The numbers, from 1, of the buckets that intervals, which begin at `moments`, have a part in."""
    numbers: set[int] = set()
    for moment in moments:
        numbers.update(range(max(1, bisect_right(bounds, moment)), bisect_left(bounds, moment + length) + 1))
    return numbers


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The numbers as runs of consecutive ones: (first, last)."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
