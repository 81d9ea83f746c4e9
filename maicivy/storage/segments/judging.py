"""Whether a filter is true for visits of a block, and for what happened in them.

A part of a filter that names dimensions of one dictionary only is judged for each id of it, not for each visit; one
about visits for each visit; and only what mixes both for each thing that happened.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np

from maicivy.core.query import PROPERTY, And, Filter, Match, Not
from maicivy.storage.segments.block import CODED, Block
from maicivy.storage.segments.lookups import Lookup, Truths
from maicivy.storage.segments.numbering import Numbers
from maicivy.storage.visit_filters import OF_VISITS

COLUMN_OF: dict[str, str] = {name: column.removesuffix("_id") for name, (column, _, _) in OF_VISITS.items()}
"""Dimension of visits -> column of blocks."""

Level: TypeAlias = str
"""What truths are about: ids of a column, `VISIT`, or `ROW`."""

ACTION, VISIT, ROW = "action", "visit", "row"


class Judgeable(Protocol):
    """What happened in visits, one thing after the other."""

    @property
    def owner(self) -> Numbers:
        """The place of the visit of each in the block."""

    @property
    def action(self) -> Numbers:
        """The place of the action of each in the block's list."""

    def property_numbers(self, name: str) -> Numbers:
        """The number of the value that each has of a property."""


class Judge:
    """Judges filters over a block."""

    def __init__(self, lookup: Lookup, block: Block) -> None:
        self._lookup = lookup
        self._block = block

    def visits(self, condition: Filter) -> Truths:
        """For each visit of the block whether a filter is true that names nothing but dimensions of visits."""
        return self._for(VISIT, *self._judged(condition, None), None)

    def rows(self, condition: Filter, rows: Judgeable) -> Truths:
        """For each row whether a filter is true."""
        return self._for(ROW, *self._judged(condition, rows), rows)

    def actions(self, condition: Filter) -> Truths:
        """For each of the block's list of actions whether a filter is true, which names nothing but dimensions of
        actions."""
        return self._judged(condition, None)[1]

    def entries(self, condition: Filter, visits: Numbers) -> Truths:
        """For each of some visits whether a filter, which names nothing but `event:page`, is true for the page that it
        entered on."""
        return self._entry(condition)[self._block.columns["entry"][visits]]

    def _entry(self, condition: Filter) -> Truths:
        if isinstance(condition, Match):
            return self._lookup.truths(condition, self._block.ids["entry"])
        if isinstance(condition, Not):
            return ~self._entry(condition.filter)
        fold = np.logical_and if isinstance(condition, And) else np.logical_or
        truths: Truths = fold.reduce([self._entry(each) for each in condition.filters])
        return truths

    def _judged(self, condition: Filter, rows: Judgeable | None) -> tuple[Level, Truths]:
        if isinstance(condition, Match):
            return self._match(condition, rows)
        if isinstance(condition, Not):
            level, truths = self._judged(condition.filter, rows)
            return level, ~truths
        fold = np.logical_and if isinstance(condition, And) else np.logical_or
        parts: dict[Level, Truths] = {}
        for level, truths in (self._judged(each, rows) for each in condition.filters):
            parts[level] = fold(parts[level], truths) if level in parts else truths
        if len(parts) == 1:
            return parts.popitem()
        target = ROW if ACTION in parts or ROW in parts else VISIT
        of_visits = [self._for(VISIT, level, parts.pop(level), None) for level in [*parts] if level in (*CODED, VISIT)]
        if of_visits:
            parts[VISIT] = fold.reduce(of_visits)
        if target == VISIT:
            return VISIT, parts[VISIT]
        joined: Truths = fold.reduce([self._for(ROW, level, truths, rows) for level, truths in parts.items()])
        return ROW, joined

    def _match(self, match: Match, rows: Judgeable | None) -> tuple[Level, Truths]:
        if match.dimension.startswith(PROPERTY):
            assert rows is not None
            numbers = rows.property_numbers(match.dimension)
            return ROW, self._lookup.truths_of_texts(match)[numbers]
        column = COLUMN_OF.get(match.dimension, ACTION)
        return column, self._lookup.truths(match, self._block.ids[column])

    def _for(self, target: Level, level: Level, truths: Truths, rows: Judgeable | None) -> Truths:
        if level in CODED:
            truths, level = truths[self._block.columns[level]], VISIT
        if target == ROW and level != ROW:
            assert rows is not None
            truths = truths[rows.action if level == ACTION else rows.owner]
        return truths
