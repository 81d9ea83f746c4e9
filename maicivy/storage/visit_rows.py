"""A visit as its row in Postgres has it: packed for COPY, and made again of what a SELECT gives.

Rows go by COPY in binary, put together here: of one field after the other the driver made 5 us each (measured with
batches of 1,000 visits of one event), of which a `struct` takes one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec

from maicivy.core.visits import NO_SCROLL, Element, Entry, Exit, Slot, Visit, slot_of

Who: TypeAlias = tuple[int, int]
"""A site's id, and the number that a visitor's id is: a UUID is looked up ten times more slowly."""

COLUMNS: Final = (
    "site_id, visitor_id, started, ended, client_id, place_id, origin_id, entry_id, exit_id, pageviews, events,"
    " interactions, bot, shape, first_at, first_tie, last_at, last_tie, declared,"
    " actions, slots, counts, engaged, scrolls"
)
READ: Final = COLUMNS.removeprefix("site_id, visitor_id, ")
"""What `kept` reads."""

BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""Before the first row of a COPY: signature, no flags, no more header."""

END: Final = b"\xff\xff"
"""Behind the last one."""

_FIELDS: Final = struct.Struct(">h" + "ii" + "i16s" + "iqiq" + "ii" * 8 + "ihih" + "iqiq" * 2 + "i?")
"""How many fields follow; then the size and the value of each but the arrays."""

_NULL: Final = struct.pack(">i", -1)
_ALONE: Final = struct.Struct(">iiiiiiii")
_NOTHING_ELSE: Final = _NULL * 4
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)  # of timestamptz


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A visit as its row has it: why it is a bot's (a place in `BOTS`), and its `Shape`."""

    visit: Visit
    bot: int
    shape: int


def packed(who: Who, kept: Kept) -> bytes:
    """A row of `COLUMNS` as COPY takes it."""
    visit = kept.visit
    entry, last = visit.entry, visit.exit
    started = _us(visit.started)
    ended = started if visit.ended is visit.started else _us(visit.ended)
    first_at = started if entry.at is visit.started else _us(entry.at)
    last_at = first_at if last is None or last.at is entry.at else _us(last.at)
    exit_id, last_tie = (0, 0) if last is None else (last.action_id, last.tie)
    # fmt: off
    fields = _FIELDS.pack(
        24, 4, who[0], 16, who[1].to_bytes(16, "big"), 8, started, 8, ended,
        4, entry.client_id, 4, entry.place_id, 4, entry.origin_id, 4, entry.action_id, 4, exit_id,
        4, visit.pageviews, 4, visit.events, 4, visit.interactions, 2, kept.bot, 2, kept.shape,
        8, first_at, 8, entry.tie, 8, last_at, 8, last_tie, 1, visit.declared,
    )
    # fmt: on
    return fields + _elements(visit.elements)


def kept(row: Sequence[Any]) -> Kept:
    """The visit of a row of `READ`, in which the driver has read the arrays."""
    started, ended, client_id, place_id, origin_id, entry_id, exit_id, pageviews, events, interactions = row[:10]
    bot, shape, first_at, first_tie, last_at, last_tie, declared, actions, slots, counts, engaged, scrolls = row[10:]
    base = slot_of(started)
    size = len(actions)
    if size == 1:
        elements = {
            (base + (slots[0] if slots else 0), actions[0]): Element(
                counts[0] if counts else 1, engaged[0] if engaged else 0, scrolls[0] if scrolls else NO_SCROLL
            )
        }
    else:
        elements = {
            (base + slot, action): Element(count, engaged_ms, scroll)
            for action, slot, count, engaged_ms, scroll in zip(
                actions,
                slots or [0] * size,
                counts or [1] * size,
                engaged or [0] * size,
                scrolls or [NO_SCROLL] * size,
                strict=True,
            )
        }
    visit = Visit(
        started,
        ended,
        Entry(not events, first_at, first_tie, client_id, place_id, origin_id, entry_id),
        Exit(last_at, last_tie, exit_id) if exit_id else None,
        pageviews,
        events,
        interactions,
        declared,
        elements,
    )
    return Kept(visit, bot, shape)


def _elements(elements: Mapping[Slot, Element]) -> bytes:
    """The five arrays."""
    if len(elements) == 1:
        for (_, action), element in elements.items():
            if element.count == 1 and element.scroll == NO_SCROLL and not element.engaged_ms:
                return _ALONE.pack(28, 1, 0, 23, 1, 1, 4, action) + _NOTHING_ELSE
    keys = sorted(elements)
    values = [elements[key] for key in keys]
    base = keys[0][0]  # something happened when the visit began
    return b"".join(
        (
            _array([action for _, action in keys]),
            _array([slot - base for slot, _ in keys], unless_all=0),
            _array([element.count for element in values], unless_all=1),
            _array([element.engaged_ms for element in values], unless_all=0),
            _array([element.scroll for element in values], unless_all=NO_SCROLL, wide=False),
        )
    )


def _array(values: list[int], unless_all: int | None = None, *, wide: bool = True) -> bytes:
    """The size of an int4[] or int2[] and it; null when all values are the one that goes without saying."""
    length = len(values)
    if unless_all is not None and values.count(unless_all) == length:
        return _NULL
    size, code, type_id = (4, "i", 23) if wide else (2, "h", 21)
    flat = [size] * (2 * length)
    flat[1::2] = values
    # dimensions, no nulls, type, how many, from 1; then the size of each and it
    return struct.pack(f">iiiiii{f'i{code}' * length}", 20 + (4 + size) * length, 1, 0, type_id, length, 1, *flat)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
