"""Which visits of a block a question is about, which buckets of time they touch, and who they are of."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from maicivy.core.query import Filter
from maicivy.core.visits import slot_of
from maicivy.storage.segments.block import BOT, SINGLE, Block, Column
from maicivy.storage.segments.judging import Judge
from maicivy.storage.segments.lookups import Lookup, Truths
from maicivy.storage.segments.numbering import Numbers, OneOrEach
from maicivy.storage.visit_question import Question, Slice


class Time:
    """A slice in quarters of an hour since 1970. Buckets are numbered from 1, groups from 0.

    Attributes:
        start, end: of the range; `low`, `high`: of the slice.
        first, last: numbers of the buckets of the slice.
        groups: when they begin.
        group_of, firsts, ends: by number of the bucket: the number of its group, that of the first bucket of its group,
            and where it ends.
    """

    def __init__(self, part: Slice) -> None:
        self.start, self.end = slot_of(part.start), slot_of(part.end)
        self.low, self.high = slot_of(part.slice_start), slot_of(part.slice_end)
        self.first, self.last = part.first, part.last
        self.groups: list[datetime] = list(dict.fromkeys(part.groups))
        places = {group: place for place, group in enumerate(self.groups)}
        groups = [places[group] for group in part.groups]
        self.group_of = np.array([0, *groups])
        firsts: dict[int, int] = {}
        self.firsts = np.array([0, *(firsts.setdefault(group, number) for number, group in enumerate(groups, 1))])
        self._bounds = np.array([slot_of(bound) for bound in part.bounds])
        self.ends = np.array([0, *self._bounds[1:], self.end])

    def buckets(self, base: int, length: int) -> Numbers:
        """For each of so many quarters from `base` the number of the bucket of the range that is nearest."""
        quarters = np.clip(np.arange(base, base + length), self.start, self.end - 1)
        return np.searchsorted(self._bounds, quarters, side="right")

    def groups_of(self, buckets: OneOrEach) -> OneOrEach:
        """The numbers of the groups of buckets."""
        if len(self.groups) == 1:
            return 0
        groups = self.group_of[buckets]
        return groups if isinstance(groups, np.ndarray) else int(groups)


class Visits:
    """The visits of a block that a question is about and that touch the slice, by their places in the block.

    Attributes:
        inside: those that lie in one bucket, and that in the slice; None: all of the block.
        across: the others.
        begin, end: quarters from the base of the block; of all of it.
    """

    def __init__(self, block: Block, question: Question, time: Time, lookup: Lookup, of_visits: Filter | None) -> None:
        self.block = block
        columns = block.columns
        self.begin = columns["begin"].astype(np.int64)
        self.end = self.begin + columns["span"].astype(np.int64)
        low, high = time.low - block.base, time.high - block.base
        earliest, latest = int(self.begin.min()), int(self.end.max())
        is_cut = earliest < low or latest >= high
        wanted = [] if question.bots is None else [(columns["flags"] & BOT != 0) == question.bots]
        wanted += [(self.begin < since) | (self.begin >= until) for since, until in block.passed_over]
        if is_cut:
            wanted.append((self.end >= low) & (self.begin < high))
        if of_visits is not None:
            wanted.append(Judge(lookup, block).visits(of_visits))
        chosen = np.flatnonzero(np.logical_and.reduce(wanted)) if wanted else None
        self.inside: Numbers | None = chosen
        self.across: Numbers = np.zeros(0, np.int64)
        self._quarters = time.buckets(block.base, latest + 1)
        self._bucket = int(self._quarters[earliest])
        if self._bucket == self._quarters[latest] and not is_cut:
            return
        self._bucket = 0
        begin, end = (self.begin, self.end) if chosen is None else (self.begin[chosen], self.end[chosen])
        is_inside = self._quarters[begin] == self._quarters[end]
        if is_cut:
            is_inside &= (begin >= low) & (end < high)
        if is_inside.all():
            return
        inside, across = np.flatnonzero(is_inside), np.flatnonzero(~is_inside)
        self.inside, self.across = (inside, across) if chosen is None else (chosen[inside], chosen[across])

    def column(self, name: str, visits: Numbers | None) -> Column:
        """A column of some of them; None: of all."""
        column = self.block.columns[name]
        return column if visits is None else column.take(visits)

    def has(self, flag: int, visits: Numbers | None) -> Truths:
        """Whether they have a flag."""
        found: Truths = self.column("flags", visits) & flag != 0
        return found

    def buckets_of(self, quarters: Numbers) -> Numbers:
        """The numbers of the buckets of the range that are nearest to quarters from the base of the block."""
        return self._quarters[quarters]

    def buckets(self, visits: Numbers | None) -> OneOrEach:
        """The buckets that they begin in."""
        if self._bucket:
            return self._bucket
        return self._quarters[self.begin if visits is None else self.begin[visits]]

    def singles(self, visits: Numbers | None) -> Truths | None:
        """Whether it is known of them that their visitors have no other visit; None: of none."""
        return self.has(SINGLE, visits) if self._trusts_single else None

    @cached_property
    def keys(self) -> npt.NDArray[np.uint64]:
        """Who visits of the block are of; of those that are `singles` it says nothing."""
        columns = self.block.columns
        is_single = columns["flags"] & SINGLE != 0
        keys = np.zeros(self.block.visits, np.uint64)
        keys[np.flatnonzero(~is_single)] = columns["several"]
        if not self._trusts_single:
            keys[np.flatnonzero(is_single)] = columns["alone"]
        return keys

    @property
    def _trusts_single(self) -> bool:
        return self.block.is_whole and not self.block.passed_over
