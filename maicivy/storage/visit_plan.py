"""The plan of an answer: what is read from where (`visit_tiers.py`), and the one statement that puts it together.

What is read from visits is read out of segments, where these know enough, else out of visits row by row, and where
those are too coarse out of stored events.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from maicivy.core.buckets import Grain
from maicivy.core.query import (
    How,
    Metric,
    Query,
)
from maicivy.storage.crossings import reach_of
from maicivy.storage.segments.answering import Fresh, answered, is_answerable
from maicivy.storage.segments.bounds import Bounds, TooMuch
from maicivy.storage.segments.dictionaries import Dictionaries
from maicivy.storage.visit_filters import Values, event_dimensions, split
from maicivy.storage.visit_hits import Named, named_actions, named_events
from maicivy.storage.visit_question import ENGAGED, Question, Slice
from maicivy.storage.visit_rollups import FIRSTS, Rollups
from maicivy.storage.visit_sql import Relation
from maicivy.storage.visit_sums import added_up
from maicivy.storage.visit_tiers import Tiers

MOST_FIRST: Final = 25
"""Rows that are first asked of the most visited values alone."""

MAX_STALE: Final = 48
"""Hours that have changed since their segments were made; of more, everything is read from visits."""

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
_BY_DAY: Final = "sum of the visitors of each day: ids rotate at 00:00 UTC"


class Plan:
    """What is read from where for one question, and the statement that does it."""

    def __init__(
        self, connection: sa.Connection, query: Query, zone: ZoneInfo, dictionaries: Dictionaries | None = None
    ) -> None:
        self._query = query
        self.values = Values()
        self._time = next((name for name in query.dimensions if name.startswith("time:")), None)
        self._dimensions = tuple(name for name in query.dimensions if name != self._time)
        self._dims = [f"d{n}" for n in range(len(self._dimensions))]
        self._sums = frozenset(name for metric in query.metrics for name in _NEEDS[metric])
        self._tiers = tiers = Tiers(connection, query, zone, self._sums)
        self.seq = tiers.seq
        self._memory = (dictionaries or Dictionaries()).of(tiers.edition)
        self._rollups = self._of_rollups()
        self._fresh = self._answered(connection, tiers.slices)

    def how(self, metric: Metric) -> How:
        """What is to be said about a metric of the answer."""
        tiers = []
        if self._fresh or self._rollups is None:
            tiers.append("raw")
        if self._rollups is not None:  # what weeks say is what days say
            tiers.append(str(self._tiers.grain))
        several = metric == "visitors" and self._tiers.grain is Grain.DAY and len(self._tiers.bounds) > 1
        return How(_METHODS[metric], tuple(tiers), exact=True, note=_BY_DAY if several else None)

    def _name(self, connection: sa.Connection, *, is_aligned: bool) -> Named | None:
        """Which events the filter is true for, where that spares looking at each of every visit."""
        query = self._query
        of_visits, of_events = split(query.filter)
        if of_events is None or event_dimensions(self._dimensions, None) or self._sums & ENGAGED:
            return None
        if self._tiers.raw:
            named = named_events(connection, query.site_id, of_events, query.start, query.end)
            # What is left without them is known to the quarter of an hour.
            return None if named is not None and named.are_others and not is_aligned else named
        # Beside a filter on visits Postgres would count them first, in all visits.
        return None if of_visits is not None else named_actions(connection, query.site_id, of_events)

    def _answered(self, connection: sa.Connection, read: Sequence[Slice]) -> list[Fresh | str]:
        """The figures of slices by group and dimensions: out of segments where these can tell, else SELECTs of them out
        of visits or stored events."""
        if not read:
            return []
        query = self._query
        bots = None if query.include_bots else False
        with_visitors = "visitors" in query.metrics
        question = Question(query.site_id, self._dimensions, query.filter, bots, self._tiers.raw, self._sums)
        if len(self._tiers.stale) <= MAX_STALE and all(is_answerable(question, part) for part in read):
            bounds = Bounds()
            with suppress(TooMuch):
                return [
                    answered(
                        connection, question, part, self._tiers.stale, self._memory, bounds, with_visitors=with_visitors
                    )
                    for part in read
                ]
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

    def _of_rollups(self) -> Rollups | None:
        """What is read from rollups, if anything is."""
        tiers = self._tiers
        if tiers.dimension is None or not (tiers.rolled or tiers.weeks):
            return None
        return Rollups(
            self._query,
            tiers.dimension,
            tiers.grain,
            tiers.bounds,
            tiers.groups,
            tiers.rolled,
            tiers.weeks,
            self._sums,
            tiers.is_range,
            self.values,
        )

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
    return msgspec.structs.replace(part, reach=reach_of(connection, site_id, part.slice_start))
