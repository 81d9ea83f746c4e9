"""What questions about visits promise besides right figures (tests/oracle): limits, clear errors, an order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Thread
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.events import Traits
from maicivy.core.ports import Parcel
from maicivy.core.query import Match, Query
from maicivy.errors import Refusal, Unavailable
from maicivy.storage import visit_plan, visit_queries
from maicivy.storage.buckets import Buckets
from maicivy.storage.connections import driver_connection
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.visit_queries import PostgresVisitQueries
from tests.events import NOON, event

ZONE = ZoneInfo("UTC")
DAY = datetime(2025, 12, 8, tzinfo=UTC)
BROWSER = Traits(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")


@pytest.fixture
def queries(engine: Engine) -> PostgresVisitQueries:
    pages = [
        msgspec.structs.replace(event(visitor=n, at=NOON + timedelta(hours=n), page_url=f"/{n}"), traits=BROWSER)
        for n in range(1, 4)
    ]
    PostgresEventStore(engine, ZONE).store([Parcel("1-0", 3, pages, [])])
    return PostgresVisitQueries(engine, ZONE)


def query(*dimensions: str, **more: object) -> Query:
    return msgspec.structs.replace(
        Query(1, ZONE, DAY, DAY + timedelta(days=1), ("visitors", "visits"), dimensions), **more
    )


def test_a_page_of_rows_knows_how_many_there_are(queries: PostgresVisitQueries) -> None:
    page = queries.ask(query("event:page", limit=2, offset=1, count_rows=True))
    assert ([row.dimensions for row in page.rows], page.total) == ([("/2",), ("/3",)], 3)
    assert queries.ask(query("event:page", limit=2, offset=5, count_rows=True)).total == 3


def test_a_question_that_takes_too_long_is_refused(
    queries: PostgresVisitQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit_queries, "_LIMITS", "SELECT set_config('statement_timeout', '1ms', true)")
    monkeypatch.setattr(visit_queries.Plan, "statement", lambda _: "SELECT pg_sleep(5)")
    with pytest.raises(Refusal) as refusal:
        queries.ask(query())
    assert refusal.value.code == "query_too_slow"


def test_a_question_whose_segments_take_too_long_is_refused(
    queries: PostgresVisitQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit_queries, "_LIMITS", "SELECT set_config('statement_timeout', '20ms', true)")
    sleep = "SELECT pg_sleep(5)"
    monkeypatch.setattr(
        visit_plan, "answered", lambda connection, *_, **__: driver_connection(connection).execute(sleep)
    )
    with pytest.raises(Refusal) as refusal:
        queries.ask(query())
    assert refusal.value.code == "query_too_slow"


def test_a_pattern_that_postgres_does_not_know_is_refused(queries: PostgresVisitQueries) -> None:
    with pytest.raises(Refusal) as refusal:
        queries.ask(query(filter=Match("matches", "event:page", ("(",))))
    assert (refusal.value.code, refusal.value.field) == ("invalid_pattern", "filters")


def test_only_so_many_questions_are_answered_at_once(
    queries: PostgresVisitQueries, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit_queries, "STATEMENT_TIMEOUT_S", 0.01)
    with engine.begin() as connection:  # whoever asks waits for it
        connection.execute(sa.text("LOCK TABLE sites IN ACCESS EXCLUSIVE MODE"))
        waiting = [Thread(target=_ask, args=(queries,)) for _ in range(visit_queries.AT_ONCE)]
        for thread in waiting:
            thread.start()
        while queries._places.acquire(blocking=False):
            queries._places.release()
        with pytest.raises(Unavailable):
            queries.ask(query())
    for thread in waiting:
        thread.join()
    assert queries.ask(query()).rows[0].metrics == (3, 3)


def test_the_first_moment_is_that_of_the_first_visit_rolled_up_or_not(
    queries: PostgresVisitQueries, engine: Engine
) -> None:
    assert queries.first_moment(1) == NOON + timedelta(hours=1)
    assert queries.first_moment(2) is None
    Buckets(engine, ZONE).refresh(DAY + timedelta(days=2))
    assert queries.first_moment(1) == DAY


def _ask(queries: PostgresVisitQueries) -> None:
    queries.ask(query())
