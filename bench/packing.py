"""Visits and their events as rows of Postgres's tables, in the binary format of COPY.

What `storage/event_store.py` and `storage/visit_store.py` make of the same events, one by one: see
`bench/traffic_check.py`.
"""

from __future__ import annotations

import struct
from typing import Final

from bench.days import Stay, is_interactive
from bench.population import Population
from maicivy.core.events import ENGAGEMENT, PAGE_VIEW
from maicivy.core.visits import BOTS, NO_SCROLL, SLOT_S, Shape

_DAY_US: Final = 86_400_000_000
_TO_2000_US: Final = 946_684_800_000_000
_SLOT_US: Final = SLOT_S * 1_000_000
_TIE: Final = 2**63 - 1

VISITORS: Final = "id, site_id, first_seen"
CROSSINGS: Final = "day, site_id, visitor_id, started"
EVENTS: Final = "id, visitor_id, created_at, site_id, session_duration, event_type, page_url, referrer, event_data"
VISITS: Final = (
    "site_id, visitor_id, started, ended, client_id, place_id, origin_id, entry_id, exit_id, pageviews, events,"
    " interactions, bot, shape, first_at, first_tie, last_at, last_tie, declared,"
    " actions, slots, counts, engaged, scrolls"
)
_EVENT: Final = struct.Struct(">hi16si16siq")
_VISIT: Final = struct.Struct(">hiii16siqiqiiiiiiiiiiiiiiiiihihiqiqiqiqi?")
_VISITOR: Final = struct.Struct(">hi16siiiq")
_CROSSING: Final = struct.Struct(">hiiiii16siq")


