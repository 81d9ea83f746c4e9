"""Where the axes of a chart have their ticks: round numbers upwards, round times along.

Positions only; how a tick is written is the business of whoever draws it. Times are told apart by what the clocks of
their zone show, never by arithmetic on seconds: the night in which an hour is missing has its ticks like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from maicivy.dashboard.formats import DURATIONS, PERCENTS

Kind = Literal["count", "decimal", "percent", "duration"]

_PERCENT_STEPS: Final = (1, 2, 5, 10, 20, 25, 50)
_SECONDS_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_SMALLEST: Final = 0.01
"""Figures have two decimals at most."""

_BACK: Final = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=1),
}
"""From the start of a bucket into the one before it."""

Group = Callable[[datetime, int], Hashable]


def kind_of(metric: str) -> Kind:
    """What the figures of a metric are."""
    if metric in PERCENTS:
        return "percent"
    if metric in DURATIONS:
        return "duration"
    return "decimal" if metric == "views_per_visit" else "count"


def value_ticks(highest: float, kind: Kind, intervals: int = 4) -> tuple[float, ...]:
    """Ascending from 0 to the first round number that is no lower than `highest`; about `intervals` steps, at least
    one. Counts have whole steps, and percents end at 100 where they can; what is no number above 0 counts as 1."""
    if not math.isfinite(highest) or highest <= 0:
        highest = 1.0
    step = _step(highest / intervals, kind)
    steps = max(1, math.ceil(round(highest / step, 9)))
    return tuple(round(step * i, 6) for i in range(steps + 1))


def _step(least: float, kind: Kind) -> float:
    if kind == "percent" and least <= _PERCENT_STEPS[-1]:
        return next(step for step in _PERCENT_STEPS if step >= least)
    if kind == "duration" and least <= _SECONDS_STEPS[-1]:
        return next(step for step in _SECONDS_STEPS if step >= least)
    least = max(least, _SMALLEST if kind == "decimal" else 1)
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def round_ticks(starts: Sequence[datetime], interval: str) -> tuple[tuple[int, ...], ...]:
    """Which of the buckets that begin at `starts` (ascending, in their zone) get a tick, by every round distance, the
    smallest first: what `few_of` chooses from, for several limits at once.

    Round is what calendars and clocks call so: quarters of an hour, midnights, Mondays, first days of months. Of one
    bucket or more there is at least one tick. Costs half a microsecond for each bucket and distance, of which there are
    up to 23.
    """
    distances = [tuple(range(len(starts)))]
    for group in _GROUPS[interval]:
        found = _firsts(starts, interval, group)
        if len(found) < 2:
            break
        distances.append(found)
    return tuple(distances)


def few_of(distances: Sequence[Sequence[int]], limit: int) -> tuple[int, ...]:
    """At most `limit` ticks, in ascending order, as many as a round distance allows; where even the largest distance
    has too many, every so many of these."""
    limit = max(1, limit)
    chosen = next((ticks for ticks in distances if len(ticks) <= limit), distances[-1])
    return tuple(chosen[:: max(1, math.ceil(len(chosen) / limit))])


def _firsts(starts: Sequence[datetime], interval: str, group: Group) -> tuple[int, ...]:
    """Buckets that belong to another group than the one before them."""
    found = []
    for i, start in enumerate(starts):
        before = starts[i - 1] if i else _before(start, interval)
        if group(before, i - 1) != group(start, i):
            found.append(i)
    return tuple(found)


def _before(start: datetime, interval: str) -> datetime:
    """Within the bucket before: hours by what passes, days by what calendars say."""
    if interval in {"minute", "hour"}:
        return (start.astimezone(UTC) - _BACK[interval]).astimezone(start.tzinfo)
    return start - _BACK[interval]


def _every(buckets: int) -> Group:
    return lambda _, i: i // buckets


def _minutes(length: int) -> Group:
    return lambda at, _: (at.date(), (at.hour * 60 + at.minute) // length)


def _days(length: int) -> Group:
    """Of seven days: from Monday on, as day 1 was one."""
    return lambda at, _: (at.toordinal() - 1) // length


def _months(length: int) -> Group:
    return lambda at, _: (at.year * 12 + at.month - 1) // length


_LONG: Final = (*(_months(length) for length in (1, 2, 3, 6)), *(_months(12 * years) for years in (1, 2, 5, 10, 20)))
_CLOCK: Final = (60, 120, 180, 240, 360, 720)
_DATES: Final = (*(_days(length) for length in (1, 2, 7, 14)), *_LONG)
_GROUPS: Final[dict[str, tuple[Group, ...]]] = {
    "minute": (*(_minutes(length) for length in (1, 2, 5, 10, 15, 30, *_CLOCK)), *_DATES),
    "hour": (*(_minutes(length) for length in _CLOCK), *_DATES),
    "day": (_every(1), _every(2), _every(3), _every(4), _days(7), _days(14), *_LONG),
    "week": (_every(1), _every(2), _every(4), *_LONG),
    "month": _LONG,
}
