"""Visits in Postgres are those that a recount of all events finds, in whatever order and portions they come."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from maicivy.storage.event_store import PostgresEventStore
from tests.oracle.generator import examples, portions, traffic
from tests.oracle.recount import Run, recounted
from tests.oracle.store import new_sites, send, store_of

_KEPT = sa.text("""
SELECT v.visitor_id, v.started, v.ended, v.pageviews, v.events, v.bot > 0, entered.page, coalesce(left_at.page, ''),
    v.pageviews <= 1 AND v.interactions = 0, c.browser, c.language, c.resolution, p.country, p.city, o.referrer,
    o.utm_campaign, o.source, o.channel,
    (SELECT coalesce(sum(e), 0) FROM unnest(v.engaged) AS e),
    (SELECT array_agg(day ORDER BY day) FROM crossings x
     WHERE (x.site_id, x.visitor_id, x.started) = (v.site_id, v.visitor_id, v.started))
FROM visits v JOIN clients c ON c.id = client_id JOIN places p ON p.id = place_id JOIN origins o ON o.id = origin_id
    JOIN actions entered ON entered.id = entry_id LEFT JOIN actions left_at ON left_at.id = exit_id
WHERE v.site_id = :site_id AND v.events > 0 ORDER BY v.started, v.visitor_id
""")


@pytest.fixture(scope="module")
def store(engine: Engine) -> PostgresEventStore:
    return store_of(engine)


def kept(engine: Engine, site_id: int) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(_KEPT, {"site_id": site_id})]


def seen(run: Run) -> tuple[Any, ...]:
    values = run.values
    days = sorted({deed.at.date() for deed in run.deeds} | _between(run))
    return (
        *(run.visitor_id, run.started, run.ended, len(run.page_views), len(run.counted), run.is_bot),
        *(values["visit:entry_page"], values["visit:exit_page"], run.bounced),
        *(values["visit:browser"], values["visit:language"], values["visit:resolution"]),
        *(values["visit:country"], values["visit:city"], values["visit:referrer"]),
        *(values["visit:utm_campaign"], values["visit:source"], values["visit:channel"]),
        sum(deed.event.traits.engagement_ms for deed in run.deeds),
        days[1:] or None,
    )


def _between(run: Run) -> set[Any]:
    day, days = run.started.date(), set()
    while day <= run.ended.date():
        days.add(day)
        day = type(day).fromordinal(day.toordinal() + 1)
    return days


@settings(max_examples=examples(20), deadline=None)
@given(st.data())
def test_what_is_kept_is_what_a_recount_finds(engine: Engine, store: PostgresEventStore, data: st.DataObject) -> None:
    sites = new_sites(engine)
    events = data.draw(traffic(sites))
    batches = data.draw(portions(events))
    send(store, batches)
    for site_id in sites:
        runs = sorted(recounted(events, site_id), key=lambda run: (run.started, run.visitor_id))
        assert kept(engine, site_id) == [seen(run) for run in runs]
    before = [kept(engine, site_id) for site_id in sites]
    send(store, reversed(batches))
    assert [kept(engine, site_id) for site_id in sites] == before
