"""Attributes of visits as Postgres has them, and as columns of blocks.

A query gives each attribute of all its visits as one value of bytes, in whatever order it meets them; NumPy puts them
in order and cuts them into blocks. Of 40,000 visits everything takes 90 ms, 60 of them in Postgres, where a row for
each would take 300 (2 cores, PostgreSQL 18, everything in memory).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from maicivy.core.visits import NO_SCROLL, SLOT_S, slot_of
from maicivy.storage.connections import driver_connection
from maicivy.storage.segments.block import (
    BOT,
    BOUNCED,
    CODED,
    COLUMNS,
    ELEMENTS,
    LISTS,
    OF_PROPERTIES,
    PLAIN,
    SINGLE,
    Block,
    Column,
    coded,
)

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""What times of Postgres are counted from; a quarter of an hour began then."""

_FIXED: Final = {
    "started": ("timestamptz_send(v.started)", ">i8"),
    "ended": ("timestamptz_send(v.ended)", ">i8"),
    "visitor": ("uuid_send(v.visitor_id)", ">u8"),  # two of them
    "shape": ("int2send(v.shape)", ">i2"),
    "bot": ("int2send(v.bot)", ">i2"),
    "pageviews": ("int4send(v.pageviews)", ">i4"),
    "events": ("int4send(v.events)", ">i4"),
    "interactions": ("int4send(v.interactions)", ">i4"),
    "size": ("int4send(cardinality(v.actions))", ">i4"),
} | {name: (f"int4send(v.{name}_id)", ">i4") for name in CODED}
"""Attributes of visits: SQL for the bytes of one, and the numbers that they are."""

_ARRAYS: Final = {
    "action": ("actions", ">i4", 0),
    "at": ("slots", ">i4", 0),
    "count": ("counts", ">i4", 1),
    "engaged": ("engaged", ">i4", 0),
    "scroll": ("scrolls", ">i2", NO_SCROLL),
}
"""Columns of elements: where `visits` has them, the numbers that they are, and what a null stands for."""

_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "span": ("ended",),
    "flags": ("shape", "pageviews", "interactions", "bot"),
    "duration": ("ended",),
    "pageviews": ("pageviews",),
    "events": ("events",),
    "elements": ("size",),
    "several": ("shape", "visitor"),
    "alone": ("shape", "visitor"),
} | {name: (name,) for name in CODED}
_FOR_PROPERTIES: Final = ("begin", "elements", "action", "at", "count")
"""Columns that properties are looked up with."""

_READ: Final = "/* segments.load */ SELECT {selected} FROM ({visits}) AS v"
_VISITS: Final = "SELECT v.* FROM visits v WHERE v.site_id = %(site_id)s AND v.events > 0 AND {condition}"

_SLOT_US: Final = SLOT_S * 1_000_000
_ARRAY_HEADER: Final = 20
"""Bytes before the elements of an array of one dimension; before each element stand the four of its length."""


class Stays(msgspec.Struct, frozen=True):
    """Visits of a block, in its order: the lower 64 bits of the visitor's id (unsigned), and when each began and ended,
    in us from `EPOCH`."""

    visitors: Column
    started: Column
    ended: Column


