"""Retention on real servers: rows go, what they counted stays, and nothing is counted twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import redis
import sqlalchemy as sa

from maicivy import retention, upkeep
from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.ports import Parcel
from maicivy.errors import Unavailable
from maicivy.storage import expiry, keys
from maicivy.storage.expiry import Hindrance
from maicivy.storage.rollups import Rollups
from tests.events import event
from tests.test_aggregation import aggregates

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(settings)
    yield parts
    parts.close()


def clock() -> datetime:
    return NOW


def fill(parts: Maicivy) -> None:
    for age in (0, 1, 29, 30, 31, 32, 60):
        at = NOW - timedelta(days=age)
        events = [
            event(at=at, visitor=1, data={"theme": "backend"}),
            event(at=at, visitor=2, page_url="/letters"),
            event("letter_generated", {"type": "motivation"}, at=at + timedelta(hours=11, minutes=30), visitor=2),
        ]
        parts.store.store([Parcel(f"{age}-0", 3, events, [])])
    parts.aggregation.catch_up()


def rows(parts: Maicivy, table: str) -> int:
    with parts.engine.connect() as connection:
        return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_expired_partitions_go_and_every_counter_stays_as_it_was(parts: Maicivy, redis_client: redis.Redis) -> None:
    fill(parts)
    before = aggregates(redis_client)
    report = retention.run(parts.expiry, clock, 30)
    assert [item.day for item in report.dropped if item.table == "analytics_events"] == [
        (NOW - timedelta(days=age)).date() for age in (60, 32, 31)
    ]
    assert report.events == 9
    assert rows(parts, "analytics_events") == 12
    assert aggregates(redis_client) == before
    assert parts.aggregation.rebuild()
    assert aggregates(redis_client) == before


def test_a_clock_that_runs_a_year_ahead_drops_nothing_early(parts: Maicivy) -> None:
    fill(parts)
    earliest = retention.first_kept(datetime.now(UTC), 30)
    report = retention.run(parts.expiry, lambda: NOW + timedelta(days=365), 30)
    assert earliest <= report.kept_from <= retention.first_kept(datetime.now(UTC), 30)
    assert rows(parts, "analytics_events") > 0


def test_a_second_run_finds_nothing(parts: Maicivy) -> None:
    fill(parts)
    retention.run(parts.expiry, clock, 30)
    assert retention.run(parts.expiry, clock, 30).dropped == []


def test_a_dry_run_says_the_same_and_drops_nothing(parts: Maicivy) -> None:
    fill(parts)
    dry = retention.run(parts.expiry, clock, 30, dry_run=True)
    assert rows(parts, "analytics_events") == 21
    assert parts.expiry.last_run() is None
    assert dry.dropped == retention.run(parts.expiry, clock, 30).dropped


def test_events_stored_late_into_a_dropped_day_add_to_its_rollup(parts: Maicivy, redis_client: redis.Redis) -> None:
    fill(parts)
    retention.run(parts.expiry, clock, 30)
    parts.store.partitions.forget()
    parts.store.store([Parcel("late-0", 1, [event(at=NOW - timedelta(days=31), visitor=7)], [])])
    parts.aggregation.catch_up()
    before = aggregates(redis_client)
    assert retention.run(parts.expiry, clock, 30).events == 1
    parts.aggregation.rebuild()
    after = aggregates(redis_client)
    assert after == before


def expired_day() -> date:
    return (NOW - timedelta(days=31)).date()


def late(parts: Maicivy, number: int, at: datetime = NOW - timedelta(days=31)) -> None:
    happened = event(at=at, visitor=100 + number)
    parts.store.store([Parcel(f"late-{number}", 1, [happened], [])])


def recounted(parts: Maicivy, client: redis.Redis) -> dict[bytes, object]:
    assert parts.aggregation.rebuild()
    parts.aggregation.catch_up()
    return aggregates(client)


def test_what_expires_within_a_day_is_prepared_and_is_part_of_no_number_yet(
    parts: Maicivy, redis_client: redis.Redis
) -> None:
    fill(parts)
    before = aggregates(redis_client)
    assert retention.prepare(parts.expiry, clock, 30) == 4  # 60, 32 and 31 days old, and 30 days old tomorrow
    assert rows(parts, "rollups_ahead") == 4
    assert rows(parts, "rollups_daily") == rows(parts, "rollup_visitors") == 0
    assert recounted(parts, redis_client) == before
    assert retention.prepare(parts.expiry, clock, 30) == 0
    assert retention.run(parts.expiry, clock, 30).events == 9
    assert rows(parts, "rollups_ahead") == 1
    assert recounted(parts, redis_client) == before


def test_a_prepared_day_goes_without_being_counted_again(parts: Maicivy, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(parts)
    retention.prepare(parts.expiry, clock, 30)
    monkeypatch.setattr(Rollups, "work_out", None)
    assert retention.run(parts.expiry, clock, 30).events == 9


def test_who_prepared_may_be_killed_and_another_drops(
    parts: Maicivy, settings: Settings, redis_client: redis.Redis
) -> None:
    fill(parts)
    before = aggregates(redis_client)
    retention.prepare(parts.expiry, clock, 30)
    redis_client.flushall()
    other = build(settings)
    assert retention.run(other.expiry, clock, 30).events == 9
    other.close()
    assert recounted(parts, redis_client) == before


def test_an_event_that_comes_after_the_preparation_counts_once(parts: Maicivy, redis_client: redis.Redis) -> None:
    fill(parts)
    retention.prepare(parts.expiry, clock, 30)
    late(parts, 1)
    parts.aggregation.catch_up()
    before = aggregates(redis_client)
    assert not parts.expiry.is_prepared(expired_day())
    assert parts.expiry.drop("analytics_events", expired_day()) is Hindrance.UNPREPARED
    assert rows(parts, "analytics_events") == 22
    assert rows(parts, "rollups_daily") == 0
    assert retention.run(parts.expiry, clock, 30).events == 10
    assert recounted(parts, redis_client) == before


def test_the_upkeep_prepares_a_day_again_when_an_event_has_come(parts: Maicivy) -> None:
    fill(parts)
    retention.prepare(parts.expiry, clock, 30)
    late(parts, 1)
    assert retention.prepare(parts.expiry, clock, 30) == 1
    assert parts.expiry.is_prepared(expired_day())


def test_a_rollup_of_another_time_zone_is_not_kept(
    parts: Maicivy, settings: Settings, redis_client: redis.Redis
) -> None:
    fill(parts)
    retention.prepare(parts.expiry, clock, 30)
    moved = build(replace(settings, timezone=ZoneInfo("Pacific/Auckland")))
    assert not moved.expiry.is_prepared(expired_day())
    before = recounted(moved, redis_client)
    assert retention.run(moved.expiry, clock, 30).events == 9
    assert recounted(moved, redis_client) == before
    moved.close()


def test_a_rollup_of_labels_that_went_is_not_kept(parts: Maicivy, redis_client: redis.Redis) -> None:
    fill(parts)
    retention.prepare(parts.expiry, clock, 30)
    parts.store.remove_labels([(1, "path", "/letters"), (1, "theme", "backend")])
    before = recounted(parts, redis_client)
    assert retention.run(parts.expiry, clock, 30).events == 9
    assert recounted(parts, redis_client) == before


def test_a_rollup_of_a_partition_that_went_is_not_taken_for_that_of_its_successor(
    parts: Maicivy, redis_client: redis.Redis
) -> None:
    fill(parts)
    retention.prepare(parts.expiry, clock, 30)
    with parts.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE saved AS TABLE rollups_ahead"))
    retention.run(parts.expiry, clock, 30)
    for number in range(3):  # as many as there were
        late(parts, number)
    with parts.engine.begin() as connection:  # what a preparation leaves that was overtaken by the drop
        connection.execute(sa.text("INSERT INTO rollups_ahead TABLE saved ON CONFLICT DO NOTHING"))
    parts.aggregation.catch_up()
    before = aggregates(redis_client)
    assert retention.run(parts.expiry, clock, 30).events == 3
    assert recounted(parts, redis_client) == before


def test_a_new_label_keeps_nobody_waiting(parts: Maicivy, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(parts)
    retention.prepare(parts.expiry, clock, 30)
    parts.store.store([Parcel("new-0", 1, [event("never_seen", at=NOW)], [])])
    assert not parts.expiry.is_prepared(expired_day())  # for the upkeep, which has time
    monkeypatch.setattr(Rollups, "work_out", None)
    assert retention.run(parts.expiry, clock, 30).events == 9


def test_days_of_a_zone_that_lie_in_two_partitions_keep_the_visitors_of_both(
    settings: Settings, redis_client: redis.Redis
) -> None:
    parts = build(replace(settings, timezone=PARIS))
    day = NOW.replace(hour=23, minute=30) - timedelta(days=33)  # after midnight in Paris
    for number in range(6):
        late(parts, number, day + timedelta(hours=4 * number))
    before = recounted(parts, redis_client)
    assert retention.run(parts.expiry, clock, 30).events == 6
    assert recounted(parts, redis_client) == before
    parts.close()


def test_runs_side_by_side_and_late_events_meanwhile_count_each_event_once(
    parts: Maicivy, settings: Settings, redis_client: redis.Redis
) -> None:
    fill(parts)
    retention.prepare(parts.expiry, clock, 30)
    others = [build(settings) for _ in range(2)]
    stored = 0

    def arrive() -> int:
        arrived = 0
        for number in range(40):
            # A partition that is dropped under a writer is Unavailable: the worker reads the entry again.
            while True:
                with suppress(Unavailable):
                    late(parts, number)
                    break
            arrived += 1
        return arrived

    def retire(other: Maicivy) -> int:
        return sum(retention.run(other.expiry, clock, 30).events for _ in range(3))

    with ThreadPoolExecutor() as pool:
        writer = pool.submit(arrive)
        gone = sum(pool.map(retire, others))
        stored = 21 + writer.result()
    gone += retention.run(parts.expiry, clock, 30).events
    for other in others:
        other.close()
    assert gone == 9 + 40
    with parts.engine.connect() as connection:
        kept = connection.execute(
            sa.text("SELECT sum(value) FROM rollups_daily WHERE name = 'total_events'")
        ).scalar_one()
    assert kept == gone
    assert kept + rows(parts, "analytics_events") == stored
    parts.aggregation.catch_up()
    before = aggregates(redis_client)
    assert recounted(parts, redis_client) == before


def test_a_table_that_is_in_use_is_left_for_a_later_run_and_nothing_has_changed(
    parts: Maicivy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_TRIES", 2)
    monkeypatch.setattr(retention, "_PAUSE_S", 0.0)
    monkeypatch.setattr(expiry, "LOCK_TIMEOUT", "10ms")
    fill(parts)
    with parts.store.snapshot() as recount:
        recount.counts()
        assert parts.expiry.drop("analytics_events", expired_day()) is Hindrance.UNPREPARED
        retention.prepare(parts.expiry, clock, 30)
        assert parts.expiry.drop("analytics_events", expired_day()) is Hindrance.BUSY
        with pytest.raises(Unavailable, match="in use"):
            retention.run(parts.expiry, clock, 30)
    assert rows(parts, "rollups_daily") == 0
    assert rows(parts, "analytics_events") == 21
    assert parts.expiry.last_run() is None
    assert retention.run(parts.expiry, clock, 30).events == 9


@pytest.mark.parametrize(
    ("now", "kept_from"),
    [
        (datetime(2025, 12, 8, 1, 0, tzinfo=UTC), date(2025, 9, 9)),
        (datetime(2025, 12, 8, 23, 59, 59, tzinfo=UTC), date(2025, 9, 9)),
        (datetime(2025, 1, 1, 0, 0, tzinfo=UTC), date(2024, 10, 3)),
    ],
)
def test_a_day_goes_when_its_last_moment_is_older_than_the_retention(now: datetime, kept_from: date) -> None:
    assert retention.first_kept(now, 90) == kept_from
    assert datetime(*kept_from.timetuple()[:3], tzinfo=UTC) + timedelta(days=1) > now - timedelta(days=90)


@pytest.mark.parametrize(
    ("now", "planned"),
    [
        ("2025-12-08T01:00:00Z", "2025-12-08T01:00:00Z"),
        ("2025-12-08T00:59:59Z", "2025-12-07T01:00:00Z"),
        ("2026-03-29T00:59:00Z", "2026-03-28T01:00:00Z"),
        ("2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),  # 02:00 does not exist: the clock goes from 02 to 03
        ("2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z"),  # 02:00 comes twice: the first counts
        ("2026-10-25T01:30:00Z", "2026-10-25T00:00:00Z"),
    ],
)
def test_the_latest_planned_run_in_paris(now: str, planned: str) -> None:
    assert retention.latest_planned(datetime.fromisoformat(now), PARIS) == datetime.fromisoformat(planned)


def test_a_missed_run_is_due_and_a_made_one_is_not(parts: Maicivy) -> None:
    assert retention.is_due(parts.expiry, NOW, PARIS)
    retention.run(parts.expiry, clock, 30)
    assert not retention.is_due(parts.expiry, NOW, PARIS)
    assert retention.is_due(parts.expiry, NOW + timedelta(days=1), PARIS)


def test_a_flood_of_labels_holds_its_places_until_the_next_run(parts: Maicivy, redis_client: redis.Redis) -> None:
    flood = [event(f"junk{n}", at=NOW, visitor=n) for n in range(100)]
    real = [event("wanted", at=NOW, visitor=n) for n in range(50)]
    parts.store.store([Parcel("flood", 100, flood, []), Parcel("real", 50, real, [])])
    parts.aggregation.catch_up()
    totals = redis_client.hgetall(keys.totals(1))
    assert totals[b"events:other"] == b"50"
    assert parts.aggregation.elect_labels() == 50
    parts.store.store([Parcel("more", 1, [event("wanted", at=NOW)], [])])
    parts.aggregation.catch_up()
    totals = redis_client.hgetall(keys.totals(1))
    assert totals[b"events:wanted"] == b"1"
    assert sum(int(n) for name, n in totals.items() if name.startswith(b"events:")) == 151
    drift = parts.aggregation.reconcile(NOW.date())
    assert drift is not None


def test_upkeep_makes_partitions_ahead_and_prunes_what_has_served(parts: Maicivy) -> None:
    fill(parts)
    with parts.engine.begin() as connection:
        connection.execute(sa.text("UPDATE outbox SET created_at = created_at - interval '2 days' WHERE seq < 4"))
        connection.execute(sa.text("UPDATE receipts SET created_at = created_at - interval '8 days'"))
    upkeep.run(parts.store, parts.aggregates, parts.inbox, clock)
    days = parts.store.partitions.days("analytics_events")
    assert set(days) >= {NOW.date() + timedelta(days=n) for n in range(-1, 7)}
    assert rows(parts, "outbox") == 4
    assert rows(parts, "receipts") == 0


def test_an_hour_of_many_receipts_is_pruned_in_an_hour(parts: Maicivy) -> None:
    with parts.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO receipts (entry, events, created_at)"
                " SELECT n || '-0', 1, now() - interval '8 days' FROM generate_series(1, 25000) AS n"
            )
        )
    upkeep.run(parts.store, parts.aggregates, parts.inbox, clock)
    assert rows(parts, "receipts") == 0
