"""Every answer of the query engine is that of the oracle: any metric, dimension, filter, zone and range, whatever has
been rolled up, and in whatever order and portions events come.

MAICIVY_ORACLE_SCALE=20 has these tests look at twenty times as many examples: minutes instead of seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from maicivy.core.events import Event, Traits
from maicivy.core.query import Query, Rows
from maicivy.queries import Queries
from maicivy.storage.visit_queries import PostgresVisitQueries
from maicivy.storage.visit_tiers import KEPT
from tests.events import NOON, event
from tests.log_import.logs import BOT, FIREFOX
from tests.oracle.comparison import assert_same
from tests.oracle.generator import (
    DIMENSIONS,
    ZONES,
    examples,
    leaves,
    metrics_for,
    portions,
    queries,
    ranges,
    simple_queries,
    traffic,
)
from tests.oracle.oracle import answer
from tests.oracle.recount import recounted
from tests.oracle.store import new_sites, roll_up, rolled_up, send, store_of


class World:
    """The store and the engine on one database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = store_of(engine)
        self.queries = PostgresVisitQueries(engine, ZoneInfo("UTC"))

    def ask(self, query: Query) -> Rows:
        """The answer of the use case, which makes shares of the store's figures, before it rounds them."""
        return Queries(self.queries, cast(Any, None), ZoneInfo("UTC"))._figures(query)

    def check(self, events: list[Event], questions: list[Query]) -> None:
        for query in questions:
            assert_same(query, self.ask(query), answer(events, query))


@pytest.fixture(scope="module")
def world(engine: Engine) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        for grain in KEPT:  # days on which clocks changed do not get any younger
            patch.setitem(KEPT, grain, timedelta(days=36_500))
        yield World(engine)


@settings(max_examples=examples(8), deadline=None)
@given(st.data())
def test_every_metric_of_every_dimension(world: World, data: st.DataObject) -> None:
    sites = new_sites(world.engine, "Europe/Paris")
    events = data.draw(traffic(sites))
    send(world.store, data.draw(portions(events)))
    if data.draw(st.integers(0, 3)) == 3:
        roll_up(world.engine)
    zone = data.draw(st.sampled_from(ZONES))
    grain = data.draw(st.sampled_from((None, "hour", "day", "week", "month")))
    start, end = data.draw(ranges(events[0].created_at, zone, grain))
    times = (f"time:{grain}",) if grain else ()
    include_bots = data.draw(st.booleans())
    asked = [
        Query(
            sites[0], zone, start, end, metrics_for(dimensions), (*times, *dimensions), None, include_bots=include_bots
        )
        for dimensions in ((), *((name,) for name in DIMENSIONS))
    ]
    world.check(events, asked)


@settings(max_examples=examples(8), deadline=None)
@given(st.data())
def test_every_filter(world: World, data: st.DataObject) -> None:
    sites = new_sites(world.engine, "Europe/Paris")
    events = data.draw(traffic(sites))
    send(world.store, data.draw(portions(events)))
    world.check(events, [data.draw(queries(sites[0], events, leaves((name,)))) for name in DIMENSIONS])


@settings(max_examples=examples(10), deadline=None)
@given(st.data())
def test_whatever_is_asked(world: World, data: st.DataObject) -> None:
    sites = new_sites(world.engine, "Europe/Paris")
    events = data.draw(traffic(sites))
    send(world.store, data.draw(portions(events)))
    world.check(events, [data.draw(queries(sites[0], events)) for _ in range(15)])


