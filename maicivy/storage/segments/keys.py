"""What tells rows of figures from one another, as one number: values of dimensions, and a group of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from maicivy.core.query import PROPERTY
from maicivy.storage.segments.block import Block
from maicivy.storage.segments.judging import COLUMN_OF
from maicivy.storage.segments.lookups import Lookup
from maicivy.storage.segments.numbering import OPEN, Cells, Composite, Numbers, OneOrEach
from maicivy.storage.visit_question import Question


class Keys:
    """Numbers for the values that rows have of the question's dimensions, and their groups."""

    def __init__(self, question: Question, lookup: Lookup, groups: Sequence[datetime]) -> None:
        self._lookup = lookup
        self._dimensions = question.dimensions
        self._groups = groups
        self._properties = [name for name in question.dimensions if name.startswith(PROPERTY)]
        self._columns: dict[str, list[str]] = {}
        self._actions = []
        for name in question.dimensions:
            if name in COLUMN_OF:
                self._columns.setdefault(COLUMN_OF[name], []).append(name)
            elif name not in self._properties:
                self._actions.append(name)
        self._of_properties = Composite([OPEN] * len(self._properties))
        self._of_column = {column: self._sizes(names) for column, names in self._columns.items()}
        self._of_visits = Composite([each.size for each in self._of_column.values()])
        self._of_actions = self._sizes(self._actions)
        self._cells = Cells()
        self._all = Composite([self._of_properties.size, self._of_visits.size, self._of_actions.size, len(groups)])

    def of_visits(self, block: Block, visits: Numbers | None) -> OneOrEach:
        """Of the dimensions of some visits of a block; None: of all."""
        found = []
        for column, names in self._columns.items():
            ids, codes = block.ids[column], block.columns[column]
            table = self._of_column[column].of([self._lookup.numbers(name, ids) for name in names])
            found.append(table if isinstance(table, int) else table[codes if visits is None else codes.take(visits)])
        return self._of_visits.of(found)

    def of_actions(self, block: Block) -> OneOrEach:
        """Of the dimensions of actions, for each of the block's list."""
        if not self._actions:
            return 0
        ids = block.ids["action"]
        return self._of_actions.of([self._lookup.numbers(name, ids) for name in self._actions])

    def of_properties(self, numbers: Sequence[Numbers]) -> OneOrEach:
        """Of properties, of which each row has such numbers."""
        return self._of_properties.of(numbers)

    @property
    def has_actions(self) -> bool:
        """Whether dimensions of actions are among them."""
        return bool(self._actions)

    @property
    def properties(self) -> Sequence[str]:
        """The dimensions that are properties, as `of_properties` takes them."""
        return self._properties

    def cells(
        self,
        length: int,
        of_visits: OneOrEach,
        groups: OneOrEach,
        *,
        of_actions: OneOrEach = 0,
        of_properties: OneOrEach = 0,
    ) -> Numbers:
        """Small numbers, from 0 without gaps, for so many rows that have these."""
        codes = self._all.of([of_properties, of_visits, of_actions, groups])
        return self._cells.of(np.full(length, codes) if isinstance(codes, int) else codes)

    @property
    def count(self) -> int:
        """How many numbers `cells` has given."""
        return self._cells.count

    def decomposed(self, cells: Numbers) -> tuple[list[datetime], list[list[str]]]:
        """Groups, and for each dimension the values, that numbers of `cells` stand for."""
        of_properties, of_visits, of_actions, groups = self._all.decomposed(self._cells.codes[cells])
        numbers: dict[str, Numbers] = dict(
            zip(self._properties, self._of_properties.decomposed(of_properties), strict=True)
        )
        columns = zip(self._columns.items(), self._of_visits.decomposed(of_visits), strict=True)
        for (column, names), found in columns:
            numbers |= zip(names, self._of_column[column].decomposed(found), strict=True)
        numbers |= zip(self._actions, self._of_actions.decomposed(of_actions), strict=True)
        values = []
        for name in self._dimensions:
            texts = self._lookup.texts(name)
            values.append([texts[number] for number in numbers[name].tolist()])
        return [self._groups[group] for group in groups.tolist()], values

    def _sizes(self, names: Sequence[str]) -> Composite:
        return Composite([len(self._lookup.texts(name)) for name in names])
