"""The figures of a view and its time series, each beside the range that it is compared with.

A bucket of time without a row is zero; one from before the site's first event, or still to come, is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core import date_ranges
from maicivy.core.answers import Answer, Compared, Result
from maicivy.core.buckets import Grain, starts
from maicivy.dashboard.page import Figure, Link, Number, Point, Problem, Series
from maicivy.dashboard.questions import Questions, problem_of
from maicivy.dashboard.view import INTERVALS, METRICS, View
from maicivy.errors import Refusal, Unavailable

FIGURES: Final = ("visitors", "visits", "pageviews", "views_per_visit", "bounce_rate", "visit_duration")

_LOWER_IS_BETTER: Final = frozenset({"bounce_rate"})
_COUNTED: Final = frozenset({"visitors", "visits", "pageviews", "events"})
"""Metrics that are zero where nothing happened; of others nothing is known then."""

MAX_POINTS: Final = 1500
_AT_LEAST: Final = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=28),
}


class Figures(msgspec.Struct, frozen=True):
    """The figures of a view, when they were computed, and whether those of the range compared with are still kept."""

    figures: tuple[Figure, ...] = ()
    as_of: datetime | None = None
    is_comparison_kept: bool = True
    problem: Problem | None = None


def figures(questions: Questions, view: View, path: str) -> Figures:
    """The figures of the whole range; where they cannot be told, the reason instead."""
    try:
        return _figures(questions, view, path)
    except (Refusal, Unavailable) as error:
        return Figures(problem=problem_of(error))


def series(questions: Questions, view: View, path: str) -> Series:
    """The chosen metric over time; where it cannot be told, the reason instead."""
    automatic = automatic_interval(view.period, questions.end - questions.start)
    interval = view.interval or automatic
    metrics = tuple(Link(name, view.with_metric(name).url(path), name == view.metric) for name in METRICS)
    intervals = tuple(
        Link(name, view.with_interval("" if name == automatic else name).url(path), name == interval)
        for name in intervals_for(questions.end - questions.start, interval)
    )
    try:
        mine, others = questions.buckets(interval)
        answer, is_kept = questions.ask_compared((view.metric,), dimensions=(f"time:{interval}",))
    except (Refusal, Unavailable) as error:
        problem = problem_of(error)
        return Series(view.metric, interval, (), False, None, metrics, intervals, problem)
    others = others if is_kept else []
    points = _points(questions, view.metric, interval, answer, mine, others)
    how = answer.meta.metrics[view.metric]
    return Series(view.metric, interval, points, bool(others), how, metrics, intervals)


def no_series(view: View, problem: Problem | None = None) -> Series:
    """That of a page which does not show one."""
    return Series(view.metric, view.interval or "day", (), False, None, (), (), problem)


def automatic_interval(period: str, length: timedelta) -> str:
    """The buckets that suit a range: a line of some dozen to some hundred points."""
    if period == "realtime":
        return "minute"
    if length <= timedelta(hours=49):
        return "hour"
    if period in ("year", "12mo") or length > timedelta(days=400):
        return "month"
    return "day" if length <= timedelta(days=100) else "week"


def intervals_for(length: timedelta, chosen: str) -> tuple[str, ...]:
    """The intervals that make two points of a range or more, and not too many; that which was chosen among them."""
    return tuple(
        name
        for name in INTERVALS
        if name == chosen or (2 * _AT_LEAST[name] <= length and length / _AT_LEAST[name] <= MAX_POINTS)
    )


def _figures(questions: Questions, view: View, path: str) -> Figures:
    answer, is_kept = questions.ask_compared(FIGURES)
    (row,) = answer.results
    before = row.comparison if isinstance(row.comparison, Compared) else None
    made = []
    for place, name in enumerate(FIGURES):
        change = None if before is None else before.change[place]
        made.append(
            Figure(
                name,
                row.metrics[place],
                None if before is None else before.metrics[place],
                change,
                None if not change else (change < 0) == (name in _LOWER_IS_BETTER),
                answer.meta.metrics[name],
                view.with_metric(name).url(path),
                name == view.metric,
            )
        )
    as_of = datetime.fromisoformat(answer.meta.as_of).astimezone(questions.zone)
    return Figures(tuple(made), as_of, is_kept)


def _points(
    questions: Questions,
    metric: str,
    interval: str,
    answer: Answer,
    mine: Sequence[datetime],
    others: Sequence[datetime],
) -> tuple[Point, ...]:
    rows = {row.dimensions[0]: row for row in answer.results}
    nothing: Number = 0 if metric in _COUNTED else None
    points = []
    for place, at in enumerate(mine):
        following = mine[place + 1] if place + 1 < len(mine) else _next(at, interval, questions.zone)
        row = rows.get(date_ranges.label(f"time:{interval}", at, questions.zone, questions.start))
        is_unknown = _is_unknown(questions, at, following)
        before_at = others[place] if place < len(others) else None
        before: Number = None
        if before_at is not None:
            before = _before(questions, row, _next(before_at, interval, questions.zone), nothing)
        points.append(
            Point(
                at,
                None if is_unknown else row.metrics[0] if row is not None else nothing,
                before_at,
                before,
                _is_partial(questions, at, following) and not is_unknown,
                is_unknown,
            )
        )
    return tuple(points)


def _is_unknown(questions: Questions, at: datetime, following: datetime) -> bool:
    return questions.began is None or _utc(following) <= questions.began or _utc(at) > questions.now


def _is_partial(questions: Questions, at: datetime, following: datetime) -> bool:
    is_cut = _utc(at) < _utc(questions.start) or _utc(following) > _utc(questions.end)
    return is_cut or _utc(at) <= questions.now < _utc(following)


def _before(questions: Questions, row: Result | None, following: datetime, nothing: Number) -> Number:
    if questions.began is None or _utc(following) <= questions.began:
        return None
    if row is None or not isinstance(row.comparison, Compared):
        return nothing
    return row.comparison.metrics[0]


def _next(at: datetime, interval: str, zone: ZoneInfo) -> datetime:
    """The start of the bucket behind one."""
    after = starts(Grain(interval), at, at + 2 * _AT_LEAST[interval] + timedelta(days=4), zone)
    return after[1].astimezone(zone)


def _utc(at: datetime) -> datetime:
    """Times of one zone are compared by their clocks, which are not always later when the time is."""
    return at.astimezone(UTC)
