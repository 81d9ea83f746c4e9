"""Reads of aggregates, against keys written as seed 001 names them."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest
import redis

from maicivy.core.periods import Period
from maicivy.core.ports import Counters, Snapshot
from maicivy.errors import Unavailable
from maicivy.storage.counters import RedisCounters
from maicivy.storage.redis_clients import fast_redis
from tests.events import visitor_id

DAY = date(2025, 12, 8)
NOW = 1_765_195_200.5  # 2025-12-08T12:00:00.5Z


@pytest.fixture
def counters(redis_client: redis.Redis) -> Counters:
    return RedisCounters(redis_client, ZoneInfo("UTC"))


def test_an_empty_redis_reads_as_zeros(counters: Counters) -> None:
    assert counters.realtime(1, DAY, NOW) == Snapshot(0, 0, 0, 0, 1_765_195_200)
    assert counters.period(1, Period.WEEK, DAY, ["total_events", "letters_generated"]) == ([0, 0], 0)
    assert counters.days(1, [DAY], ["total_events"]) == [([0], 0)]
    assert counters.themes(1, 5) == []
    assert counters.last_seen([(1, visitor_id(1))]) == {}


def test_nothing_asked_is_nothing_answered(counters: Counters) -> None:
    assert counters.days(1, [], ["total_events"]) == []
    assert counters.last_seen([]) == {}
    assert counters.periods(1, [(Period.DAY, DAY), (Period.WEEK, DAY)], []) == [([], 0), ([], 0)]


def test_realtime_reads_the_keys_of_seed_001(counters: Counters, redis_client: redis.Redis) -> None:
    redis_client.pfadd("analytics:visitors:unique:day:2025-12-08", *(visitor_id(n).bytes for n in range(20)))
    redis_client.set("analytics:stats:day:2025-12-08:total_events", 2340)
    redis_client.set("analytics:stats:day:2025-12-08:letters_generated", 23)
    redis_client.zadd("analytics:realtime:visitors", {str(visitor_id(n)): NOW - n for n in range(12)})

    assert counters.realtime(1, DAY, NOW) == Snapshot(12, 20, 2340, 23, 1_765_195_200)


def test_a_visitor_is_current_for_less_than_five_minutes(counters: Counters, redis_client: redis.Redis) -> None:
    ages = {1: 0.0, 2: 299.9, 3: 300.0, 4: 301.0, 5: -60.0}  # the last one's clock is a minute ahead
    redis_client.zadd("analytics:realtime:visitors", {str(visitor_id(n)): NOW - age for n, age in ages.items()})

    assert counters.realtime(1, DAY, NOW).current_visitors == 3


def test_periods_of_any_kind_come_in_the_order_asked(counters: Counters, redis_client: redis.Redis) -> None:
    redis_client.mset(
        {
            "analytics:stats:day:2025-12-08:total_events": 1,
            "analytics:stats:week:2025-W50:total_events": 2,
            "analytics:stats:month:2025-12:total_events": 3,
            "analytics:stats:month:2025-12:letters_generated": 4,
        }
    )
    redis_client.pfadd("analytics:visitors:unique:week:2025-W50", b"a", b"b")

    asked = [(Period.MONTH, DAY), (Period.DAY, DAY), (Period.WEEK, DAY), (Period.DAY, date(2025, 12, 9))]
    assert counters.periods(1, asked, ["letters_generated", "total_events"]) == [
        ([4, 3], 0),
        ([0, 1], 0),
        ([0, 2], 2),
        ([0, 0], 0),
    ]


def test_the_week_of_new_year_belongs_to_its_iso_year(counters: Counters, redis_client: redis.Redis) -> None:
    redis_client.set("analytics:stats:week:2026-W01:total_events", 7)

    for day in (date(2025, 12, 29), date(2025, 12, 31), date(2026, 1, 4)):
        assert counters.period(1, Period.WEEK, day, ["total_events"]) == ([7], 0)
    assert counters.period(1, Period.WEEK, date(2026, 1, 5), ["total_events"]) == ([0], 0)


def test_themes_come_most_viewed_first_then_by_name(counters: Counters, redis_client: redis.Redis) -> None:
    redis_client.zadd("analytics:themes:top", {"devops": 198, "backend": 523, "été": 312, "fullstack": 312})

    assert counters.themes(1, 3) == [("backend", 523), ("fullstack", 312), ("été", 312)]


def test_last_seen_knows_only_who_was_there(counters: Counters, redis_client: redis.Redis) -> None:
    redis_client.zadd("analytics:realtime:visitors", {str(visitor_id(1)): NOW})
    redis_client.zadd("analytics:2:realtime:visitors", {str(visitor_id(2)): NOW - 5})

    asked = [(1, visitor_id(1)), (1, visitor_id(2)), (2, visitor_id(2)), (1, visitor_id(1))]
    assert counters.last_seen(asked) == {(1, visitor_id(1)): NOW, (2, visitor_id(2)): NOW - 5}


def test_sites_do_not_mix(counters: Counters, redis_client: redis.Redis) -> None:
    redis_client.set("analytics:7:stats:day:2025-12-08:total_events", 5)
    redis_client.zadd("analytics:7:themes:top", {"backend": 1})

    assert counters.realtime(7, DAY, NOW).total_events == 5
    assert counters.realtime(1, DAY, NOW).total_events == 0
    assert counters.themes(1, 5) == []


def test_a_redis_that_is_away_is_unavailable() -> None:
    with fast_redis("redis://127.0.0.1:1") as nowhere:
        counters = RedisCounters(nowhere, ZoneInfo("UTC"))
        with pytest.raises(Unavailable) as failure:
            counters.realtime(1, DAY, NOW)
    assert failure.value.part == "redis"
