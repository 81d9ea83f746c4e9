"""Every Redis key, built by one function each; docs/operations.md has the same list as a table.

Keys of the default site are those of seed 001; another site's carry its number after `analytics:`. What is not meant
for other people's clients is below `maicivy:`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from maicivy.core.events import DEFAULT_SITE
from maicivy.core.periods import Period

INBOX: Final = "maicivy:inbox"
"""Stream of entries not yet stored. Lives until they are."""

INBOX_GROUP: Final = "ingest"
"""Consumer group of the workers on the inbox."""

INBOX_SIZE: Final = "maicivy:inbox:size"
"""Hash {bytes, events} of what the inbox holds. Lives as long as the inbox."""

LEDGER: Final = "maicivy:ledger"
"""Hash of lifetime counts: received, stored, duplicate, quarantined, shed, rejected:REASON. No end: totals."""

LEDGER_START: Final = "maicivy:ledger:start"
"""Hash of where those begin: entry (first inbox entry counted), settled (events of before it). Lives as they do."""

CURSOR: Final = "maicivy:cursor"
"""Hash {seq, token, timezone, form, epoch}: the outbox row that the aggregates stand at. No end: belongs to them."""

BELL: Final = "maicivy:bell"
"""Set while an ingest task is on its way or at work. Seconds."""

WORKER_METRICS: Final = "maicivy:worker_metrics"
"""Hash of metric samples counted in Celery workers. No end: totals."""

HEARTBEATS: Final = "maicivy:heartbeats"
"""Hash of process kind (worker, beat) to the Unix second it was last known alive. No end: two fields."""

LIVE_CLIENTS: Final = "maicivy:live:clients"
"""Sorted set of live viewers by the Unix second their lease ends. Trimmed at each use."""

REBUILD: Final = "maicivy:rebuild"
"""Token of the rebuild that may switch its aggregates in. An hour, or until it has."""

SITES: Final = "maicivy:sites"
"""Copy of the sites in Postgres, as JSON: what web processes go by. No end: the worker keeps it right."""

QUERIES: Final = "maicivy:queries"
"""Sorted set of the answers that are kept, by the Unix second they were put in. An hour after the latest."""

QUERY_BYTES: Final = "maicivy:queries:bytes"
"""Hash of their sizes, and of the sum of these as `all`. As long as that."""


def prefix(site_id: int) -> str:
    """`analytics:` for the default site, `analytics:SITE:` for others."""
    return "analytics:" if site_id == DEFAULT_SITE else f"analytics:{site_id}:"


def unique_visitors(site_id: int, period: Period, day: date) -> str:
    """HyperLogLog of visitor ids. Until its period's lifetime has passed."""
    return f"{prefix(site_id)}visitors:unique:{period}:{period.key(day)}"


def stat(site_id: int, period: Period, day: date, name: str) -> str:
    """Counter of a period; names are those of core/tallies.py. Until its period's lifetime has passed."""
    return f"{prefix(site_id)}stats:{period}:{period.key(day)}:{name}"


def themes(site_id: int) -> str:
    """Sorted set theme -> views, at most 1,000 members. No end: an all-time ranking."""
    return f"{prefix(site_id)}themes:top"


def totals(site_id: int) -> str:
    """Hash of lifetime counters that /metrics shows: events:TYPE, letters_generated:KIND, path:PATH, visitors."""
    return f"{prefix(site_id)}totals"


def presence(site_id: int) -> str:
    """Sorted set visitor id -> Unix second last seen, trimmed to the last half hour."""
    return f"{prefix(site_id)}realtime:visitors"


def bots(site_id: int) -> str:
    """Sorted set of those of `presence` who are taken for bots, with the same seconds. Trimmed as that is."""
    return f"{prefix(site_id)}realtime:bots"


def minute_events(site_id: int, minute: int) -> str:
    """Counter of the events of a minute since 1970, named by its start in UTC. An hour from then."""
    return f"realtime:events:{site_id}:{datetime.fromtimestamp(minute * 60, UTC):%Y-%m-%dT%H:%M}"


def active_users(site_id: int) -> str:
    """How many were there in the five minutes before the latest event was counted. Five minutes."""
    return f"realtime:users:{site_id}"


def day_metrics(site_id: int, day: date) -> str:
    """Hash of a day: total_events, page_views, letters_generated, unique_visitors. 90 days after it."""
    return f"metrics:{site_id}:{day.isoformat()}"


def channel(site_id: int) -> str:
    """Pub/sub channel of a site's events."""
    return f"{prefix(site_id)}realtime"


def all_of(site_id: int) -> tuple[str, ...]:
    """Patterns that match every key of a site, which is not the default one, and no other's."""
    return f"{prefix(site_id)}*", f"realtime:events:{site_id}:*", active_users(site_id), f"metrics:{site_id}:*"


def changed(site_id: int) -> str:
    """Sorted set of UTC days by the latest outbox number that changed visits of theirs. Two hours after the latest."""
    return f"{prefix(site_id)}changed"


def query(key: bytes) -> str:
    """Hash {epoch, seq, answer} of one question; named by its digest. An hour, or until there is no room."""
    return f"maicivy:query:{key.hex()}"


def salt(day: date) -> str:
    """Random salt of one UTC day. Until the end of the next day."""
    return f"maicivy:salt:{day.isoformat()}"


def rate(client: bytes) -> str:
    """Events of one client in its current window; named by a keyed hash. One window."""
    return f"maicivy:rate:{client.hex()}"


def guesses(client: bytes) -> str:
    """Tokens that one client has tried on the dashboard's form; named by a keyed hash. A quarter of an hour."""
    return f"maicivy:guesses:{client.hex()}"


def rebuild(token: str) -> str:
    """Prefix of the aggregates that a rebuild makes aside. An hour, or until they are switched in."""
    return f"maicivy:rebuild:{token}:"


def scratch(token: str) -> str:
    """A HyperLogLog in the making. Within one transaction."""
    return f"maicivy:scratch:{token}"
