"""Segments are what visits are, whatever comes when, and whatever time it is when they are made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from maicivy.core.events import Event
from maicivy.queries import Queries
from maicivy.storage import buckets
from maicivy.storage.buckets import Buckets
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.marks import allow_taking
from maicivy.storage.segments import reading
from maicivy.storage.visit_queries import PostgresVisitQueries
from tests.oracle.comparison import assert_same
from tests.oracle.generator import ZONES, examples, portions, queries, traffic
from tests.oracle.oracle import answer
from tests.oracle.store import LATER, new_sites, send, store_of
from tests.storage.segments_read import check


@pytest.fixture(scope="module")
def store(engine: Engine) -> PostgresEventStore:
    return store_of(engine)


def new_sites_alone(engine: Engine, zone: ZoneInfo) -> tuple[int, int]:
    """Two sites, and nothing to be made of others."""
    with engine.begin() as connection:
        allow_taking(connection)
        for table in ("dirty_hours", "segments"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
    return new_sites(engine, str(zone))


def drawn(
    data: st.DataObject, engine: Engine, zone: ZoneInfo
) -> tuple[tuple[int, int], list[Event], list[list[Event]], datetime]:
    """Two sites; what happens on them, and in which portions it comes; the hour that it begins in."""
    sites = new_sites_alone(engine, zone)
    events = data.draw(traffic(sites=sites))
    first = min(event.created_at for event in events).replace(minute=0, second=0, microsecond=0)
    return sites, events, data.draw(portions(events)), first


@settings(max_examples=examples(8), deadline=None)
@given(data=st.data(), zone=st.sampled_from(ZONES))
def test_segments_are_what_visits_are_at_any_time(
    engine: Engine, store: PostgresEventStore, data: st.DataObject, zone: ZoneInfo
) -> None:
    sites, _, all_of_them, first = drawn(data, engine, zone)
    steps = st.sampled_from((0, 0.25, 0.5, 1, 7, 24))
    now = first
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "fill", lambda *_: None)  # not what this is about
        refreshing = Buckets(engine, ZoneInfo("UTC"))
        for portion in all_of_them:
            send(store, [portion])
            now += timedelta(hours=data.draw(steps))
            refreshing.refresh(now)
            for site_id in sites:
                check(engine, site_id)
        refreshing.refresh(LATER)
    counted = sum(check(engine, site_id) for site_id in sites)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM dirty_hours")) == 0
        assert connection.scalar(sa.text("SELECT count(*) FROM segments WHERE grain = 'hour'")) == 0
        visits = "SELECT count(*) FROM visits WHERE events > 0 AND site_id = ANY (:sites)"
        assert connection.scalar(sa.text(visits), {"sites": list(sites)}) == counted


@settings(max_examples=examples(6), deadline=None)
@given(data=st.data(), zone=st.sampled_from(ZONES))
def test_answers_are_right_whatever_segments_there_are(
    engine: Engine, store: PostgresEventStore, data: st.DataObject, zone: ZoneInfo
) -> None:
    sites, events, all_of_them, first = drawn(data, engine, zone)
    refreshing = Buckets(engine, ZoneInfo("UTC"))
    made = data.draw(st.integers(0, len(all_of_them)))
    send(store, all_of_them[:made])
    refreshing.refresh(first + timedelta(hours=data.draw(st.sampled_from((3, 10, 24, 28.5, 52)))))
    send(store, all_of_them[made:])
    asked = [data.draw(queries(sites[0], events)) for _ in range(10)]
    visit_queries = PostgresVisitQueries(engine, ZoneInfo("UTC"))
    for query in asked:
        with pytest.MonkeyPatch.context() as patch:
            if data.draw(st.booleans()):
                patch.setattr(reading, "_FEW", timedelta(-1))  # days one after the other, however few they are
            found = Queries(visit_queries, cast(Any, None), ZoneInfo("UTC"))._figures(query)
        assert_same(query, found, answer(events, query))
    for site_id in sites:
        check(engine, site_id)