@settings(max_examples=examples(3), deadline=None)
@given(st.data())
def test_rollups_late_events_and_events_that_come_again_change_no_answer(world: World, data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(ZONES))
    sites = new_sites(world.engine, zone.key)
    events = data.draw(traffic(sites, max_events=25))
    batches = data.draw(portions(events))
    simple, any_kind = simple_queries(sites[0], events, zone), queries(sites[0], events)
    questions = [data.draw(question) for question in (*[simple] * 9, *[any_kind] * 3)]
    early, late = batches[: len(batches) // 2], batches[len(batches) // 2 :]
    send(world.store, early)
    roll_up(world.engine)
    world.check([event for batch in early for event in batch], questions)
    send(world.store, late)
    world.check(events, questions)
    roll_up(world.engine)
    world.check(events, questions)
    assert rolled_up(world.engine, sites[0]) or not recounted(events, sites[0])
    send(world.store, reversed(batches))
    world.check(events, questions)


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({"engagement_ms": 7, "scroll_depth": 70}, {"engagement_ms": 7, "scroll_depth": 70}),
        ({"engagement_ms": 0, "scroll_depth": 0}, {}),
        ({"engagement_ms": 1.5, "scroll_depth": 50.0}, {}),
        ({"engagement_ms": 10**11, "scroll_depth": "70"}, {}),
    ],
)
def test_visits_and_stored_events_tell_the_same_of_engagement(
    world: World, told: dict[str, Any], read: dict[str, int]
) -> None:
    site_id, _ = new_sites(world.engine)
    events = [
        msgspec.structs.replace(event(at=NOON, site_id=site_id), traits=Traits(FIREFOX)),
        msgspec.structs.replace(event("engagement", told, at=NOON, site_id=site_id), traits=Traits(FIREFOX, **read)),
    ]
    send(world.store, [events])
    for start in (NOON, NOON - timedelta(minutes=1)):  # quarters of an hour are enough, or are not
        metrics = metrics_for(("event:page",))
        world.check(events, [Query(site_id, ZONES[0], start, NOON + timedelta(hours=1), metrics, ("event:page",))])


def test_a_bucket_is_called_by_its_own_start_wherever_the_range_begins(world: World) -> None:
    site_id, _ = new_sites(world.engine, "Europe/Paris")
    start = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)  # a Sunday
    times = [start + timedelta(hours=hours) for hours in (0, 23, 24, 70)]
    events = [msgspec.structs.replace(event(at=at, site_id=site_id), traits=Traits(FIREFOX)) for at in times]
    asked = [
        Query(site_id, ZoneInfo("Europe/Paris"), start, start + timedelta(days=days), metrics_for(()), (grain,))
        for grain in ("time:day", "time:week", "time:month")
        for days in (1, 2, 5, 40)
    ]
    send(world.store, [events])
    world.check(events, asked)
    roll_up(world.engine)
    world.check(events, asked)


def test_minutes_in_which_there_were_only_bots_are_rolled_up_too(world: World) -> None:
    site_id, _ = new_sites(world.engine)
    events = [
        msgspec.structs.replace(event(at=NOON + timedelta(minutes=3 * n), visitor=n, site_id=site_id), traits=traits)
        for n, traits in ((1, Traits(FIREFOX)), (2, Traits(BOT)))
    ]
    send(world.store, [events])
    roll_up(world.engine)
    for include_bots in (False, True):
        hour = NOON, NOON + timedelta(hours=1)
        query = Query(site_id, ZONES[0], *hour, ("visits", "events"), ("time:minute",), include_bots=include_bots)
        world.check(events, [query])


def test_the_twenty_fifth_hour_of_a_day_is_of_that_day(world: World) -> None:
    site_id, _ = new_sites(world.engine, "Europe/Paris")
    midnight = datetime(2025, 10, 25, 22, 0, tzinfo=UTC)
    times = [midnight + timedelta(hours=hours) for hours in (2, 12, 24.5)]
    events = [msgspec.structs.replace(event(at=at, site_id=site_id), traits=Traits(FIREFOX)) for at in times]
    events = [msgspec.structs.replace(each, visitor_id=events[0].visitor_id) for each in events]
    spans = [(midnight - timedelta(days=days), midnight + timedelta(hours=25)) for days in (0, 1, 7)]
    asked = [
        Query(site_id, ZoneInfo("Europe/Paris"), *span, metrics_for(()), times_of)
        for span in spans
        for times_of in ((), ("time:hour",), ("time:day",))
    ]
    send(world.store, [events])
    world.check(events, asked)
    roll_up(world.engine)
    world.check(events, asked)
