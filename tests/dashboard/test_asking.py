"""Pages of a real store with a handful of visits: each figure is the API's, and what fails fails in its own place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from maicivy.bootstrap import Maicivy, build
from maicivy.core.answers import Answer, Compared
from maicivy.core.date_ranges import Days
from maicivy.core.query_language import Question
from maicivy.core.sites import Site
from maicivy.dashboard import over_time
from maicivy.dashboard.asking import PARTS, Asking, at_once
from maicivy.dashboard.page import Page
from maicivy.dashboard.panels import CARDS, PANELS
from maicivy.dashboard.view import METRICS, PERIODS, View, condition
from maicivy.errors import Refusal, Unavailable
from tests.dashboard.visited import NOW, ago, ask, asking, did, page_of, panel_of, put, shown_name, visit_a_little

FILTERS = [
    ("is", "visit:country", ["FR"]),
    ("is_not", "visit:country", ["FR"]),
    ("contains", "event:page", ["PRIC"]),
    ("contains_not", "event:page", ["pric"]),
    ("matches", "event:page", ["^/p"]),
    ("matches_not", "visit:source", ["^Goo"]),
    ("is", "event:props:plan", ["team", "solo"]),
    ("is", "visit:utm_source", [""]),
]


def figures(page: Page) -> dict[str, Any]:
    return {figure.metric: figure.value for figure in page.figures}


def api_figures(parts: Maicivy, **body: Any) -> dict[str, Any]:
    (row,) = ask(parts, metrics=list(over_time.FIGURES), **body).results
    return dict(zip(over_time.FIGURES, row.metrics, strict=True))


def test_the_figures_of_each_range_are_those_of_the_api(parts: Maicivy) -> None:
    for period, date_range in PERIODS.items():
        page = page_of(parts, View(period), None, "figures", "series")
        assert figures(page) == api_figures(parts, date_range=date_range)
        assert page.series.problem is None
        assert sum(point.value or 0 for point in page.series.points) >= (page.figures[0].value or 0)


def test_the_figures_of_each_filter_are_those_of_the_api(parts: Maicivy) -> None:
    for operator, dimension, values in FILTERS:
        one = condition(operator, dimension, values)
        page = page_of(parts, View(filters=(one,)), None, "figures")
        assert page.problem is None
        assert figures(page) == api_figures(parts, filters=[one.asked()])
        assert [chip.operator for chip in page.chips] == [operator]
        assert page.chips[0].url == "/dashboard/example.org"


def test_bots_and_another_zone_are_the_apis_too(parts: Maicivy) -> None:
    assert figures(page_of(parts, View(bots=True), None, "figures")) == api_figures(parts, include_bots=True)
    page = page_of(parts, View("today", zone="Pacific/Auckland"), None, "figures")
    assert figures(page) == api_figures(parts, date_range="day", timezone="Pacific/Auckland")
    assert (page.timezone, page.period.start) == (
        "Pacific/Auckland",
        datetime(2025, 12, 11, tzinfo=ZoneInfo("Pacific/Auckland")),
    )


def test_the_rows_of_each_panel_are_those_of_the_api(parts: Maicivy) -> None:
    for key, spec in PANELS.items():
        panel = panel_of(parts, View(), key)
        assert panel.problem is None
        assert panel.rows, key
        assert panel.rows[0].share == 1.0
        assert all(row.url.startswith("/dashboard/example.org?") for row in panel.rows)
        if key != "properties":
            dimensions = [name for name in (spec.within, spec.dimension) if name]
            filters = [[operator, dimension, list(values)] for operator, dimension, values in spec.conditions]
            answer = ask(
                parts,
                metrics=list(spec.metrics),
                dimensions=dimensions,
                filters=filters,
                pagination={"limit": spec.rows},
            )
            assert [(row.value, list(row.numbers)) for row in panel.rows] == [
                (result.dimensions[-1], result.metrics) for result in answer.results
            ]


def test_a_row_is_shown_by_its_name_and_links_to_its_page(parts: Maicivy) -> None:
    assert [(row.value, row.text) for row in panel_of(parts, View(), "countries").rows][:2] == [
        ("DE", "Germany"),
        ("FR", "France"),
    ]
    assert [row.href for row in panel_of(parts, View(), "pages").rows] == [
        "https://example.org/",
        "https://example.org/pricing",
    ]
    assert {(row.within, row.value) for row in panel_of(parts, View(), "browser_versions").rows} == {
        ("Chrome", "130.0"),
        ("Firefox", "131.0"),
    }


def test_a_click_on_a_row_filters_by_it_and_the_next_one_no_more(parts: Maicivy) -> None:
    row = panel_of(parts, View(), "countries").rows[0]
    assert row.url == "/dashboard/example.org?f=is,visit:country,DE&show=countries"
    filtered = View().toggled("visit:country", "DE")
    (again,) = panel_of(parts, filtered, "countries").rows
    assert (again.is_filtered, again.url) == (True, "/dashboard/example.org?show=countries")
    version = panel_of(parts, View(), "browser_versions").rows[0]
    assert version.url.count("f=is,visit:browser") == 2


def test_properties_are_those_that_events_have(parts: Maicivy) -> None:
    panel = panel_of(parts, View(), "properties")
    assert [(choice.text, choice.is_selected) for choice in panel.choices] == [("plan", True), ("seats", False)]
    assert [(row.value, row.numbers) for row in panel.rows] == [("team", (1, 1))]
    assert panel.rows[0].url == "/dashboard/example.org?f=is,event:props:plan,team&show=properties"
    seats = panel_of(parts, View(prop="seats"), "properties")
    assert [row.value for row in seats.rows] == ["3"]
    unheard = panel_of(parts, View(prop="colour"), "properties")
    assert (unheard.rows, unheard.choices[-1].text) == ((), "colour")
    other = View().toggled("event:name", "page_view")
    assert panel_of(parts, other, "properties").choices == ()


def test_events_are_all_but_page_views(parts: Maicivy) -> None:
    assert [row.value for row in panel_of(parts, View(), "events").rows] == ["signup"]


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


def test_a_site_without_events_is_new_and_one_without_any_here_is_empty(empty: Maicivy) -> None:
    page = page_of(empty, View())
    assert page.state == "new"
    assert all(point.is_unknown for point in page.series.points)
    visit_a_little(empty)
    assert page_of(empty, View()).state == "ok"
    assert page_of(empty, View(filters=(condition("is", "visit:city", ["Nowhere"]),))).state == "empty"


def test_only_the_parts_that_are_asked_for_are_there(parts: Maicivy) -> None:
    page = page_of(parts, View(), None, "card-pages")
    assert ([card.key for card in page.cards], page.figures, page.series.points, page.extras) == (
        ["pages"],
        (),
        (),
        None,
    )
    page = page_of(parts, View())
    assert [card.key for card in page.cards] == list(CARDS)
    assert page.extras is not None
    assert set(PARTS) == {"current", "figures", "series", "extras", *(f"card-{key}" for key in CARDS)}


def test_links_lead_to_views(parts: Maicivy) -> None:
    page = page_of(parts, View("7d", filters=(condition("is", "visit:os", ["Linux"]),), show=("countries",)))
    assert [link.key for link in page.periods if link.is_selected] == ["7d"]
    assert {link.key: link.url for link in page.comparisons}["off"].endswith(
        "?period=7d&compare=off&f=is,visit:os,Linux&show=countries"
    )
    assert {link.key: link.is_selected for link in page.comparisons} == {
        "previous": True,
        "year": False,
        "off": False,
        "weekday": False,
    }
    assert page.live_url == "/live/example.org"
    assert page.current_url.endswith("?period=realtime&f=is,visit:os,Linux&show=countries")
    assert [link.url for link in page.sites] == ["/dashboard/example.org?period=7d&show=countries"]
    assert {link.key: link.is_selected for link in page.options} == {"bots": False}


class _Failing:
    """Stands for the query engine, which fails for some of the questions."""

    def __init__(self, parts: Maicivy, error: Exception, *dimensions: str) -> None:
        self._parts = parts
        self._error = error
        self._dimensions = dimensions

    def first_moment(self, site: Site, now: datetime) -> datetime | None:
        return self._parts.queries.first_moment(site, now)

    def answer(self, question: Question, site: Site, now: datetime) -> Answer:
        if set(question.dimensions) & set(self._dimensions) or not self._dimensions:
            raise self._error
        return self._parts.queries.answer(question, site, now)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refusal("query_too_slow", "too slow"), "query_too_slow"),
        (Refusal("not_kept", "gone"), "not_kept"),
        (Unavailable("postgres", "away"), "unavailable"),
    ],
)
def test_a_part_that_fails_says_so_in_its_own_place(parts: Maicivy, error: Exception, code: str) -> None:
    failing: Any = _Failing(parts, error, "event:page")
    asked = Asking(failing, parts.reports, parts.samples, parts.settings.timezone)
    page = asked.page(View(), Site(1), [], NOW, shown_name)
    problems = {card.key: card.panel.problem and card.panel.problem.code for card in page.cards}
    assert problems == {**dict.fromkeys(CARDS), "pages": code}
    assert page.figures
    failing = _Failing(parts, error)
    page = Asking(failing, parts.reports, parts.samples, parts.settings.timezone).page(
        View(), Site(1), [], NOW, shown_name
    )
    assert page.problem is not None
    assert (page.problem.code, page.figures) == (code, ())
    assert page.series.problem is not None
    assert page.series.problem.code == code


def test_without_redis_nobody_knows_who_is_here_now_and_the_rest_is_there(parts: Maicivy) -> None:
    away = build(replace(parts.settings, redis_url="unix:///nonexistent"))
    page = page_of(away, View())
    away.close()
    assert (page.current_visitors, page.state) == (None, "ok")
    assert page.figures


def test_a_comparison_that_is_not_kept_is_left_out_and_said(parts: Maicivy) -> None:
    class Forgetful(_Failing):
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


def test_a_site_that_was_empty_is_looked_at_again_at_once(empty: Maicivy) -> None:
    assert asking(empty).questions(Site(1), View(), NOW).began is None
    put(empty, did("page_view", ago(hours=2)))
    assert asking(empty).questions(Site(1), View(), NOW).began is not None


def test_what_goes_on_at_once_comes_back_by_name_and_fails_loudly() -> None:
    assert at_once({str(n): lambda n=n: n * n for n in range(9)}) == {str(n): n * n for n in range(9)}
    with pytest.raises(ZeroDivisionError):
        at_once({"one": lambda: 1, "two": lambda: 1 // 0})
