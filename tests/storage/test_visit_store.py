"""Events become visits in Postgres, whatever order and portions they come in."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
import redis
import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.events import Event, Traits
from maicivy.core.ports import Parcel
from maicivy.core.visits import BOTS, Shape
from maicivy.storage import visit_store
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.sites import PostgresSites
from tests.events import NOON, event, visitor_id

UTC_ZONE = ZoneInfo("UTC")
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"


@pytest.fixture
def store(engine: Engine) -> PostgresEventStore:
    return PostgresEventStore(engine, UTC_ZONE)


def put(store: PostgresEventStore, *events: Event) -> None:
    put.entries += 1  # type: ignore[attr-defined]
    store.store([Parcel(f"{put.entries}-0", len(events), list(events), [])])  # type: ignore[attr-defined]


put.entries = 0  # type: ignore[attr-defined]


def visits(engine: Engine) -> list[dict[str, Any]]:
    """Every visit with its elements spelled out, so that ids of dimensions, given as they come, do not matter."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT v.*, entry.page AS entry_page, leave.page AS exit_page, o.source, c.browser, p.country,"
                " (SELECT json_agg(json_build_array(coalesce(e.slot, 0), a.name, a.page, coalesce(e.n, 1),"
                "   coalesce(e.ms, 0), coalesce(e.scroll, -1)) ORDER BY coalesce(e.slot, 0), a.page, a.name)"
                "  FROM unnest(v.actions, v.slots, v.counts, v.engaged, v.scrolls) AS e (action, slot, n, ms, scroll)"
                "  JOIN actions a ON a.id = e.action) AS elements"
                " FROM visits v JOIN actions entry ON entry.id = v.entry_id"
                " LEFT JOIN actions leave ON leave.id = v.exit_id"
                " JOIN origins o ON o.id = v.origin_id JOIN clients c ON c.id = v.client_id"
                " JOIN places p ON p.id = v.place_id ORDER BY v.site_id, v.visitor_id, v.started"
            )
        )
        ids = {"client_id", "place_id", "origin_id", "entry_id", "exit_id", "actions", "slots", "counts", "shape"}
        arrays = {"engaged", "scrolls"}
        return [{k: v for k, v in row._mapping.items() if k not in ids | arrays} for row in rows]


def with_traits(given: Event, **traits: Any) -> Event:
    return msgspec.structs.replace(given, traits=Traits(**traits))


def minutes(n: float) -> datetime:
    return NOON + timedelta(minutes=n)


def test_a_visit_has_what_its_events_say(store: PostgresEventStore, engine: Engine) -> None:
    first = msgspec.structs.replace(
        with_traits(event(at=minutes(0), page_url="/a"), user_agent=CHROME, country="FR"),
        referrer="https://www.google.com/",
    )
    put(
        store,
        first,
        event(at=minutes(1), page_url="/b"),
        event("signup", at=minutes(2), page_url="/b"),
        with_traits(event("engagement", at=minutes(4), page_url="/b"), engagement_ms=90_000, scroll_depth=70),
        event(at=minutes(20), page_url="/a"),
    )
    (visit,) = visits(engine)
    assert (visit["started"], visit["ended"]) == (minutes(0), minutes(20))
    assert (visit["pageviews"], visit["events"], visit["interactions"]) == (3, 4, 1)
    assert (visit["entry_page"], visit["exit_page"]) == ("/a", "/a")
    assert (visit["source"], visit["browser"], visit["country"]) == ("Google", "Chrome", "FR")
    assert visit["elements"] == [
        [0, "page_view", "/a", 1, 0, -1],
        [0, "page_view", "/b", 1, 90_000, 70],
        [0, "signup", "/b", 1, 0, -1],
        [1, "page_view", "/a", 1, 0, -1],
    ]


def test_late_events_begin_join_and_bridge_visits(store: PostgresEventStore, engine: Engine) -> None:
    put(store, event(at=minutes(0), page_url="/second"))
    put(store, event(at=minutes(60), page_url="/third"))
    assert [visit["pageviews"] for visit in visits(engine)] == [1, 1]
    put(store, event(at=minutes(30), page_url="/between"))
    put(store, event(at=minutes(-10), page_url="/first"))
    (visit,) = visits(engine)
    assert (visit["started"], visit["ended"], visit["pageviews"]) == (minutes(-10), minutes(60), 4)
    assert (visit["entry_page"], visit["exit_page"]) == ("/first", "/third")


def test_a_visit_survives_midnight_and_is_found_from_any_of_its_days(store: PostgresEventStore, engine: Engine) -> None:
    late = datetime(2025, 12, 31, 23, 50, tzinfo=UTC)
    who = visitor_id(1, late)

    def at(hours: float) -> Event:
        return msgspec.structs.replace(event(at=late + timedelta(hours=hours)), visitor_id=who)

    for hours in range(60):
        put(store, at(hours * 0.5))
    put(store, at(29.9))
    (visit,) = visits(engine)
    assert (visit["started"], visit["ended"], visit["pageviews"]) == (late, late + timedelta(hours=29.9), 61)
    with engine.connect() as connection:
        days = connection.scalars(sa.text("SELECT day FROM crossings ORDER BY 1")).all()
    assert days == [date(2026, 1, 1), date(2026, 1, 2)]


