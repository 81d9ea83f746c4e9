"""Kept answers: believed as long as nothing that they counted has changed, and never more than there is room for."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import redis
import sqlalchemy as sa

from maicivy.aggregation import Aggregation
from maicivy.core.ports import Days, OutboxRow
from maicivy.core.tallies import SiteTally, Tally
from maicivy.errors import Unavailable
from maicivy.storage import keys, query_cache
from maicivy.storage.aggregates import RedisAggregates
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.query_cache import RedisQueryCache
from maicivy.storage.redis_clients import fast_redis

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = date(2026, 11, 20)
KEY = b"\x01\x02"
ZONE = ZoneInfo("UTC")


@pytest.fixture
def aggregation(engine: sa.Engine, redis_client: redis.Redis) -> Aggregation:
    aggregation = Aggregation(PostgresEventStore(engine, ZONE), RedisAggregates(redis_client, ZONE), lambda: NOW)
    aggregation.catch_up()
    return aggregation


@pytest.fixture
def cache(aggregation: Aggregation, redis_client: redis.Redis) -> RedisQueryCache:
    return RedisQueryCache(redis_client)


@pytest.fixture
def change(redis_client: redis.Redis) -> Callable[..., None]:
    """Applies an outbox row that changed visits of some days of a site."""

    def changed(*days: date, site_id: int = 1) -> None:
        aggregates = RedisAggregates(redis_client, ZONE)
        cursor = aggregates.cursor()
        assert cursor is not None
        tally = Tally({site_id: SiteTally(changed_days=[day.isoformat() for day in days])})
        row = OutboxRow(cursor.seq + 1, cursor.token, f"t{cursor.seq + 1}", tally)
        assert aggregates.apply(row, NOW.timestamp())

    return changed


def known(cache: RedisQueryCache, *ranges: Days, site_id: int = 1, key: bytes = KEY) -> bytes | None:
    return cache.get(site_id, key, ranges or [(TODAY, TODAY)])[0]


def keep(cache: RedisQueryCache, answer: bytes = b"answer", seq: int = 0, key: bytes = KEY) -> None:
    cache.put(key, answer, seq, cache.get(1, key, [(TODAY, TODAY)])[1])


@pytest.mark.parametrize("size", [0, 100, query_cache.COMPRESS_FROM_BYTES, 200_000])
def test_an_answer_comes_back_as_it_was(cache: RedisQueryCache, size: int) -> None:
    assert known(cache) is None
    answer = os.urandom(size)
    keep(cache, answer)
    assert known(cache) == answer
    assert known(cache, key=b"\x03") is None


def test_what_is_large_is_kept_small(cache: RedisQueryCache, redis_client: redis.Redis) -> None:
    keep(cache, b"x" * 500_000)
    assert known(cache) == b"x" * 500_000
    assert redis_client.memory_usage(keys.query(KEY)) < 5_000


def test_what_is_too_large_is_not_kept(cache: RedisQueryCache) -> None:
    keep(cache, os.urandom(query_cache.MAX_ENTRY_BYTES))
    assert known(cache) is None


@pytest.mark.parametrize(
    ("ranges", "changed", "believed"),
    [
        ([(0, 0)], [0], False),
        ([(-7, 0)], [-7], False),
        ([(-7, 0)], [-8], True),
        ([(-7, -1)], [0], True),
        ([(-7, -1)], [-40, -3, 0], False),
        ([(-1, 0), (-31, -30)], [-30], False),
        ([(-1, 0), (-31, -30)], [-29, -2, -32], True),
        ([(-1, 0)], [], True),
    ],
)
def test_an_answer_is_believed_until_one_of_its_days_changes(
    cache: RedisQueryCache,
    change: Callable[..., None],
    ranges: list[tuple[int, int]],
    changed: list[int],
    believed: bool,
) -> None:
    keep(cache)
    change(*(TODAY + timedelta(days=n) for n in changed))
    days = [(TODAY + timedelta(days=first), TODAY + timedelta(days=last)) for first, last in ranges]
    assert (known(cache, *days) is not None) is believed


def test_a_change_that_the_answer_knows_of_does_no_harm(cache: RedisQueryCache, change: Callable[..., None]) -> None:
    change(TODAY)
    keep(cache, seq=1)
    assert known(cache) == b"answer"
    change(TODAY)
    assert known(cache) is None
    keep(cache, b"newer", seq=2)
    assert known(cache) == b"newer"


def test_an_answer_of_before_the_change_that_is_put_in_after_it_is_not_believed(
    cache: RedisQueryCache, change: Callable[..., None]
) -> None:
    change(TODAY)
    keep(cache, seq=0)
    assert known(cache) is None


def test_changes_of_another_site_do_no_harm(cache: RedisQueryCache, change: Callable[..., None]) -> None:
    keep(cache)
    change(TODAY, site_id=2)
    assert known(cache) == b"answer"
    assert known(cache, site_id=2) is None


def test_after_a_rebuild_nothing_of_before_is_believed(cache: RedisQueryCache, aggregation: Aggregation) -> None:
    epoch = cache.get(1, KEY, [(TODAY, TODAY)])[1]
    keep(cache)
    assert aggregation.rebuild()
    assert known(cache) is None
    cache.put(KEY, b"computed before it, put in after it", 5, epoch)
    assert known(cache) is None
    keep(cache)
    assert known(cache) == b"answer"


def test_what_is_forgotten_is_not_believed(cache: RedisQueryCache) -> None:
    keep(cache)
    cache.forget()
    assert known(cache) is None
    keep(cache)
    assert known(cache) == b"answer"


def test_without_aggregates_nothing_is_kept(cache: RedisQueryCache, redis_client: redis.Redis) -> None:
    keep(cache)
    redis_client.delete(keys.CURSOR)
    assert known(cache) is None
    keep(cache)
    assert redis_client.zcard(keys.QUERIES) == 1


def test_the_oldest_go_when_there_are_too_many(
    cache: RedisQueryCache, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_cache, "MAX_ENTRIES", 3)
    times = iter(range(1_000, 2_000))
    monkeypatch.setattr(query_cache.time, "time", lambda: next(times))
    for n in range(5):
        keep(cache, key=bytes([n]))
    assert [known(cache, key=bytes([n])) is not None for n in range(5)] == [False, False, True, True, True]
    assert redis_client.hlen(keys.QUERY_BYTES) == 4


def test_the_oldest_go_when_they_take_too_much_room(
    cache: RedisQueryCache, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_cache, "MAX_BYTES", 3_000)
    times = iter(range(1_000, 2_000))
    monkeypatch.setattr(query_cache.time, "time", lambda: next(times))
    for n in range(4):
        keep(cache, b"x" * 999, key=bytes([n]))
    assert [known(cache, key=bytes([n])) is not None for n in range(4)] == [False, True, True, True]
    keep(cache, b"x" * 1_999, key=bytes([3]))
    assert [known(cache, key=bytes([n])) is not None for n in range(4)] == [False, False, True, True]
    assert redis_client.hget(keys.QUERY_BYTES, "all") == b"3000"


def test_what_has_expired_takes_no_room(
    cache: RedisQueryCache, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_cache.time, "time", lambda: 1_000)
    keep(cache, key=b"\x01")
    monkeypatch.setattr(query_cache.time, "time", lambda: 1_000 + query_cache.LIFE_S)
    keep(cache, key=b"\x02")
    assert redis_client.zrange(keys.QUERIES, 0, -1) == [b"02"]
    assert redis_client.hgetall(keys.QUERY_BYTES) == {b"02": b"7", b"all": b"7"}


def test_everything_ends_after_an_hour(cache: RedisQueryCache, redis_client: redis.Redis) -> None:
    keep(cache)
    for key in (keys.query(KEY), keys.QUERIES, keys.QUERY_BYTES):
        assert 0 < redis_client.ttl(key) <= query_cache.LIFE_S  # type: ignore[operator]


def test_a_cache_that_is_away_says_so(cache: RedisQueryCache) -> None:
    nowhere = RedisQueryCache(fast_redis("unix:///nonexistent"))
    with pytest.raises(Unavailable):
        nowhere.get(1, KEY, [(TODAY, TODAY)])
    with pytest.raises(Unavailable):
        nowhere.put(KEY, b"", 1, "epoch")
