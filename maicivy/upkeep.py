"""Hourly upkeep: partitions before they are needed, ids and outbox rows that have served, names of dead consumers."""

from __future__ import annotations

import logging
from datetime import UTC, timedelta
from typing import Final

from maicivy.core.ports import Clock
from maicivy.storage.aggregates import RedisAggregates
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.inbox import RedisInbox

PREMADE_DAYS: Final = 7
"""Days ahead: beat and worker may be away for a week before anything is made on demand."""

OUTBOX_KEPT_S: Final = 86_400
"""An older copy of Redis, up to a day old, catches up from the outbox; beyond that it is rebuilt."""

RECEIPTS_KEPT_S: Final = 7 * 86_400
PRUNES: Final = 500
"""At most so many times 10,000 rows an hour, each in a transaction of its own: single events leave a receipt each, and
one an hour could not keep up with three of them a second."""

IDLE_CONSUMER_S: Final = 3600

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