def test_any_order_and_any_portions_give_the_same_visits(store: PostgresEventStore, engine: Engine) -> None:
    chance = random.Random(4)
    history = [
        with_traits(
            event(
                chance.choice(["page_view", "page_view", "click", "engagement"]),
                at=datetime(2025, 12, 8, 22, 0, tzinfo=UTC) + timedelta(minutes=chance.choice([0, 7, 29, 30, 31]) * n),
                visitor=chance.randint(1, 3),
                page_url=f"/{chance.randint(1, 3)}",
            ),
            engagement_ms=5,
            country=chance.choice(["FR", "DE"]),
            bot=chance.random() < 0.02,
        )
        for n in range(60)
    ]
    put(store, *history)
    expected = visits(engine)
    assert len(expected) > 20
    for seed in range(3):
        with engine.begin() as connection:
            connection.execute(
                sa.text("TRUNCATE visits, crossings, dirty_hours, event_ids, visitors, analytics_events")
            )
        shuffled = history.copy()
        random.Random(seed).shuffle(shuffled)
        for start in range(0, len(shuffled), 7):
            put(store, *shuffled[start : start + 9])  # some twice
        assert visits(engine) == expected


def test_a_bot_is_told_by_the_first_event_and_by_a_declaration(store: PostgresEventStore, engine: Engine) -> None:
    crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    put(store, with_traits(event(visitor=1, at=minutes(5)), user_agent=CHROME))
    put(store, with_traits(event(visitor=2), user_agent=crawler), with_traits(event(visitor=3), user_agent=CHROME))
    put(store, with_traits(event(visitor=3, at=minutes(1)), user_agent=CHROME, bot=True))
    assert [BOTS[visit["bot"]] for visit in visits(engine)] == ["", "user_agent", "declared"]
    put(store, with_traits(event(visitor=1), user_agent=crawler))  # earlier than what was known
    assert BOTS[visits(engine)[0]["bot"]] == "user_agent"


def test_only_a_visitors_only_visit_is_marked_as_such(store: PostgresEventStore, engine: Engine) -> None:
    def single() -> list[bool]:
        with engine.connect() as connection:
            shapes = connection.scalars(sa.text("SELECT shape FROM visits ORDER BY visitor_id, started"))
            return [bool(shape & Shape.SINGLE) for shape in shapes]

    put(store, event(visitor=1), event(visitor=2))
    assert single() == [True, True]
    put(store, event(visitor=1, at=minutes(40)))
    assert single() == [False, False, True]
    put(store, event(visitor=2, at=minutes(10)))
    assert single() == [False, False, True]
    put(store, msgspec.structs.replace(event(at=minutes(60 * 24)), visitor_id=visitor_id(2)))
    assert single() == [False, False, False, False]


def test_a_visit_is_plain_while_it_has_each_page_once_whatever_a_process_forgets(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit_store, "REMEMBERED", 0)
    again = event("signup", page_url="/a", visitor=1, at=minutes(1))
    other = event("signup", page_url="/b", visitor=2, at=minutes(1))
    put(PostgresEventStore(engine, UTC_ZONE), *(event(page_url="/a", visitor=visitor) for visitor in (1, 2)))
    put(PostgresEventStore(engine, UTC_ZONE), again, other)
    with engine.connect() as connection:
        shapes = connection.scalars(sa.text("SELECT shape FROM visits ORDER BY visitor_id, started"))
        assert [bool(shape & Shape.PLAIN) for shape in shapes] == [False, True]


def test_hours_that_a_visit_touches_are_marked(store: PostgresEventStore, engine: Engine) -> None:
    def marked() -> list[tuple[int, int]]:
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT hour, seq FROM dirty_hours ORDER BY 1"))
            return [(int((hour - NOON).total_seconds() // 3600), seq) for hour, seq in rows]

    put(store, event(at=minutes(10)), event(visitor=2, at=minutes(70)))
    assert marked() == [(0, 1), (1, 1)]
    put(store, event(at=minutes(35)), event(at=minutes(62)))
    assert marked() == [(0, 2), (1, 2)]


def test_engagement_alone_is_no_visit_that_counts(store: PostgresEventStore, engine: Engine) -> None:
    put(store, with_traits(event("engagement"), engagement_ms=100))
    (visit,) = visits(engine)
    assert visit["events"] == 0
    put(store, event(at=minutes(3), page_url="/late"))
    (visit,) = visits(engine)
    assert (visit["events"], visit["entry_page"], visit["started"]) == (1, "/late", NOON)


def test_hostile_figures_do_not_stop_the_store(store: PostgresEventStore, engine: Engine) -> None:
    put(store, *(with_traits(event("engagement"), engagement_ms=86_400_000) for _ in range(30)), event())
    (visit,) = visits(engine)
    assert visit["elements"][0][4] == 2**31 - 1


def test_sites_do_not_share_visits(store: PostgresEventStore, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO sites (measurement_id, domain) VALUES ('MC-AAAAAAAAAA', 'b.example')"))
    put(store, event(site_id=1), event(site_id=2), event(site_id=2, at=minutes(1)))
    assert [visit["pageviews"] for visit in visits(engine)] == [1, 2]
    assert isinstance(visits(engine)[0]["visitor_id"], UUID)


def test_hosts_that_become_a_sites_own_are_no_referrers_from_then_on(
    store: PostgresEventStore, engine: Engine, redis_client: redis.Redis
) -> None:
    sites = PostgresSites(engine, redis_client)
    hours = itertools.count()

    def source_of(referrer: str, site_id: int = 1) -> str:
        came = event(at=minutes(60 * next(hours)), site_id=site_id)
        put(store, msgspec.structs.replace(came, referrer=referrer))
        return str(max(visits(engine), key=lambda visit: visit["started"])["source"])

    assert source_of("https://www.own.example/a") == "own.example"
    sites.set(1, {"domain": "own.example"})
    assert source_of("https://www.own.example/a") == ""
    assert source_of("https://blog.own.example/a") == "blog.own.example"
    sites.set(1, {"allowed_hosts": ["*.own.example"]})
    assert source_of("https://blog.own.example/a") == ""
    added = sites.add({"domain": "new.example"})
    assert source_of("https://new.example/a", added.id) == ""
