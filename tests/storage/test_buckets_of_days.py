"""Rollups are those of the zone that is in force."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa

from maicivy.core.events import Traits
from maicivy.core.query import Query, Row
from maicivy.errors import Refusal
from maicivy.storage.buckets import Buckets
from maicivy.storage.visit_queries import PostgresVisitQueries
from tests.events import NOON, event, visitor_id
from tests.oracle.store import LATER, roll_up, rolled_up, send, store_of


def visits_seen(engine: sa.Engine, zone: ZoneInfo) -> tuple[int, tuple[str, ...]]:
    """Visits of the default site where `zone` is the installation's, and the tiers that they were read from."""
    start = NOON.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=7)
    query = Query(1, zone, start, start + timedelta(days=10), ("visits",), (), None, (), 10, 0, True, False)
    rows = PostgresVisitQueries(engine, zone).ask(query)
    return rows.rows[0].metrics[0], rows.how["visits"].tiers  # type: ignore[return-value]


@pytest.mark.parametrize("zone", ["Europe/Paris", "Asia/Kolkata", "Etc/UTC"])
def test_another_zone_of_the_installation_has_the_rollups_of_its_sites_made_anew(engine: sa.Engine, zone: str) -> None:
    send(store_of(engine), [[event(at=NOON - timedelta(days=back)) for back in range(4)]])
    roll_up(engine)
    assert visits_seen(engine, ZoneInfo("UTC")) == (4, ("day",))
    if zone != "Etc/UTC":  # until then they are not asked
        assert visits_seen(engine, ZoneInfo(zone)) == (4, ("raw",))
    buckets = Buckets(engine, ZoneInfo(zone))
    buckets.refresh(LATER)
    assert visits_seen(engine, ZoneInfo(zone)) == (4, ("day",))
    made = rolled_up(engine, 1)
    assert buckets.refresh(LATER) == 0
    assert rolled_up(engine, 1) == made


def test_days_of_another_zone_whose_visits_are_gone_are_told_from_days_without_any(engine: sa.Engine) -> None:
    send(store_of(engine), [[event(at=NOON - timedelta(days=back)) for back in range(4)]])
    roll_up(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE sites SET timezone = 'Asia/Tokyo', retention_days = 1"))
    with pytest.raises(Refusal) as refusal:
        visits_seen(engine, ZoneInfo("Asia/Tokyo"))
    assert refusal.value.code == "not_kept"


def test_engagement_on_a_page_that_was_not_viewed_that_day_is_in_the_sum_of_days(engine: sa.Engine) -> None:
    reading = Traits(engagement_ms=9000, scroll_depth=80)
    events = [
        event(page_url="/a", at=NOON - timedelta(days=2)),
        event(page_url="/b", at=NOON - timedelta(days=1)),
        msgspec.structs.replace(event("engagement", page_url="/a", at=NOON - timedelta(days=1)), traits=reading),
    ]
    send(store_of(engine), [events])
    start = NOON.replace(hour=0) - timedelta(days=5)
    query = Query(
        1,
        ZoneInfo("UTC"),
        start,
        start + timedelta(days=10),
        ("visits", "time_on_page", "scroll_depth"),
        ("event:page",),
        include_bots=True,
    )
    queries = PostgresVisitQueries(engine, ZoneInfo("UTC"))
    fresh = queries.ask(query).rows
    assert Row(("/a",), (1, 9.0, 80.0)) in fresh
    roll_up(engine)
    assert queries.ask(query).rows == fresh


def test_the_last_hour_of_a_day_of_25_hours_is_no_day_of_its_own(engine: sa.Engine) -> None:
    paris = ZoneInfo("Europe/Paris")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE sites SET timezone = 'Europe/Paris'"))
    midnight = datetime(2025, 10, 25, 22, 0, tzinfo=UTC)
    times = [midnight - timedelta(hours=20), midnight + timedelta(hours=3), midnight + timedelta(hours=24, minutes=30)]
    # One visitor, whose id is kept for as long as a visit may need it.
    send(store_of(engine), [[msgspec.structs.replace(event(at=at), visitor_id=visitor_id(1)) for at in times]])
    start, end = midnight - timedelta(hours=24), midnight + timedelta(hours=25)
    query = Query(1, paris, start, end, ("visitors", "visits"), ("time:day",), include_bots=True)
    queries = PostgresVisitQueries(engine, ZoneInfo("UTC"))
    days = [Row((start,), (1, 1)), Row((midnight,), (1, 2))]
    assert queries.ask(query).rows == days
    roll_up(engine)
    assert queries.ask(query).rows == days
