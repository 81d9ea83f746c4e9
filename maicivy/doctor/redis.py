"""Checks of Redis or Valkey, and of what shows itself there: the inbox, the aggregates, worker and beat."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from maicivy.core.ports import InboxStatus
from maicivy.doctor.examine import Check, Installation
from maicivy.doctor.findings import Verdict, ok, problem, warning
from maicivy.doctor.postgres import SCHEMA, judge_clock
from maicivy.storage.aggregates import Cursor
from maicivy.storage.bell import BELL_S

REACH: Final = "redis"
MIN_REDIS: Final = 7
MIN_VALKEY: Final = 8
MUCH_MEMORY: Final = 0.75
ALL_MEMORY: Final = 0.9
MUCH_INBOX: Final = 0.5
SLOW_INBOX_S: Final = 10.0
STUCK_INBOX_S: Final = 60.0
FEW_ROWS: Final = 100
"""Outbox rows that may be under way at any moment: each is one batch of a worker."""

SILENT_S: Final = 60.0
_HOSTED: Final = "Ask whoever runs this server: maicivy needs appendonly yes, appendfsync always, noeviction."


def judge_version(info: Mapping[str, Any] | None) -> Verdict:
    """`info` is `INFO`; Valkey names itself and still gives the Redis version that it is compatible with."""
    if info is None:
        return warning("it answers, and does not show its version", "maicivy needs Redis 7 or Valkey 8, or later.")
    if "valkey_version" in info:
        name, version, oldest = "Valkey", str(info["valkey_version"]), MIN_VALKEY
    else:
        name, version, oldest = "Redis", str(info.get("redis_version", "0")), MIN_REDIS
    if int(version.partition(".")[0] or 0) < oldest:
        return problem(f"{name} {version}", "maicivy needs Redis 7 or Valkey 8, or later.")
    return ok(f"{name} {version}")


def judge_durability(config: Mapping[str, str] | None, info: Mapping[str, Any] | None) -> Verdict:
    """Whether an event that was answered 202 survives a power cut."""
    config = config or {}
    appendonly = config.get("appendonly") or ("yes" if (info or {}).get("aof_enabled") else "no" if info else None)
    if appendonly == "no":
        return problem(
            "appendonly is no", "Set appendonly yes: as it is, accepted events are lost when Redis restarts."
        )
    fsync = config.get("appendfsync")
    if appendonly is None or fsync is None:
        return warning("this account cannot see appendfsync", _HOSTED)
    if fsync != "always":
        return problem(
            f"appendfsync is {fsync}",
            "Set appendfsync always: as it is, events accepted in the last moments are lost with the power. "
            "It costs little, for events are written in groups.",
        )
    return ok("accepted events survive a power cut (appendonly yes, appendfsync always)")


def judge_eviction(config: Mapping[str, str] | None, info: Mapping[str, Any] | None) -> Verdict:
    """Whether Redis may throw away what maicivy keeps in it."""
    policy = (config or {}).get("maxmemory-policy") or (info or {}).get("maxmemory_policy")
    if policy is None:
        return warning("this account cannot see maxmemory-policy", _HOSTED)
    if policy == "noeviction":
        return ok("nothing is evicted (noeviction)")
    if info is not None and not info.get("maxmemory"):
        return warning(f"maxmemory-policy is {policy}, without a maxmemory yet", "Set maxmemory-policy noeviction.")
    return problem(
        f"maxmemory-policy is {policy}",
        "Set maxmemory-policy noeviction: as it is, the inbox with events not yet stored may be thrown away.",
    )


def judge_writes(info: Mapping[str, Any] | None) -> Verdict:
    """Whether its latest writes to disk went well."""
    if info is None:
        return warning("this account cannot see whether writes to disk succeed", _HOSTED)
    if info.get("loading"):
        return warning("it is still loading its data", "Wait a little.")
    if info.get("aof_last_write_status", "ok") != "ok":
        return problem("it cannot write its append-only file", "See its log; is its disk full?")
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        return warning("it could not rewrite its append-only file, which grows", "See its log; is its disk full?")
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        return warning("its latest snapshot failed", "See its log; is its disk full, or vm.overcommit_memory 0?")
    return ok("its latest writes to disk went well")


def judge_memory(info: Mapping[str, Any] | None) -> Verdict:
    """How much of its memory is taken."""
    if info is None:
        return warning("this account cannot see its memory", _HOSTED)
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    whole = most or int(info.get("total_system_memory", 0))
    seen = f"{used / (1 << 20):,.0f} MiB used" + (f" of {whole / (1 << 20):,.0f}" if whole else "")
    share = used / whole if whole else 0.0
    if share > ALL_MEMORY:
        return problem(seen, "Give it more memory: when it is full, events are refused with 503.")
    if share > MUCH_MEMORY:
        return warning(seen, "Give it more memory soon.")
    return ok(seen)


def judge_inbox(status: InboxStatus) -> Verdict:
    """Events that were accepted and are not stored yet."""
    seen = f"{status.events:,} events wait, {status.size / (1 << 20):,.1f} MiB, the oldest for {status.oldest_s:.0f} s"
    late = "The worker is dead, hangs, or does not keep up: see its log; add workers with MAICIVY_WORKER_CONCURRENCY."
    if status.oldest_s > STUCK_INBOX_S:
        return problem(seen, late)
    if status.oldest_s > SLOW_INBOX_S or status.size > MUCH_INBOX * status.max_size:
        return warning(seen, late)
    return ok("it is empty" if not status.events else seen)


def judge_aggregates(cursor: Cursor | None, head_seq: int, head_token: str, zone: ZoneInfo) -> Verdict:
    """Whether what the API reads from Redis follows from what Postgres has; the cursor was read first."""
    rebuild = "The worker mends this by itself within a minute. To do it now: maicivy rebuild"
    if cursor is None:
        if head_seq == 0:
            return ok("nothing was counted yet")
        return problem("Redis holds no counters, although there are events", rebuild)
    if cursor.seq > head_seq or (cursor.seq == head_seq and cursor.token != head_token):
        return problem("the counters in Redis are those of another database", rebuild)
    if cursor.timezone != str(zone):
        return problem(f"the counters in Redis are of days in {cursor.timezone}, not {zone}", rebuild)
    behind = head_seq - cursor.seq
    if behind > FEW_ROWS:
        return problem(f"the counters in Redis are {behind:,} steps behind Postgres", rebuild)
    return ok(f"counters in Redis and events in Postgres agree (step {cursor.seq:,})")


def judge_alive(kind: str, last_seen: Mapping[str, float], now: datetime, info: Mapping[str, Any] | None) -> Verdict:
    """Whether a process of `kind` shows itself; right after a start it may not have done so yet."""
    at = last_seen.get(kind)
    quiet_s = now.timestamp() - at if at is not None else None
    if quiet_s is not None and quiet_s <= SILENT_S:
        return ok(f"the {kind} is alive")
    if info is not None and info.get("uptime_in_seconds", SILENT_S) < SILENT_S:
        return warning(f"the {kind} has not shown itself since Redis was started", f"Look again in {SILENT_S:.0f} s.")
    start = f"Start it: bin/up does, or see docs/operations.md for the {kind} alone. If it should run, see its log."
    if quiet_s is None:
        return problem(f"no {kind} has ever shown itself", start)
    return problem(f"the {kind} was last seen {quiet_s:,.0f} s ago; it shows itself every 15 s", start)


def judge_bell(ttl_s: float | None) -> Verdict:
    """Whether the flag that keeps doorbells from piling up goes out by itself."""
    if ttl_s is not None and not 0 <= ttl_s <= BELL_S:
        return problem(
            "the bell is stuck: workers are no longer told of new events",
            "Something else wrote maicivy:bell. Delete it: redis-cli DEL maicivy:bell",
        )
    return ok("workers are told of new events")


def _look_at_settings(at: Installation) -> tuple[Mapping[str, str] | None, Mapping[str, Any] | None]:
    return at.redis.config(), at.redis.info()


def _look_at_info(at: Installation) -> tuple[Mapping[str, Any] | None]:
    return (at.redis.info(),)


def _look_at_aggregates(at: Installation) -> tuple[Cursor | None, int, str, ZoneInfo]:
    cursor = at.parts.aggregates.cursor()
    return (cursor, *at.parts.store.head(), at.settings.timezone)


CHECKS: Final = (
    Check(REACH, _look_at_info, judge_version),
    Check("redis durability", _look_at_settings, judge_durability, (REACH,)),
    Check("redis eviction", _look_at_settings, judge_eviction, (REACH,)),
    Check("redis writes", _look_at_info, judge_writes, (REACH,)),
    Check("redis memory", _look_at_info, judge_memory, (REACH,)),
    Check("redis clock", lambda at: (at.redis.clock_skew_s(), "Redis"), judge_clock, (REACH,)),
    Check("worker", lambda at: ("worker", at.redis.last_seen(), at.now, at.redis.info()), judge_alive, (REACH,)),
    Check("beat", lambda at: ("beat", at.redis.last_seen(), at.now, at.redis.info()), judge_alive, (REACH,)),
    Check("bell", lambda at: (at.redis.bell_ttl_s(),), judge_bell, (REACH,)),
    Check("inbox", lambda at: (at.parts.inbox.status(),), judge_inbox, (REACH,)),
    Check("aggregates", _look_at_aggregates, judge_aggregates, (REACH, SCHEMA)),
)
