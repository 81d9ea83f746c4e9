"""Whoever can do without a server that hangs waits for it once, and not again for a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import redis

from maicivy.core.periods import Period
from maicivy.errors import Unavailable
from maicivy.storage.counters import RedisCounters
from maicivy.storage.query_cache import RedisQueryCache
from maicivy.storage.redis_clients import fast_redis, redis_errors
from maicivy.storage.silence import SILENCE_S, Silence
from tests.storage.silent_server import SilentServer

DAY = date(2026, 11, 20)
NOW = 1_795_176_000.0
MOMENT_AGO = "a moment ago"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def silence(clock: Clock) -> Silence:
    return Silence(clock)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[redis.Redis]:
    server = SilentServer(tmp_path)
    with fast_redis(server.url, 0.02) as client:
        yield client
    server.close()


def asked(silence: Silence, error: Exception | None = None) -> bool:
    """Whether the server was asked, which then raises `error` or answers."""
    came = False
    try:
        with silence.heeded(), redis_errors():
            came = True
            if error is not None:
                raise error
    except Unavailable:
        pass
    return came


def test_a_server_that_answers_is_asked_each_time(silence: Silence) -> None:
    assert [asked(silence) for _ in range(3)] == [True, True, True]


def test_a_server_that_did_not_answer_is_left_alone_for_a_moment(silence: Silence, clock: Clock) -> None:
    assert asked(silence, redis.TimeoutError())
    assert not asked(silence)
    clock.now += SILENCE_S - 0.01
    assert not asked(silence)
    clock.now += 0.01
    assert asked(silence)
    assert asked(silence)


def test_it_is_left_alone_again_when_it_still_does_not_answer(silence: Silence, clock: Clock) -> None:
    assert asked(silence, redis.TimeoutError())
    clock.now += SILENCE_S
    assert asked(silence, redis.TimeoutError())
    assert not asked(silence)


def test_one_asks_again_and_the_others_do_not_wait_for_what_it_hears(silence: Silence, clock: Clock) -> None:
    assert asked(silence, redis.TimeoutError())
    clock.now += SILENCE_S
    with silence.heeded():
        assert not asked(silence)
    assert asked(silence)


@pytest.mark.parametrize("error", [redis.ConnectionError("refused"), redis.ResponseError("OOM full"), OSError("gone")])
def test_a_server_that_says_no_makes_nobody_wait_and_is_asked_again(silence: Silence, error: Exception) -> None:
    assert asked(silence, error)
    assert asked(silence)


def test_a_mistake_of_ours_passes_through(silence: Silence) -> None:
    with pytest.raises(redis.ResponseError):
        asked(silence, redis.ResponseError("WRONGTYPE"))


@pytest.mark.parametrize(
    "read",
    [
        lambda cache, counters: cache.get(1, b"x", [(DAY, DAY)]),
        lambda cache, counters: cache.put(b"x", b"answer", 1, "epoch"),
        lambda cache, counters: counters.realtime(1, DAY, NOW),
        lambda cache, counters: counters.active([1], NOW),
        lambda cache, counters: counters.period(1, Period.DAY, DAY, ["total_events"]),
        lambda cache, counters: counters.themes(1, 5),
    ],
)
def test_the_cache_and_the_counters_tell_each_other(
    hanging: redis.Redis, silence: Silence, read: Callable[[RedisQueryCache, RedisCounters], object]
) -> None:
    cache, counters = RedisQueryCache(hanging, silence), RedisCounters(hanging, ZoneInfo("UTC"), silence)
    with pytest.raises(Unavailable, match="TimeoutError"):
        read(cache, counters)
    with pytest.raises(Unavailable, match=MOMENT_AGO):
        cache.get(1, b"x", [(DAY, DAY)])
    with pytest.raises(Unavailable, match=MOMENT_AGO):
        read(cache, counters)
    with pytest.raises(Unavailable, match=MOMENT_AGO):
        counters.realtime(1, DAY, NOW)