class Attributes:
    """Visits as a query gave them.

    Attributes:
        started: when they began, in us from `EPOCH`, ascending; slots: the quarters of that, from 1970.
    """

    def __init__(
        self,
        connection: sa.Connection,
        site_id: int,
        conditions: Sequence[str],
        values: dict[str, object],
        columns: Collection[str],
        *,
        stays: bool,
    ) -> None:
        """Those of a site's visits that one of these conditions on `v` is true for, and no other, with their values:
        what `columns` need, and with `stays` what properties are looked up with."""
        wanted = {*columns, *(_FOR_PROPERTIES if stays else ())}
        fixed = dict.fromkeys(["started", *(need for name in wanted for need in _NEEDS.get(name, ()))])
        if stays:
            fixed |= dict.fromkeys(("ended", "visitor"))
        arrays = [name for name in _ARRAYS if name in wanted]
        if arrays:
            fixed["size"] = None
        selected = [_FIXED[name][0] for name in fixed]
        for name in arrays:
            array = _ARRAYS[name][0]
            selected += [f"array_send(v.{array})", f"boolsend(v.{array} IS NULL)"]
        query = _READ.format(
            selected=", ".join(f"string_agg({each}, ''::bytea)" for each in selected),
            visits=" UNION ALL ".join(_VISITS.format(condition=condition) for condition in conditions),
        )
        with driver_connection(connection).cursor(binary=True) as cursor:
            cursor.execute(query.encode(), values | {"site_id": site_id})
            row = cursor.fetchone() or (None,) * len(selected)
        data = iter([each or b"" for each in row])
        self._fixed = {name: np.frombuffer(next(data), _FIXED[name][1]) for name in fixed}
        self._arrays = {name: (next(data), np.frombuffer(next(data), np.bool_)) for name in arrays}
        self._order = np.argsort(self._fixed["started"], kind="stable")
        self.started = self._fixed["started"][self._order].astype(np.int64)
        self.slots = slots_of(self.started)

    def block(
        self,
        base: int,
        columns: Collection[str],
        *,
        slots: tuple[int, int] | None = None,
        is_whole: bool = False,
        with_stays: bool,
    ) -> tuple[Block, Stays | None]:
        """The visits that began in the quarters from one of `slots` to the other, or all."""
        part = slice(*np.searchsorted(self.slots, slots)) if slots else slice(None)
        order, started, begin = self._order[part], self.started[part], self.slots[part]
        taken = {
            name: (values.reshape(-1, 2)[order, 1] if name == "visitor" else values[order])
            for name, values in self._fixed.items()
        }
        wanted = {*columns, *(_FOR_PROPERTIES if with_stays else ())}
        taken |= {"started": started, "slot": begin, "begin": begin - base}
        made: dict[str, Column] = {}
        ids: dict[str, Column] = {}
        for name in COLUMNS:
            if name not in wanted or name == OF_PROPERTIES:  # which `attach` makes
                continue
            if name in ELEMENTS:
                column = self._elements(name, order, taken["size"].astype(np.int64))
            else:
                column = _WORKED_OUT[name](taken) if name in _WORKED_OUT else taken[name]
            if name in LISTS:
                found, column = coded(column)
                ids[name] = found.astype(np.uint32)
            made[name] = _unsigned(column)
        stays = None
        if with_stays:
            stays = Stays(taken["visitor"].astype(np.uint64), started, taken["ended"].astype(np.int64))
        return Block(base, len(order), made, ids, {}, is_whole), stays

    def _elements(self, name: str, order: npt.NDArray[np.intp], sizes: npt.NDArray[np.int64]) -> Column:
        """A column of elements: of the visits of `order`, that have as many as `sizes` says."""
        data, is_null = self._arrays[name]
        dtype, default = np.dtype(_ARRAYS[name][1]), _ARRAYS[name][2]
        numbers = np.frombuffer(data, dtype)
        # Places in `numbers`: of the first element of each visit, and how far it is from one to the next.
        header, stride = _ARRAY_HEADER // dtype.itemsize, 4 // dtype.itemsize + 1
        lengths = np.where(is_null, 0, header + stride * self._fixed["size"].astype(np.int64))
        firsts = (np.cumsum(lengths) - lengths + header + stride - 1)[order]
        ends = np.cumsum(sizes)
        places = np.arange(ends[-1] if len(ends) else 0)
        places -= np.repeat(ends - sizes, sizes)
        places *= stride
        places += np.repeat(firsts, sizes)
        is_there = np.repeat(~is_null[order], sizes)
        values = np.full(len(places), default, np.int64)
        values[is_there] = numbers[places[is_there]]
        return values + 1 if name == "scroll" else values


def slots_of(times: Column) -> Column:
    """Quarters of an hour since 1970 of us since `EPOCH`."""
    slots: Column = times // _SLOT_US + slot_of(EPOCH)
    return slots


def _unsigned(column: Column) -> Column:
    """In the narrowest numbers that it fits into, as `block.unpacked` has them."""
    high = int(column.max()) if len(column) else 0
    return column.astype(np.min_scalar_type(high), copy=False)


def _flags(taken: dict[str, Column]) -> Column:
    flags = taken["shape"] & (SINGLE | PLAIN)
    bounced = (taken["pageviews"] <= 1) & (taken["interactions"] == 0)
    return flags | np.where(bounced, BOUNCED, 0) | np.where(taken["bot"] != 0, BOT, 0)


_WORKED_OUT: Final[dict[str, Callable[[dict[str, Column]], Column]]] = {
    "span": lambda taken: slots_of(taken["ended"]) - taken["slot"],
    "flags": _flags,
    "duration": lambda taken: taken["ended"] - taken["started"],
    "elements": lambda taken: taken["size"],
    "several": lambda taken: taken["visitor"][taken["shape"] & SINGLE == 0],
    "alone": lambda taken: taken["visitor"][taken["shape"] & SINGLE != 0],
}
"""Columns of visits that are not an attribute of theirs as it is."""
