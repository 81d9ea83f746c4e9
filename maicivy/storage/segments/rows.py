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
from maicivy.storage.segments.keys import Keys
from maicivy.storage.segments.lookups import VIEW, Lookup, Truths
from maicivy.storage.segments.numbering import Numbers, Some, ranges, total
from maicivy.storage.segments.touches import Time, Visits
from maicivy.storage.visit_question import Question

Figure: TypeAlias = Numbers | Truths | None
"""Of each row: a number; whether it counts; None: each counts one."""


class Rows(msgspec.Struct):
    """Rows of visits.

    Attributes:
        owner: the place of each row's visit among those chosen; None: a row for each of them.
        cell: the number of group and values.
        bucket: the number of the bucket.
        touched: whether the visit counts there; None: all do.
        figures: the sums of the question that are not 0 everywhere.
    """

    owner: Numbers | None
    cell: Numbers
    bucket: Some
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
        values = self._keys.of_visits(visits)
        figures = self._of_visits(visits)
        own = figures | self._of_their_events(visits)
        if visits.inside is None:
            cell = self._keys.cells(visits.count, values, self._time.groups_of(visits.first))
            yield Rows(None, cell, visits.first, None, own)
            return
        inside = np.flatnonzero(visits.inside)
        bucket = _of_some(visits.first, inside)
        cell = self._keys.cells(len(inside), _of_some(values, inside), self._time.groups_of(bucket))
        yield Rows(inside, cell, bucket, None, {name: _of_figure(each, inside) for name, each in own.items()})
        yield self._across(visits, values, figures)

    def _of_visits(self, visits: Visits) -> dict[str, Figure]:
        figures: dict[str, Figure] = dict.fromkeys(self._sums & {"visits", "entries"})
        if "bounces" in self._sums:
            figures["bounces"] = visits.has(BOUNCED)
        if "duration_us" in self._sums:
            figures["duration_us"] = visits.column("duration").astype(np.int64)
        return figures

    def _of_their_events(self, visits: Visits) -> dict[str, Figure]:
        """What visits say of all their events."""
        figures: dict[str, Figure] = {}
        if self._sums & {"readers", "pageviews"}:
            pageviews = visits.column("pageviews").astype(np.int64)
            figures = {"pageviews": pageviews, "readers": pageviews > 0}
        if "events" in self._sums:
            figures["events"] = visits.column("events").astype(np.int64)
        return {name: each for name, each in figures.items() if name in self._sums}

    def _across(self, visits: Visits, values: Some, figures: dict[str, Figure]) -> Rows:
        """A row for each bucket of the slice between the first and the last that a visit touches."""
        assert visits.inside is not None
        time = self._time
        across = np.flatnonzero(~visits.inside)
        first, last = (np.broadcast_to(each, visits.count)[across] for each in (visits.first, visits.last))
        low = np.maximum(first, time.first)
        lengths = np.minimum(last, time.last) - low + 1
        row = np.repeat(np.arange(len(across)), lengths)
        bucket = ranges(low, lengths)
        is_new = bucket <= np.maximum(first[row], time.firsts[bucket])
        owner = across[row]
        cell = self._keys.cells(len(owner), _of_some(values, owner), time.groups_of(bucket))
        net: dict[str, Figure] = {}
        for name, figure in figures.items():
            of_rows = _of_figure(figure, owner)
            net[name] = is_new if of_rows is None else of_rows * is_new
        if self._sums & {"readers", "pageviews", "events"}:
            net |= self._by_bucket(visits, across, low, lengths)
        return Rows(owner, cell, bucket, None, net)

    def _by_bucket(self, visits: Visits, some: Numbers, low: Numbers, lengths: Numbers) -> dict[str, Figure]:
        """Events and page views of some visits for each of `lengths` buckets from the `low` one on."""
        block, time = visits.block, self._time
        places = some if visits.chosen is None else visits.chosen[some]
        counts = block.columns["elements"].astype(np.int64)
        starts = np.cumsum(counts) - counts
        elements = ranges(starts[places], counts[places])
        row = np.repeat(np.arange(len(some)), counts[places])
        at = visits.begin[some][row] + block.columns["at"][elements].astype(np.int64)
        in_range = np.flatnonzero((at >= time.start - block.base) & (at < time.end - block.base))
        row, elements = row[in_range], elements[in_range]
        bucket = visits.quarters[at[in_range]] - low[row]
        here = np.flatnonzero((bucket >= 0) & (bucket < lengths[row]))
        row, elements = row[here], elements[here]
        place = (np.cumsum(lengths) - lengths)[row] + bucket[here]
        n = block.columns["count"][elements].astype(np.int64)
        figures: dict[str, Figure] = {"events": total(place, n, int(lengths.sum()))}
        if self._sums & {"readers", "pageviews"}:
            is_view = self._lookup.truths(VIEW, block.ids["action"])[block.columns["action"][elements]]
            views = total(place, n * is_view, int(lengths.sum()))
            figures |= {"pageviews": views, "readers": views > 0}
        return {name: each for name, each in figures.items() if name in self._sums}


def _of_some(numbers: Some, places: Numbers) -> Some:
    return numbers if isinstance(numbers, int) else numbers[places]


def _of_figure(figure: Figure, places: Numbers) -> Figure:
    return None if figure is None else figure[places]
