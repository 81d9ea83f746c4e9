"""A Redis that does not keep what it acknowledges is told of, on servers that are set up wrongly."""

from __future__ import annotations

import logging

import pytest
import redis

from maicivy.errors import Unavailable
from maicivy.storage import durability
from maicivy.storage.durability import Shortfall, shortfall, tell, tell_soon
from maicivy.storage.inspection import RedisInspection
from maicivy.storage.redis_clients import fast_redis
from tests.standalone.processes import wait_until


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, list[str]]]:
    return [
        (record.message, record.levelno, getattr(record, "differs", getattr(record, "hidden", [])))
        for record in caplog.records
        if record.name == durability.__name__
    ]


def test_of_the_server_that_up_starts_nothing_is_said(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    tell(RedisInspection(redis_client))
    assert told(caplog) == []


def test_a_server_set_up_for_a_cache_is_named_with_all_that_differs(
    careless_valkey: str, caplog: pytest.LogCaptureFixture
) -> None:
    differs = ["appendonly no", "appendfsync everysec", "maxmemory-policy allkeys-lru"]
    with redis.Redis.from_url(careless_valkey) as client:
        tell(RedisInspection(client))
    assert told(caplog) == [("redis_not_durable", logging.ERROR, differs)]


def test_where_config_is_forbidden_info_tells_a_part_of_it(careless_valkey: str) -> None:
    with redis.Redis.from_url(careless_valkey) as client:
        client.execute_command("ACL", "SETUSER", "tenant", "on", ">secret", "~*", "+@all", "-config")
        with redis.Redis.from_url(careless_valkey.replace("unix://", "unix://tenant:secret@")) as tenant:
            found = shortfall(RedisInspection(tenant))
        client.execute_command("ACL", "DELUSER", "tenant")
    assert found == Shortfall(["appendonly no", "maxmemory-policy allkeys-lru"], ["appendfsync"])


def test_what_is_hidden_is_no_accusation(restricted_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with redis.Redis.from_url(restricted_url) as client:
        tell(RedisInspection(client))
    hidden = ["appendonly", "appendfsync", "maxmemory-policy"]
    assert told(caplog) == [("redis_durability_not_shown", logging.WARNING, hidden)]


def test_a_server_that_comes_late_is_looked_at_when_it_is_there(
    careless_valkey: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(RedisInspection):
        looks = 0

        def config(self) -> dict[str, str]:
            self.looks += 1
            if self.looks < 3:
                raise Unavailable("redis", "not there yet")
            return dict(super().config() or {})

    monkeypatch.setattr(durability, "AGAIN_S", 0.01)
    client = fast_redis(careless_valkey)
    tell_soon(Late(client))
    wait_until(lambda: bool(told(caplog)), what="told")
    assert [event for event, _, _ in told(caplog)] == ["redis_not_durable"]
    client.close()
