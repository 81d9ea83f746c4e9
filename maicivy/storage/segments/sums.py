"""Rows of many blocks added up: exact, and each visitor once in a bucket of time."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from maicivy.storage.segments.block import BOT
from maicivy.storage.segments.keys import Keys
from maicivy.storage.segments.numbering import Numbers, is_first, total
from maicivy.storage.segments.rows import Figure, Rows
from maicivy.storage.segments.touches import Time, Visits

_MOST_ROWS: Final = 1 << 19
"""So many rows at the most wait to be added up."""

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


class Sums:
    """Sums by cell (`Keys.cells`). `bots_apart`: who was seen as a bot and as a person is two visitors."""

    def __init__(self, keys: Keys, time: Time, *, with_visitors: bool, bots_apart: bool) -> None:
        self._keys = keys
        self._ends = time.ends
        self._with_visitors = with_visitors
        self._bots_apart = bots_apart
        self._sums: dict[str, Numbers] = {}
        self._waiting: dict[str, list[tuple[Numbers, Numbers | None]]] = {}
        self._rows_waiting = 0
        self._pending: list[tuple[Numbers, npt.NDArray[np.uint64]]] = []

    def add(self, rows: Rows, visits: Visits) -> None:
        """Add rows of visits of a block."""
        if not len(rows.cell):
            return
        made: dict[int, tuple[Numbers, Numbers | None]] = {}  # what several figures are is made once
        for name, figure in (("touches", rows.touched), *rows.figures.items()):
            if id(figure) not in made:
                made[id(figure)] = _counted(rows.cell, figure)
            self._waiting.setdefault(name, []).append(made[id(figure)])
        if self._with_visitors:
            self._visitors(rows, visits)
        self._rows_waiting += len(rows.cell)
        if self._rows_waiting > min(_MOST_ROWS, 2 * self._keys.count):
            self._add_up()

    def settle(self, before: int) -> None:
        """Count visitors of buckets that end by then, each once in a bucket. All rows of such buckets are added."""
        if not self._pending:
            return
        slots = np.concatenate([slots for slots, _ in self._pending])
        who = np.concatenate([who for _, who in self._pending])
        # Ids are hash. With a multiple of the slot mixed in they stay as far from one another as they were, and one
        # number is compared instead of two.
        some = _once(who ^ slots.astype(np.uint64) * _ODD)
        slots, who = slots[some], who[some]
        is_over = self._ends[slots // 2 % self._ends.size] <= before
        over = slots if is_over.all() else slots[is_over]
        self._waiting.setdefault("visitors", []).append((over // (2 * self._ends.size), None))
        self._pending = [] if is_over.all() else [(slots[~is_over], who[~is_over])]

    def total(self, name: str) -> Numbers:
        """One of the sums of rows, `touches` or `visitors`, by cell."""
        self._add_up()
        found = np.zeros(self._keys.count, np.int64)
        if (known := self._sums.get(name)) is not None:
            found[: len(known)] = known
        return found

    def _visitors(self, rows: Rows, visits: Visits) -> None:
        """Count those who are known to have one visit only, and keep who else there was."""
        single, touched = visits.singles(rows.owner), rows.touched
        if single is None:
            others = np.arange(len(rows.cell)) if touched is None else np.flatnonzero(touched)
        else:
            alone = single if touched is None else single & touched
            self._waiting.setdefault("visitors", []).append(_counted(rows.cell, alone))
            others = np.flatnonzero(~single if touched is None else ~single & touched)
        if not len(others):
            return
        owner = others if rows.owner is None else rows.owner[others]
        bucket = rows.bucket if isinstance(rows.bucket, int) else rows.bucket[others]
        slots = (rows.cell[others] * self._ends.size + bucket) * 2
        if self._bots_apart:
            slots += visits.has(BOT, owner)
        self._pending.append((slots, visits.keys[owner]))

    def _add_up(self) -> None:
        """Where there are many cells, the rows of several blocks at once: each time costs all cells."""
        size = self._keys.count
        known: dict[tuple[int, ...], Numbers] = {}
        for name, waiting in self._waiting.items():
            same = tuple(id(each) for each in waiting)
            if same not in known:
                known[same] = _added_up(waiting, size)
            some, before = known[same], self._sums.get(name)
            if before is not None:
                some = some.copy()
                some[: len(before)] += before
            self._sums[name] = some
        self._waiting = {}
        self._rows_waiting = 0


def _counted(cells: Numbers, figure: Figure) -> tuple[Numbers, Numbers | None]:
    """Cells, and what each adds; None: 1."""
    if figure is None:
        return cells, None
    if figure.dtype == np.bool_:
        return cells[np.flatnonzero(figure)], None
    return cells, figure.astype(np.int64, copy=False)


def _added_up(waiting: list[tuple[Numbers, Numbers | None]], size: int) -> Numbers:
    ones = [cells for cells, numbers in waiting if numbers is None]
    found: Numbers = np.zeros(size, np.int64)
    if ones:
        found = np.bincount(np.concatenate(ones), minlength=size)
    places = [cells for cells, numbers in waiting if numbers is not None]
    given = [numbers for _, numbers in waiting if numbers is not None]
    if places:
        found = found + total(np.concatenate(places), np.concatenate(given), size)
    return found


def _once(numbers: npt.NDArray[np.uint64]) -> Numbers:
    """The place of each number that occurs, once.

    Each is written to a place in a table that follows from it, and the last to be written stays: of 20,000 that takes a
    fifth of the time in which they are sorted. Those whose place another one has taken are sorted.
    """
    bits = len(numbers).bit_length() + 3
    places = (numbers * _ODD >> np.uint64(64 - bits)).astype(np.int64)
    table = np.empty(1 << bits, np.int32)
    own = np.arange(len(numbers), dtype=np.int32)
    table[places] = own
    last = table[places]
    kept = np.flatnonzero(last == own)
    others = np.flatnonzero(numbers[last] != numbers)
    if not len(others):
        return kept
    others = others[np.argsort(numbers[others])]
    return np.concatenate((kept, others[np.flatnonzero(is_first(numbers[others]))]))
