"""Rows of many blocks added up: exact, and each visitor once in a bucket of time."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from maicivy.storage.segments.block import BOT
from maicivy.storage.segments.keys import Keys
from maicivy.storage.segments.numbering import Numbers, total
from maicivy.storage.segments.rows import Figure, Rows
from maicivy.storage.segments.touches import Time, Visits

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


class Sums:
    """Sums by cell (`Keys.cells`). `bots_apart`: who was seen as a bot and as a person is two visitors."""

    def __init__(self, keys: Keys, time: Time, *, with_visitors: bool, bots_apart: bool) -> None:
        self._keys = keys
        self._ends = time.ends
        self._with_visitors = with_visitors
        self._bots_apart = bots_apart
        self._sums: dict[str, Numbers] = {}
        self._pending: list[tuple[Numbers, npt.NDArray[np.uint64]]] = []

    def add(self, rows: Rows, visits: Visits) -> None:
        """Add rows of visits of a block."""
        counted: dict[int, Numbers] = {}  # what several figures are is counted once
        for name, figure in (("touches", rows.touched), *rows.figures.items()):
            if id(figure) not in counted:
                counted[id(figure)] = self._by_cell(rows.cell, figure)
            self._more(name, counted[id(figure)])
        if self._with_visitors:
            self._visitors(rows, visits)

    def settle(self, before: int) -> None:
        """Count visitors of buckets that end by then, each once in a bucket. All rows of such buckets are added."""
        if not self._pending:
            return
        slots = np.concatenate([slots for slots, _ in self._pending])
        who = np.concatenate([who for _, who in self._pending])
        # Ids are hash. With a multiple of the slot mixed in they stay as far from one another as they were, and one
        # number is sorted instead of two.
        mixed = who ^ slots.astype(np.uint64) * _ODD
        order = np.argsort(mixed)
        is_first = np.ones(len(mixed), np.bool_)
        is_first[1:] = mixed[order[1:]] != mixed[order[:-1]]
        some = order[is_first]
        slots, who = slots[some], who[some]
        is_over = self._ends[slots // 2 % self._ends.size] <= before
        self._more("visitors", self._by_cell(slots[is_over] // (2 * self._ends.size), None))
        self._pending = [] if is_over.all() else [(slots[~is_over], who[~is_over])]

    def total(self, name: str) -> Numbers:
        """One of the sums of rows, `touches` or `visitors`, by cell."""
        found = np.zeros(self._keys.count, np.int64)
        if (known := self._sums.get(name)) is not None:
            found[: len(known)] = known
        return found

    def _visitors(self, rows: Rows, visits: Visits) -> None:
        """Count those who are known to have one visit only, and keep who else there was."""
        singles = visits.singles()
        if singles is None:
            others = np.arange(len(rows.cell)) if rows.touched is None else np.flatnonzero(rows.touched)
        else:
            single = singles if rows.owner is None else singles[rows.owner]
            touched = rows.touched
            self._more("visitors", self._by_cell(rows.cell, single if touched is None else single & touched))
            others = np.flatnonzero(~single if touched is None else ~single & touched)
        if not len(others):
            return
        owner = others if rows.owner is None else rows.owner[others]
        bucket = rows.bucket if isinstance(rows.bucket, int) else rows.bucket[others]
        slots = (rows.cell[others] * self._ends.size + bucket) * 2
        if self._bots_apart:
            slots += visits.has(BOT)[owner]
        self._pending.append((slots, visits.keys()[owner]))

    def _by_cell(self, cells: Numbers, figure: Figure) -> Numbers:
        size = self._keys.count
        if figure is None:
            return np.bincount(cells, minlength=size)
        if figure.dtype == np.bool_:
            return np.bincount(cells[figure], minlength=size)
        return total(cells, figure, size)

    def _more(self, name: str, some: Numbers) -> None:
        known = self._sums.get(name)
        if known is not None:
            grown = some.copy()
            grown[: len(known)] += known
            some = grown
        self._sums[name] = some
