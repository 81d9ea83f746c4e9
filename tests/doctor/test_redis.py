"""What the doctor says of Redis, the inbox, the aggregates, worker and beat."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
import sqlalchemy as sa

from maicivy.core.ports import InboxStatus
from maicivy.doctor.findings import State
from maicivy.doctor.redis import (
    CHECKS,
    judge_aggregates,
    judge_alive,
    judge_bell,
    judge_durability,
    judge_eviction,
    judge_inbox,
    judge_memory,
    judge_version,
    judge_writes,
)
from maicivy.storage import keys
from maicivy.storage.aggregates import FORM, Cursor
from tests.doctor.conftest import Examined, verdict
from tests.events import NOON, event

UTC = ZoneInfo("UTC")
SERVER = (
    "redis",
    "redis durability",
    "redis eviction",
    "redis writes",
    "redis memory",
    "redis clock",
    "bell",
    "inbox",
    "aggregates",
)


def test_a_working_server_is_healthy(examined: Examined) -> None:
    installation = examined()
    assert {name: verdict(installation, CHECKS, name).state for name in SERVER} == dict.fromkeys(SERVER, State.OK)
    assert verdict(installation, CHECKS, "redis").seen.startswith("Valkey 9")


def test_a_server_set_up_for_a_cache_is_a_problem(examined: Examined, careless_valkey: str) -> None:
    installation = examined(redis_url=careless_valkey)
    assert verdict(installation, CHECKS, "redis durability").seen == "appendonly is no"
    assert verdict(installation, CHECKS, "redis eviction").seen == "maxmemory-policy is allkeys-lru"
    with redis.Redis.from_url(careless_valkey) as client:
        client.config_set("appendonly", "yes")
        found = verdict(installation, CHECKS, "redis durability")
        client.config_set("appendonly", "no")
    assert (found.state, found.seen) == (State.PROBLEM, "appendfsync is everysec")


def test_a_server_that_is_full_is_a_problem(examined: Examined, careless_valkey: str) -> None:
    with redis.Redis.from_url(careless_valkey) as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 1000)
        found = verdict(examined(redis_url=careless_valkey), CHECKS, "redis memory")
        client.config_set("maxmemory", "3mb")
    assert found.state is State.PROBLEM


def test_what_an_account_may_not_see_is_said_and_is_no_problem(examined: Examined, restricted_url: str) -> None:
    installation = examined(redis_url=restricted_url)
    found = {name: verdict(installation, CHECKS, name) for name in SERVER}
    hidden = ("redis", "redis durability", "redis eviction", "redis writes", "redis memory")
    assert [name for name in SERVER if found[name].state is State.WARNING] == list(hidden)
    assert [name for name in SERVER if found[name].state is State.PROBLEM] == []
    assert found["redis durability"].seen == "this account cannot see appendfsync"


@pytest.mark.parametrize(
    ("info", "state", "seen"),
    [
        ({"redis_version": "6.2.14"}, State.PROBLEM, "Redis 6.2.14"),
        ({"redis_version": "7.0.0"}, State.OK, "Redis 7.0.0"),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.5"}, State.PROBLEM, "Valkey 7.2.5"),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1"}, State.OK, "Valkey 8.0.1"),
        ({"redis_version": 8.0}, State.OK, "Redis 8.0"),
        ({}, State.PROBLEM, "Redis 0"),
    ],
)
def test_an_old_server_is_a_problem(info: Mapping[str, Any], state: State, seen: str) -> None:
    assert (judge_version(info).state, judge_version(info).seen) == (state, seen)


@pytest.mark.parametrize(
    ("config", "info", "state"),
    [
        ({"appendonly": "yes", "appendfsync": "always"}, None, State.OK),
        ({"appendonly": "yes", "appendfsync": "no"}, None, State.PROBLEM),
        (None, {"aof_enabled": 1}, State.WARNING),
        (None, {"aof_enabled": 0}, State.PROBLEM),
        ({}, None, State.WARNING),
    ],
)
def test_durability_is_seen_as_far_as_it_is_shown(
    config: Mapping[str, str] | None, info: Mapping[str, Any] | None, state: State
) -> None:
    assert judge_durability(config, info).state is state


@pytest.mark.parametrize(
    ("config", "info", "state"),
    [
        ({"maxmemory-policy": "noeviction"}, None, State.OK),
        (None, {"maxmemory_policy": "noeviction"}, State.OK),
        (None, {"maxmemory_policy": "volatile-lru", "maxmemory": 1}, State.PROBLEM),
        ({"maxmemory-policy": "allkeys-lru"}, None, State.PROBLEM),
        ({"maxmemory-policy": "allkeys-lru"}, {"maxmemory": 0}, State.WARNING),
    ],
)
def test_eviction_is_a_problem_once_it_can_happen(
    config: Mapping[str, str] | None, info: Mapping[str, Any] | None, state: State
) -> None:
    assert judge_eviction(config, info).state is state


@pytest.mark.parametrize(
    ("info", "state"),
    [
        ({"aof_last_write_status": "ok", "aof_last_bgrewrite_status": "ok", "rdb_last_bgsave_status": "ok"}, State.OK),
        ({}, State.OK),
        ({"loading": 1}, State.WARNING),
        ({"aof_last_write_status": "err"}, State.PROBLEM),
        ({"aof_last_bgrewrite_status": "err"}, State.WARNING),
        ({"rdb_last_bgsave_status": "err"}, State.WARNING),
    ],
)
def test_a_disk_that_refuses_is_told(info: Mapping[str, Any], state: State) -> None:
    assert judge_writes(info).state is state


@pytest.mark.parametrize(
    ("info", "state"),
    [
        ({"used_memory": 91, "maxmemory": 100, "total_system_memory": 10_000}, State.PROBLEM),
        ({"used_memory": 76, "maxmemory": 100, "total_system_memory": 10_000}, State.WARNING),
        ({"used_memory": 75, "maxmemory": 100, "total_system_memory": 10_000}, State.OK),
        ({"used_memory": 91, "maxmemory": 0, "total_system_memory": 100}, State.PROBLEM),
        ({"used_memory": 91, "maxmemory": 0}, State.OK),
    ],
)
def test_memory_that_runs_out_is_told(info: Mapping[str, Any], state: State) -> None:
    assert judge_memory(info).state is state


def test_events_that_wait_are_seen_in_the_real_inbox(examined: Examined) -> None:
    installation = examined()
    installation.parts.inbox.append([event(), event()])
    assert verdict(installation, CHECKS, "inbox").seen.startswith("2 events wait, 0.0 MiB, the oldest for 0 s")


def test_events_that_wait_for_long_are_a_problem_in_the_real_inbox(
    examined: Examined, redis_client: redis.Redis
) -> None:
    seconds, _ = redis_client.time()
    redis_client.xadd(keys.INBOX, {"n": 1, "0": b""}, id=f"{(seconds - 100) * 1000}-0")
    assert verdict(examined(), CHECKS, "inbox").state is State.PROBLEM


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (InboxStatus(0, 0, 100, 0.0), State.OK),
        (InboxStatus(5, 50, 100, 10.0), State.OK),
        (InboxStatus(5, 51, 100, 10.0), State.WARNING),
        (InboxStatus(5, 5, 100, 10.1), State.WARNING),
        (InboxStatus(5, 5, 100, 60.1), State.PROBLEM),
    ],
)
def test_an_inbox_that_fills_or_stands_still_is_told(status: InboxStatus, state: State) -> None:
    assert judge_inbox(status).state is state


def test_counters_that_do_not_follow_from_the_database_are_a_problem(
    examined: Examined, engine: sa.Engine, redis_client: redis.Redis
) -> None:
    installation = examined()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE ledger SET seq = 7, token = 'seven'"))
    found = verdict(installation, CHECKS, "aggregates")
    assert (found.state, found.seen) == (State.PROBLEM, "Redis holds no counters, although there are events")
    redis_client.hset(keys.CURSOR, mapping={"seq": 7, "token": "other", "timezone": "UTC", "form": FORM})
    found = verdict(installation, CHECKS, "aggregates")
    assert (found.state, found.seen) == (State.PROBLEM, "the counters in Redis are those of another database")
    redis_client.hset(keys.CURSOR, "token", "seven")
    assert verdict(installation, CHECKS, "aggregates").state is State.OK


@pytest.mark.parametrize(
    ("cursor", "state"),
    [
        (Cursor(1000, "t", "UTC"), State.OK),
        (Cursor(900, "s", "UTC"), State.OK),
        (Cursor(899, "s", "UTC"), State.PROBLEM),
        (Cursor(1001, "s", "UTC"), State.PROBLEM),
        (Cursor(1000, "t", "Europe/Paris"), State.PROBLEM),
    ],
)
def test_a_cursor_may_be_a_little_behind_and_nothing_else(cursor: Cursor, state: State) -> None:
    assert judge_aggregates(cursor, 1000, "t", UTC).state is state


@pytest.mark.parametrize("kind", ["worker", "beat"])
def test_a_process_that_does_not_show_itself_is_a_problem(
    examined: Examined, redis_client: redis.Redis, kind: str
) -> None:
    long_ago = examined(now=NOON - timedelta(days=1))
    long_ago.parts.heartbeats.beat(kind, NOON.timestamp())
    assert verdict(examined(now=NOON + timedelta(seconds=60)), CHECKS, kind).state is State.OK
    assert verdict(examined(now=NOON + timedelta(seconds=61)), CHECKS, kind).state is not State.OK


@pytest.mark.parametrize(
    ("last_seen", "info", "state"),
    [
        ({}, None, State.PROBLEM),
        ({}, {"uptime_in_seconds": 60}, State.PROBLEM),
        ({}, {"uptime_in_seconds": 59}, State.WARNING),
        ({"worker": NOON.timestamp() - 3600}, {"uptime_in_seconds": 5}, State.WARNING),
        ({"worker": NOON.timestamp() - 3600}, {"uptime_in_seconds": 5000}, State.PROBLEM),
        ({"beat": NOON.timestamp()}, {"uptime_in_seconds": 5000}, State.PROBLEM),
        ({"worker": NOON.timestamp() + 1}, None, State.OK),
    ],
)
def test_right_after_a_start_nobody_has_shown_himself_yet(
    last_seen: Mapping[str, float], info: Mapping[str, Any] | None, state: State
) -> None:
    assert judge_alive("worker", last_seen, NOON, info).state is state


def test_a_bell_that_does_not_go_out_is_a_problem(examined: Examined, redis_client: redis.Redis) -> None:
    installation = examined()
    installation.parts.bell.hold()
    assert verdict(installation, CHECKS, "bell").state is State.OK
    redis_client.set(keys.BELL, b"1")
    assert verdict(installation, CHECKS, "bell").state is State.PROBLEM
    assert judge_bell(3600.0).state is State.PROBLEM
