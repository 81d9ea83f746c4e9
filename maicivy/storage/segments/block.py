"""Visits in columns: what a segment holds, in memory and as bytes.

A block has the visits of one site that began in some stretch of time, ordered by when they began. Each thing that is
known of a visit is an array with an element per visit; what happened in them is kept behind one another, `elements`
telling how many each visit has. Columns of dictionary ids hold places in a list of those ids that occur (`CODED`).
Times are quarters of an hour (`core.visits.SLOT_S`). Visits that do not count, those of engagement alone, are left out.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Column: TypeAlias = npt.NDArray[Any]
"""Unsigned whole numbers, one dimension."""

CODED: Final = {"client": "clients", "place": "places", "origin": "origins", "entry": "actions", "exit": "actions"}
"""Columns of visits that hold places in a list of ids, and the dictionary table of those."""

VISITS: Final = (
    "begin",  # quarters from the base of the block to the one that it began in; ascending
    "span",  # quarters from that to the one that it ended in
    "flags",  # of `Flag`
    "duration",  # us
    "pageviews",
    "events",  # at least 1
    *CODED,
    "elements",  # how many; at least 1
)
"""Columns with a value per visit."""

WHO: Final = ("several", "alone")
"""The lower 64 bits of visitor ids, which are hash: of visits without `SINGLE`, and of those with it; together one per
visit. A million visitors of a day share such a number once in ten million days."""

ELEMENTS: Final = (
    "action",  # place in the list of actions
    "at",  # quarters from the one that its visit began in
    "count",  # events; 0 where there was engagement only
    "engaged",  # ms
    "scroll",  # deepest, percent, plus 1; 0: not told
)
"""Columns with a value per element of a visit (`core.visits.Element`)."""

OF_PROPERTIES: Final = "told"
"""For each event that has properties the number, from 0, of its element; ascending."""

COLUMNS: Final = (*VISITS, *WHO, *ELEMENTS, OF_PROPERTIES)
LISTS: Final = (*CODED, "action")
"""What has a list of ids beside its column."""

SINGLE, PLAIN, BOUNCED, BOT = 1, 4, 8, 16
"""Flags: the first two as in `core.visits.Shape`."""

_WIDTHS: Final = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}


class Property(msgspec.Struct, frozen=True):
    """One property of the events that have it: `events`, their numbers among those with properties, ascending; `code`,
    the place of the value of each in `values`, as text."""

    events: Column
    code: Column
    values: tuple[str, ...]


class Block(msgspec.Struct, frozen=True):
    """Visits of one site.

    Attributes:
        base: the quarter of an hour since 1970 (UTC) that `begin` counts from.
        visits: how many.
        columns: those that were asked for, by name.
        ids: for `LISTS` the ids that codes are places in, ascending.
        properties: those that were asked for and occur, by name.
        is_whole: all visits that began on its UTC day are here, as they were at one moment, so that `SINGLE` holds.
        passed_over: ranges of `begin`, half-open; visits in them have changed since, and stand in another block.
    """

    base: int
    visits: int
    columns: dict[str, Column]
    ids: dict[str, Column]
    properties: dict[str, Property]
    is_whole: bool = False
    passed_over: tuple[tuple[int, int], ...] = ()


def packed(column: Column) -> bytes:
    """A column as bytes: how many bytes a number takes (0: all are the one that follows), then the numbers, each in as
    few as the greatest needs. An empty column is empty."""
    if not len(column):
        return b""
    low, high = int(column.min()), int(column.max())
    if low == high:
        return b"\0" + high.to_bytes(8, "little")
    width = next(width for width in _WIDTHS if high < 1 << 8 * width)
    return bytes([width]) + column.astype(_WIDTHS[width]).tobytes()


def unpacked(data: bytes, length: int) -> Column:
    """The column of `packed`, which had `length` numbers."""
    if not data:
        return np.zeros(length, np.uint8)
    if data[0] == 0:
        return np.full(length, int.from_bytes(data[1:], "little"), np.uint64)
    return np.frombuffer(data, _WIDTHS[data[0]], offset=1)


def coded(ids: Column) -> tuple[Column, Column]:
    """The ids that occur, ascending, and for each id its place among them."""
    found, codes = np.unique(ids, return_inverse=True)
    return found, codes
