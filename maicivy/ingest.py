"""From the inbox to stored, counted and announced: the order of these steps is decided here and nowhere else.

A step may fail or the process die between any two; the entries are then read again, and every step before is safe to
repeat. An entry leaves the inbox last.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, sleep
from typing import Final

import msgspec

from maicivy import faults
from maicivy.aggregation import Aggregation
from maicivy.core.events import Event, decode
from maicivy.core.identity import continue_visits
from maicivy.core.ports import Counters, Entry, EventStore, Inbox, LiveFeed, Parcel
from maicivy.errors import Unavailable
from maicivy.storage.bell import BELL_S, Bell

GATHER_FROM_EVENTS: Final = 8
GATHER_LEAST_S: Final = 0.02
GATHER_MOST_S: Final = 0.1
GATHER_S_PER_EVENT: Final = 0.0005
"""After a batch that is no full one, but has at least so many events, the next is given time to gather: the more, the
more came. A trickle is never delayed. A transaction costs two milliseconds whatever it holds, so at 800 events a second
the least took an event from 129 to 87 us in the worker, 87 to 52 in Postgres and 71 to 40 in Redis
(`python -m bench.collect`, on a busy machine); what more does, docs/performance.md tells."""

log = logging.getLogger(__name__)


class Ingest(msgspec.Struct, frozen=True):
    """The use case. Any number may run side by side.

    `batch` is how many events a transaction takes, more or less: an entry is never split.
    """

    inbox: Inbox
    store: EventStore
    counters: Counters
    aggregation: Aggregation
    live: LiveFeed
    batch: int

    def once(self, consumer: str, wait_s: float) -> int:
        """Take one batch from the inbox, waiting up to `wait_s` for it, and see it through; how many events it had.

        Raises:
            Unavailable: the batch stays in the inbox and is read again, by whoever looks next.
        """
        entries = self.inbox.read(consumer, self.batch, wait_s)
        if not entries:
            return 0
        try:
            parcels = self._continued([_parcel(entry) for entry in entries])
            stored = self.store.store(parcels)
            if stored.row is not None:
                self.aggregation.apply(stored.row)
                faults.point("after_apply")
        except Unavailable:
            with suppress(Unavailable):  # if it is Redis that is away, they are given to another after a while
                self.inbox.release(consumer, entries)
            raise
        self.live.publish(stored.new)
        faults.point("before_acknowledge")
        self.inbox.remove(entries)
        log.debug("ingested", extra={"entries": len(entries), "events": len(stored.new)})
        return sum(max(1, entry.events) for entry in entries)

    def drain(self, bell: Bell, consumer: str, linger_s: float, budget_s: float) -> bool:
        """Work until the inbox stays empty for `linger_s`, or for about `budget_s`; true when there may be more.

        While it works the bell is held, so that nobody rings for what it will find anyway. The last look comes after
        letting the bell go: an event that arrived in between has either been seen or has rung.
        """
        started = held = monotonic()
        bell.hold()
        while monotonic() - started < budget_s:
            if monotonic() - held > BELL_S / 4:
                bell.hold()
                held = monotonic()
            events = self.once(consumer, linger_s)
            if GATHER_FROM_EVENTS <= events < self.batch // 2:
                sleep(min(GATHER_MOST_S, max(GATHER_LEAST_S, events * GATHER_S_PER_EVENT)))
            elif not events:
                bell.release()
                if not self.once(consumer, 0):
                    return False
                bell.hold()
        bell.release()
        return True

    def _continued(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """The parcels, with yesterday's visitor id on visits that go on across midnight."""
        events = [event for parcel in parcels for event in parcel.events]
        previous = {(e.site_id, e.previous_visitor_id) for e in events if e.previous_visitor_id is not None}
        if not previous:
            return list(parcels)
        last_seen = self.counters.last_seen(previous)
        if not last_seen and not any((e.site_id, e.visitor_id) in previous for e in events):
            return list(parcels)
        continued = iter(continue_visits(events, last_seen))
        return [msgspec.structs.replace(parcel, events=[next(continued) for _ in parcel.events]) for parcel in parcels]


def _parcel(entry: Entry) -> Parcel:
    events: list[Event] = []
    unreadable: list[bytes] = []
    for payload in entry.payloads:
        try:
            events += decode(payload)
        except ValueError:
            unreadable.append(payload)
    return Parcel(entry.id, entry.events, events, unreadable)
