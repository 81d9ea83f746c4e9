"""Questions that only stored events can answer: what happened last, where people clicked, which themes they saw when.

Every query names site and time first, so that the planner leaves out the partitions of other days, and ends in a
total order and a limit. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import sqlalchemy as sa

from maicivy.core.periods import day_bounds
from maicivy.core.ports import StoredEvent
from maicivy.core.urls import path_of
from maicivy.metrics import DATABASE_DURATION, timed
from maicivy.storage.connections import driver_connection, postgres_errors
from maicivy.storage.pulse import Pulse
from maicivy.storage.schema import HAS_POSITION_SQL, PATH_SQL, SECOND_SQL

T = TypeVar("T")

MAX_POSITION: Final = 1_000_000
"""Pixels. No page is that long; 1e300 is a valid JSON number and would fit in no integer."""

WINDOWS: Final = (timedelta(days=1), timedelta(days=8), None)
"""Where the latest events are looked for, one after the other: planning over all of 98 daily partitions took 3.5 ms
of the 4 ms that a query took, over two of them 0.3 (100,000 events over 30 days, bench/reads.py)."""

FAR_BACK: Final = 1000
"""Events. So many are more often than not beyond the last day of a site that has use for an offset."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS: Final = "created_at, id"
_SECOND: Final = SECOND_SQL.format(moment="created_at")
_COLUMNS: Final = "id, visitor_id, event_type, event_data::text, page_url, referrer, session_duration, created_at"


class PostgresEventQueries:
    """See `core.ports.EventQueries`. Safe for threads; holds nothing but the engine."""

    def __init__(self, engine: sa.Engine) -> None:
        # One statement each: BEGIN and ROLLBACK around it would be two round trips for nothing.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._pulse = Pulse(engine)

    def timeline(
        self, site_id: int, limit: int, offset: int, before: tuple[datetime, UUID] | None, now: datetime
    ) -> list[StoredEvent]:
        """See `core.ports.EventQueries`. `before` costs the same at any depth, `offset` reads the events it skips."""

        def latest(connection: sa.Connection) -> list[StoredEvent]:
            place = before
            if offset:
                skipped = _latest(connection, _KEYS, site_id, place, now, limit=1, offset=offset - 1)
                if not skipped:
                    return []
                place = skipped[0]
            return [StoredEvent(*row) for row in _latest(connection, _COLUMNS, site_id, place, now, limit=limit)]

        return self._ask("timeline", latest)

    def heatmap(
        self, site_id: int, page: str | None, since: datetime, until: datetime, limit: int
    ) -> list[tuple[int, int, int]]:
        """See `core.ports.EventQueries`. Costs about 2 microseconds for each event with a position."""
        values: dict[str, object] = {"site_id": site_id, "since": since, "until": until, "limit": limit}
        base, question, query = (page or "").partition("?")
        if page is not None:
            values |= {"path": path_of(page), "base": base, "query": query}
        statement = _heatmap(page is not None, bool(base) and not base.startswith("/"), bool(question))
        return self._ask("heatmap", lambda connection: [(x, y, n) for x, y, n in connection.execute(statement, values)])

    def themes(self, site_id: int, first: date, end: date, zone: ZoneInfo, limit: int) -> list[tuple[str, int]]:
        """See `core.ports.EventQueries`. Adds what rows have to what rollups kept of rows that were dropped."""
        values = {
            "site_id": site_id,
            "since": day_bounds(first, zone)[0],
            "until": day_bounds(end, zone)[0],
            "first": first,
            "end": end,
            "limit": limit,
        }
        return self._ask(
            "themes", lambda connection: [(theme, views) for theme, views in connection.execute(_THEMES, values)]
        )

    def _ask(self, query_type: str, question: Callable[[sa.Connection], T]) -> T:
        def ask() -> T:
            with self._engine.connect() as connection:
                return question(connection)

        with timed(DATABASE_DURATION, query_type), postgres_errors():
            return self._pulse.follow(ask)


