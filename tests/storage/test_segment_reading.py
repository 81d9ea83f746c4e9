"""What is read for a stretch of time is the same in one statement for all of it as day by day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.events import Event, Traits
from maicivy.core.ports import Parcel
from maicivy.storage import buckets
from maicivy.storage.buckets import Buckets
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.segments import reading
from maicivy.storage.segments.block import COLUMNS
from maicivy.storage.segments.reading import Reading, Wanted
from tests.events import event, visitor_id
from tests.storage.segments_read import Spelled, spelled_out

ZONE = ZoneInfo("UTC")
DAY = datetime(2025, 12, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
BROWSER = Traits(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
WANTED = Wanted(frozenset(COLUMNS), frozenset(), frozenset(("plan",)))
PLAN = {"plan": "pro"}

STRETCHES = [(0, 24), (24, 48), (24, 60), (48, 53.5), (23, 25), (72, 96), (120, 144), (144, 168)]
"""Hours from `DAY` on, of two UTC days at the most: days with day rows and hour rows, with hours that have changed
since, that a visit reaches into, and that nothing happened on."""


def seen(visitor: int, hour: float) -> Event:
    at = DAY + hour * HOUR
    one = event("page_view", PLAN, at=at, page_url=f"/{visitor}")
    who = visitor_id(visitor, at - 0.3 * HOUR)  # somebody of yesterday goes on for a while
    return msgspec.structs.replace(one, visitor_id=who, traits=BROWSER)


def send(engine: Engine, *events: Event) -> None:
    PostgresEventStore(engine, ZONE).store([Parcel(f"{events[0].id.int}-0", len(events), list(events), [])])


@pytest.fixture
def visited(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Three days of visits, those of the last in segments of hours; some hours have changed since."""
    monkeypatch.setattr(buckets, "fill", lambda *_: None)
    send(
        engine, *(seen(n, 7.1 * n) for n in range(10)), seen(50, 23.9), seen(50, 24.1), seen(60, 119.9), seen(60, 120.1)
    )
    Buckets(engine, ZONE).refresh(DAY + 54 * HOUR)
    Buckets(engine, ZONE).refresh(DAY + 60 * HOUR)
    send(engine, seen(70, 7.2), seen(71, 49.8), seen(72, 51.2))
    return engine


def read(connection: sa.Connection, hours: tuple[float, float]) -> list[tuple[set[object], list[Spelled]]]:
    """For each day what stands in its blocks."""
    stale = "SELECT hour FROM dirty_hours WHERE rolled <> seq AND hour >= :first AND hour < :end"
    start, end = (DAY + each * HOUR for each in hours)
    first = start.replace(hour=0)
    found = connection.execute(sa.text(stale), {"first": first, "end": end}).scalars().all()
    each = Reading(connection, 1, start, end, found, WANTED)
    chunks = list(each.chunks())
    named = {int(number) for lists in each.lists for number in lists["action"]}
    for block in (block for blocks in chunks for block in blocks):
        assert named >= set(block.ids["action"].tolist())
    return [
        (
            {(block.base, block.is_whole, block.passed_over, tuple(block.properties)) for block in blocks},
            sorted(visit for block in blocks for visit in spelled_out(block)),
        )
        for blocks in chunks
    ]


def test_days_are_read_at_once_as_they_are_one_after_the_other(
    visited: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with visited.connect() as connection:
        at_once = {hours: read(connection, hours) for hours in STRETCHES}
        monkeypatch.setattr(reading, "_FEW", -HOUR)
        for hours, found in at_once.items():
            assert found == read(connection, hours), hours
    assert [hours for hours, found in at_once.items() if not found] == [(72, 96), (144, 168)]
    assert len(at_once[24, 48][0][1]) == 3 + 1  # with one that began the day before
