"""Segments go when the visits go that they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from maicivy import retention
from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.ports import Parcel
from maicivy.storage import buckets
from tests.events import event
from tests.storage.segments_read import check

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
AGES = (0, 1, 8, 9, 10, 33)


@pytest.fixture(autouse=True)
def without_rollups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "fill", lambda *_: None)


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(settings)
    yield parts
    parts.close()


def ages(parts: Maicivy, site_id: int, table: str) -> list[int]:
    """How many days ago the days are that a table of segments has rows of."""
    query = sa.text(f"SELECT DISTINCT start FROM {table} WHERE site_id = :site_id ORDER BY 1 DESC")
    with parts.engine.connect() as connection:
        return [(NOW - start).days for start in connection.scalars(query, {"site_id": site_id})]


def test_segments_go_with_the_visits_of_their_day_and_site(parts: Maicivy) -> None:
    brief = parts.sites.add({"domain": "brief.example", "retention_days": 7})
    for age in AGES:
        at = NOW - timedelta(days=age, hours=2)
        events = [event(at=at, visitor=n, data={"plan": "pro"}, site_id=site) for n, site in ((1, 1), (2, brief.id))]
        parts.store.store([Parcel(f"{age}-0", 2, events, [])])
    parts.buckets.refresh(NOW)
    for table in ("segments", "segment_properties"):
        assert ages(parts, 1, table) == ages(parts, brief.id, table) == list(AGES)
    sites = parts.sites.all()
    retention.run_sites(parts.expiry, parts.site_rows, sites, lambda: NOW, 30)
    retention.run(parts.expiry, lambda: NOW, retention.horizon(sites, 30))
    assert (ages(parts, 1, "segments"), ages(parts, brief.id, "segments")) == ([0, 1, 8, 9, 10], [0, 1, 8, 9])
    # What events held goes with them, two days before their visits.
    assert ages(parts, 1, "segment_properties") == [0, 1, 8, 9, 10]
    assert ages(parts, brief.id, "segment_properties") == [0, 1]
    assert (check(parts.engine), check(parts.engine, brief.id)) == (5, 4)
    parts.sites.remove(brief.id)
    parts.site_rows.remove(brief.id, 1000)
    for table in ("segments", "segment_properties"):
        assert ages(parts, 1, table) == [0, 1, 8, 9, 10]
        assert ages(parts, brief.id, table) == []


def test_late_events_of_a_day_that_is_gone_make_its_segment_of_what_there_is(parts: Maicivy) -> None:
    old = NOW - timedelta(days=33)
    parts.store.store([Parcel("1-0", 1, [event(at=old)], [])])
    parts.buckets.refresh(NOW, 30)
    retention.run(parts.expiry, lambda: NOW, 30)
    assert ages(parts, 1, "segments") == []
    parts.store.store([Parcel("2-0", 1, [event(at=old, visitor=2)], [])])
    assert check(parts.engine) == 0
    parts.buckets.refresh(NOW, 30)
    assert (check(parts.engine), ages(parts, 1, "segments")) == (1, [33])
