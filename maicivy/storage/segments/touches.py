"""Which visits of a block a question is about, which buckets of time they touch, and who they are of."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from maicivy.core.query import Filter
from maicivy.core.visits import slot_of
from maicivy.storage.segments.block import BOT, SINGLE, Block
from maicivy.storage.segments.judging import Judge
from maicivy.storage.segments.lookups import Lookup, Numbers, Truths
from maicivy.storage.segments.numbering import Some
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
        self.firsts = np.array([0, *(groups.index(group) + 1 for group in groups)])
        self._bounds = np.array([slot_of(bound) for bound in part.bounds])
        self.ends = np.array([0, *self._bounds[1:], self.end])

    def buckets(self, base: int, length: int) -> Numbers:
        """For each of so many quarters from `base` the number of the bucket of the range that is nearest."""
        quarters = np.clip(np.arange(base, base + length), self.start, self.end - 1)
        return np.searchsorted(self._bounds, quarters, side="right")

    def groups_of(self, buckets: Some) -> Some:
        """The numbers of the groups of buckets."""
        if len(self.groups) == 1:
            return 0
        groups = self.group_of[buckets]
        return groups if isinstance(groups, np.ndarray) else int(groups)


class Visits:
    """The visits of a block that a question is about and that touch the slice.

    Attributes:
        chosen: their places in the block; None: all are.
        begin: quarters from the base of the block.
        first, last: numbers of the buckets of the range that they begin and end in.
        inside: whether they lie in one bucket, and that in the slice; None: all do.
    """

    def __init__(self, block: Block, question: Question, time: Time, lookup: Lookup, of_visits: Filter | None) -> None:
        self.block = block
        columns = block.columns
        begin = columns["begin"].astype(np.int64)
        end = begin + columns["span"].astype(np.int64)
        low, high = time.low - block.base, time.high - block.base
        wanted = [] if question.bots is None else [(columns["flags"] & BOT != 0) == question.bots]
        if of_visits is not None:
            wanted.append(Judge(lookup, block).visits(of_visits))
        wanted += [(begin < since) | (begin >= until) for since, until in block.passed_over]
        if block.visits and (begin[-1] >= high or (begin[0] < low and int(end.min()) < low)):
            wanted.append((end >= low) & (begin < high))
        self.chosen: Numbers | None = None
        if wanted:
            self.chosen = np.flatnonzero(np.logical_and.reduce(wanted) if len(wanted) > 1 else wanted[0])
            begin, end = begin[self.chosen], end[self.chosen]
        self.begin = begin
        self.count = len(begin)
        self.inside: Truths | None = None
        self.first: Some = time.first
        self.last: Some = time.first
        if not self.count:
            return
        self.quarters = time.buckets(block.base, int(end.max()) + 1)
        earliest, latest = int(self.quarters[int(begin.min())]), int(self.quarters[-1])
        is_cut = int(begin.min()) < low or int(end.max()) >= high
        if earliest == latest and not is_cut:
            self.first = self.last = earliest
            return
        self.first, self.last = self.quarters[begin], self.quarters[end]
        inside = self.first == self.last
        if is_cut:
            inside &= (begin >= low) & (end < high)
        self.inside = None if inside.all() else inside

    def column(self, name: str) -> npt.NDArray[np.unsignedinteger]:
        """A column of them."""
        column = self.block.columns[name]
        return column if self.chosen is None else column[self.chosen]

    def has(self, flag: int) -> Truths:
        """Whether they have a flag."""
        found: Truths = self.column("flags") & flag != 0
        return found

    def singles(self) -> Truths | None:
        """Whether it is known of them that their visitors have no other visit; None: of none."""
        return self.has(SINGLE) if self._trusts_single else None

    @property
    def _trusts_single(self) -> bool:
        return self.block.is_whole and not self.block.passed_over

    def keys(self) -> npt.NDArray[np.uint64]:
        """Who they are of; of those that are `singles` it says nothing."""
        columns = self.block.columns
        is_single = columns["flags"] & SINGLE != 0
        keys = np.zeros(self.block.visits, np.uint64)
        keys[~is_single] = columns["several"]
        if not self._trusts_single:
            keys[is_single] = columns["alone"]
        return keys if self.chosen is None else keys[self.chosen]
