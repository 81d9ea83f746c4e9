"""Segments: how they are made of visits, kept, and read, and when. That they are always right, tests/oracle shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.buckets import Grain
from maicivy.core.events import Event, Traits
from maicivy.storage import buckets as buckets_module
from maicivy.storage.buckets import Buckets
from maicivy.storage.marks import allow_taking
from maicivy.storage.segments import keeping, making
from maicivy.storage.segments.block import COLUMNS, LISTS, SINGLE, Block
from maicivy.storage.segments.keeping import keep, stored, stored_ids
from maicivy.storage.segments.loading import load, load_crossing, load_day
from tests.events import event, visitor_id
from tests.oracle.store import send, store_of
from tests.storage.segments_read import check, of_visits, spelled_out

DAY = datetime(2025, 12, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
BROWSER = Traits(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")


def at(hours: float) -> datetime:
    """So many hours into the day."""
    return DAY + hours * HOUR


def view(hours: float, visitor: int = 1, page: str = "/cv", **data: Any) -> Event:
    given = event(at=at(hours), visitor=visitor, page_url=page, data=data)
    return msgspec.structs.replace(given, traits=BROWSER, visitor_id=visitor_id(visitor, DAY))


class World:
    """A store, and what is made of what is in it; without rollups, which are not what this is about."""

    def __init__(self, engine: Engine, zone: str = "UTC") -> None:
        self.engine = engine
        self.buckets = Buckets(engine, ZoneInfo(zone))
        self._store = store_of(engine)

    def put(self, *events: Event) -> None:
        send(self._store, [events])

    def refresh(self, hours: float) -> None:
        """As if it were so many hours into the day."""
        self.buckets.refresh(at(hours))
        check(self.engine)

    def segments(self) -> list[tuple[str, float, int]]:
        """Grain, hours into the day at which it starts, visits."""
        return [(grain, start, visits) for grain, start, visits, _ in self.versions()]

    def versions(self) -> list[tuple[str, float, int, int]]:
        """The same, and the transaction that made it."""
        found = sa.text("SELECT grain, start, visits, xmin::text::bigint AS made FROM segments ORDER BY start, grain")
        with self.engine.connect() as connection:
            rows = connection.execute(found)
            return [(row.grain, (row.start - DAY) / HOUR, row.visits, row.made) for row in rows]


@pytest.fixture
def engine(engine_of_file: Engine) -> Engine:
    """One database for all tests: emptied more quickly than made."""
    with engine_of_file.begin() as connection:
        allow_taking(connection)
        for table in ("analytics_events", "visits", "crossings", "dirty_hours", "segments", "segment_properties"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
    return engine_of_file


@pytest.fixture
def connection(engine: Engine) -> Iterator[sa.Connection]:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        yield connection


@pytest.fixture(autouse=True)
def without_rollups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets_module, "fill", lambda *_: None)


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


def day_of_everything(world: World) -> None:
    world.put(
        view(1, 1, "/a", plan="pro"),
        view(1.1, 1, "/b", plan="free"),
        view(1.4, 1, "/a"),
        view(3, 2, "/b"),
        view(5, 1, "/c"),
        msgspec.structs.replace(
            view(3.01, 2, "/b"),
            event_type="engagement",
            traits=msgspec.structs.replace(BROWSER, engagement_ms=90_000, scroll_depth=70),
        ),
        msgspec.structs.replace(view(4, 3, "/a"), event_type="engagement"),  # of engagement alone: does not count
        msgspec.structs.replace(view(23.9, 4, "/d"), traits=Traits(user_agent="python-requests/2.32.4")),
        view(24.2, 4, "/d"),
        view(25, 5, "/a"),
    )


# Loading


def test_a_day_is_loaded_as_its_visits_are(world: World, connection: sa.Connection) -> None:
    day_of_everything(world)
    block = load_day(connection, 1, DAY.date())
    visits = of_visits(connection, DAY, at(24))
    assert (block.visits, block.is_whole, spelled_out(block)) == (4, True, visits)
    assert set(block.columns) == set(COLUMNS)
    assert set(block.ids) == set(LISTS)
    assert block.properties["plan"].values == ("free", "pro")


def test_nothing_is_a_day_too(world: World, connection: sa.Connection) -> None:
    world.put(view(1))
    block = load_day(connection, 1, date(2025, 11, 1))
    assert (block.visits, {len(column) for column in block.columns.values()}) == (0, {0})
    assert load(connection, 1, [at(5)], COLUMNS) == []
    assert load(connection, 2, [at(1)], COLUMNS) == []


@pytest.mark.parametrize("hours", [(1,), (1, 3), (0, 1, 2, 3, 4, 5), (3, 5, 25), (2, 23), (24, 25)])
def test_hours_are_loaded_by_day(world: World, connection: sa.Connection, hours: Sequence[int]) -> None:
    day_of_everything(world)
    blocks = load(connection, 1, [at(hour) for hour in hours], COLUMNS)
    visits = [visit for hour in hours for visit in of_visits(connection, at(hour), at(hour + 1))]
    assert sorted(visit for block in blocks for visit in spelled_out(block)) == sorted(visits)
    assert [block.base * 900 for block in blocks] == [
        at(24 * day).timestamp() for day in (0, 1) if any(hour // 24 == day for hour in hours if hour != 2)
    ]
    assert not any(block.is_whole for block in blocks)


@pytest.mark.parametrize("columns", [(), ("begin",), ("flags", "several", "alone"), ("at", "scroll"), ("entry",)])
def test_only_what_is_wanted_is_there(world: World, connection: sa.Connection, columns: Sequence[str]) -> None:
    day_of_everything(world)
    whole = load_day(connection, 1, DAY.date())
    (block,) = load(connection, 1, [at(hour) for hour in range(24)], columns)
    assert set(block.columns) == set(columns)
    assert set(block.ids) == set(columns) & set(LISTS)
    for name in columns:
        assert block.columns[name].tolist() == whole.columns[name].tolist()
    (block,) = load(connection, 1, [at(hour) for hour in range(24)], columns, ["plan"])
    assert set(block.columns) == {*columns, "told"}
    assert set(block.ids) == set(columns) & set(LISTS)
    assert list(block.properties) == ["plan"]


def test_who_goes_on_behind_midnight_is_found(world: World, connection: sa.Connection) -> None:
    day_of_everything(world)
    assert load_crossing(connection, 1, DAY, COLUMNS) is None
    block = load_crossing(connection, 1, at(24), COLUMNS, ["plan"])
    assert block is not None
    assert spelled_out(block) == of_visits(connection, at(23), at(24))


# Keeping


def read(connection: sa.Connection, *columns: str, properties: Sequence[str] = ()) -> list[Block]:
    listed = stored_ids(connection, 1, (DAY - 99 * HOUR).date(), (DAY + 99 * HOUR).date(), ())
    return list(stored(connection, 1, listed, columns, properties))


def test_what_is_kept_is_read_again(world: World, connection: sa.Connection) -> None:
    day_of_everything(world)
    block = load_day(connection, 1, DAY.date())
    for _ in range(2):  # the second one replaces the first
        keep(connection, 1, DAY, Grain.DAY, block)
    (again,) = read(connection, *COLUMNS, properties=["plan", "no"])
    assert (again.base, again.visits, again.is_whole) == (block.base, block.visits, True)
    for mine, theirs in ((again.columns, block.columns), (again.ids, block.ids)):
        assert {name: each.tolist() for name, each in mine.items()} == {
            name: each.tolist() for name, each in theirs.items()
        }
    assert list(again.properties) == ["plan"]
    plan, expected = again.properties["plan"], block.properties["plan"]
    assert plan.values == expected.values
    assert (plan.events.tolist(), plan.code.tolist()) == (expected.events.tolist(), expected.code.tolist())
    (some,) = read(connection, "begin", "exit")
    assert (set(some.columns), set(some.ids), some.properties) == ({"begin", "exit"}, {"exit"}, {})


@pytest.mark.parametrize("visitors", [0, 1, 2])
@pytest.mark.parametrize("views", [1, 2])
def test_of_few_visits_too(world: World, connection: sa.Connection, visitors: int, views: int) -> None:
    world.put(view(30), *(view(6 * n, who, plan="pro") for n in range(views) for who in range(1, 1 + visitors)))
    keep(connection, 1, DAY, Grain.DAY, load_day(connection, 1, DAY.date()))
    blocks = read(connection, *COLUMNS, properties=["plan"])
    assert len(blocks) == (visitors > 0)
    assert [visit for block in blocks for visit in spelled_out(block)] == of_visits(connection, DAY, at(24))
    for block in blocks:
        assert len(block.columns["told"]) == len(block.properties["plan"].events) == visitors * views
    keep(connection, 1, DAY, Grain.DAY, load_day(connection, 1, date(2025, 1, 1)))
    assert read(connection, "begin") == []
    assert connection.scalar(sa.text("SELECT count(*) FROM segment_properties")) == 0


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_segments_come_in_order_however_many_are_read_at_once(
    world: World, connection: sa.Connection, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(keeping, "AT_ONCE", at_once)
    world.put(*(view(hour, hour + 100) for hour in (0, 1, 1, 5, 24, 49)))
    world.refresh(50)
    with world.engine.begin() as other:  # an hour of a day that has a segment
        other.execute(sa.text("UPDATE segments SET start = start - interval '49 hours' WHERE grain = 'hour'"))
    found = read(connection, "begin", "client", properties=["plan"])
    assert [(block.base * 900 - DAY.timestamp()) / 3600 for block in found] == [0, 0, 24]
    listed = stored_ids(connection, 1, DAY.date(), DAY.date() + timedelta(days=1), ["client"])
    assert [(each.grain, each.visits) for each in listed] == [("day", 3), ("hour", 1), ("day", 1)]
    assert all(
        np.array_equal(each.ids["client"], block.ids["client"]) for each, block in zip(listed, found, strict=True)
    )


# When they are made


def test_hours_that_are_over_have_segments_and_a_day_that_is_over_has_one(world: World) -> None:
    world.put(view(1), view(5, 2), view(5.6, 3))
    world.refresh(5.5)
    assert world.segments() == [("hour", 1, 1)]
    world.refresh(6)
    assert world.segments() == [("hour", 1, 1), ("hour", 5, 2)]
    world.refresh(24)
    assert world.segments() == [("day", 0, 3)]
    assert check(world.engine) == 3


def test_days_far_back_get_theirs_in_one_go(world: World) -> None:
    world.put(view(1), view(30, 2), view(50, 3), view(50.4, 4))
    world.refresh(51)
    assert world.segments() == [("day", 0, 1), ("day", 24, 1), ("hour", 50, 2)]
    assert check(world.engine) == 4


def test_what_has_not_changed_is_not_made_anew(world: World) -> None:
    world.put(view(1), view(3, 2), view(25, 3), view(28, 4))
    world.refresh(27)
    before = world.versions()
    assert [each[:2] for each in before] == [("day", 0), ("hour", 25)]
    world.put(view(28.1, 4))
    world.refresh(27.5)
    world.refresh(28.2)
    assert world.versions() == before
    world.put(view(2, 5))
    world.refresh(28.3)
    (day, hour), (_, hour_before) = world.versions(), before
    assert (day[:3], hour) == (("day", 0, 3), hour_before)


def test_a_day_is_made_although_nothing_of_it_has_changed_since_its_hours_were(engine: Engine) -> None:
    world = World(engine, "Pacific/Kiritimati")  # where the day is over at 10:00 UTC
    world.put(view(1), view(8, 2))
    world.refresh(10)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM dirty_hours")) == 0
    assert world.segments() == [("hour", 1, 1), ("hour", 8, 1)]
    world.refresh(23.9)
    assert world.segments() == [("hour", 1, 1), ("hour", 8, 1)]
    world.refresh(24)
    assert world.segments() == [("day", 0, 2)]


def test_a_day_that_goes_on_elsewhere_is_made_once_it_is_over_in_utc(engine: Engine) -> None:
    world = World(engine, "America/Los_Angeles")  # until 08:00 UTC
    world.put(view(10), view(20, 2))
    world.refresh(24)
    before = world.versions()
    assert world.segments() == [("day", 0, 2)]
    world.put(view(25, 3))
    world.refresh(25.5)
    assert world.versions() == before
    world.refresh(26)
    assert world.versions()[:1] == before
    assert world.segments() == [("day", 0, 2), ("hour", 25, 1)]


def test_half_an_hour_off_an_hour_is_made_when_the_hours_that_share_it_are_over(engine: Engine) -> None:
    world = World(engine, "Asia/Kolkata")
    world.put(view(1), view(1.7, 2), view(23.9, 3))
    world.refresh(2.4)
    assert world.segments() == []
    world.refresh(2.5)
    assert world.segments() == [("hour", 1, 2)]
    world.refresh(24.1)
    assert check(engine) == 2
    world.refresh(24.6)
    assert check(engine) == 3
    assert world.segments() == [("day", 0, 3)]


def test_a_clock_that_is_set_back_has_no_visit_there_twice(world: World) -> None:
    world.put(view(1), view(22, 2))
    world.refresh(24)
    world.put(view(21, 3))
    world.refresh(23.9)
    assert (world.segments(), check(world.engine)) == ([("day", 0, 3)], 3)


def test_a_visit_that_goes_on_is_in_the_hour_in_which_it_began(world: World) -> None:
    world.put(view(22.9), view(23.3))
    world.refresh(23)
    assert world.segments() == [("hour", 22, 1)]
    world.put(view(23.7), view(24.1))
    assert check(world.engine) == 0
    world.refresh(24)
    assert check(world.engine) == 1
    world.put(view(22.5))
    world.refresh(24.2)
    assert world.segments() == [("day", 0, 1)]
    assert check(world.engine) == 1


def test_what_changes_while_a_segment_is_made_stays_marked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(view(1))

    def load_and_store(*arguments: Any) -> Block:
        block = load_day(*arguments)
        monkeypatch.setattr(making, "load_day", load_day)
        world.put(view(1.1, 2), view(3, 3))
        return block

    monkeypatch.setattr(making, "load_day", load_and_store)
    world.refresh(25)
    assert (world.segments(), check(world.engine)) == ([("day", 0, 1)], 0)
    world.refresh(25)
    assert (world.segments(), check(world.engine)) == ([("day", 0, 3)], 3)


@pytest.mark.parametrize(("first", "second"), [(20, 25), (25, 20)])
def test_who_comes_again_on_another_day_is_no_longer_alone_in_the_segment_of_the_first(
    world: World, connection: sa.Connection, first: int, second: int
) -> None:
    world.put(view(first))
    world.refresh(60)
    world.put(view(second))
    world.refresh(60)
    assert [block.columns["flags"].tolist()[0] & SINGLE for block in read(connection, "flags")] == [0, 0]


def test_another_visit_on_the_same_day_does_not_mark_the_hours_of_the_first(world: World) -> None:
    world.put(view(3))
    world.refresh(5)
    world.put(view(6))
    with world.engine.connect() as connection:
        stale = connection.scalars(sa.text("SELECT hour FROM dirty_hours WHERE rolled <> seq")).all()
    assert stale == [at(6)]
