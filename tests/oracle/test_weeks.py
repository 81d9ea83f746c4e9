"""Answers about several weeks are the oracle's, whichever of the weeks and days have been rolled up.

What happens is moved so that some of it is close to a midnight between two weeks.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from maicivy.core.buckets import Grain, start_of, starts
from maicivy.core.events import Event
from maicivy.core.query import EVENT_DIMENSIONS, VISIT_DIMENSIONS, Query
from tests.oracle.generator import ZONES, examples, leaves, metrics_for, portions, traffic
from tests.oracle.store import new_sites, roll_up, send
from tests.oracle.test_queries import World

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def world(engine: Engine) -> World:
    return World(engine)


def weeks(world: World, site_id: int) -> int:
    """How many weeks of a site have been rolled up."""
    counted = (
        "SELECT count(*) FROM buckets WHERE site_id = :site_id AND grain = 'week' AND dimension = 'all' AND NOT bot"
    )
    with world.engine.connect() as connection:
        return connection.execute(sa.text(counted), {"site_id": site_id}).scalar_one()


def moved(events: list[Event], zone: ZoneInfo, pivot: int, minutes: int) -> tuple[list[Event], datetime]:
    """All events later by the same, so that one of them is some minutes before a week begins; and when that is."""
    at = events[pivot].created_at
    monday = starts(Grain.WEEK, at, at + 8 * DAY, zone)[1]
    later = monday - timedelta(minutes=minutes) - at
    return [msgspec.structs.replace(each, created_at=each.created_at + later) for each in events], monday


@st.composite
def questions(draw: st.DrawFn, site_id: int, zone: ZoneInfo, monday: datetime) -> Query:
    """By one dimension at most, about some weeks around one, with or without days before and after."""
    name = draw(st.sampled_from((None, *VISIT_DIMENSIONS, *EVENT_DIMENSIONS)))
    condition = draw(st.one_of(st.none(), leaves((name,)))) if name else None
    grain = draw(st.sampled_from((None, None, "time:week", "time:month", "time:day")))
    dimensions = tuple(each for each in (grain, name) if each)
    local = monday.astimezone(zone)
    start = local - draw(st.sampled_from((7, 8, 13, 14))) * DAY
    end = local + draw(st.sampled_from((0, 6, 7, 10, 14))) * DAY
    metrics = metrics_for(dimensions, condition)
    return Query(site_id, zone, start, end, metrics, dimensions, condition, include_bots=draw(st.booleans()))


@settings(max_examples=examples(4), deadline=None)
@given(st.data())
def test_weeks_change_no_answer(world: World, data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(ZONES))
    sites = new_sites(world.engine, zone.key)
    drawn = data.draw(traffic(sites, max_events=30))
    pivot, minutes = data.draw(st.integers(0, len(drawn) - 1)), data.draw(st.integers(0, 40))
    events, monday = moved(drawn, zone, pivot, minutes)
    batches = data.draw(portions(events))
    asked = [data.draw(questions(sites[0], zone, monday)) for _ in range(10)]
    early, late = batches[: len(batches) // 2], batches[len(batches) // 2 :]
    send(world.store, early)
    roll_up(world.engine)
    world.check([event for batch in early for event in batch], asked)
    send(world.store, late)
    world.check(events, asked)
    roll_up(world.engine)
    happened = {start_of(Grain.WEEK, event.created_at, zone) for event in events if event.site_id == sites[0]}
    assert weeks(world, sites[0]) >= len(happened)
    world.check(events, asked)
