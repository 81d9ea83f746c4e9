"""What no visit refers to goes from the dictionary, and nothing else does."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa

from maicivy.core.events import Event, Traits
from maicivy.core.ports import Parcel
from maicivy.storage.disuse import forget_disused
from maicivy.storage.event_store import PostgresEventStore
from tests.events import NOON, event

TABLES = ("clients", "places", "origins", "actions")


@pytest.fixture
def store(engine: sa.Engine) -> PostgresEventStore:
    return PostgresEventStore(engine, ZoneInfo("UTC"))


def seen(name: str, day: int) -> Event:
    """An event of whose dimensions each is of its own."""
    traits = Traits(user_agent=f"Mozilla/5.0 (X11; Linux) {name}", country="FR", city=name)
    one = event(name, at=NOON + timedelta(days=day), page_url=f"/{name}")
    return msgspec.structs.replace(one, referrer=f"https://{name}.example/", traits=traits)


def save(store: PostgresEventStore, *events: Event) -> None:
    store.store([Parcel(f"{events[0].id.int}-0", len(events), list(events), [])])


def counts(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        return [connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one() for table in TABLES]


def forget_visits(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM visits WHERE started < '2025-12-09 00:00+00'"))


def test_what_is_in_use_stays(engine: sa.Engine, store: PostgresEventStore) -> None:
    save(store, seen("old", 0), seen("new", 1))
    assert forget_disused(engine) == 0
    assert counts(engine) == [2, 2, 2, 2]


def test_what_only_dropped_visits_had_goes(engine: sa.Engine, store: PostgresEventStore) -> None:
    save(store, seen("old", 0), seen("new", 1))
    forget_visits(engine)
    assert forget_disused(engine) == 4
    assert counts(engine) == [1, 1, 1, 1]
    assert forget_disused(engine) == 0


def test_who_remembered_a_row_that_went_makes_it_again(engine: sa.Engine, store: PostgresEventStore) -> None:
    for _ in range(2):
        save(store, seen("old", 0), seen("new", 1))  # twice: then the store remembers the rows
    forget_visits(engine)
    forget_disused(engine)
    save(store, seen("old", 1))
    assert counts(engine) == [2, 2, 2, 2]
    with engine.connect() as connection:
        lost = connection.execute(
            sa.text(
                "SELECT count(*) FROM visits LEFT JOIN clients c ON c.id = client_id"
                " LEFT JOIN actions a ON a.id = entry_id WHERE c.id IS NULL OR a.id IS NULL"
            )
        )
        assert lost.scalar_one() == 0


def test_an_action_in_the_middle_of_a_visit_is_in_use(engine: sa.Engine, store: PostgresEventStore) -> None:
    save(
        store,
        *(event(name, at=NOON + timedelta(minutes=n)) for n, name in enumerate(("page_view", "click", "page_view"))),
    )
    assert forget_disused(engine) == 0
