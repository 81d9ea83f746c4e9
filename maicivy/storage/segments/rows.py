"""Rows of visits: a visit, a bucket of time that it touches, and its figures there; of questions about visits alone.

The same rows as those of `visit_sql.Relation`, with what earlier rows of a visit in the same group have said taken
off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec
import numpy as np

from maicivy.storage.segments.block import BOUNCED
from maicivy.storage.segments.elements import Elements
from maicivy.storage.segments.keys import Keys
from maicivy.storage.segments.lookups import VIEW, Lookup, Truths
from maicivy.storage.segments.numbering import Numbers, OneOrEach, ranges, total
from maicivy.storage.segments.touches import Time, Visits
from maicivy.storage.visit_question import Question

Figure: TypeAlias = Numbers | Truths | None
"""Of each row: a number; whether it counts; None: each counts one."""


class Rows(msgspec.Struct):
    """Rows of visits.

    Attributes:
        owner: the place of each row's visit in the block; None: a row for each of it.
        cell: the number of group and values.
        bucket: the number of the bucket.
        touched: whether the visit counts there; None: all do.
        figures: the sums of the question that are not 0 everywhere.
    """

    owner: Numbers | None
    cell: Numbers
    bucket: OneOrEach
    touched: Truths | None
    figures: dict[str, Figure]


class Outlines:
    """Makes the rows of a question that no events decide on, block by block."""

    def __init__(self, question: Question, time: Time, lookup: Lookup, keys: Keys) -> None:
        self._sums = question.sums
        self._time = time
        self._lookup = lookup
        self._keys = keys

    def rows(self, visits: Visits) -> Iterator[Rows]:
        """The rows of visits of a block."""
        inside = visits.inside
        bucket = visits.buckets(inside)
        length = visits.block.visits if inside is None else len(inside)
        values = self._keys.of_visits(visits.block, inside)
        cell = self._keys.cells(length, values, self._time.groups_of(bucket))
        yield Rows(inside, cell, bucket, None, self._of_visits(visits, inside) | self._of_their_events(visits, inside))
        if len(visits.across):
            yield self._across(visits)

    def _of_visits(self, visits: Visits, some: Numbers | None) -> dict[str, Figure]:
        figures: dict[str, Figure] = dict.fromkeys(self._sums & {"visits", "entries"})
        if "bounces" in self._sums:
            figures["bounces"] = visits.has(BOUNCED, some)
        if "duration_us" in self._sums:
            figures["duration_us"] = visits.column("duration", some).astype(np.int64)
        return figures

    def _of_their_events(self, visits: Visits, some: Numbers | None) -> dict[str, Figure]:
        """What visits say of all their events."""
        figures: dict[str, Figure] = {}
        if self._sums & {"readers", "pageviews"}:
            pageviews = visits.column("pageviews", some).astype(np.int64)
            figures = {"pageviews": pageviews, "readers": pageviews > 0}
        if "events" in self._sums:
            figures["events"] = visits.column("events", some).astype(np.int64)
        return {name: each for name, each in figures.items() if name in self._sums}

    def _across(self, visits: Visits) -> Rows:
        """A row for each bucket of the slice between the first and the last that a visit touches."""
        time, across = self._time, visits.across
        first, last = visits.buckets_of(visits.begin[across]), visits.buckets_of(visits.end[across])
        low = np.maximum(first, time.first)
        lengths = np.minimum(last, time.last) - low + 1
        row = np.repeat(np.arange(len(across)), lengths)
        bucket = ranges(low, lengths)
        is_new = bucket <= np.maximum(first[row], time.firsts[bucket])
        owner = across[row]
        cell = self._keys.cells(len(owner), self._keys.of_visits(visits.block, owner), time.groups_of(bucket))
        figures: dict[str, Figure] = {}
        for name, figure in self._of_visits(visits, owner).items():
            figures[name] = is_new if figure is None else figure * is_new
        if self._sums & {"readers", "pageviews", "events"}:
            figures |= self._by_bucket(visits, low, lengths)
        return Rows(owner, cell, bucket, None, figures)

    def _by_bucket(self, visits: Visits, low: Numbers, lengths: Numbers) -> dict[str, Figure]:
        """Events and page views of visits across for each of `lengths` buckets from the `low` one on."""
        block, time = visits.block, self._time
        elements = Elements.of_visits(block, self._lookup, visits.across)
        row = np.repeat(np.arange(len(visits.across)), block.columns["elements"][visits.across].astype(np.int64))
        at = visits.begin[elements.owner] + elements.column("at").astype(np.int64)
        bucket = visits.buckets_of(at) - low[row]
        is_in_range = (at >= time.start - block.base) & (at < time.end - block.base)
        here = np.flatnonzero(is_in_range & (bucket >= 0) & (bucket < lengths[row]))
        place = (np.cumsum(lengths) - lengths)[row[here]] + bucket[here]
        elements = elements.taken(here)
        figures: dict[str, Figure] = {"events": total(place, elements.n, int(lengths.sum()))}
        if self._sums & {"readers", "pageviews"}:
            is_view = self._lookup.truths(VIEW, block.ids["action"])[elements.action]
            views = total(place, elements.n * is_view, int(lengths.sum()))
            figures |= {"pageviews": views, "readers": views > 0}
        return {name: each for name, each in figures.items() if name in self._sums}
