"""Visits for events that are older than visits: find, portion out, record.

A database that was made by an earlier maicivy holds events that are in no visit, and questions about visits do not know
them. What a visit came with is gone for these (user agent, language, screen, place), but when it was, what it did and
where it came from can be told from its events.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby
from typing import Final, NamedTuple

from maicivy.core.events import Event
from maicivy.storage.backfill import Backfill
from maicivy.storage.visit_store import Visitor

BATCH: Final = 2_000
"""Events of a transaction, or somewhat more: storing waits for it, 0.2 s on a busy machine."""

log = logging.getLogger(__name__)


class Day(NamedTuple):
    """A UTC day, and how many of its events lay in no visit."""

    day: date
    events: int


def backfill(store: Backfill, *, dry_run: bool = False) -> Iterator[Day]:
    """Add every stored event that lies in no visit to one, and yield each day with such events when it is done, the
    latest first; with `dry_run`, only count them.

    Storing goes on meanwhile. A repeat finds nothing more, and ends what was interrupted. Events that came late, after
    the upgrade, into the middle of a visit from before it may have the visit span some that are then not found.

    Raises:
        Unavailable: days that were yielded are done, and a part of the next may be; a repeat does the others.
    """
    for day in reversed(store.days()):
        events = store.count(day) if dry_run else _record(store, day)
        if events:
            log.info("visits_backfilled", extra={"day": day.isoformat(), "events": events, "dry_run": dry_run})
            yield Day(day, events)


def portions(events: Iterable[Event], size: int) -> Iterator[list[Event]]:
    """`events`, ordered by visitor, in lists of at least `size`, but for the last; no visitor is in two of them."""
    portion: list[Event] = []
    for _, same in groupby(events, key=_visitor):
        portion.extend(same)
        if len(portion) >= size:
            yield portion
            portion = []
    if portion:
        yield portion


def _record(store: Backfill, day: date) -> int:
    recorded = 0
    page = store.page(day)
    while page:
        recorded += sum(store.record(day, portion) for portion in portions(page, BATCH))
        page = store.page(day, _visitor(page[-1]))
    return recorded


def _visitor(event: Event) -> Visitor:
    return event.site_id, event.visitor_id