def _latest(
    connection: sa.Connection,
    columns: str,
    site_id: int,
    before: tuple[datetime, UUID] | None,
    now: datetime,
    *,
    limit: int,
    offset: int = 0,
) -> list[tuple[Any, ...]]:
    values: dict[str, object] = {"site_id": site_id, "limit": limit, "offset": offset}
    if before is not None:
        values |= {"at": before[0], "id": before[1]}
    until = max(now if before is None else before[0], _EPOCH)
    rows: list[tuple[Any, ...]] = []
    # Far back the search begins widely: a window that turns out too small has cost a pass over all of it.
    for window in WINDOWS if offset < FAR_BACK else WINDOWS[1:]:
        bound = {} if window is None else {"since": until - window}
        rows = _rows(connection, _timeline(columns, bool(bound), before is not None), values | bound)
        if len(rows) == limit:
            break
    return rows


def _rows(connection: sa.Connection, statement: sa.TextClause, values: dict[str, object]) -> list[tuple[Any, ...]]:
    """What the driver says. By way of SQLAlchemy 50 events cost 0.30 ms of processor time, of which it took 0.13."""
    driver = driver_connection(connection)
    try:
        return driver.execute(_for_driver(statement, connection.dialect), values).fetchall()
    except psycopg.OperationalError:
        if driver.closed:  # and so, probably, are the others; SQLAlchemy would do the same
            connection.invalidate()
            connection.engine.dispose()
        raise


@cache
def _for_driver(statement: sa.TextClause, dialect: sa.Dialect) -> bytes:
    return str(statement.compile(dialect=dialect)).encode()


@cache
def _timeline(columns: str, has_since: bool, has_before: bool) -> sa.TextClause:
    conditions = ["site_id = :site_id"]
    if has_since:
        conditions += ["created_at >= :since", f"{_SECOND} >= {_second_of(':since')}"]
    if has_before:
        # Only the second says something new, but partitions are pruned by the first and the index is read by the third.
        conditions += ["created_at <= :at", "(created_at, id) < (:at, :id)", f"{_SECOND} <= {_second_of(':at')}"]
    return sa.text(
        f"""
        /* event_queries.timeline */
        SELECT {columns} FROM analytics_events
        WHERE {" AND ".join(conditions)}
        ORDER BY {_SECOND} DESC, created_at DESC, id DESC LIMIT :limit OFFSET :offset
        """
    )


def _second_of(parameter: str) -> str:
    return SECOND_SQL.format(moment=f"CAST({parameter} AS timestamptz)")


@cache
def _heatmap(has_path: bool, has_host: bool, has_query: bool) -> sa.TextClause:
    conditions = ["site_id = :site_id", "created_at >= :since", "created_at < :until", HAS_POSITION_SQL]
    if has_path:
        conditions.append(f"({PATH_SQL}) = :path")
    if has_host:
        conditions.append("split_part(page_url, '?', 1) = :base")
    if has_query:
        conditions.append("split_part(page_url, '?', 2) = :query")
    # OFFSET 0 keeps the outer conditions out of the inner query, where they could meet an x that is no number. It
    # counts texts and rounds what is left: half the time of rounding every row.
    return sa.text(
        f"""
        /* event_queries.heatmap */
        SELECT round(x::numeric)::integer AS x, round(y::numeric)::integer AS y, sum(clicks)::bigint AS count
        FROM (
            SELECT event_data ->> 'x' AS x, event_data ->> 'y' AS y, count(*) AS clicks
            FROM analytics_events
            WHERE {" AND ".join(conditions)}
            GROUP BY 1, 2 OFFSET 0
        ) AS spots
        WHERE abs(x::numeric) <= {MAX_POSITION} AND abs(y::numeric) <= {MAX_POSITION}
        GROUP BY 1, 2
        ORDER BY count DESC, 1, 2 LIMIT :limit
        """
    )


_THEMES: Final = sa.text(
    """
    /* event_queries.themes */
    SELECT theme, sum(views)::bigint AS views
    FROM (
        SELECT event_data ->> 'theme' AS theme, count(*) AS views
        FROM analytics_events
        WHERE site_id = :site_id AND created_at >= :since AND created_at < :until
              AND jsonb_typeof(event_data -> 'theme') = 'string'
        GROUP BY 1
        UNION ALL
        SELECT substr(name, 7), value
        FROM rollups_daily
        WHERE site_id = :site_id AND day >= :first AND day < :end AND starts_with(name, 'theme:')
    ) AS counted
    WHERE theme <> ''
    GROUP BY theme
    ORDER BY views DESC, theme LIMIT :limit
    """
)
