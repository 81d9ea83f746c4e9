"""The real store, as the oracle's tests use it: events in portions, sites that nobody has used before."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.events import Event
from maicivy.core.ports import Parcel
from maicivy.storage.buckets import Buckets
from maicivy.storage.event_store import PostgresEventStore

LATER = datetime(2030, 1, 1, tzinfo=UTC)
_receipts = itertools.count(1)


def store_of(engine: Engine) -> PostgresEventStore:
    return PostgresEventStore(engine, ZoneInfo("UTC"))


def send(store: PostgresEventStore, portions: Iterable[Sequence[Event]]) -> None:
    """Each portion as one transaction."""
    for portion in portions:
        receipt = f"{next(_receipts)}-0"
        store.store([Parcel(receipt, len(portion), list(portion), [])])


def new_sites(engine: Engine, zone: str = "UTC") -> tuple[int, int]:
    """Two sites without events, whose days are those of a zone."""
    with engine.begin() as connection:
        number = connection.execute(sa.text("SELECT count(*) FROM sites")).scalar_one()
        first, second = connection.execute(
            sa.text(
                "INSERT INTO sites (domain, measurement_id, timezone) SELECT '', 'MC-' || lpad(n::text, 10, '0'), :zone"
                " FROM generate_series(:number, :number + 1) AS n RETURNING id"
            ),
            {"number": number, "zone": zone},
        ).scalars()
    return first, second


def roll_up(engine: Engine) -> None:
    """All buckets anew in which something has changed, as if all of them were over."""
    Buckets(engine, ZoneInfo("UTC")).refresh(LATER)


def rolled_up(engine: Engine, site_id: int) -> int:
    """How many buckets of a site there are."""
    with engine.connect() as connection:
        statement = sa.text("SELECT count(*) FROM buckets WHERE site_id = :site_id")
        return connection.execute(statement, {"site_id": site_id}).scalar_one()
