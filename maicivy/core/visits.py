"""The visit: a maximal run of one visitor's events on one site with gaps of at most `VISIT_GAP`.

A visit is a value that can be added to another: `merge` is associative and commutative, and `joined` gives the same
visits in whatever order and portions the events come. That is what lets the store keep visits up to date as late
events join, bridge and begin them anew. tests/core/test_visits.py proves it against a recount from all the events.

Definitions, the same as in docs/metrics.md: entry, source, device and place are those of the first event that is not
an `engagement`; the exit is the last page view; of events at one microsecond the one with the lower `tie` is the
earlier. A visit of engagement alone does not count as a visit: `events` is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntFlag
from typing import Final, NamedTuple, TypeAlias

import msgspec

from maicivy.core.identity import VISIT_GAP_S

VISIT_GAP: Final = timedelta(seconds=VISIT_GAP_S)
SLOT_S: Final = 900
"""Time within a visit is kept in quarters of an hour: every time zone's hours and days are made of whole ones."""

BOTS: Final = ("", "declared", "headless", "user_agent", "referrer_spam")
"""Why a visit is taken for a bot's, the strongest reason first; the place in it is what the store keeps."""

NO_SCROLL: Final = -1
MAX_COUNT: Final = 2**31 - 1
"""What the columns hold. A sum stops there: hostile figures must not stop the store."""

Slot: TypeAlias = tuple[int, int]  # (quarter of an hour since 1970, action id)


class Shape(IntFlag):
    """What a query may rely on to take a short way.

    SINGLE: the only visit of its visitor. SHORT: all of it lies in one quarter of an hour. PLAIN: no page occurs in two
    of its elements.
    """

    SINGLE = 1
    SHORT = 2
    PLAIN = 4


class Entry(msgspec.Struct, frozen=True, order=True):
    """What a visit began with. Compared in this order, so that the least of all events' is the visit's: those of
    engagement stand back (`is_engagement`), then time, then tie."""

    is_engagement: bool
    at: datetime
    tie: int
    client_id: int
    place_id: int
    origin_id: int
    action_id: int


class Exit(msgspec.Struct, frozen=True, order=True):
    """The page view that a visit ended with: the greatest of all its page views'."""

    at: datetime
    tie: int
    action_id: int


class Element(msgspec.Struct, frozen=True):
    """What happened of one action within one quarter of an hour: events, milliseconds of engagement with the page, the
    deepest scroll in percent (`NO_SCROLL`: not told)."""

    count: int
    engaged_ms: int
    scroll: int

    def __add__(self, other: Element) -> Element:
        return Element(
            min(MAX_COUNT, self.count + other.count),
            min(MAX_COUNT, self.engaged_ms + other.engaged_ms),
            max(self.scroll, other.scroll),
        )


class Visit(msgspec.Struct, frozen=True):
    """One visit of one visitor on one site, who are known to whoever holds it."""

    started: datetime
    ended: datetime
    entry: Entry
    exit: Exit | None
    pageviews: int
    events: int
    interactions: int
    declared: bool
    elements: dict[Slot, Element]

    def merge(self, other: Visit) -> Visit:
        """The visit that has the events of both. Associative and commutative."""
        elements = self.elements.copy()
        for slot, element in other.elements.items():
            mine = elements.get(slot)
            elements[slot] = element if mine is None else mine + element
        exits = [last for last in (self.exit, other.exit) if last is not None]
        return Visit(
            min(self.started, other.started),
            max(self.ended, other.ended),
            min(self.entry, other.entry),
            max(exits, default=None),
            min(MAX_COUNT, self.pageviews + other.pageviews),
            min(MAX_COUNT, self.events + other.events),
            min(MAX_COUNT, self.interactions + other.interactions),
            self.declared or other.declared,
            elements,
        )

    @property
    def slots(self) -> tuple[int, int]:
        """The quarters of an hour that it begins and ends in, as `slot_of` counts them: in both something happened."""
        if len(self.elements) == 1:
            ((slot, _),) = self.elements
            return slot, slot
        return min(self.elements)[0], max(self.elements)[0]


class Happening(NamedTuple):
    """An event as far as visits are concerned. `action_id` of an engagement event is that of a view of its page."""

    at: datetime
    tie: int
    is_engagement: bool
    is_page_view: bool
    interactive: bool
    declared: bool
    engaged_ms: int
    scroll: int
    client_id: int
    place_id: int
    origin_id: int
    action_id: int


def of_events(happenings: list[Happening]) -> list[Visit]:
    """The visits that one visitor's events, in any order, make by themselves.

    The same as joining the visits of each event, without making one for each.
    """
    if len(happenings) > 1:
        happenings.sort()
    visits = []
    begin = 0
    for end in range(1, len(happenings) + 1):
        if end == len(happenings) or happenings[end].at - happenings[end - 1].at > VISIT_GAP:
            visits.append(_visit(happenings[begin:end]))
            begin = end
    return visits


def _visit(run: Sequence[Happening]) -> Visit:
    """The visit of a run of events, in their order."""
    elements: dict[Slot, Element] = {}
    first = run[0]
    entered, left = None, None
    pageviews = events = interactions = 0
    declared = False
    for happening in run:
        at, _, is_engagement, is_page_view, interactive, says_so, engaged_ms, scroll, _, _, _, action_id = happening
        if is_page_view:
            pageviews += 1
            left = happening
        if not is_engagement:
            events += 1
            if entered is None:
                entered = happening
            if interactive and not is_page_view:
                interactions += 1
        if says_so:
            declared = True
        slot = (int(at.timestamp()) // SLOT_S, action_id)
        element = Element(0 if is_engagement else 1, engaged_ms, scroll)
        before = elements.get(slot)
        elements[slot] = element if before is None else before + element
    begun = entered or first
    return Visit(
        first.at,
        run[-1].at,
        Entry(entered is None, begun.at, begun.tie, begun.client_id, begun.place_id, begun.origin_id, begun.action_id),
        None if left is None else Exit(left.at, left.tie, left.action_id),
        pageviews,
        events,
        interactions,
        declared,
        elements,
    )


def joined(visits: Iterable[Visit]) -> list[Visit]:
    """The visits that all these make together, by their start: those no further apart than the gap become one."""
    done: list[Visit] = []
    for visit in sorted(visits, key=lambda visit: visit.started):
        if done and visit.started - done[-1].ended <= VISIT_GAP:
            done[-1] = done[-1].merge(visit)
        else:
            done.append(visit)
    return done


def midnight_of(moment: datetime) -> datetime:
    """When the UTC day of an aware time began."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def slot_of(moment: datetime) -> int:
    """The quarter of an hour, counted from 1970 (UTC), that an aware time lies in."""
    return int(moment.timestamp() // SLOT_S)
