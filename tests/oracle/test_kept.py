"""What is no longer kept is refused, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.events import Traits
from maicivy.core.query import Query
from maicivy.errors import Refusal
from maicivy.storage.visit_queries import PostgresVisitQueries
from tests.events import event
from tests.log_import.logs import FIREFOX
from tests.oracle.store import new_sites, roll_up, send, store_of

FIRST = datetime(2026, 1, 10, tzinfo=UTC)
"""The first UTC day that visits are kept of."""

BY_TWO = ("event:page", "visit:country")
"""Two dimensions, which no rollup can tell of."""


@pytest.fixture(scope="module")
def queries(engine: Engine) -> PostgresVisitQueries:
    return PostgresVisitQueries(engine, ZoneInfo("UTC"))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "Asia/Kolkata", "America/St_Johns"])
def test_a_question_from_the_first_day_on_is_answered_until_that_day_is_dropped(
    engine: Engine, queries: PostgresVisitQueries, zone: str
) -> None:
    site_id, _ = new_sites(engine, zone)
    times = [FIRST + timedelta(hours=hours) for hours in (12, 23, 36)]
    events = [msgspec.structs.replace(event(at=at, site_id=site_id), traits=Traits(FIREFOX)) for at in times]
    send(store_of(engine), [events])
    roll_up(engine)
    midnight = FIRST.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    query = Query(site_id, ZoneInfo(zone), midnight, midnight + timedelta(days=3), ("visits",), BY_TWO)
    assert [row.metrics for row in queries.ask(query).rows] == [(3,)]
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE visits DETACH PARTITION visits_20260110"))
    try:
        by_one = Query(site_id, ZoneInfo(zone), midnight, midnight + timedelta(days=3), ("visits",), ("event:page",))
        assert [row.metrics for row in queries.ask(by_one).rows] == [(3,)]
        with pytest.raises(Refusal) as refused:
            queries.ask(query)
        assert refused.value.code == "not_kept"
    finally:
        with engine.begin() as connection:
            connection.execute(
                sa.text(
                    "ALTER TABLE visits ATTACH PARTITION visits_20260110"
                    " FOR VALUES FROM ('2026-01-10 00:00+00') TO ('2026-01-11 00:00+00')"
                )
            )
