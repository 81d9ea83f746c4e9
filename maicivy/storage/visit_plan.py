"""The plan of an answer: which buckets of time are read from rollups and which from visits, and the one statement.

Closed buckets that nothing has changed since they were rolled up are read from `buckets`, where one dimension is
enough to answer; everything else from visits, and where those are too coarse from stored events.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from maicivy.core.buckets import Grain, is_aligned, start_of, starts
from maicivy.core.query import (
    EVENT_DIMENSIONS,
    PROPERTY,
    VISIT_DIMENSIONS,
    How,
    Metric,
    Query,
)
from maicivy.errors import Refusal
from maicivy.storage.segments.answering import Fresh, answered, is_answerable
from maicivy.storage.visit_filters import Values, event_dimensions, is_one_value, names, split
from maicivy.storage.visit_hits import Named, named_actions, named_events
from maicivy.storage.visit_question import ENGAGED, PARTS, Question, Slice
from maicivy.storage.visit_rollups import FIRSTS, Rollups
from maicivy.storage.visit_sql import Relation
from maicivy.storage.visit_sums import added_up

KEPT: Final = {
    Grain.MINUTE: timedelta(days=30),
    Grain.HOUR: timedelta(days=365),
    Grain.DAY: timedelta(days=5 * 365 + 2),
    Grain.WEEK: timedelta(days=5 * 365 + 2),
}
"""How long rollups are kept."""

MAX_SLICES: Final = 6
"""Parts of the range that are read from visits one by one; of more, everything from the first to the last is."""

MOST_FIRST: Final = 25
"""Rows that are first asked of the most visited values alone."""

MAX_STALE: Final = 48
"""Hours that have changed since their segments were made; of more, everything is read from visits."""

_HOUR: Final = timedelta(hours=1)
_WEEK: Final = 7
"""Days."""

_LONGEST: Final = {Grain.MINUTE: timedelta(minutes=1), Grain.HOUR: _HOUR, Grain.DAY: timedelta(hours=25)}

ROLLED_UP: Final = (*EVENT_DIMENSIONS, *VISIT_DIMENSIONS)

_NEEDS: Final[dict[Metric, tuple[str, ...]]] = {
    "visitors": (),
    "visits": ("visits",),
    "pageviews": ("pageviews",),
    "events": ("events",),
    "views_per_visit": ("pageviews", "visits"),
    "bounce_rate": ("bounces", "entries"),
    "visit_duration": ("duration_us", "visits"),
    "time_on_page": ("engaged_ms", "readers"),
    "scroll_depth": ("scroll_sum", "scrolled"),
}
_FORMULAS: Final[dict[Metric, str]] = {
    "visitors": "coalesce(visitors, 0)::bigint",
    "visits": "coalesce(visits, 0)::bigint",
    "pageviews": "coalesce(pageviews, 0)::bigint",
    "events": "coalesce(events, 0)::bigint",
    "views_per_visit": "pageviews::float8 / nullif(visits, 0)",
    "bounce_rate": "bounces * 100::float8 / nullif(entries, 0)",
    "visit_duration": "duration_us / 1000000::float8 / nullif(visits, 0)",
    "time_on_page": "engaged_ms / 1000::float8 / nullif(readers, 0)",
    "scroll_depth": "scroll_sum::float8 / nullif(scrolled, 0)",
}
_METHODS: Final[dict[Metric, str]] = {
    "visitors": "count_distinct",
    "visits": "count",
    "pageviews": "count",
    "events": "count",
    "views_per_visit": "ratio",
    "bounce_rate": "ratio",
    "visit_duration": "mean",
    "time_on_page": "mean",
    "scroll_depth": "mean",
}
REACH: Final = sa.text(
    """
    /* visit_queries.reach */
    SELECT min(started) FROM crossings
    WHERE site_id = :site_id AND day = (CAST(:start AS timestamptz) AT TIME ZONE 'UTC')::date
    """
)
_FORGOTTEN: Final = sa.text(
    """
    /* visit_queries.forgotten */
    SELECT EXISTS (SELECT FROM buckets WHERE site_id = :site_id AND dimension = 'all' AND cardinality("values") > 0
        AND (grain = 'hour' AND start > :start - interval '1 hour' AND start <= :since - interval '1 hour'
             OR grain = 'day' AND start > :start - interval '1 day' AND start <= :since - interval '25 hours'))
    """
)
_BY_DAY: Final = "sum of the visitors of each day: ids rotate at 00:00 UTC"
_STANDING: Final = sa.text(
    """
    /* visit_queries.standing */
    SELECT (SELECT seq FROM ledger) AS seq, b.rolled, b.long, d.dirty, d.stale,
           ARRAY(SELECT start FROM buckets WHERE :with_weeks AND site_id = :site_id AND grain = 'week'
                 AND dimension = 'all' AND NOT bot AND start >= :first AND start < :end) AS weeks,
           s.timezone, s.retention_days, now() AS now
    FROM sites s CROSS JOIN (
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


# Whatever has not been rolled up by day is in an hour that has changed since.


class Plan:
    """What is read from where for one question, and the statement that does it."""

    def __init__(self, connection: sa.Connection, query: Query, zone: ZoneInfo) -> None:
        self._query = query
        self.values = Values()
        self._time = next((name for name in query.dimensions if name.startswith("time:")), None)
        self._dimensions = tuple(name for name in query.dimensions if name != self._time)
        self._dims = [f"d{n}" for n in range(len(self._dimensions))]
        self._sums = frozenset(name for metric in query.metrics for name in _NEEDS[metric])
        shown = Grain(self._time.removeprefix("time:")) if self._time else None
        self._grain = shown if shown in (Grain.MINUTE, Grain.HOUR) else Grain.DAY
        self._bounds = tuple(starts(self._grain, query.start, query.end, query.zone))
        if shown in (Grain.WEEK, Grain.MONTH):
            self._groups = tuple(start_of(shown, bound, query.zone) for bound in self._bounds)
        else:
            self._groups = self._bounds if shown else (self._bounds[0],) * len(self._bounds)
        self._rolled: list[datetime] = []
        self._weeks: list[datetime] = []
        self._known: set[datetime] = set()
        self._slices: list[tuple[int, int]] = []
        self._raw = self._needs_raw()
        self.seq = 0
        self._stale: Sequence[datetime] = ()
        self._decide(connection, zone)
        self._rollups = self._of_rollups()
        self._fresh = self._answered(connection, [self._slice(first, last) for first, last in self._slices])

    def how(self, metric: Metric) -> How:
        """What is to be said about a metric of the answer."""
        tiers = []
        if self._slices or self._rollups is None:
            tiers.append("raw")
        if self._rollups is not None:  # what weeks say is what days say
            tiers.append(str(self._grain))
        several = metric == "visitors" and self._grain is Grain.DAY and len(self._bounds) > 1
        return How(_METHODS[metric], tuple(tiers), exact=True, note=_BY_DAY if several else None)

    def _needs_raw(self) -> bool:
        """Whether the quarters of an hour that visits keep are too coarse, or know too little."""
        query = self._query
        named = set(self._dimensions) | (names(query.filter) if query.filter else set())
        if any(name.startswith(PROPERTY) for name in named):
            return True
        of_events = any(name.startswith("event:") for name in named) or bool(self._sums & {*PARTS, "readers"})
        return of_events and (self._grain is Grain.MINUTE or not (is_aligned(query.start) and is_aligned(query.end)))

    def _name(self, connection: sa.Connection, *, is_aligned: bool) -> Named | None:
        """Which events the filter is true for, where that spares looking at each of every visit."""
        query = self._query
        of_visits, of_events = split(query.filter)
        if of_events is None or event_dimensions(self._dimensions, None) or self._sums & ENGAGED:
            return None
        if self._raw:
            named = named_events(connection, query.site_id, of_events, query.start, query.end)
            # What is left without them is known to the quarter of an hour.
            return None if named is not None and named.are_others and not is_aligned else named
        # Beside a filter on visits Postgres would count them first, in all visits.
        return None if of_visits is not None else named_actions(connection, query.site_id, of_events)

    def _answered(self, connection: sa.Connection, read: Sequence[Slice]) -> list[Fresh | str]:
        """The figures of slices by group and dimensions: out of segments where these can tell, else SELECTs of them out
        of visits or stored events."""
        query = self._query
        bots = None if query.include_bots else False
        with_visitors = "visitors" in query.metrics
        question = Question(query.site_id, self._dimensions, query.filter, bots, self._raw, self._sums)
        if len(self._stale) <= MAX_STALE and all(is_answerable(question, part) for part in read):
            return [answered(connection, question, part, self._stale, with_visitors=with_visitors) for part in read]
        named = self._name(connection, is_aligned=read[0].is_aligned)
        question = msgspec.structs.replace(question, named=named)
        return [
            added_up(
                question,
                Relation(question, _within_reach(connection, query.site_id, part), self.values).parts(),
                with_visitors=with_visitors,
                in_one_bucket=part.first == part.last,
            )
            for part in read
        ]

    def _rollup(self) -> str | None:
        """The dimension whose rollups can answer; None when none can."""
        query = self._query
        filtered = names(query.filter) if query.filter else set()
        if not self._dimensions and not filtered and (self._grain is Grain.MINUTE or not self._raw):
            return "all"
        if len(self._dimensions) > 1 or self._grain is Grain.MINUTE or self._raw:
            return None
        dimension = self._dimensions[0] if self._dimensions else next(iter(filtered))
        if filtered - {dimension} or dimension not in ROLLED_UP:
            return None
        # Without a row for each value, several values would count a visitor, or a visit, once for each.
        return dimension if self._dimensions or is_one_value(query.filter) else None

    def _decide(self, connection: sa.Connection, zone: ZoneInfo) -> None:
        query, bounds = self._query, self._bounds
        found = connection.execute(
            _STANDING,
            {
                "site_id": query.site_id,
                "grain": str(self._grain),
                "before": bounds[0] - _LONGEST[self._grain],
                "first": bounds[0],
                "end": query.end,
                "with_weeks": self._has_weeks(),
            },
        ).one()
        self.seq = found.seq
        self._stale = found.stale
        rollup = self._rollup()
        is_native = (found.timezone or str(zone)) == str(query.zone)
        everything = [(1, len(bounds))]
        is_kept = self._grain is Grain.DAY or query.start >= found.now - KEPT[self._grain]
        if rollup is None or not is_native or not is_kept:
            self._refuse_forgotten(connection, query.start, found.now, found.retention_days)
            self._slices = everything
            return
        rolled = self._known = set(found.rolled)
        dirty = _numbers(bounds, found.dirty, _HOUR)
        # What was rolled up while another zone was in force says nothing of these days but that something happened.
        strange = [start for start in rolled.difference(bounds) if start_of(self._grain, start, query.zone) != start]
        dirty |= _numbers(bounds, strange, _LONGEST[self._grain])
        reaching = {1} if bounds[0] < query.start else set()
        if self._full_end() > query.end:
            reaching.add(len(bounds))
        # Where there is neither a mark nor a rollup nothing has ever happened.
        wanted = sorted(dirty.union(number for number in reaching if bounds[number - 1] in rolled))
        apart = {bounds[number - 1] for number in wanted}
        self._rolled = [start for start in bounds if start in rolled and start not in apart]
        if found.long and len(set(self._groups)) < len(bounds):
            # Sums over days would be wrong for visits that last for days (schema: buckets.long).
            self._refuse_forgotten(connection, query.start, found.now, found.retention_days)
            self._rolled, self._slices = [], everything
            return
        self._slices = _runs(wanted)
        if len(self._slices) > MAX_SLICES:
            first, last = self._slices[0][0], self._slices[-1][1]
            covered = set(bounds[first - 1 : last])
            self._rolled = [start for start in self._rolled if start not in covered]
            self._slices = [(first, last)]
        if self._slices:
            start = bounds[self._slices[0][0] - 1]
            self._refuse_forgotten(connection, start, found.now, found.retention_days)
        self._take_weeks(found.weeks, dirty)

    def _of_rollups(self) -> Rollups | None:
        """What is read from rollups, if anything is."""
        dimension = self._rollup()
        if dimension is None or not (self._rolled or self._weeks):
            return None
        first, last = (self._rolled[0], self._rolled[-1]) if self._rolled else (self._bounds[0], self._bounds[0])
        return Rollups(
            self._query,
            dimension,
            self._grain,
            self._bounds,
            self._groups,
            self._rolled,
            self._weeks,
            self._sums,
            sum(first <= start <= last for start in self._known) == len(self._rolled),
            self.values,
        )

    def _has_weeks(self) -> bool:
        """Whether days of the question may be told together."""
        return self._grain is Grain.DAY and self._time != "time:day" and len(self._bounds) >= _WEEK

    def _take_weeks(self, weeks: Sequence[datetime], dirty: set[int]) -> None:
        """Read whole weeks of one group from rollups of their own, which say what those of their days do."""
        query, bounds, groups = self._query, self._bounds, self._groups
        apart = dirty.union(*(range(first, last + 1) for first, last in self._slices))
        told: set[datetime] = set()
        for week in weeks:
            first = bisect_left(bounds, week)
            last = first + _WEEK - 1
            if last >= len(bounds) or groups[first] != groups[last] or not apart.isdisjoint(range(first + 1, last + 2)):
                continue
            end = bounds[last + 1] if last + 1 < len(bounds) else self._full_end()
            is_whole = week >= query.start and end <= query.end
            if is_whole and starts(Grain.WEEK, week, end + _HOUR, query.zone) == [bounds[first], end]:
                self._weeks.append(week)
                told.update(bounds[first : last + 1])
        self._rolled = [start for start in self._rolled if start not in told]

    def _refuse_forgotten(
        self, connection: sa.Connection, start: datetime, now: datetime, retention_days: int | None
    ) -> None:
        """Refuse to read visits from `start` on when they are kept from a later time on and rollups know of earlier
        ones. Those of the last day are always kept."""
        if start >= now - timedelta(days=1):
            return
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
                " ask for less time, or by one dimension without other filters",
                "date_range",
            )

    def _slice(self, first: int, last: int) -> Slice:
        start = max(self._query.start, self._bounds[first - 1])
        return Slice(self._query.start, self._query.end, self._bounds, self._groups, first, last, start)

    def _full_end(self) -> datetime:
        """Where the last bucket ends, however much of it the query is about."""
        last = self._bounds[-1]
        return starts(self._grain, last, last + timedelta(hours=49), self._query.zone)[1]

    def statement(self) -> str:
        """The SELECT: dimensions, then metrics, then the number of all rows where that is asked for."""
        query, values = self._query, self.values
        shown = dict(zip(self._dimensions, self._dims, strict=True)) | ({self._time: "grp"} if self._time else {})
        columns = [f"{shown[name]} AS k{n}" for n, name in enumerate(query.dimensions)]
        columns += [f"{_FORMULAS[metric]} AS m{n}" for n, metric in enumerate(query.metrics)]
        if query.count_rows:
            columns.append("count(*) OVER () AS total")
        limit, offset = values.bind(query.limit, "integer"), values.bind(query.offset, "integer")
        return (
            f"/* visit_queries.ask */ SELECT {', '.join(columns)} FROM ({self._grouped()}) AS grouped"
            f"{self._order()} LIMIT {limit} OFFSET {offset}"
        )

    def first_rows(self) -> str | None:
        """The same SELECT where it is for the first rows by visitors, out of the most visited values of each rollup;
        `is_certain` says whether no other value can be among them. None where that spares nothing."""
        query, values, rollups = self._query, self.values, self._rollups
        wanted = query.limit + query.offset
        is_simple = len(query.dimensions) == len(self._dims) == 1 and query.filter is None and not query.count_rows
        if rollups is None or not is_simple or query.order_by[:1] != (("visitors", "desc"),) or wanted > MOST_FIRST:
            return None
        figures = ["touches", "visitors", *sorted(self._sums)]
        shown = ", ".join(figures)
        parts = []
        edges = ["SELECT coalesce(sum(told), 0) AS told, coalesce(sum(least), 0) AS least FROM cut"]
        for part in self._fresh:
            select = part if isinstance(part, str) else part.select(values, FIRSTS)
            least = None if isinstance(part, str) else part.least(FIRSTS)
            edge = f"{int(least is not None)} AS told, {least or 0:d} AS least"
            parts.append(f"SELECT d0, {shown}, {edge} FROM ({select}) AS part")
            edges.append(f"SELECT {edge}")
        parts.append(f"SELECT d0, {shown}, told, least FROM ({rollups.firsts('cut')}) AS part")
        sums = ", ".join(f"sum({name}) AS {name}" for name in [*figures, "told", "least"])
        columns = ["d0 AS k0", *(f"{_FORMULAS[metric]} AS m{n}" for n, metric in enumerate(query.metrics)), "visitors"]
        limit = values.bind(wanted, "integer")
        together = " UNION ALL ".join(parts)
        return f"""/* visit_queries.ask */
            WITH cut AS MATERIALIZED ({rollups.cut()}),
            edges AS MATERIALIZED (
                SELECT sum(told) AS told, sum(least) AS least FROM ({" UNION ALL ".join(edges)}) AS e
            ),
            grouped AS MATERIALIZED (
                SELECT d0, {sums} FROM ({together}) AS parts GROUP BY d0 HAVING sum(touches) > 0
            ), first_rows AS MATERIALIZED (
                SELECT {", ".join(columns)} FROM grouped
                WHERE told = (SELECT told FROM edges){self._order()} LIMIT {limit}
            ), others AS (
                SELECT greatest(edges.least, max(visitors + edges.least - g.least)) AS visitors
                FROM edges LEFT JOIN grouped AS g ON g.told < edges.told GROUP BY edges.least
            )
            SELECT first_rows.*, edges.told = 0 OR (
                count(*) OVER () = {limit} AND min(first_rows.visitors) OVER () > others.visitors
            ) AS is_certain
            FROM first_rows, edges, others{self._order()}
            LIMIT {values.bind(query.limit, "integer")} OFFSET {values.bind(query.offset, "integer")}"""

    def count(self) -> str:
        """A SELECT of the number of all rows: what a page beyond the last cannot tell."""
        return f"/* visit_queries.ask */ SELECT count(*) FROM ({self._grouped()}) AS grouped"

    def _grouped(self) -> str:
        """Sums by group and dimensions, over all that the plan reads."""
        keys = (["grp"] if self._time else []) + self._dims
        if self._rollups is not None and not self._fresh:
            return self._rollups.figures() + (" HAVING sum(visits) > 0" if keys else "")
        parts = [part if isinstance(part, str) else part.select(self.values) for part in self._fresh]
        if self._rollups is not None:
            parts.append(self._rollups.figures())
        if not parts:
            parts.append(f"SELECT {', '.join(self._nothing())} WHERE false")
        figures = ["touches", "visitors", *sorted(self._sums)]
        shown = [*keys, *figures]
        parts = [f"SELECT {', '.join(shown)} FROM ({part}) AS part" for part in parts]
        sums = ", ".join(f"sum({name}) AS {name}" for name in figures)
        grouped = f"SELECT {''.join(f'{key}, ' for key in keys)}{sums} FROM ({' UNION ALL '.join(parts)}) AS parts"
        return grouped + (f" GROUP BY {', '.join(keys)} HAVING sum(touches) > 0" if keys else "")

    def _order(self) -> str:
        query = self._query
        places = {name: f"k{n}" for n, name in enumerate(query.dimensions)}
        places |= {name: f"m{n}" for n, name in enumerate(query.metrics)}
        order = [
            f"{places[name]} {'ASC' if direction == 'asc' else 'DESC'} NULLS LAST" for name, direction in query.order_by
        ]
        order += [f"k{n}" for n in range(len(query.dimensions))]
        return f" ORDER BY {', '.join(order)}" if order else ""

    def _nothing(self) -> list[str]:
        figures = ["touches", "visitors", *sorted(self._sums)]
        return [
            "NULL::timestamptz AS grp",
            *(f"NULL::text AS {dim}" for dim in self._dims),
            *(f"NULL::bigint AS {name}" for name in figures),
        ]


def _within_reach(connection: sa.Connection, site_id: int, part: Slice) -> Slice:
    reach = connection.scalar(REACH, {"site_id": site_id, "start": part.slice_start})
    return msgspec.structs.replace(part, reach=reach or part.slice_start)


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
