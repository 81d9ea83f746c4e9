"""Rows of one site on real servers: they go alone, what they counted stays, and a removed site leaves nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import redis
import sqlalchemy as sa

from maicivy import retention, upkeep
from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.ports import Parcel
from maicivy.core.sites import Site
from maicivy.storage import expiry
from maicivy.storage.expiry import Hindrance
from maicivy.storage.site_rows import PARTITIONED, PLAIN
from tests.events import event
from tests.test_aggregation import aggregates

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
AGES = (0, 2, 7, 8, 9, 10, 33)


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(dataclasses.replace(settings, timezone=ZoneInfo("Europe/Paris")))
    yield parts
    parts.close()


@pytest.fixture
def brief(parts: Maicivy) -> Site:
    """A site that keeps its events for a week, while the installation keeps them for a month."""
    return parts.sites.add({"domain": "brief.example", "retention_days": 7})


def clock() -> datetime:
    return NOW


def day(age: int) -> datetime:
    return NOW - timedelta(days=age)


def fill(parts: Maicivy, *sites: int, ages: tuple[int, ...] = AGES) -> None:
    for age in ages:
        events = [
            each
            for site in sites
            for each in (
                event(at=day(age), visitor=10 * site, data={"theme": "backend"}, site_id=site),
                event(at=day(age), visitor=10 * site + 1, page_url="/letters", site_id=site),
                event(
                    "letter_generated",
                    {"type": "motivation"},
                    at=day(age) + timedelta(hours=11, minutes=30),
                    visitor=10 * site + 1,
                    site_id=site,
                ),
            )
        ]
        parts.store.store([Parcel(f"{age}-{sites[0]}", len(events), events, [])])
    parts.aggregation.catch_up()


def rolled_up(parts: Maicivy) -> None:
    """As if buckets had been made of every hour."""
    run(parts, "TRUNCATE dirty_hours")


def run(parts: Maicivy, statement: str) -> None:
    with parts.engine.begin() as connection:
        connection.execute(sa.text(statement))


def rows(parts: Maicivy, table: str, site: int) -> int:
    query = f"SELECT count(*) FROM {table} WHERE site_id = {site}"
    with parts.engine.connect() as connection:
        return int(connection.execute(sa.text(query)).scalar_one())


def retire(parts: Maicivy, days: int = 30, *, dry_run: bool = False) -> list[retention.Cleared]:
    sites = parts.sites.all()
    cleared = retention.run_sites(parts.expiry, parts.site_rows, sites, clock, days, dry_run=dry_run)
    retention.run(parts.expiry, clock, retention.horizon(sites, days), dry_run=dry_run)
    return cleared


def test_a_site_that_keeps_less_loses_old_rows_and_every_counter_stays_as_it_was(
    parts: Maicivy, brief: Site, redis_client: redis.Redis
) -> None:
    fill(parts, 1, brief.id)
    rolled_up(parts)
    before = aggregates(redis_client)
    dry = retire(parts, dry_run=True)
    assert rows(parts, "analytics_events", brief.id) == 21
    cleared = retire(parts)
    assert cleared == dry
    assert [(item.site_id, item.day, item.rows) for item in cleared if item.table == "analytics_events"] == [
        (brief.id, day(age).date(), 3) for age in (10, 9, 8)
    ]
    assert rows(parts, "analytics_events", brief.id) == 9
    assert rows(parts, "analytics_events", 1) == 18
    assert rows(parts, "visits", brief.id) == 3 * 5  # two days longer
    assert rows(parts, "visits", 1) == 3 * 6
    assert parts.aggregation.rebuild()
    assert aggregates(redis_client) == before
    assert retire(parts) == []


def test_rows_that_come_late_are_counted_and_go_with_the_next_run(
    parts: Maicivy, brief: Site, redis_client: redis.Redis
) -> None:
    fill(parts, 1, brief.id)
    rolled_up(parts)
    retire(parts)
    parts.store.store([Parcel("late-0", 1, [event(at=day(8), visitor=77, site_id=brief.id)], [])])
    parts.aggregation.catch_up()
    before = aggregates(redis_client)
    assert [item.rows for item in retire(parts) if item.table == "analytics_events"] == [1]
    assert parts.aggregation.rebuild()
    assert aggregates(redis_client) == before


def test_a_site_that_keeps_more_keeps_the_partition_and_the_others_lose_their_rows(
    parts: Maicivy, redis_client: redis.Redis
) -> None:
    long = parts.sites.add({"domain": "long.example", "retention_days": 60})
    fill(parts, 1, long.id)
    rolled_up(parts)
    before = aggregates(redis_client)
    cleared = retire(parts)
    assert {(item.site_id, item.day) for item in cleared if item.table == "analytics_events"} == {(1, day(33).date())}
    assert rows(parts, "analytics_events", long.id) == 21
    assert rows(parts, "analytics_events", 1) == 18
    parts.sites.remove(long.id)
    retire(parts)
    assert day(33).date() not in parts.expiry.days("analytics_events")
    assert parts.aggregation.rebuild()
    assert aggregates(redis_client) == before


def test_a_rollup_made_ahead_stands_for_deleted_rows_no_longer(
    parts: Maicivy, brief: Site, redis_client: redis.Redis
) -> None:
    fill(parts, 1, brief.id, ages=(0, 9))
    parts.expiry.prepare(day(9).date())
    assert parts.expiry.is_prepared(day(9).date())
    assert parts.site_rows.expire("analytics_events", day(9).date(), brief.id) == 3
    assert not parts.expiry.is_prepared(day(9).date())
    late = [event(at=day(9), visitor=number, site_id=1) for number in (70, 71, 72)]  # as many as went
    parts.store.store([Parcel("late-0", 3, late, [])])
    parts.aggregation.catch_up()
    before = aggregates(redis_client)
    retention.run(parts.expiry, clock, 8)
    assert parts.aggregation.rebuild()
    assert aggregates(redis_client) == before


def test_a_rollup_that_somebody_was_making_meanwhile_is_not_kept(
    parts: Maicivy, brief: Site, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(parts, 1, brief.id, ages=(0, 9))
    at = day(9).date()
    save = expiry.Rollups.save

    def save_late(*given: object) -> None:
        monkeypatch.setattr(expiry.Rollups, "save", save)
        assert parts.site_rows.expire("analytics_events", at, brief.id) == 3
        late = [event(at=day(9), visitor=number, site_id=1) for number in (70, 71, 72)]
        parts.store.store([Parcel("late-0", 3, late, [])])
        save(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(expiry.Rollups, "save", save_late)
    parts.expiry.prepare(at)
    parts.aggregation.catch_up()
    before = aggregates(redis_client)
    assert parts.expiry.drop("analytics_events", at) is Hindrance.UNPREPARED
    retention.run(parts.expiry, clock, 8)
    assert at not in parts.expiry.days("analytics_events")
    assert parts.aggregation.rebuild()
    assert aggregates(redis_client) == before


def test_visits_wait_until_they_are_rolled_up(parts: Maicivy, brief: Site) -> None:
    fill(parts, 1, brief.id, ages=(0, 10, 33))
    assert parts.site_rows.expire("visits", day(10).date(), brief.id) is Hindrance.DIRTY
    assert parts.expiry.drop("visits", day(33).date()) is Hindrance.DIRTY
    retire(parts)
    assert (rows(parts, "visits", 1), rows(parts, "analytics_events", 1)) == (9, 6)
    rolled_up(parts)
    run(parts, f"INSERT INTO dirty_hours (site_id, hour, seq) VALUES (1, '{day(10)}', 1)")  # another site's
    assert parts.site_rows.expire("visits", day(10).date(), brief.id) == 3
    retire(parts)
    assert rows(parts, "visits", 1) == 6


def buckets(parts: Maicivy) -> dict[tuple[int, datetime], tuple[object, ...]]:
    """What the rollups say of each day."""
    query = "SELECT site_id, start, visitors, visits, pageviews FROM buckets WHERE grain = 'day' AND dimension = 'all'"
    with parts.engine.connect() as connection:
        return {(row.site_id, row.start): tuple(row)[2:] for row in connection.execute(sa.text(query))}


def test_days_of_which_visits_are_gone_keep_their_buckets_whatever_is_judged_anew(parts: Maicivy, brief: Site) -> None:
    fill(parts, 1, brief.id, ages=(2, 7, 8, 9, 10))
    parts.buckets.refresh(NOW, 30)
    before = buckets(parts)
    assert len(before) >= 10
    cleared = retire(parts)
    assert [item.day for item in cleared if item.table == "visits"] == [day(10).date()]
    marked = "SELECT DISTINCT site_id, date_trunc('hour', started), 99 FROM visits"
    run(parts, f"INSERT INTO dirty_hours (site_id, hour, seq) {marked} ON CONFLICT DO NOTHING")
    run(parts, "UPDATE buckets SET pageviews = '{77}' WHERE pageviews <> '{}'")
    parts.buckets.refresh(NOW, 30)
    after = buckets(parts)
    assert after.keys() == before.keys()
    stayed = {at for at, told in after.items() if told[2] == [77]}
    assert {site for site, _ in stayed} == {brief.id}
    assert all(after[at] == before[at] for at in after.keys() - stayed)
    assert max(start for _, start in stayed) < day(8)
    with parts.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM dirty_hours")).scalar_one() == 0


def test_runs_side_by_side_count_each_row_once(parts: Maicivy, brief: Site, redis_client: redis.Redis) -> None:
    fill(parts, 1, brief.id)
    rolled_up(parts)
    before = aggregates(redis_client)
    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(retire, parts) for _ in range(4)]:
            one.result()
    retire(parts)
    assert rows(parts, "analytics_events", brief.id) == 9
    assert parts.aggregation.rebuild()
    assert aggregates(redis_client) == before


def test_a_removed_site_loses_everything_and_the_others_nothing(
    parts: Maicivy, brief: Site, redis_client: redis.Redis
) -> None:
    fill(parts, 1, brief.id, ages=(0, 1))
    kept = aggregates(redis_client)
    run(parts, f"INSERT INTO rollups_daily VALUES ({brief.id}, '2025-01-01', 'total_events', 5)")
    parts.expiry.prepare(day(1).date())
    parts.sites.remove(brief.id)
    upkeep.forget_sites(parts.sites, parts.site_rows, parts.inbox, clock)
    assert {table: rows(parts, table, brief.id) for table in PARTITIONED + PLAIN} == dict.fromkeys(
        PARTITIONED + PLAIN, 0
    )
    assert not [key for key in redis_client.scan_iter() if f":{brief.id}:".encode() in key + b":"]
    assert not parts.expiry.is_prepared(day(1).date())
    assert parts.aggregation.rebuild()
    for key, value in kept.items():
        if f":{brief.id}:".encode() not in key:
            assert aggregates(redis_client)[key] == value, key


def test_a_removed_site_is_looked_for_until_nothing_of_it_can_come(parts: Maicivy, brief: Site) -> None:
    parts.sites.remove(brief.id)
    removed = datetime.now(UTC)

    def later() -> datetime:
        return removed + timedelta(days=1, minutes=1)

    upkeep.forget_sites(parts.sites, parts.site_rows, parts.inbox, lambda: removed)
    fill(parts, brief.id, ages=(0,))
    upkeep.forget_sites(parts.sites, parts.site_rows, parts.inbox, later)
    assert rows(parts, "analytics_events", brief.id) == 0
    assert [number for number, _ in parts.sites.removed()] == [brief.id]
    upkeep.forget_sites(parts.sites, parts.site_rows, parts.inbox, later)
    assert parts.sites.removed() == []
    assert parts.sites.add({"domain": "brief.example"}).id > brief.id


def test_removal_is_done_in_pieces_and_goes_on_where_it_stopped(
    parts: Maicivy, brief: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(parts, brief.id, ages=(0, 1))
    parts.sites.remove(brief.id)
    assert 4 <= parts.site_rows.remove(brief.id, 4) <= 8
    left = sum(rows(parts, table, brief.id) for table in PARTITIONED + PLAIN)
    assert left > 0
    assert parts.site_rows.remove(brief.id, 1000) == left
    assert parts.site_rows.remove(brief.id, 1000) == 0


def test_every_table_that_knows_sites_is_emptied_of_a_removed_one(parts: Maicivy) -> None:
    query = sa.text(
        "SELECT c.table_name FROM information_schema.columns c JOIN pg_class p ON p.relname = c.table_name"
        " WHERE c.column_name = 'site_id' AND c.table_schema = 'public' AND NOT p.relispartition"
        " AND p.relkind IN ('r', 'p')"
    )
    with parts.engine.connect() as connection:
        tables = set(connection.execute(query).scalars())
    assert tables == {*PARTITIONED, *PLAIN, "event_ids"}
