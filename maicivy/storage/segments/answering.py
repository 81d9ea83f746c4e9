"""A question about a slice of time, answered out of segments: its figures as a SELECT that stands beside others."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TypeVar

import msgspec
import numpy as np
import sqlalchemy as sa

from maicivy.storage.segments.bounds import Bounds
from maicivy.storage.segments.dictionaries import Memory
from maicivy.storage.segments.figures import OF_SINGLE, Figures, columns, dimensions_of, properties, work_out
from maicivy.storage.segments.lookups import Lookup
from maicivy.storage.segments.reading import Reading, Wanted
from maicivy.storage.visit_filters import Values
from maicivy.storage.visit_question import ENGAGED, Question, Slice

T = TypeVar("T")


class Fresh(msgspec.Struct, frozen=True):
    """Figures that were worked out over a slice."""

    question: Question
    figures: Figures

    def select(self, values: Values, most: int | None = None) -> str:
        """A SELECT of `grp`, the dimensions, `visitors`, `touches` and the sums, as `visit_sums.added_up` makes them,
        bound to `values`; of the rows with the most visitors, if there are more than `most`."""
        question, figures = self.question, self.figures
        first = self._first(most)
        names = ["visitors", "touches", *figures.sums]
        numbers = [
            "NULL::bigint[]"
            if each is None
            else values.bind(f"{{{','.join(map(str, _taken(each, first)))}}}", "bigint[]")
            for each in (figures.visitors, figures.touches, *figures.sums.values())
        ]
        texts = [values.bind(_taken(some, first), "text[]") for some in figures.values]
        columns_ = ", ".join([*question.dims, *names])
        groups = set(figures.groups)
        if len(groups) > 1:
            given, grp = [values.bind(_taken(figures.groups, first), "timestamptz[]")], "grp"
            columns_ = f"grp, {columns_}"
        else:
            given, grp = [], f"{values.bind(groups.pop() if groups else None, 'timestamptz')} AS grp"
        shown = ", ".join([grp, *question.dims, *names])
        return f"SELECT {shown} FROM unnest({', '.join([*given, *texts, *numbers])}) AS worked_out ({columns_})"

    def least(self, most: int) -> int | None:
        """The visitors of the last row of `select`; None where there are no others."""
        first = self._first(most)
        return None if first is None or self.figures.visitors is None else self.figures.visitors[first[-1]]

    def _first(self, most: int | None) -> list[int] | None:
        """The places of the rows with the most visitors, in their order; None: all."""
        visitors = self.figures.visitors
        if most is None or visitors is None or len(visitors) <= most:
            return None
        first: list[int] = np.argsort(-np.array(visitors), kind="stable")[:most].tolist()
        return first


def is_answerable(question: Question, part: Slice) -> bool:
    """Whether segments know enough: of the figures of engagement they do not know which event told them."""
    return part.is_aligned and not (question.sums & ENGAGED and properties(question))


def answered(
    connection: sa.Connection,
    question: Question,
    part: Slice,
    stale: Collection[datetime],
    memory: Memory,
    bounds: Bounds,
    *,
    with_visitors: bool,
) -> Fresh:
    """The figures of a slice.

    Args:
        stale: UTC hours of its days whose segments are not up to date.
        memory: of the edition that the connection's snapshot shows.
        bounds: of all slices of the question.

    Raises:
        TooMuch, Refusal: as `Bounds` does.
    """
    wanted = Wanted(
        frozenset(columns(question, with_visitors=with_visitors)),
        frozenset((OF_SINGLE,) if with_visitors else ()),
        frozenset(properties(question)),
    )
    reading = Reading(connection, question.site_id, part.slice_start, part.slice_end, stale, wanted)
    bounds.check_ids(reading.lists, dimensions_of(question))
    lookup = Lookup(connection, question, reading.lists, memory)
    return Fresh(question, work_out(question, part, reading.chunks(), lookup, bounds, with_visitors=with_visitors))


def _taken(column: list[T], places: list[int] | None) -> list[T]:
    return column if places is None else [column[place] for place in places]
