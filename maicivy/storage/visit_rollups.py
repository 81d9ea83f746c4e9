"""The SQL of rollups: figures of a question out of the buckets that its plan has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from maicivy.core.buckets import Grain
from maicivy.core.query import And, Filter, Match, Not, Query
from maicivy.storage.visit_filters import Values, matching
from maicivy.storage.visit_question import WHOLE

FIRSTS: Final = 100
"""Values of a bucket that are read for the first rows of an answer: some ten times as many as those."""


class Rollups(msgspec.Struct, frozen=True):
    """Buckets of one dimension, and of weeks, which say what those of their days do.

    Attributes:
        dimension: "all", or that of the question or its filter.
        grain: of the buckets that are no weeks.
        bounds: when all buckets of the question begin, ascending; groups: for each when its group does.
        starts, weeks: of the buckets that are read, ascending; not both are empty.
        is_range: there are no other buckets between the first and the last of `starts`.
        sums: the figures wanted.
        values: what the statement's values are bound to.
    """

    query: Query
    dimension: str
    grain: Grain
    bounds: tuple[datetime, ...]
    groups: tuple[datetime, ...]
    starts: Sequence[datetime]
    weeks: Sequence[datetime]
    sums: frozenset[str]
    is_range: bool
    values: Values

    def figures(self) -> str:
        """A SELECT of `grp` and `d0`, where the question has them, `touches`, `visitors` and the sums: a row for each
        group and value.

        Arrays are taken apart in the list of what is selected: none of their rows is put aside then, as behind FROM,
        which took as long as to add them up. Sums are of the type of the arrays, because those of `bigint` are numeric.
        """
        has_time = any(name.startswith("time:") for name in self.query.dimensions)
        has_values = any(not name.startswith("time:") for name in self.query.dimensions)
        keys = [*(["grp"] if has_time else []), *(["d0"] if has_values else [])]
        apart = self._taken_apart(with_values=has_values or self.query.filter is not None)
        if has_time and self.groups == self.bounds:
            apart.append("b.start AS grp")
        elif has_time:
            groups, bounds = (self.values.bind(list(each), "timestamptz[]") for each in (self.groups, self.bounds))
            apart.append(f"({groups})[array_position({bounds}, b.start)] AS grp")
        summed = [f"sum({figure})::bigint AS {name}" for name, figure in self._figures.items()]
        filtered = "" if self.query.filter is None else f" WHERE {_on_values(self.query.filter, self.values)}"
        grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
        return (
            f"SELECT {', '.join([*keys, *summed])}"
            f" FROM (SELECT {', '.join(apart)} FROM {self._buckets}) AS e{filtered}{grouped}"
        )

    def cut(self) -> str:
        """A SELECT of the buckets, cut to the `FIRSTS` values that have the most visitors. `told`: 1 where there are
        more; `least`: the visitors of the last that is left then."""
        has_more = f"cardinality(b.visitors) > {FIRSTS:d}"
        columns = [f"b.{name}[1:{FIRSTS:d}] AS {name}" for name in (*self._arrays, "values")]
        columns += [
            f"({has_more})::int AS told",
            f"CASE WHEN {has_more} THEN b.visitors[{FIRSTS:d}] ELSE 0 END AS least",
        ]
        return f"SELECT b.start, {', '.join(columns)} FROM {self._buckets}"

    def firsts(self, cut: str) -> str:
        """A SELECT of `d0`, `touches`, `visitors` and the sums out of what `cut` gives, of one dimension and no time;
        with `told` and `least` of the buckets that have the value, added up."""
        apart = [*self._taken_apart(with_values=True), "b.told", "b.least"]
        figures = self._figures | {"told": "told", "least": "least"}
        summed = [f"sum({figure})::bigint AS {name}" for name, figure in figures.items()]
        return f"SELECT d0, {', '.join(summed)} FROM (SELECT {', '.join(apart)} FROM {cut} AS b) AS e GROUP BY d0"

    def _taken_apart(self, *, with_values: bool) -> list[str]:
        """What is selected of the arrays of buckets."""
        apart = [f"unnest(b.{name}) AS {name}" for name in self._arrays]
        apart += ["unnest(b.values) AS d0"] if with_values else []
        return [*apart, f"{self._first} AS first"] if self._shared else apart

    @property
    def _arrays(self) -> list[str]:
        others = [name for name in sorted(self.sums) if name != "visits"]
        return ["visitors", "visits", *others, *(f"{name}_again" for name in self._shared)]

    @property
    def _shared(self) -> list[str]:
        """What counts once in a group, and is left out where the bucket before has counted it; none where groups are
        buckets."""
        return [] if self.groups == self.bounds else [name for name in sorted(self.sums) if name in WHOLE]

    @property
    def _first(self) -> str:
        """Whether a bucket is the first of its group."""
        each = zip(self.bounds, self.groups, (None, *self.groups[:-1]), strict=True)
        firsts = [bound for bound, group, before in each if group != before]
        return f"b.start = ANY ({self.values.bind(firsts, 'timestamptz[]')})"

    @property
    def _figures(self) -> dict[str, str]:
        shared = self._shared
        figures = {
            name: f"CASE WHEN first THEN {name} ELSE {name} - coalesce({name}_again, 0) END" if name in shared else name
            for name in sorted(self.sums)
        }
        return {"touches": "visits", "visitors": "visitors"} | figures

    @property
    def _buckets(self) -> str:
        """A FROM of the rollups that are read, as `b`."""
        bots = "" if self.query.include_bots else " AND NOT b.bot"
        kinds = [self._of_grain(*each) for each in ((self.grain, self.starts), (Grain.WEEK, self.weeks)) if each[1]]
        return (
            f"buckets b WHERE b.site_id = {self.values.bind(self.query.site_id, 'integer')}"
            f" AND b.dimension = {self.values.bind(self.dimension, 'text')}{bots} AND ({' OR '.join(kinds)})"
        )

    def _of_grain(self, grain: Grain, starts: Sequence[datetime]) -> str:
        of = self.values.bind(str(grain), "text")
        if grain is self.grain and self.is_range:
            first, last = (self.values.bind(moment, "timestamptz") for moment in (starts[0], starts[-1]))
            return f"b.grain = {of} AND b.start BETWEEN {first} AND {last}"
        return f"b.grain = {of} AND b.start = ANY ({self.values.bind(list(starts), 'timestamptz[]')})"


def _on_values(condition: Filter, values: Values) -> str:
    """The filter, which names no other dimension, as a condition on the values of a rollup."""
    if isinstance(condition, Match):
        return matching("e.d0", condition, values)
    if isinstance(condition, Not):
        return f"NOT {_on_values(condition.filter, values)}"
    joined = " AND " if isinstance(condition, And) else " OR "
    return f"({joined.join(_on_values(each, values) for each in condition.filters)})"
