"""Elements of visits of a block, as far as a question is about them."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np

from maicivy.core.query import PROPERTY
from maicivy.storage.segments.block import OF_PROPERTIES, Block
from maicivy.storage.segments.lookups import ABSENT, Lookup, Truths
from maicivy.storage.segments.numbering import Numbers, ranges

_FEW: Final = 16
"""Owners of fewer than one of so many elements are searched for, those of more written down for all."""


class Elements:
    """Some elements of a block, or events of them that have properties.

    Attributes:
        owner: the places of their visits in the block.
    """

    def __init__(
        self,
        block: Block,
        lookup: Lookup,
        owner: Numbers,
        places: Numbers | None,
        events: Numbers | None = None,
        counts: Numbers | None = None,
    ) -> None:
        self.owner = owner
        self._block = block
        self._lookup = lookup
        self._places = places  # None: all
        self._events = events  # numbers of events with properties; -1: none of those; None: none is
        self._counts = counts  # None: what the column says

    @classmethod
    def of_visits(cls, block: Block, lookup: Lookup, visits: Numbers | None) -> Elements:
        """Those of some visits; None: of all."""
        counts = block.columns["elements"].astype(np.int64)
        if visits is None:
            return cls(block, lookup, np.repeat(np.arange(block.visits), counts), None)
        starts, lengths = np.cumsum(counts)[visits], counts[visits]
        return cls(block, lookup, np.repeat(visits, lengths), ranges(starts - lengths, lengths))

    @classmethod
    def of_actions(cls, block: Block, lookup: Lookup, visits: Numbers | None, actions: Truths) -> Elements:
        """Those of some visits that are of some actions."""
        places = np.flatnonzero(actions[block.columns["action"]])
        return cls._at(block, lookup, visits, places, None)

    @classmethod
    def with_properties(cls, block: Block, lookup: Lookup, visits: Numbers | None) -> Elements:
        """Events of some visits that have properties."""
        places = block.columns[OF_PROPERTIES].astype(np.int64)
        return cls._at(block, lookup, visits, places, np.arange(len(places)))

    @classmethod
    def _at(
        cls, block: Block, lookup: Lookup, visits: Numbers | None, places: Numbers, events: Numbers | None
    ) -> Elements:
        counts = block.columns["elements"].astype(np.int64)
        if len(places) * _FEW < len(block.columns["count"]):
            owner = np.searchsorted(np.cumsum(counts), places, side="right")
        else:
            owner = np.repeat(np.arange(block.visits), counts)[places]
        found = cls(block, lookup, owner, places, events, None if events is None else np.ones(len(events), np.int64))
        if visits is None:
            return found
        is_meant = np.zeros(block.visits, np.bool_)
        is_meant[visits] = True
        return found.kept(is_meant[owner])

    @cached_property
    def n(self) -> Numbers:
        """How many events each is."""
        return self.column("count").astype(np.int64) if self._counts is None else self._counts

    @cached_property
    def action(self) -> Numbers:
        """See `judging.Judgeable`."""
        return self.column("action").astype(np.int64)

    def column(self, name: str) -> Numbers:
        """A column of them."""
        column = self._block.columns[name]
        return column if self._places is None else column.take(self._places)

    def kept(self, wanted: Truths) -> Elements:
        """Those that are wanted."""
        return self if wanted.all() else self.taken(np.flatnonzero(wanted))

    def taken(self, some: Numbers) -> Elements:
        """Those at some places among them."""
        places = some if self._places is None else self._places.take(some)
        events = None if self._events is None else self._events[some]
        counts = None if self._counts is None else self._counts[some]
        return Elements(self._block, self._lookup, self.owner.take(some), places, events, counts)

    def property_events(self) -> tuple[Elements, Numbers]:
        """Their events that have properties, and the place among them of the element of each; of all elements of the
        block, or some in their order."""
        rows = self._block.columns[OF_PROPERTIES].astype(np.int64)
        events = np.arange(len(rows))
        if self._places is not None:
            wanted, rows = rows, np.searchsorted(self._places, rows)
            events = np.flatnonzero(np.append(self._places, -1)[rows] == wanted)
            rows = rows[events]
        places = rows if self._places is None else self._places[rows]
        ones = np.ones(len(rows), np.int64)
        return Elements(self._block, self._lookup, self.owner[rows], places, events, ones), rows

    def by_property_event(self) -> Elements:
        """Each of their events that have properties by itself, and beside them what else happened in each."""
        events, rows = self.property_events()
        left = self.n - np.bincount(rows, minlength=len(self.n))
        rest = self.with_counts(left).kept(left > 0)
        return Elements(
            self._block,
            self._lookup,
            np.concatenate((rest.owner, events.owner)),
            np.concatenate((rest.places, events.places)),
            np.concatenate((np.full(len(rest.owner), -1), events.events)),
            np.concatenate((rest.n, events.n)),
        )

    def with_counts(self, counts: Numbers) -> Elements:
        """The same with other numbers of events."""
        return Elements(self._block, self._lookup, self.owner, self._places, self._events, counts)

    @property
    def places(self) -> Numbers:
        """Their places in the block."""
        return np.arange(len(self.owner)) if self._places is None else self._places

    @property
    def events(self) -> Numbers:
        """The numbers of the events with properties that they are; -1: another."""
        return np.full(len(self.owner), -1) if self._events is None else self._events

    def property_numbers(self, name: str) -> Numbers:
        """See `judging.Judgeable`."""
        found = self._block.properties.get(name.removeprefix(PROPERTY))
        if self._events is None or found is None:
            return np.full(len(self.owner), ABSENT)
        # One more than there are: what has none is looked up in the last place.
        numbers = np.full(len(self._block.columns[OF_PROPERTIES]) + 1, ABSENT)
        numbers[found.events] = self._lookup.numbers_of_texts(name, found.values)[found.code]
        return numbers[self._events]
