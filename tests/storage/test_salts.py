"""The daily salts on a real Valkey, and on a server that hangs."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from maicivy.errors import Unavailable
from maicivy.storage.redis_clients import fast_redis
from maicivy.storage.salts import RedisSaltBox
from tests.storage.silent_server import SilentServer

SECRET = "0123456789abcdef0123456789abcdef"
NOON = datetime.now(UTC).replace(hour=12)


def test_a_days_salt_is_the_same_for_every_process_and_yesterdays_is_kept(
    valkey_url: str, redis_client: redis.Redis
) -> None:
    one, other = (RedisSaltBox(fast_redis(valkey_url), SECRET) for _ in range(2))
    today = one.current(NOON)
    assert other.current(NOON) == today
    tomorrow = other.current(NOON + timedelta(days=1))
    assert tomorrow.today != today.today
    assert tomorrow.yesterday == today.today


def test_a_clock_that_goes_back_over_midnight_finds_the_salt_of_the_day_before(
    valkey_url: str, redis_client: redis.Redis
) -> None:
    salts = RedisSaltBox(fast_redis(valkey_url), SECRET)
    today = salts.current(NOON)
    assert salts.current(NOON + timedelta(hours=13)).day == today.day + timedelta(days=1)
    assert salts.current(NOON) == today


def test_of_many_who_wait_for_a_redis_that_hangs_one_asks(tmp_path: Path) -> None:
    server = SilentServer(tmp_path)
    salts = RedisSaltBox(fast_redis(server.url), SECRET)
    outcomes: list[type[Exception]] = []

    def ask() -> None:
        with pytest.raises(Unavailable) as refused:
            salts.current(NOON)
        outcomes.append(refused.type)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    server.close()
    assert outcomes == [Unavailable] * 20
    assert server.came <= 2  # a thread may come late
