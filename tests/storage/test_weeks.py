"""Weeks are made of days that are over, are read where a question holds all of them, and go with any of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.events import Event, Traits
from maicivy.core.query import Query
from maicivy.storage import buckets as module
from maicivy.storage import weeks
from maicivy.storage.bucket_zones import forget
from maicivy.storage.buckets import Buckets
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.visit_queries import PostgresVisitQueries
from maicivy.storage.visit_tiers import KEPT
from tests.events import event, visitor_id
from tests.oracle.store import send

ZONE = ZoneInfo("UTC")
MONDAY = datetime(2025, 12, 8, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
LATER = MONDAY + 4 * WEEK
BROWSER = Traits(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
FORGED = 1000
"""Visits more than there were, in rollups of weeks only: what is read from them shows it."""


READ: Final[list[tuple[float, float, tuple[str, ...], list[int]]]] = [
    (0, 14, (), [2]),
    (0, 7, (), [1]),
    (-3, 15, (), [2]),
    (-3, 15, ("event:page",), [2]),
    (1, 14, (), [1]),
    (0, 6, (), [0]),
    (1, 7, (), [0]),
    (0, 6.5, (), [0]),
    (0, 14, ("time:week",), [1, 1]),
    (0, 13, ("time:week",), [1, 0]),
    (0, 14, ("time:day",), [0, 0, 0, 0]),
    (0, 14, ("time:month",), [2]),
    (20, 28, ("time:month",), [0, 0]),
]
"""Of questions about so many days after the Monday: how many weeks are read for each row of the answer."""


def view(days: float) -> Event:
    """A page view so many days after the Monday."""
    at = MONDAY + days * DAY
    return msgspec.structs.replace(event(at=at), traits=BROWSER, visitor_id=visitor_id(1, at))


class World:
    """A store, rollups and questions over one database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.buckets = Buckets(engine, ZONE)
        self._store = PostgresEventStore(engine, ZONE)
        self._queries = PostgresVisitQueries(engine, ZONE)

    def put(self, *days: float) -> None:
        send(self._store, [[view(each) for each in days]])

    def made(self) -> list[int]:
        """Days after the Monday on which weeks begin that have been made."""
        found = "SELECT start FROM buckets WHERE grain = 'week' AND dimension = 'all' AND NOT bot ORDER BY 1"
        with self.engine.connect() as connection:
            return [(start - MONDAY) // DAY for start in connection.scalars(sa.text(found))]

    def run(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement))

    def forge(self) -> None:
        self.run(
            f"UPDATE buckets SET visits = ARRAY(SELECT n + {FORGED} FROM unnest(visits) AS n)"
            " WHERE grain = 'week' AND NOT bot"
        )

    def visits(self, start: float, end: float, *dimensions: str, zone: ZoneInfo = ZONE) -> list[int]:
        query = Query(1, zone, MONDAY + start * DAY, MONDAY + end * DAY, ("visits",), dimensions)
        rows = self._queries.ask(query)
        assert rows.how["visits"].tiers == ("day",)
        return [int(row.metrics[0] or 0) for row in rows.rows]


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


def test_a_week_is_made_when_its_last_day_is_over(world: World) -> None:
    world.put(1, 5.5)
    world.buckets.refresh(MONDAY + WEEK - timedelta(seconds=1))
    assert world.made() == []
    world.buckets.refresh(MONDAY + WEEK)
    assert world.made() == [0]


def test_weeks_are_read_where_a_question_holds_all_of_them(world: World) -> None:
    world.put(1.5, 4, 8, 11, 22, 25)
    world.buckets.refresh(LATER)
    before = [world.visits(start, end, *dimensions) for start, end, dimensions, _ in READ]
    world.forge()
    after = [world.visits(start, end, *dimensions) for start, end, dimensions, _ in READ]
    read = [[(b - a) / FORGED for a, b in zip(*each, strict=True)] for each in zip(before, after, strict=True)]
    assert read == [expected for *_, expected in READ]


def test_a_late_event_takes_its_week_away_until_its_day_is_made_anew(world: World) -> None:
    world.put(1, 8)
    world.buckets.refresh(LATER)
    assert world.made() == [0, 7]
    world.put(2)
    world.forge()  # nobody reads it any more
    query = Query(1, ZONE, MONDAY, MONDAY + WEEK, ("visits",))
    assert PostgresVisitQueries(world.engine, ZONE).ask(query).rows[0].metrics == (2,)
    world.buckets.refresh(LATER)
    assert world.made() == [0, 7]
    assert world.visits(0, 7) == [2]


def test_while_a_day_is_made_anew_its_week_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(1, 8)
    world.buckets.refresh(LATER)
    world.put(2)
    monkeypatch.setattr(module, "make_weeks", lambda *_: 0)
    world.buckets.refresh(LATER)
    assert world.made() == [7]
    assert world.visits(0, 14) == [3]


def test_weeks_that_an_older_version_did_not_make_are_made_by_and_by(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(1, 8, 15, 22)
    world.buckets.refresh(LATER)
    world.run("DELETE FROM buckets WHERE grain = 'week'")
    world.put(29)
    monkeypatch.setattr(weeks, "AT_ONCE", 3)
    world.buckets.refresh(LATER + 2 * DAY)
    assert world.made() == [7, 14, 21]
    world.put(29)
    world.buckets.refresh(LATER + 2 * DAY)
    assert world.made() == [0, 7, 14, 21]


def test_a_week_goes_with_the_first_of_its_days_and_does_not_come_back(world: World) -> None:
    world.put(0.5, 3, 8)
    world.buckets.refresh(LATER)
    now = MONDAY + KEPT[module.Grain.DAY] + DAY
    world.buckets.expire(now)
    assert world.made() == [7]
    world.put(8)
    world.buckets.refresh(now)
    assert world.made() == [7]


def test_weeks_are_those_of_the_zone_that_is_in_force(world: World) -> None:
    world.put(1, 8)
    world.buckets.refresh(LATER)
    paris = ZoneInfo("Europe/Paris")
    world.run("UPDATE sites SET timezone = 'Europe/Paris'")
    with world.engine.begin() as connection:
        forget(connection, 1)
    assert world.made() == []
    world.buckets.refresh(LATER)
    hour = 1 / 24
    assert world.visits(-hour, 14 - hour, zone=paris) == [2]
    world.forge()
    assert world.visits(-hour, 14 - hour, zone=paris) == [2 + 2 * FORGED]


def test_days_of_a_zone_that_is_no_longer_in_force_make_no_week(world: World) -> None:
    world.put(1, 8)
    world.buckets.refresh(LATER)
    world.run("DELETE FROM buckets WHERE grain = 'week'")
    world.run("UPDATE buckets SET start = start + interval '5 hours' WHERE grain = 'day' AND start < '2025-12-15'")
    weeks.make_weeks(world.engine, [1], ZONE, LATER)
    assert world.made() == [7]


def test_sums_that_a_column_cannot_hold_make_no_week(world: World) -> None:
    world.put(1, 2)
    world.buckets.refresh(LATER)
    world.run("DELETE FROM buckets WHERE grain = 'week'")
    world.run("UPDATE buckets SET pageviews = '{2000000000}' WHERE grain = 'day' AND dimension = 'all' AND NOT bot")
    assert weeks.make_weeks(world.engine, [1], ZONE, LATER) == 0
    assert world.made() == []
