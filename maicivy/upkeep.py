"""Hourly upkeep: partitions before they are needed, ids and outbox rows that have served, names of dead consumers."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from maicivy.core.ports import Clock
from maicivy.storage.aggregates import RedisAggregates
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.inbox import RedisInbox
from maicivy.storage.site_rows import SiteRows
from maicivy.storage.sites import PostgresSites

PREMADE_DAYS: Final = 7
"""Days ahead: beat and worker may be away for a week before anything is made on demand."""

OUTBOX_KEPT_S: Final = 86_400
"""An older copy of Redis, up to a day old, catches up from the outbox; beyond that it is rebuilt."""

RECEIPTS_KEPT_S: Final = 7 * 86_400
PRUNES: Final = 500
"""At most so many times 10,000 rows an hour, each in a transaction of its own: single events leave a receipt each, and
one an hour could not keep up with three of them a second."""

IDLE_CONSUMER_S: Final = 3600

REMOVED_ROWS: Final = 1_000_000
"""Rows of removed sites that an hour deletes, about: less than a minute's work."""

REMOVED_KEPT: Final = timedelta(days=1)
"""How long after its removal a site is looked for: events of it may lie in the inbox, or in an older copy of Redis."""

log = logging.getLogger(__name__)


def run(store: PostgresEventStore, aggregates: RedisAggregates, inbox: RedisInbox, clock: Clock) -> None:
    """Do all of it. A repeat finds nothing to do; if a part is away the rest waits for the next hour."""
    today = clock().astimezone(UTC).date()
    days = [today + timedelta(days=n) for n in range(-1, PREMADE_DAYS)]
    store.partitions.forget()
    store.partitions.ensure(days, days)
    rotated = store.partitions.next_generation()
    cursor = aggregates.cursor()
    applied = cursor.seq if cursor is not None else 0
    pruned = 0
    for _ in range(PRUNES):
        some = store.prune(applied, OUTBOX_KEPT_S, RECEIPTS_KEPT_S)
        if not some:
            break
        pruned += some
    consumers = inbox.forget_idle_consumers(IDLE_CONSUMER_S)
    log.info("upkeep", extra={"rotated_ids": rotated, "pruned_rows": pruned, "forgotten_consumers": consumers})


def forget_sites(sites: PostgresSites, rows: SiteRows, inbox: RedisInbox, clock: Clock) -> None:
    """Delete what removed sites had, a bounded number of rows, and in the end the sites themselves."""
    left = REMOVED_ROWS
    for number, removed_at in sites.removed():
        gone = rows.remove(number, left)
        left -= gone
        log.info("site_cleared", extra={"site": number, "rows": gone})
        if left <= 0:
            return
        if not gone and _is_past(removed_at, inbox, clock()):
            sites.forget(number)
            log.info("site_forgotten", extra={"site": number})


def _is_past(removed_at: datetime, inbox: RedisInbox, now: datetime) -> bool:
    """Whether nothing that was taken in for a site that was removed then can still be on its way."""
    oldest = now - timedelta(seconds=inbox.status().oldest_s)
    return removed_at + REMOVED_KEPT < oldest
