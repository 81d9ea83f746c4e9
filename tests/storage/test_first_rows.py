"""The first rows of an answer are the same, whether all values of rollups are read for them or the most visited."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.events import Event, Traits
from maicivy.core.query import Query
from maicivy.storage import visit_plan, visit_rollups
from maicivy.storage.buckets import Buckets
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.visit_plan import Plan
from tests.events import event, visitor_id
from tests.oracle.store import send

ZONE = ZoneInfo("UTC")
START = datetime(2025, 12, 8, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = 4
NOW = START + (DAYS - 0.5) * DAY
BROWSER = Traits(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
PAGES = 10
ORDERS = ((), (("pageviews", "asc"),), (("event:page", "desc"),))


def views(weights: list[int]) -> list[Event]:
    """Of each day until now, sixty visitors on one page or two; without weights on one after the other."""
    chance = random.Random(7)
    made = []
    for n in range(60 * DAYS):
        at = START + n // 60 * DAY + chance.random() * (DAY / 2)
        for page in {*chance.choices(range(PAGES), weights, k=2)} if weights else {n % PAGES}:
            view = event(visitor=n, at=at, page_url=f"/{page}")
            made.append(msgspec.structs.replace(view, traits=BROWSER, visitor_id=visitor_id(n, at)))
    return made


@pytest.mark.parametrize(
    ("weights", "outcomes"),
    [
        ([3**n for n in range(PAGES)], {True, False}),
        ([1] * PAGES, {True, False}),
        ([1, 1] + [0] * (PAGES - 2), {True}),
        ([], {True, False}),
    ],
    ids=["skewed", "even", "two pages", "all alike"],
)
def test_first_rows_are_those_of_all(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, weights: list[int], outcomes: set[bool]
) -> None:
    send(PostgresEventStore(engine, ZONE), [views(weights)])
    Buckets(engine, ZONE).refresh(NOW)
    found: Counter[bool] = Counter()
    with engine.connect() as connection:
        for firsts in (2, 4, 100):
            for module in (visit_plan, visit_rollups):
                monkeypatch.setattr(module, "FIRSTS", firsts)
            for limit, offset, order, days in [
                (limit, offset, order, days)
                for limit in (1, 2, 5)
                for offset in (0, 2)
                for order in ORDERS
                for days in (DAYS, DAYS - 1)
            ]:
                found[_is_certain(connection, limit, offset, order, days)] += 1
    assert outcomes <= found.keys()


def _is_certain(
    connection: sa.Connection, limit: int, offset: int, order: tuple[tuple[str, str], ...], days: int
) -> bool:
    query = Query(
        1,
        ZONE,
        START,
        START + days * DAY,
        ("visitors", "visits", "pageviews", "bounce_rate"),
        ("event:page",),
        order_by=(("visitors", "desc"), *order),  # type: ignore[arg-type]
        limit=limit,
        offset=offset,
    )
    plan = Plan(connection, query, ZONE)
    statement = plan.first_rows()
    assert statement is not None
    first = [tuple(row) for row in connection.execute(sa.text(statement), plan.values.bound)]
    rows = [tuple(row) for row in connection.execute(sa.text(plan.statement()), plan.values.bound)]
    if not first or not first[0][-1]:
        return False
    assert [row[: len(query.metrics) + 1] for row in first] == rows
    return True


def test_nothing_is_spared_where_the_order_is_another_or_all_rows_are_counted(engine: Engine) -> None:
    send(PostgresEventStore(engine, ZONE), [views([1] * PAGES)])
    Buckets(engine, ZONE).refresh(NOW)
    query = Query(1, ZONE, START, START + DAYS * DAY, ("visitors",), ("event:page",), None, (("visitors", "desc"),), 5)
    others = [
        query,
        msgspec.structs.replace(query, order_by=(("visitors", "asc"),)),
        msgspec.structs.replace(query, order_by=()),
        msgspec.structs.replace(query, count_rows=True),
        msgspec.structs.replace(query, limit=1000),
        msgspec.structs.replace(query, start=NOW - 0.1 * DAY),
        msgspec.structs.replace(query, dimensions=("event:page", "time:day")),
    ]
    with engine.connect() as connection:
        assert [Plan(connection, each, ZONE).first_rows() is not None for each in others] == [True] + [False] * 6
