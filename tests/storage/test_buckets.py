"""Rollups: what is made when, and that they go as they should. That their figures are right, tests/oracle shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.events import Event, Traits
from maicivy.core.ports import Parcel
from maicivy.core.query import Query
from maicivy.storage import buckets as module
from maicivy.storage.buckets import Buckets
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.visit_queries import PostgresVisitQueries
from tests.events import event, visitor_id

ZONE = ZoneInfo("UTC")
DAY = datetime(2025, 12, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
BROWSER = Traits(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")


def view(hours: float, visitor: int = 1) -> Event:
    """A page view so many hours into the day."""
    at = DAY + timedelta(hours=hours)
    given = event(at=at, visitor=visitor)
    return msgspec.structs.replace(given, traits=BROWSER, visitor_id=visitor_id(visitor, DAY))


class World:
    """A store, rollups and questions over one database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.buckets = Buckets(engine, ZONE)
        self._store = PostgresEventStore(engine, ZONE)
        self._queries = PostgresVisitQueries(engine, ZONE)
        self._receipts = 0

    def put(self, *events: Event) -> None:
        self._receipts += 1
        self._store.store([Parcel(f"{self._receipts}-0", len(events), list(events), [])])

    def made(self, grain: str) -> list[float]:
        """Hours into the day at which buckets begin that have been made."""
        found = sa.text("SELECT start FROM buckets WHERE grain = :grain AND dimension = 'all' AND NOT bot ORDER BY 1")
        with self.engine.connect() as connection:
            return [(start - DAY) / HOUR for start in connection.scalars(found, {"grain": grain})]

    def dirty(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.scalar(sa.text("SELECT count(*) FROM dirty_hours")))

    def visits(self, *dimensions: str) -> tuple[list[int], tuple[str, ...]]:
        """Visits of the day, and the tiers that they were read from."""
        rows = self._queries.ask(Query(1, ZONE, DAY, DAY + timedelta(days=1), ("visits",), dimensions))
        return [int(row.metrics[0] or 0) for row in rows.rows], rows.how["visits"].tiers


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


def test_only_what_is_over_is_rolled_up(world: World) -> None:
    world.put(view(1), view(5, 2))
    world.buckets.refresh(DAY + 5.5 * HOUR)
    assert (world.made("hour"), world.made("day"), world.dirty()) == ([1], [], 2)
    assert world.visits() == ([2], ("raw",))
    assert world.visits("time:hour") == ([1, 1], ("raw", "hour"))
    world.buckets.refresh(DAY + 24 * HOUR)
    assert (world.made("hour"), world.made("day"), world.dirty()) == ([1, 5], [0], 0)
    assert world.visits() == ([2], ("day",))
    assert world.visits("time:hour") == ([1, 1], ("hour",))


def test_a_late_event_has_its_day_answered_from_visits_until_it_is_made_anew(world: World) -> None:
    world.put(view(1))
    world.buckets.refresh(DAY + 25 * HOUR)
    world.put(view(3, 2))
    assert world.visits() == ([2], ("raw",))
    world.buckets.refresh(DAY + 25 * HOUR)
    assert world.visits() == ([2], ("day",))


def test_what_changes_while_a_bucket_is_made_stays_marked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(view(1))
    fill = module.fill

    def fill_and_store(*arguments: object) -> None:
        fill(*arguments)  # type: ignore[arg-type]
        if not world.made("day"):
            monkeypatch.setattr(module, "fill", fill)
            world.put(view(1.1, 2))

    monkeypatch.setattr(module, "fill", fill_and_store)
    world.buckets.refresh(DAY + 25 * HOUR)
    assert world.dirty() == 1
    assert world.visits() == ([2], ("raw",))
    world.buckets.refresh(DAY + 25 * HOUR)
    assert world.visits() == ([2], ("day",))


def test_nobody_rolls_up_while_somebody_else_does(world: World) -> None:
    world.put(view(1))
    with world.engine.connect() as other:
        other.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": module.REFRESH_LOCK})
        assert world.buckets.refresh(DAY + 25 * HOUR) == 0
        other.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": module.REFRESH_LOCK})
    assert world.buckets.refresh(DAY + 25 * HOUR) > 0


def test_rollups_go_when_their_time_is_over(world: World) -> None:
    world.put(view(1))
    world.buckets.refresh(DAY + 25 * HOUR)
    assert world.made("minute") == [1]
    world.buckets.expire(DAY + timedelta(days=32))
    assert (world.made("minute"), world.made("hour"), world.made("day")) == ([], [1], [0])
    world.buckets.expire(DAY + timedelta(days=400))
    assert (world.made("hour"), world.made("day")) == ([], [0])
    world.buckets.expire(DAY + timedelta(days=6 * 366))
    assert world.made("day") == []
