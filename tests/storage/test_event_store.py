"""Storing on a real Postgres: once each, all or nothing, and with accounts that balance."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from maicivy.core.events import Event
from maicivy.core.ports import Parcel, Stored
from maicivy.errors import Unavailable
from maicivy.storage.event_store import PostgresEventStore
from tests.events import NOON, event, event_id

MIDNIGHT = datetime(2025, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


@pytest.fixture
def store(engine: sa.Engine) -> PostgresEventStore:
    return PostgresEventStore(engine, ZoneInfo("UTC"))


def parcel(receipt: str, events: Iterable[Event], unreadable: Iterable[bytes] = (), more: int = 0) -> Parcel:
    events = list(events)
    return Parcel(receipt, len(events) + more, events, list(unreadable))


def one(engine: sa.Engine, query: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(sa.text(query)).one()


def ledger(engine: sa.Engine) -> tuple[int, int, int, int]:
    return tuple(one(engine, "SELECT seq, stored, duplicate, quarantined FROM ledger"))


def test_what_is_stored_is_what_was_sent(store: PostgresEventStore, engine: sa.Engine) -> None:
    sent = event("click", {"x": 1.5, "name": "é\U0001f600", "deep": [{"a": None}]}, page_url="https://example.org/é")
    stored = store.store([parcel("1-0", [sent])])
    assert stored.new == [sent]
    row = one(engine, "SELECT * FROM analytics_events")
    assert (row.id, row.visitor_id, row.created_at, row.event_type) == (sent.id, sent.visitor_id, NOON, "click")
    assert (row.event_data, row.page_url, row.referrer) == (sent.event_data, sent.page_url, "")
    assert ledger(engine) == (1, 1, 0, 0)


def test_an_id_is_stored_once_within_a_batch_and_across_batches(store: PostgresEventStore, engine: sa.Engine) -> None:
    twice = event()
    assert store.store([parcel("1-0", [twice, twice]), parcel("2-0", [twice])]).new == [twice]
    assert store.store([parcel("3-0", [twice])]).new == []
    assert ledger(engine) == (2, 1, 3, 0)


@pytest.mark.parametrize("version", [1, 4, 7])
def test_an_id_is_stored_once_across_midnight_whatever_its_version(
    store: PostgresEventStore, engine: sa.Engine, version: int
) -> None:
    same = UUID(int=(event_id().int & ~(0xF << 76)) | version << 76)
    store.store([parcel("1-0", [event(id=same, at=MIDNIGHT)])])
    store.store([parcel("2-0", [event(id=same, at=MIDNIGHT + timedelta(seconds=1))])])
    assert ledger(engine)[1:] == (1, 1, 0)


def test_an_id_is_known_in_the_next_generation_and_forgotten_in_the_one_after(
    store: PostgresEventStore, engine: sa.Engine
) -> None:
    def week_passes() -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE ledger SET generation_since = generation_since - interval '7 days'"))
        assert store.partitions.next_generation()

    known = event()
    store.store([parcel("1-0", [known])])
    assert not store.partitions.next_generation()
    week_passes()
    assert store.store([parcel("2-0", [known])]).new == []
    week_passes()
    assert store.store([parcel("3-0", [known])]).new == [known]
    assert one(engine, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'event_ids'::regclass")[0] == 2


def test_an_entry_read_again_after_a_crash_is_not_counted_as_duplicates(
    store: PostgresEventStore, engine: sa.Engine
) -> None:
    entry = parcel("1-0", [event(), event()])
    assert len(store.store([entry]).new) == 2
    again = store.store([entry])
    assert (again.new, again.row) == ([], None)
    assert ledger(engine) == (1, 2, 0, 0)


@pytest.mark.parametrize("position", [0, 1, 7, 250, 498, 499])
def test_one_refused_event_of_500_is_set_aside_and_the_others_are_stored(
    store: PostgresEventStore, engine: sa.Engine, position: int
) -> None:
    events = [event() for _ in range(500)]
    events[position] = event("poison", {"text": "a\x00b"})
    entry = parcel("1-0", events)
    assert len(store.store([entry]).new) == 499
    assert ledger(engine)[1:] == (499, 0, 1)
    assert one(engine, "SELECT count(*) FROM analytics_events")[0] == 499
    assert one(engine, "SELECT reason FROM quarantine")[0] != ""
    store.store([entry])
    assert ledger(engine)[1:] == (499, 0, 1)


def test_many_refused_events_are_all_set_aside(store: PostgresEventStore, engine: sa.Engine) -> None:
    events = [event("poison", {"n": n, "text": "\x00"}) if n % 3 == 0 else event() for n in range(60)]
    assert len(store.store([parcel("1-0", events)]).new) == 40
    assert ledger(engine)[1:] == (40, 0, 20)


def test_an_unreadable_payload_is_set_aside_with_all_its_events_counted(
    store: PostgresEventStore, engine: sa.Engine
) -> None:
    store.store([parcel("1-0", [event()], unreadable=[b"\xc1garbage"], more=3)])
    assert ledger(engine)[1:] == (1, 0, 3)
    assert one(engine, "SELECT payload FROM quarantine")[0] == b"\xc1garbage"


def test_a_partition_dropped_behind_its_back_is_made_again(store: PostgresEventStore, engine: sa.Engine) -> None:
    store.store([parcel("1-0", [event()])])
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE analytics_events_20251208"))
    with pytest.raises(Unavailable):
        store.store([parcel("2-0", [event()])])
    assert len(store.store([parcel("2-0", [event()])]).new) == 1
    assert ledger(engine)[3] == 0


def test_eight_workers_storing_the_same_events_store_each_once_with_a_gapless_outbox(engine: sa.Engine) -> None:
    events = [event(visitor=n % 50) for n in range(400)]
    results: list[Stored] = []

    def work(number: int) -> None:
        store = PostgresEventStore(engine, ZoneInfo("UTC"))
        results.extend(
            store.store([parcel(f"{number}-{start}", events[start : start + 50])]) for start in range(0, 400, 50)
        )

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(e.id for r in results for e in r.new) == sorted(e.id for e in events)
    seq, stored, duplicate, quarantined = ledger(engine)
    assert (stored, duplicate, quarantined) == (400, 1600, 0)
    rows = PostgresEventStore(engine, ZoneInfo("UTC")).outbox_after(0, 1000)
    assert [row.seq for row in rows] == list(range(1, seq + 1))
    assert [row.previous for row in rows] == ["origin", *(row.token for row in rows[:-1])]
    assert sum(row.tally.stored for row in rows) == 400
    assert sum(site.new_visitors for row in rows for site in row.tally.sites.values()) == 50


def test_labels_beyond_the_cap_count_as_other(store: PostgresEventStore) -> None:
    row = store.store([parcel("1-0", [event(f"type{n}") for n in range(105)])]).row
    assert row is not None
    counts = row.tally.sites[1].days["2025-12-08"].counts
    assert counts["events:other"] == 5
    assert counts["events:type0"] == counts["events:type99"] == 1
    row = store.store([parcel("2-0", [event("type3"), event("type104")])]).row
    assert row is not None
    counts = row.tally.sites[1].days["2025-12-08"].counts
    assert counts == {"total_events": 2, "events:type3": 1, "events:other": 1}
