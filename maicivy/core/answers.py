"""An answer of the query engine as it goes over the wire, and how rows of the store become its results.

Figures are rounded here and nowhere else, halves away from zero. Rows of two ranges are compared by their values, and
by the place of their bucket of time in its range: the third day with the third day.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from maicivy.core import date_ranges
from maicivy.core.query import Query, Row
from maicivy.core.query_language import MAX_LIMIT, time_dimension

Figure = int | float | None

PERCENTAGE: Final = "percentage"
CONVERSION_RATE: Final = "conversion_rate"
SHARES: Final = (PERCENTAGE, CONVERSION_RATE)

_TWO_DECIMALS: Final = ("views_per_visit", *SHARES)
_NOTHING: Final[dict[str, Figure]] = {
    **dict.fromkeys(("visitors", "visits", "pageviews", "events"), 0),
    **dict.fromkeys(SHARES, 0.0),
}
"""Figures of a row that there is not; of means and rates there are none."""


class Compared(msgspec.Struct, frozen=True, gc=False):
    """The row of the range compared with. `change` is in percent, of bounce_rate and conversion_rate in percentage
    points; null where there is nothing to compare."""

    dimensions: list[str | None]
    metrics: list[Figure]
    change: list[Figure]


class Result(msgspec.Struct, frozen=True, gc=False):
    """One row: figures in the order of `metrics`, values in the order of `dimensions`."""

    metrics: list[Figure]
    dimensions: list[str]
    comparison: Compared | UnsetType = UNSET


class MetricHow(msgspec.Struct, frozen=True):
    """How a figure was computed, from which tiers, and how exact it is. `standard_error` is relative, and absent where
    the figure is exact."""

    method: str
    tiers: list[str]
    exact: bool
    standard_error: float | UnsetType = UNSET
    note: str | UnsetType = UNSET


class AnswerMeta(msgspec.Struct, frozen=True):
    """What is to be said of an answer. `as_of` is when it was computed; nothing has changed in it since."""

    metrics: dict[str, MetricHow]
    timezone: str
    as_of: str
    cached: bool = False
    warnings: list[str] = []
    imports_included: bool | UnsetType = UNSET
    total_rows: int | UnsetType = UNSET
    time_labels: list[str] | UnsetType = UNSET
    comparison_date_range: list[str] | UnsetType = UNSET


class Echo(msgspec.Struct, frozen=True):
    """The question as it was understood: a range in days or words as its first and last second, `time` as the interval
    that it stood for, defaults filled in."""

    site_id: int | str
    metrics: list[str]
    date_range: list[str]
    filters: list[Any]
    dimensions: list[str]
    order_by: list[list[str]]
    include: dict[str, Any]
    pagination: dict[str, int]
    timezone: str | UnsetType = UNSET
    include_bots: bool | UnsetType = UNSET


class Answer(msgspec.Struct, frozen=True):
    """An answer as it goes over the wire."""

    results: list[Result]
    meta: AnswerMeta
    query: Echo


class Laid(msgspec.Struct, frozen=True):
    """Starts of the buckets of both ranges, side by side."""

    mine: list[datetime]
    others: list[datetime]


def change(metric: str, before: Figure, after: Figure) -> Figure:
    """The change from one figure to another, in whole percent; of `bounce_rate` in whole percentage points and of
    `conversion_rate` in tenths of them. From nothing to something it is 100. None where there is nothing to compare.
    """
    if before is None or after is None:
        return None
    if metric == "bounce_rate":
        return after - before if before > 0 else None
    if metric == CONVERSION_RATE:
        return round(after - before, 1)
    if before == 0:
        return 100 if after > 0 else 0
    return _nearest((after - before) / before * 100)


def _rounded(metric: str, value: Figure) -> Figure:
    if value is None or (type(value) is int and metric not in _TWO_DECIMALS):
        return value
    return round(float(value), 2) if metric in _TWO_DECIMALS else _nearest(value)


def _nearest(value: float) -> int:
    """The nearest whole number, halves away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _figures_of(query: Query, row: Row) -> list[Figure]:
    return [_rounded(name, value) for name, value in zip(query.metrics, row.metrics, strict=True)]


def _values_of(query: Query, row: Row) -> list[str]:
    return [
        date_ranges.label(name, value, query.zone, query.start) if isinstance(value, datetime) else value
        for name, value in zip(query.dimensions, row.dimensions, strict=True)
    ]


def result(query: Query, row: Row) -> Result:
    """A row of the store as it is told."""
    return Result(_figures_of(query, row), _values_of(query, row))