class Rows:
    """Rows in Postgres's binary format, each after the time by which it would have been stored."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self.events: list[tuple[int, bytes]] = []
        self.visits: list[tuple[int, bytes]] = []
        self.visitors: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.crossings: list[tuple[int, bytes]] = []
        self._heads: dict[tuple[int, int, int], bytes] = {}
        self._urls: dict[tuple[int, int], bytes] = {}
        self._data: dict[str, bytes] = {}
        self._bots = [BOTS.index(client.bot) for client in population.clients]
        self._origin_bots = [BOTS.index(origin.bot) for origin in population.origins]

    def add(self, stay: Stay) -> None:
        """All rows of a visit."""
        visitor = stay.visitor.to_bytes(16, "big")
        self._add_events(stay, visitor)
        self._add_visit(stay, visitor)
        first_us = stay.happenings[0].at_us
        key = (stay.site.id, stay.visitor)
        if key not in self.visitors:
            row = _VISITOR.pack(3, 16, visitor, 4, stay.site.id, 8, first_us - _TO_2000_US)
            self.visitors[key] = (stay.visitor, row)

    def _add_events(self, stay: Stay, visitor: bytes) -> None:
        site, events = stay.site, self.events
        coming = self._population.comings[stay.origin]
        for at_us, tie, kind, page, _, _, referrer, data in stay.happenings:
            number = event_id(at_us, tie).to_bytes(16, "big")
            row = _EVENT.pack(9, 16, number, 16, visitor, 8, at_us - _TO_2000_US)
            if referrer < 0:
                url = _text(site.url(page) + coming.query)
                parts = (row, self._head(site.id, kind, page, stay), url, _text(coming.referrer), self._json(data))
            else:
                own = self._url(stay, page)
                before = own if referrer == page else self._url(stay, referrer)
                parts = (row, self._head(site.id, kind, page, stay), own, before, self._json(data))
            events.append((at_us, b"".join(parts)))

    def _head(self, site_id: int, kind: int, page: int, stay: Stay) -> bytes:
        key = (site_id, kind, page if kind == 1 else 0)
        head = self._heads.get(key)
        if head is None:
            name = (PAGE_VIEW, stay.site.custom_type(page), ENGAGEMENT)[kind]
            head = self._heads[key] = struct.pack(">iiii", 4, site_id, 4, 0) + _text(name)
        return head

    def _url(self, stay: Stay, page: int) -> bytes:
        url = self._urls.get((stay.site.id, page))
        if url is None:
            url = self._urls[stay.site.id, page] = _text(stay.site.url(page))
        return url

    def _json(self, data: str) -> bytes:
        found = self._data.get(data)
        if found is None:
            found = _bytes(b"\x01" + data.encode())
            if len(self._data) < 10_000:
                self._data[data] = found
        return found

    def _add_visit(self, stay: Stay, visitor: bytes) -> None:
        population, site, happenings = self._population, stay.site, stay.happenings
        action_ids = population.action_ids
        started_us, ended_us = happenings[0].at_us, happenings[-1].at_us
        base = started_us // _SLOT_US
        elements: dict[tuple[int, int], list[int]] = {}
        pageviews = events = interactions = 0
        last = happenings[0]
        for happening in happenings:
            at_us, _, kind, page, engaged_ms, scroll, _, _ = happening
            action = site.custom(page) if kind == 1 else site.page_view(page)
            key = (at_us // _SLOT_US - base, action_ids[action])
            element = elements.get(key)
            if element is None:
                elements[key] = [kind != 2, engaged_ms, scroll]
            else:
                element[0] += kind != 2
                element[1] += engaged_ms
                if scroll > element[2]:
                    element[2] = scroll
            if kind != 2:
                events += 1
            if kind == 0:
                pageviews += 1
                last = happening
            elif kind == 1:
                interactions += is_interactive(site, page)
        first = happenings[0]
        keys = sorted(elements)
        values = [elements[key] for key in keys]
        shape = Shape.SHORT * (base == ended_us // _SLOT_US)
        shape |= Shape.SINGLE * (stay.is_single and started_us // _DAY_US == ended_us // _DAY_US)
        bot = 1 if stay.declared else self._bots[stay.client] or self._origin_bots[stay.origin]
        fixed = _VISIT.pack(
            *(24, 4, site.id, 16, visitor, 8, started_us - _TO_2000_US, 8, ended_us - _TO_2000_US),
            *(4, population.client_ids[stay.client], 4, population.place_ids[stay.place]),
            *(4, population.origin_ids[stay.origin], 4, action_ids[site.page_view(first.page)]),
            *(4, action_ids[site.page_view(last.page)], 4, pageviews, 4, events, 4, interactions, 2, bot, 2, shape),
            *(8, first.at_us - _TO_2000_US, 8, event_id(first.at_us, first.id) & _TIE),
            *(8, last.at_us - _TO_2000_US, 8, event_id(last.at_us, last.id) & _TIE, 1, stay.declared),
        )
        arrays = (
            _array([action for _, action in keys]),
            _array([slot for slot, _ in keys], 0),
            _array([value[0] for value in values], 1),
            _array([value[1] for value in values], 0),
            _array([value[2] for value in values], NO_SCROLL, wide=False),
        )
        self.visits.append((started_us, fixed + b"".join(arrays)))
        for day in range(started_us // _DAY_US + 1, ended_us // _DAY_US + 1):
            row = _CROSSING.pack(4, 4, day - 10_957, 4, site.id, 16, visitor, 8, started_us - _TO_2000_US)
            self.crossings.append((started_us, row))


def event_id(at_us: int, tie: int) -> int:
    """A UUIDv7 of the time and 74 bits."""
    return (at_us // 1000) << 80 | 7 << 76 | (tie >> 62) << 64 | 2 << 62 | tie & 0x3FFF_FFFF_FFFF_FFFF


def _text(text: str) -> bytes:
    return _bytes(text.encode())


def _bytes(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


_ABSENT: Final = struct.pack(">i", -1)
_ARRAYS: dict[tuple[int, bool], struct.Struct] = {}


def _array(values: list[int], unless_all: int | None = None, *, wide: bool = True) -> bytes:
    """The field of an int4[] or int2[], null when all values are the one that goes without saying."""
    count = len(values)
    if unless_all is not None and values.count(unless_all) == count:
        return _ABSENT
    form = _ARRAYS.get((count, wide))
    if form is None:
        form = _ARRAYS[count, wide] = struct.Struct(">iiiiii" + ("ii" if wide else "ih") * count)
    size = 4 if wide else 2
    flat = [size] * (2 * count)
    flat[1::2] = values
    return form.pack(20 + (4 + size) * count, 1, 0, 23 if wide else 21, count, 1, *flat)
