"""The law, checked when nothing moves any more: acknowledged is a subset of stored, stored of sent, each once, every
counter in Redis and every segment equals what Postgres says, and the accounts balance.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import redis
import sqlalchemy as sa

from maicivy.config import sqlalchemy_url
from maicivy.core.events import DEFAULT_SITE
from maicivy.storage import keys
from maicivy.storage.buckets import Buckets
from tests.chaos.clients import Record
from tests.chaos.system import System
from tests.standalone.processes import wait_until
from tests.storage import segments_read

SETTLE_S = 60
PERIODS = {"day": "YYYY-MM-DD", "week": 'IYYY-"W"IW', "month": "YYYY-MM"}


@dataclass
class Verdict:
    """What was found: events stored, acknowledged ones that are missing, ids stored more than once, all breaches."""

    stored: int = 0
    lost: int = 0
    doubled: int = 0
    breaches: list[str] = field(default_factory=list)


def check(
    system: System,
    record: Record,
    *,
    accounts: Callable[[Counter[str]], bool] | None = None,
    rows: str = "analytics_events",
) -> Verdict:
    """Wait until all has settled, then compare everything. Nothing may be sent meanwhile.

    `accounts` says whether the ledger balances, for a fault after which it must do so in another way; `rows` names a
    view of everything that was ever stored, for one after which not all of it is in its table.
    """
    verdict = Verdict()
    verdict.breaches += [f"answered {text}" for text in record.unexpected]
    with system.redis() as client, system.database() as database:
        try:
            settle(client, database)
        except AssertionError as error:
            verdict.breaches.append(str(error))
        _compare_ids(database, rows, record, verdict)
        verdict.breaches += _differences("counter", expected_counters(database, rows, system.zone), _counters(client))
        verdict.breaches += _differences("theme", _themes(database, rows), _ranking(client))
        verdict.breaches += _compare_visitors(client, database, rows, system.zone)
        if rows == "analytics_events":
            verdict.breaches += _compare_visits(database)
        verdict.breaches += _compare_segments(system)
        balanced = accounts or (lambda ledger: ledger["received"] == settled(ledger))
        try:
            wait_until(lambda: balanced(ledger_of(client)), 10)
        except AssertionError:
            verdict.breaches.append(f"the accounts do not balance: {dict(ledger_of(client))}")
    return verdict


def settle(client: redis.Redis, database: psycopg.Connection[Any], within_s: float = SETTLE_S) -> None:
    """Return when the inbox is empty and the aggregates stand at the last outbox row."""
    wait_until(lambda: client.xlen(keys.INBOX) == 0, within_s, "an empty inbox")

    def level() -> bool:
        cursor = client.hmget(keys.CURSOR, "seq", "token")
        head = database.execute("SELECT seq, token FROM ledger").fetchone()
        return head is not None and cursor == [str(head[0]).encode(), head[1].encode()]

    wait_until(level, within_s, "aggregates level with the outbox")


def ledger_of(client: redis.Redis) -> Counter[str]:
    """The accounts in Redis."""
    return Counter({name.decode(): int(n) for name, n in client.hgetall(keys.LEDGER).items()})


def settled(ledger: Counter[str]) -> int:
    """Events whose fate is known: all but `received`."""
    return ledger.total() - ledger["received"]


def expected_counters(database: psycopg.Connection[Any], table: str, zone: str) -> Counter[str]:
    """Every `analytics:stats:*` counter, by GROUP BY over the rows; days are those of `zone`."""
    expected: Counter[str] = Counter()
    periods = ", ".join(f"to_char(at, '{pattern}')" for pattern in PERIODS.values())
    rows = database.execute(
        f"SELECT {periods}, event_type, letter, count(*)"
        f" FROM (SELECT created_at AT TIME ZONE '{zone}' AS at, event_type, event_data ->> 'type' AS letter"
        f" FROM {table}) events GROUP BY 1, 2, 3, 4, 5"
    )
    for *keys_of_periods, event_type, letter, n in rows:
        names = ["total_events", f"events:{event_type}"]
        if event_type == "letter_generated":
            names += ["letters_generated", f"letters_generated:{letter}"]
        for period, key in zip(PERIODS, keys_of_periods, strict=True):
            for name in names:
                expected[f"analytics:stats:{period}:{key}:{name}"] += n
    return expected


def _counters(client: redis.Redis) -> Counter[str]:
    names = sorted(client.scan_iter("analytics:stats:*", count=1000))
    return Counter({name.decode(): int(client.get(name) or 0) for name in names})


def _themes(database: psycopg.Connection[Any], table: str) -> Counter[str]:
    rows = database.execute(
        f"SELECT event_data ->> 'theme', count(*) FROM {table}"
        " WHERE jsonb_typeof(event_data -> 'theme') = 'string' GROUP BY 1"
    )
    return Counter(dict(rows.fetchall()))


def _ranking(client: redis.Redis) -> Counter[str]:
    ranked = client.zrange(keys.themes(DEFAULT_SITE), 0, -1, withscores=True)
    return Counter({theme.decode(): int(score) for theme, score in ranked})


def _compare_ids(database: psycopg.Connection[Any], table: str, record: Record, verdict: Verdict) -> None:
    rows = [row[0] for row in database.execute(f"SELECT uuid_send(id) FROM {table}")]
    stored = set(rows)
    verdict.stored = len(rows)
    verdict.lost = len(record.acknowledged - stored)
    verdict.doubled = len(rows) - len(stored)
    if verdict.lost:
        verdict.breaches.append(f"{verdict.lost} acknowledged events are not stored")
    if verdict.doubled:
        verdict.breaches.append(f"{verdict.doubled} events are stored twice")
    if strangers := stored - record.sent:
        verdict.breaches.append(f"{len(strangers)} events are stored that nobody sent")


def _compare_visitors(client: redis.Redis, database: psycopg.Connection[Any], table: str, zone: str) -> list[str]:
    """A HyperLogLog estimates the same for the same visitors: what it is to say is asked of one made anew."""
    breaches = []
    for period, pattern in PERIODS.items():
        rows = database.execute(
            f"SELECT to_char(created_at AT TIME ZONE '{zone}', '{pattern}'), array_agg(DISTINCT uuid_send(visitor_id))"
            f" FROM {table} GROUP BY 1"
        )
        for key, visitors in rows:
            expected = _estimate(client, visitors)
            counted = client.pfcount(f"analytics:visitors:unique:{period}:{key}")
            if counted != expected:
                breaches.append(f"unique visitors of {period} {key}: {counted} and not {expected}")
    return breaches


def _estimate(client: redis.Redis, visitors: list[bytes]) -> int:
    key = keys.scratch(secrets.token_hex(8))
    with client.pipeline(transaction=True) as pipe:
        pipe.pfadd(key, *visitors)
        pipe.pfcount(key)
        pipe.delete(key)
        return int(pipe.execute()[1])


# Runs of each visitor's events with gaps of at most half an hour, counted anew from all of them.
_VISITS = """
WITH gaps AS (
    SELECT *, coalesce(created_at - lag(created_at) OVER w > interval '30 minutes', true) AS begins
    FROM analytics_events WINDOW w AS (PARTITION BY site_id, visitor_id ORDER BY created_at)
), runs AS (
    SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY site_id, visitor_id ORDER BY created_at) AS run
    FROM gaps
), expected AS (
    SELECT site_id, visitor_id, min(created_at), max(created_at),
           count(*) FILTER (WHERE event_type = 'page_view'), count(*) FILTER (WHERE event_type <> 'engagement')
    FROM runs GROUP BY site_id, visitor_id, run
), kept AS (
    SELECT site_id, visitor_id, started, ended, pageviews, events FROM visits
)
SELECT (SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM kept) AS missing),
       (SELECT count(*) FROM (SELECT * FROM kept EXCEPT ALL SELECT * FROM expected) AS wrong)
"""


def _compare_visits(database: psycopg.Connection[Any]) -> list[str]:
    found = database.execute(_VISITS).fetchone()
    assert found is not None
    return [f"{found[0]} visits are missing and {found[1]} are wrong"] if any(found) else []


def _compare_segments(system: System) -> list[str]:
    """Made as far as they can be: beat would take up to half a minute."""
    engine = sa.create_engine(sqlalchemy_url(system.database_url))
    try:
        Buckets(engine, ZoneInfo(system.zone)).refresh(system.now())
        segments_read.check(engine)
    except AssertionError:
        return ["segments do not say what visits say"]
    finally:
        engine.dispose()
    return []


def _differences(what: str, expected: Counter[str], found: Counter[str]) -> list[str]:
    return [
        f"{what} {name} is {found[name]} and not {expected[name]}"
        for name in sorted(expected.keys() | found.keys())
        if found[name] != expected[name]
    ]