def results(query: Query, rows: list[Row]) -> list[Result]:
    """Rows of the store as they are told: thousands for a month by the hour."""
    time_name = time_dimension(query.dimensions)
    if time_name is None:
        return [result(query, row) for row in rows]
    place, zone, start, found = query.dimensions.index(time_name), query.zone, query.start, []
    for row in rows:
        values: list[Any] = list(row.dimensions)
        values[place] = date_ranges.label(time_name, values[place], zone, start)
        found.append(Result(_figures_of(query, row), values))
    return found


def time_labels(query: Query) -> list[str] | UnsetType:
    """How each bucket of time of the range is told, also of those without a row; nothing for a query without time.

    Raises:
        Refusal: `too_many_rows`.
    """
    time_name = time_dimension(query.dimensions)
    if time_name is None:
        return UNSET
    starts = date_ranges.buckets(time_name, query.start, query.end, query.zone, "include.time_labels")
    return [date_ranges.label(time_name, at, query.zone, query.start) for at in starts]


def laid_out(query: Query, other: Query | None) -> Laid:
    """The buckets of time of a query and of the one that it is compared with; none where there is no such thing.

    Raises:
        Refusal: `too_many_rows`.
    """
    time_name = time_dimension(query.dimensions)
    if other is None or time_name is None:
        return Laid([], [])
    mine, others = (
        date_ranges.buckets(time_name, each.start, each.end, each.zone, "include.comparisons")
        for each in (query, other)
    )
    return Laid(mine, others)


def compared_results(query: Query, other: Query, laid: Laid, rows: list[Row], others: list[Row]) -> list[Result]:
    """Each row with its counterpart: the one of the same values, and of the bucket of time at the same place.

    By time alone, buckets in which nothing happened get rows too, as far as there is one to compare them with: else
    what happened in its place before could not be told.
    """
    rows = _filled(query, laid, rows)
    known = {_place(row, laid.others): row for row in others}
    cut = len(others) == MAX_LIMIT
    results = []
    for row in rows:
        mine, found = result(query, row), known.get(_place(row, laid.mine))
        values = [_counterpart(other, laid, value) for value in _place(row, laid.mine)]
        figures: list[Figure]
        if found is not None:
            figures = _figures_of(other, found)
        elif cut or None in values:
            figures = [None] * len(query.metrics)
        else:
            figures = [_NOTHING.get(name) for name in query.metrics]
        changes = [change(*each) for each in zip(query.metrics, figures, mine.metrics, strict=True)]
        results.append(msgspec.structs.replace(mine, comparison=Compared(values, figures, changes)))
    return results


def _filled(query: Query, laid: Laid, rows: list[Row]) -> list[Row]:
    time_name = time_dimension(query.dimensions)
    if time_name is None or len(query.dimensions) > 1 or query.offset or len(rows) == query.limit:
        return rows
    present = {_place(row, laid.mine)[0] for row in rows}
    nothing = tuple(_NOTHING.get(name) for name in query.metrics)
    pairs = enumerate(zip(laid.mine, laid.others, strict=False))
    empty = [Row((mine,), nothing) for place, (mine, _) in pairs if place not in present]
    return _ordered(query, laid, [*rows, *empty])[: query.limit] if empty else rows


def _ordered(query: Query, laid: Laid, rows: list[Row]) -> list[Row]:
    """Rows by time alone in the order of the query, as the store has them: what is not known last, what is equal by
    time."""
    rows = sorted(rows, key=lambda row: _place(row, laid.mine))
    for name, direction in reversed(query.order_by):
        if name in query.metrics:
            at = query.metrics.index(name)
            known = [row for row in rows if row.metrics[at] is not None]
            known.sort(key=lambda row: row.metrics[at] or 0, reverse=direction == "desc")
            rows = known + [row for row in rows if row.metrics[at] is None]
        else:
            rows.sort(key=lambda row: _place(row, laid.mine), reverse=direction == "desc")
    return rows


def _place(row: Row, starts: list[datetime]) -> tuple[str | int, ...]:
    """What a row is known by: its values, and of a time the number of its bucket."""
    return tuple(
        date_ranges.bucket_of(value, starts) if isinstance(value, datetime) else value for value in row.dimensions
    )


def _counterpart(other: Query, laid: Laid, value: str | int) -> str | None:
    if isinstance(value, str):
        return value
    time_name = time_dimension(other.dimensions)
    if value >= len(laid.others) or time_name is None:
        return None
    return date_ranges.label(time_name, laid.others[value], other.zone, other.start)
