"""Rows of questions that single events decide on: a visit, a bucket of time, values of dimensions, and what happened
there.

The same rows as those of `visit_sql.Relation`, with what earlier rows of a visit in the same group have said taken
off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from maicivy.core.query import EVENT_DIMENSIONS, PROPERTY, And, Filter
from maicivy.storage.segments.block import BOUNCED, PLAIN, Block
from maicivy.storage.segments.elements import Elements
from maicivy.storage.segments.judging import Judge
from maicivy.storage.segments.keys import Keys
from maicivy.storage.segments.lookups import VIEW, Lookup, Truths
from maicivy.storage.segments.numbering import Numbers, OneOrEach, is_first
from maicivy.storage.segments.rows import Figure, Rows
from maicivy.storage.segments.touches import Time, Visits
from maicivy.storage.visit_filters import event_dimensions, names, pages_of
from maicivy.storage.visit_hits import needs_property
from maicivy.storage.visit_question import Question

_MANY: Final = 8
"""Of more than one in so many visits all elements of the block are looked at at once."""


class _Columns(msgspec.Struct):
    """Rows that are being made: `owner`, `cell`, `n`, and what else is wanted, by name."""

    bucket: OneOrEach
    by_name: dict[str, npt.NDArray[np.int64]]

    def taken(self, places: Numbers) -> _Columns:
        """Some of the rows."""
        bucket = self.bucket if isinstance(self.bucket, int) else self.bucket[places]
        return _Columns(bucket, {name: column.take(places) for name, column in self.by_name.items()})


class Happenings:
    """Makes the rows, block by block."""

    def __init__(self, question: Question, time: Time, lookup: Lookup, keys: Keys, of_events: Filter | None) -> None:
        self._question = question
        self._time = time
        self._lookup = lookup
        self._keys = keys
        self._filter = of_events
        self._pages = pages_of(question.filter)
        self._has_properties = any(
            name.startswith(PROPERTY) for name in event_dimensions(question.dimensions, question.filter)
        )
        self._needs_property = of_events is not None and needs_property(of_events)
        parts = of_events.filters if isinstance(of_events, And) else ()
        of_actions = tuple(part for part in parts if names(part) <= set(EVENT_DIMENSIONS))
        self._of_actions = And(of_actions) if of_actions else None
        self._needs_action = bool(question.sums & {"readers", "pageviews"}) or keys.has_actions
        # Of a visit that has each page in one element only, no two elements belong together.
        self._tells_elements_apart = not self._has_properties and "event:page" in question.dimensions

    def rows(self, visits: Visits) -> Iterator[Rows]:
        """The rows of visits of a block."""
        elements = self._elements(visits.block, visits.inside)
        if self._keys.has_actions or self._keys.properties:
            yield from self._by_element(visits, elements)
        else:
            yield self._rows(visits, self._by_visit(visits, elements))
        if len(visits.across):
            across = self._joined(self._across(visits, self._elements(visits.block, visits.across)))
            yield self._rows(visits, self._in_slice(self._with_earlier(across)))

    def _by_element(self, visits: Visits, elements: Elements) -> Iterator[Rows]:
        """The rows of visits that lie in one bucket; only elements that may belong together are looked through."""
        is_lone = np.bincount(elements.owner, minlength=visits.block.visits) == 1
        if self._tells_elements_apart:
            is_lone |= visits.has(PLAIN, None)
        is_lone = is_lone[elements.owner]
        lone = elements.kept(is_lone)
        yield self._rows(visits, self._columns(visits, lone, visits.buckets(lone.owner)))
        if lone is not elements:
            others = elements.taken(np.flatnonzero(~is_lone))
            yield self._rows(visits, self._joined(self._columns(visits, others, visits.buckets(others.owner))))

    def _by_visit(self, visits: Visits, elements: Elements) -> _Columns:
        """The same where all that happened in a visit belongs together; elements in the order of visits."""
        block, owner = visits.block, elements.owner
        starts = np.flatnonzero(is_first(owner))
        columns = self._amounts(block, elements)
        if len(starts) < len(owner):
            owner = owner.take(starts)
            columns = {name: _FOLDS[name](column, starts) for name, column in columns.items()}
        bucket = visits.buckets(owner)
        cell = self._keys.cells(len(owner), self._keys.of_visits(block, owner), self._time.groups_of(bucket))
        columns |= {"owner": owner, "cell": cell}
        if self._pages is not None and self._question.sums & {"bounces", "entries"}:
            columns["entered"] = Judge(self._lookup, block).entries(self._pages, owner).astype(np.int64)
        return _Columns(bucket, columns)

    def _elements(self, block: Block, visits: Numbers | None) -> Elements:
        """What happened in visits that the filter is true for."""
        judge, condition = Judge(self._lookup, block), self._filter
        if self._needs_property:
            elements = Elements.with_properties(block, self._lookup, visits)
        elif self._of_actions is not None and (visits is None or _MANY * len(visits) > block.visits):
            actions = judge.actions(self._of_actions)
            if actions.all():
                elements = Elements.of_visits(block, self._lookup, visits)
            else:
                elements = Elements.of_actions(block, self._lookup, visits, actions)
            condition = None if condition == self._of_actions else condition
        else:
            elements = Elements.of_visits(block, self._lookup, visits)
        if self._has_properties and not self._needs_property:
            if condition is not None and not self._keys.properties:
                return self._counted(judge, elements, condition)
            elements = elements.by_property_event()
        return elements if condition is None else elements.kept(judge.rows(condition, elements))

    def _counted(self, judge: Judge, elements: Elements, condition: Filter) -> Elements:
        """Elements with as many of their events as the filter is true for, where it does not matter which."""
        events, rows = elements.property_events()
        true = rows[np.flatnonzero(judge.rows(condition, events))]
        size = len(elements.owner)
        others = elements.n - np.bincount(rows, minlength=size)  # those are judged as what has no properties
        counts = others * judge.rows(condition, elements) + np.bincount(true, minlength=size)
        return elements.with_counts(counts).kept(counts > 0)

    def _across(self, visits: Visits, elements: Elements) -> _Columns:
        """Elements of visits across, by their own time, as far as they lie in the range."""
        at = visits.begin[elements.owner] + elements.column("at").astype(np.int64)
        start, end = self._time.start - visits.block.base, self._time.end - visits.block.base
        in_range = np.flatnonzero((at >= start) & (at < end))
        return self._columns(visits, elements.taken(in_range), visits.buckets_of(at[in_range]))

    def _columns(self, visits: Visits, elements: Elements, bucket: OneOrEach) -> _Columns:
        block, owner = visits.block, elements.owner
        columns = self._amounts(block, elements) | {"owner": owner}
        of_actions = self._keys.of_actions(block)
        columns["cell"] = self._keys.cells(
            len(owner),
            self._keys.of_visits(block, owner),
            self._time.groups_of(bucket),
            of_actions=of_actions if isinstance(of_actions, int) else of_actions[elements.action],
            of_properties=self._keys.of_properties([elements.property_numbers(name) for name in self._keys.properties]),
        )
        if self._question.sums & {"bounces", "entries"}:
            entered = self._entered(block, elements)
            if entered is not None:
                columns["entered"] = entered.astype(np.int64)
        return _Columns(bucket, columns)

    def _amounts(self, block: Block, elements: Elements) -> dict[str, Numbers]:
        """How much there was of each element."""
        sums, amounts = self._question.sums, {"n": elements.n}
        if sums & {"readers", "pageviews"}:
            amounts["views"] = elements.n * self._lookup.truths(VIEW, block.ids["action"])[elements.action]
        if "engaged_ms" in sums:
            amounts["engaged"] = elements.column("engaged").astype(np.int64)
        if sums & {"scrolled", "scroll_sum"}:
            amounts["scroll"] = elements.column("scroll").astype(np.int64)
        return amounts

    def _entered(self, block: Block, elements: Elements) -> Truths | None:
        """Whether visits entered on the page that is asked about, where one is."""
        entered = None
        if self._pages is not None:
            entered = Judge(self._lookup, block).entries(self._pages, elements.owner)
        if "event:page" in self._question.dimensions:
            of_entries, of_actions = (
                self._lookup.numbers("event:page", block.ids[name]) for name in ("entry", "action")
            )
            on_this = of_entries[block.columns["entry"][elements.owner]] == of_actions[elements.action]
            entered = on_this if entered is None else entered & on_this
        return entered

    def _joined(self, columns: _Columns) -> _Columns:
        """One row of all those of a visit with the same values in a bucket; by visit, values and bucket."""
        owner, cell = columns.by_name["owner"], columns.by_name["cell"]
        if not len(owner):
            return columns
        keys = (owner * self._keys.count + cell) * self._time.ends.size + columns.bucket
        order = None
        if (keys[1:] < keys[:-1]).any():
            order = np.argsort(keys, kind="stable")  # they are nearly in order: a fifth of the time of other kinds
            keys = keys[order]
        starts = np.flatnonzero(is_first(keys))
        if len(starts) == len(keys):
            return columns if order is None else columns.taken(order)
        joined = columns.taken(starts if order is None else order[starts])
        for name, fold in _FOLDS.items():
            if name in columns.by_name:
                column = columns.by_name[name]
                joined.by_name[name] = fold(column if order is None else column.take(order), starts)
        return joined

    def _with_earlier(self, columns: _Columns) -> _Columns:
        """The rows of `_joined` with what earlier ones of the same visit, group and values have counted."""
        found = columns.by_name
        is_new = is_first(found["owner"]) | is_first(found["cell"])
        run = np.cumsum(is_new) - 1
        firsts = np.flatnonzero(is_new)

        def had(truths: Truths) -> Numbers:
            before: Numbers = np.cumsum(truths) - truths
            was: Numbers = (before > before[firsts[run]]).astype(np.int64)
            return was

        found["counted"] = had(found["n"] > 0)
        if "views" in found:
            found["read"] = had(found["views"] > 0)
        if "scroll" in found:
            so_far = np.maximum.accumulate(run * 256 + found["scroll"]) - run * 256  # percent, and one more
            earlier = np.zeros(len(run), np.int64)
            earlier[1:] = so_far[:-1]
            earlier[is_new] = 0
            found["scrolled_to"] = earlier
        return columns

    def _in_slice(self, columns: _Columns) -> _Columns:
        return columns.taken(np.flatnonzero((columns.bucket >= self._time.first) & (columns.bucket <= self._time.last)))

    def _rows(self, visits: Visits, columns: _Columns) -> Rows:
        found, sums = columns.by_name, self._question.sums
        owner, n = found["owner"], found["n"]
        touched = _unless_all(n > 0)
        new = _both(touched, found.get("counted"))
        entered = new
        if "entered" in found:
            entered = found["entered"] > 0 if new is None else (found["entered"] > 0) & new
        figures: dict[str, Figure] = {"events": n, "visits": new, "entries": entered}
        if "bounces" in sums:
            bounced = visits.has(BOUNCED, owner)
            figures["bounces"] = bounced if entered is None else bounced & entered
        if "duration_us" in sums:
            duration = visits.column("duration", owner).astype(np.int64)
            figures["duration_us"] = duration if new is None else duration * new
        if "views" in found:
            figures["pageviews"] = found["views"]
            figures["readers"] = _both(found["views"] > 0, found.get("read"))
        if "engaged" in found:
            figures["engaged_ms"] = found["engaged"]
        if "scroll" in found:
            figures |= _of_scroll(found["scroll"], found.get("scrolled_to"))
        wanted = {name: each for name, each in figures.items() if name in sums}
        return Rows(owner, found["cell"], columns.bucket, touched, wanted)


def _of_scroll(scroll: Numbers, earlier: Numbers | None) -> dict[str, Figure]:
    """Of depths plus 1, 0 where it was not told."""
    told, depth = scroll > 0, np.maximum(scroll - 1, 0)
    if earlier is None:
        return {"scrolled": told, "scroll_sum": depth}
    again = told & (earlier > 0)
    return {"scrolled": told & ~again, "scroll_sum": depth - again * np.minimum(depth, earlier - 1)}


def _both(truths: Truths | None, again: Numbers | None) -> Truths | None:
    """True where it is so, and was not before."""
    if again is None:
        return truths
    new: Truths = again == 0
    return new if truths is None else truths & new


def _unless_all(truths: Truths) -> Truths | None:
    return None if truths.all() else truths


def _summed(numbers: Numbers, starts: Numbers) -> Numbers:
    """The sum of each run; a third of the time of `reduceat`."""
    before = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(numbers, out=before[1:])
    summed: Numbers = np.diff(before[np.append(starts, len(numbers))])
    return summed


def _deepest(numbers: Numbers, starts: Numbers) -> Numbers:
    deepest: Numbers = np.maximum.reduceat(numbers, starts)
    return deepest


_FOLDS: Final = {"n": _summed, "views": _summed, "engaged": _summed, "scroll": _deepest}
"""How columns of several elements become one; others are the same in all of them."""
