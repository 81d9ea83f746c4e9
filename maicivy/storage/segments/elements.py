"""Elements of visits of a block, as far as a question is about them."""

from __future__ import annotations

import numpy as np

from maicivy.core.query import PROPERTY
from maicivy.storage.segments.block import OF_PROPERTIES
from maicivy.storage.segments.lookups import ABSENT, Lookup, Numbers, Truths
from maicivy.storage.segments.numbering import ranges
from maicivy.storage.segments.touches import Visits


class Elements:
    """Elements of visits that a question is about. With properties, events that have some stand beside what is left of
    their elements without them."""

    def __init__(self, visits: Visits, lookup: Lookup) -> None:
        self._visits = visits
        self._lookup = lookup
        self._columns = visits.block.columns
        counts = self._columns["elements"].astype(np.int64)
        self.places: Numbers | None = None  # None: all elements of the block
        if visits.chosen is not None:
            starts = np.cumsum(counts) - counts
            counts, starts = counts[visits.chosen], starts[visits.chosen]
            self.places = ranges(starts, counts)
        self.owner: Numbers = np.repeat(np.arange(visits.count), counts)
        self.n: Numbers = self.column("count").astype(np.int64)
        self._events: Numbers | None = None  # number of the event with properties; -1: not one of those

    @property
    def action(self) -> Numbers:
        """See `judging.Rows`."""
        return self.column("action").astype(np.int64)

    def column(self, name: str) -> Numbers:
        """A column of them."""
        column = self._columns[name]
        return column if self.places is None else column[self.places]

    def keep(self, wanted: Truths) -> None:
        """Drop all others."""
        if wanted.all():
            return
        some = np.flatnonzero(wanted)
        self.owner, self.n = self.owner[some], self.n[some]
        self.places = some if self.places is None else self.places[some]
        self._events = None if self._events is None else self._events[some]

    def tell_events_apart(self, *, others: bool) -> None:
        """Events with properties each apart; `others`: and what else happened."""
        told = self._columns[OF_PROPERTIES].astype(np.int64)
        events = np.arange(len(told))
        if self.places is not None:
            rows = np.full(len(self._columns["count"]), -1)
            rows[self.places] = np.arange(len(self.places))
            told = rows[told]
            events = np.flatnonzero(told >= 0)
            told = told[events]
        rest = np.zeros(0, np.int64)
        left = rest
        if others:
            left = self.n - np.bincount(told, minlength=len(self.n))
            rest = np.flatnonzero(left > 0)
            left = left[rest]
        rows = np.concatenate((rest, told))
        self.owner = self.owner[rows]
        self.n = np.concatenate((left, np.ones(len(told), np.int64)))
        self.places = rows if self.places is None else self.places[rows]
        self._events = np.concatenate((np.full(len(rest), -1), events))

    def property_numbers(self, name: str) -> Numbers:
        """See `judging.Rows`."""
        name = name.removeprefix(PROPERTY)
        found = self._visits.block.properties.get(name)
        if self._events is None or found is None:
            return np.full(len(self.n), ABSENT)
        # One more than there are: what has no number is looked up in the last place.
        numbers = np.full(len(self._columns[OF_PROPERTIES]) + 1, ABSENT)
        numbers[found.events] = self._lookup.numbers_of_texts(PROPERTY + name, found.values)[found.code]
        return numbers[self._events]
