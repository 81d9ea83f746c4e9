"""Figures and their changes, and a metric over time: every bucket of a range, and what is not known of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from maicivy.bootstrap import Maicivy
from maicivy.core.answers import Answer, Compared
from maicivy.core.date_ranges import Days
from maicivy.core.query_language import Question
from maicivy.core.sites import Site
from maicivy.dashboard import over_time
from maicivy.dashboard.asking import Asking
from maicivy.dashboard.view import METRICS, View
from maicivy.errors import Refusal
from tests.dashboard.visited import (
    NOW,
    Failing,
    ago,
    ask,
    did,
    page_of,
    put,
    shown_name,
    visit_a_little,
)


def test_changes_are_told_for_better_or_worse(parts: Maicivy) -> None:
    page = page_of(parts, View("7d"), None, "figures")
    (row,) = ask(
        parts,
        metrics=list(over_time.FIGURES),
        date_range="7d",
        include={"comparisons": {"mode": "previous_period"}},
    ).results
    assert isinstance(row.comparison, Compared)
    assert [figure.change for figure in page.figures] == row.comparison.change
    found = {figure.metric: (figure.change, figure.is_good) for figure in page.figures}
    assert found["visitors"] == (200, True)
    assert found["bounce_rate"] == (-33, True)
    assert page.figures[0].how is not None
    assert page.figures[0].how.exact
    assert page.as_of == NOW
    same = page_of(parts, View("7d", compare="off"), None, "figures")
    assert {figure.change for figure in same.figures} == {None}


def test_nothing_is_compared_with_a_time_before_the_site(parts: Maicivy) -> None:
    page = page_of(parts, View(), None, "figures", "series")
    assert (page.period.before_start, page.series.is_compared) == (None, False)
    assert {figure.change for figure in page.figures} == {None}
    compared = page_of(parts, View("7d"), None, "figures", "series")
    assert compared.period.before_start == datetime(2025, 11, 27, tzinfo=UTC)
    assert compared.series.is_compared


def test_every_bucket_is_a_point_and_gaps_are_no_zeros(parts: Maicivy) -> None:
    points = page_of(parts, View(), None, "series").series.points
    assert len(points) == 28
    by_day = {point.start.date(): point for point in points}
    assert [by_day[date(2025, 12, 10 - n)].value for n in (0, 1, 2, 10 - 1)] == [1, 2, 0, 0]
    assert by_day[date(2025, 11, 30)].value == 1
    before = [point for point in points if point.start.date() < date(2025, 11, 30)]
    assert before
    assert all(point.is_unknown and point.value is None for point in before)
    assert [point.start.date() for point in points if point.is_partial] == [date(2025, 12, 10)]


def test_what_is_still_to_come_is_not_known(parts: Maicivy) -> None:
    points = page_of(parts, View("today"), None, "series").series.points
    assert len(points) == 24
    assert [point.is_unknown for point in points] == [False] * 13 + [True] * 11
    assert [point.value for point in points][11:13] == [1, 0]
    assert [point.start.hour for point in points if point.is_partial] == [12]
    assert [point.before for point in points][12:15] == [1, 0, 1]
    assert points[12].before_start == datetime(2025, 12, 9, 12, tzinfo=UTC)


def test_the_first_bucket_of_a_range_may_be_a_part(parts: Maicivy) -> None:
    view = View("custom", Days(date(2025, 12, 3), date(2025, 12, 9)), interval="week")
    first, last = page_of(parts, view, None, "series").series.points
    assert (first.start.date(), first.is_partial, last.is_partial) == (date(2025, 12, 1), True, True)


def test_a_mean_of_nothing_is_no_number(parts: Maicivy) -> None:
    points = page_of(parts, View("7d", metric="bounce_rate"), None, "series").series.points
    assert [point.value for point in points][-3:] == [None, 50, 100]
    assert not points[-3].is_unknown


def test_a_day_with_a_change_of_clocks_has_its_hours(empty: Maicivy) -> None:
    put(empty, did("page_view", datetime(2025, 10, 1, tzinfo=UTC)))
    view = View("custom", Days(date(2025, 10, 26), date(2025, 10, 26)), zone="Europe/Paris", interval="hour")
    points = page_of(empty, view, None, "series").series.points
    assert len(points) == 25
    assert not any(point.is_partial or point.is_unknown for point in points)


@pytest.mark.parametrize(
    ("period", "length", "interval"),
    [
        ("realtime", timedelta(minutes=5), "minute"),
        ("today", timedelta(days=1), "hour"),
        ("7d", timedelta(days=7), "day"),
        ("91d", timedelta(days=91), "day"),
        ("custom", timedelta(days=200), "week"),
        ("year", timedelta(days=365), "month"),
        ("all", timedelta(days=1500), "month"),
    ],
)
def test_a_range_has_an_interval_that_suits(period: str, length: timedelta, interval: str) -> None:
    assert over_time.automatic_interval(period, length) == interval
    assert interval in over_time.intervals_for(length, interval)


def test_a_series_of_each_metric_and_interval_is_the_apis(parts: Maicivy) -> None:
    for metric in METRICS:
        for interval in ("hour", "day", "week"):
            view = View("7d", metric=metric, interval=interval, compare="off")
            points = page_of(parts, view, None, "series").series.points
            answer = ask(parts, metrics=[metric], date_range="7d", dimensions=[f"time:{interval}"])
            told = [result.metrics[0] for result in answer.results]
            assert [point.value for point in points if point.value] == [value for value in told if value]


def test_too_many_points_are_the_problem_of_the_series_alone(parts: Maicivy) -> None:
    page = page_of(parts, View("91d", interval="minute"), None, "figures", "series")
    assert page.series.problem is not None
    assert page.series.problem.code == "too_many_rows"
    assert page.figures
    assert [link.key for link in page.series.intervals if link.is_selected] == ["minute"]


def test_a_comparison_that_is_not_kept_is_left_out_and_said(parts: Maicivy) -> None:
    class Forgetful(Failing):
        def answer(self, question: Question, site: Site, now: datetime) -> Answer:
            if question.include.comparisons is not None:
                raise Refusal("not_kept", "gone", "include.comparisons")
            return parts.queries.answer(question, site, now)

    forgetful: Any = Forgetful(parts, Refusal("", ""))
    asked = Asking(forgetful, parts.reports, parts.samples, parts.settings.timezone)
    page = asked.page(View("7d"), Site(1), [], NOW, shown_name, ["figures", "series"])
    assert [notice.code for notice in page.notices] == ["comparison_not_kept"]
    assert page.figures[0].value == 3
    assert not page.series.is_compared


def test_each_comparison_is_that_of_the_api(empty: Maicivy) -> None:
    visit_a_little(empty)
    put(empty, did("page_view", ago(days=368), 900), did("page_view", ago(days=371), 901))
    for view, asked in (
        (View("7d"), {"mode": "previous_period"}),
        (View("7d", match_weekday=True), {"mode": "previous_period", "match_day_of_week": True}),
        (View("7d", compare="year"), {"mode": "year_over_year"}),
        (View("7d", compare="year", match_weekday=True), {"mode": "year_over_year", "match_day_of_week": True}),
        (
            View("7d").with_comparison("custom", Days(date(2024, 12, 1), date(2024, 12, 7))),
            {"mode": "custom", "date_range": ["2024-12-01", "2024-12-07"]},
        ),
    ):
        page = page_of(empty, view, None, "figures", "series")
        answer = ask(empty, metrics=list(over_time.FIGURES), date_range="7d", include={"comparisons": asked})
        (row,) = answer.results
        assert isinstance(row.comparison, Compared)
        assert [figure.before for figure in page.figures] == row.comparison.metrics, asked
        told = answer.meta.comparison_date_range
        assert isinstance(told, list)
        assert page.period.before_start == datetime.fromisoformat(told[0])
        assert page.series.points[0].before_start == page.period.before_start
        assert sum(point.before or 0 for point in page.series.points) == page.figures[0].before


def test_a_comparison_of_too_many_buckets_is_left_out(parts: Maicivy) -> None:
    view = View("realtime").with_comparison("custom", Days(date(2025, 12, 1), date(2025, 12, 9)))
    page = page_of(parts, view, None, "figures", "series")
    assert (page.series.problem, page.series.is_compared, len(page.series.points)) == (None, False, 5)
    assert page.figures[0].before is not None
