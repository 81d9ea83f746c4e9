"""Which events a filter is true for: named where they are few, or the others are, and left alone where neither is."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from maicivy.core.query import And, Filter, Match, Not, Or, Query
from maicivy.storage import visit_hits
from maicivy.storage.visit_hits import named_actions, named_events, needs_property
from maicivy.storage.visit_queries import PostgresVisitQueries
from tests.events import NOON, event
from tests.oracle.store import new_sites, send, store_of

PLAN = "event:props:plan"
START, END = NOON - timedelta(days=1), NOON + timedelta(days=1)


@pytest.fixture
def site(engine: Engine) -> int:
    """A site with three pages, one of which was downloaded from by somebody with a plan."""
    site_id, _ = new_sites(engine)
    pages = [event(page_url=f"https://example.org/{page}", site_id=site_id) for page in ("a", "b", "c")]
    download = event("download", {"plan": "pro"}, page_url="https://example.org/a", site_id=site_id)
    send(store_of(engine), [[*pages, download]])
    return site_id


def test_actions_are_named_or_the_others(engine: Engine, site: int) -> None:
    table: list[tuple[Filter, int, int, bool]] = [
        (Match("is", "event:page", ("/b",)), 1, 1, False),
        (Match("is", "event:page", ("/a",)), 2, 1, False),
        (Match("is_not", "event:page", ("/b",)), 1, 1, True),
        (Match("is", "event:name", ("page_view",)), 1, 0, True),
        (Not(Match("is", "event:name", ("page_view",))), 1, 0, False),
        (Match("contains", "event:hostname", ("example",)), 0, 0, True),
        (Match("is", "event:page", ("/nowhere",)), 0, 0, False),
        (And((Match("is", "event:page", ("/a",)), Match("is", "event:name", ("download",)))), 1, 0, False),
    ]
    with engine.connect() as connection:
        for condition, size, views, are_others in table:
            named = named_actions(connection, site, condition)
            assert named is not None
            assert (len(named.ids), len(named.views), named.are_others) == (size, views, are_others), condition


def test_a_site_without_events_has_no_actions(engine: Engine) -> None:
    site_id, _ = new_sites(engine)
    with engine.connect() as connection:
        named = named_actions(connection, site_id, Match("is_not", "event:page", ("/",)))
    assert named is not None
    assert not named.ids


def test_too_many_actions_are_not_named(engine: Engine, site: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit_hits, "MOST_ACTIONS", 1)
    with engine.connect() as connection:
        assert named_actions(connection, site, Match("is", "event:page", ("/a",))) is None


def test_stored_events_are_named_or_the_others(engine: Engine, site: int) -> None:
    table: list[tuple[Filter, int, bool]] = [
        (Match("is", PLAN, ("pro",)), 1, False),
        (Match("contains", PLAN, ("r",)), 1, False),
        (Match("is", PLAN, ("free",)), 0, False),
        (Match("is_not", PLAN, ("pro",)), 1, True),
        (And((Match("is", PLAN, ("pro",)), Match("is", "event:page", ("/b",)))), 0, False),
    ]
    with engine.connect() as connection:
        for condition, events, are_others in table:
            named = named_events(connection, site, condition, START, END)
            assert named is not None
            assert named.are_others == are_others, condition
            assert len([who for who in named.visitors.strip("{}").split(",") if who]) == events, condition


def test_stored_events_are_not_named_where_the_visit_decides_too(engine: Engine, site: int) -> None:
    either = Or((Match("is", "event:page", ("/a",)), Match("is", "visit:country", ("FR",))))
    condition = And((Match("is", PLAN, ("pro",)), either))
    with engine.connect() as connection:
        assert named_events(connection, site, condition, START, END) is None
    query = Query(
        site, ZoneInfo("UTC"), NOON - timedelta(minutes=7), END, ("events",), (), condition, include_bots=True
    )
    assert PostgresVisitQueries(engine, ZoneInfo("UTC")).ask(query).rows[0].metrics == (1,)


def test_too_many_stored_events_are_not_named(engine: Engine, site: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit_hits, "MOST_EVENTS", 0)
    with engine.connect() as connection:
        assert named_events(connection, site, Match("is", PLAN, ("pro",)), START, END) is None


@pytest.mark.parametrize(
    ("condition", "needs"),
    [
        (Match("is", PLAN, ("pro",)), True),
        (Match("is", PLAN, ("pro", "")), False),
        (Match("contains", PLAN, ("",)), False),
        (Match("is_not", PLAN, ("pro",)), False),
        (Match("matches", PLAN, ("pro",)), False),
        (Match("is", "event:page", ("/a",)), False),
        (And((Match("is", "event:page", ("/a",)), Match("is", PLAN, ("pro",)))), True),
        (Not(Match("is_not", PLAN, ("pro",))), False),
    ],
)
def test_what_needs_a_property(condition: Filter, needs: bool) -> None:
    assert needs_property(condition) == needs
