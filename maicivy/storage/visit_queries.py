"""Answers questions about visits: one plan, one statement, one moment of the database.

What a figure was read from is part of the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
import sqlalchemy as sa

from maicivy.core.query import Query, Row, Rows
from maicivy.errors import Refusal, Unavailable
from maicivy.metrics import DATABASE_DURATION, timed
from maicivy.storage.connections import postgres_errors
from maicivy.storage.pulse import Pulse
from maicivy.storage.segments.dictionaries import Dictionaries
from maicivy.storage.visit_plan import Plan

STATEMENT_TIMEOUT_S: Final = 10
AT_ONCE: Final = 4
"""Questions that a process has Postgres answer at the same time. Each may take two processors and some memory; those
that are waiting take neither from whoever sends events."""

_LIMITS: Final = (
    f"/* visit_queries.ask */ SELECT set_config('statement_timeout', '{STATEMENT_TIMEOUT_S}s', true),"
    " set_config('work_mem', '32MB', true), set_config('enable_sort', 'off', true)"
)
"""Groups are many more than the planner can guess behind unnest, and it would sort texts where it had better hash them.
Pages of one source took 2.8 s of processor time with the sorts, 2.1 without. Those that have no other way are made."""

_FIRST: Final = sa.text(
    """
    /* visit_queries.first_moment */
    SELECT least(
      (SELECT min(start) FROM buckets WHERE site_id = :site_id AND grain = 'day' AND dimension = 'all'),
      (SELECT min(hour) FROM dirty_hours WHERE site_id = :site_id))
    """
)


class PostgresVisitQueries:
    """See `core.ports.VisitQueries`. Safe for threads; `zone` is the installation's, for sites that have none."""

    def __init__(self, engine: sa.Engine, zone: ZoneInfo) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ")
        self._zone = zone
        self._pulse = Pulse(engine)
        self._dictionaries = Dictionaries()
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def ask(self, query: Query) -> Rows:
        """See `core.ports.VisitQueries.ask`.

        Raises:
            Refusal: `not_kept` when what the question needs is not kept for so long, `query_too_slow` after
                `STATEMENT_TIMEOUT_S`.
            Unavailable: Postgres does not live, or so many others are being answered that its turn does not come.
        """
        if not self._places.acquire(timeout=STATEMENT_TIMEOUT_S):
            raise Unavailable("postgres", "too many questions at once")
        try:
            return self._pulse.follow(lambda: self._ask(query))
        finally:
            self._places.release()

    def _ask(self, query: Query) -> Rows:
        with timed(DATABASE_DURATION, "query"), postgres_errors():
            try:
                with self._engine.begin() as connection:
                    return self._answer(connection, query)
            except (sa.exc.DBAPIError, psycopg.Error) as error:  # segments are read through the driver
                cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
                if isinstance(cause, psycopg.errors.QueryCanceled):
                    message = f"the query took more than {STATEMENT_TIMEOUT_S} s; ask for less time or fewer dimensions"
                    raise Refusal("query_too_slow", message) from error
                if isinstance(cause, psycopg.errors.InvalidRegularExpression):
                    raise Refusal("invalid_pattern", "a pattern is no regular expression", "filters") from error
                raise

    def first_moment(self, site_id: int) -> datetime | None:
        """See `core.ports.VisitQueries.first_moment`."""

        def ask() -> datetime | None:
            with self._engine.begin() as connection:
                first: datetime | None = connection.scalar(_FIRST, {"site_id": site_id})
            return first

        with timed(DATABASE_DURATION, "first_moment"), postgres_errors():
            return self._pulse.follow(ask)

    def explain(self, query: Query) -> str:
        """What Postgres does to answer, with times: for whoever tunes it."""
        with self._engine.begin() as connection:
            connection.execute(sa.text(_LIMITS))
            plan = Plan(connection, query, self._zone, self._dictionaries)
            lines = connection.execute(sa.text(f"EXPLAIN (ANALYZE, BUFFERS) {plan.statement()}"), plan.values.bound)
            return "\n".join(line for (line,) in lines)

    def _answer(self, connection: sa.Connection, query: Query) -> Rows:
        connection.execute(sa.text(_LIMITS))
        plan = Plan(connection, query, self._zone, self._dictionaries)
        result = _result(connection, plan)
        width, end = len(query.dimensions), len(query.dimensions) + len(query.metrics)
        total = None
        if query.count_rows:
            total = result[0].total if result else connection.scalar(sa.text(plan.count()), plan.values.bound)
        time = next((place for place, name in enumerate(query.dimensions) if name.startswith("time:")), None)
        if time is None:
            rows = [Row(tuple(row[:width]), tuple(row[width:end])) for row in result]
        else:
            rows = [
                Row((*row[:time], row[time].astimezone(UTC), *row[time + 1 : width]), tuple(row[width:end]))
                for row in result
            ]
        return Rows(rows, {metric: plan.how(metric) for metric in query.metrics}, total, plan.seq)


def _result(connection: sa.Connection, plan: Plan) -> Sequence[sa.Row[Any]]:
    """The rows of an answer, of metrics and more."""
    first_rows = plan.first_rows()
    if first_rows is not None:
        result = connection.execute(sa.text(first_rows), plan.values.bound).all()
        if result and result[0].is_certain:
            return result
    return connection.execute(sa.text(plan.statement()), plan.values.bound).all()
