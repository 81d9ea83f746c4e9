"""Pages of a real store with a handful of visits: each figure is the API's, and what fails fails in its own place."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from maicivy.bootstrap import Maicivy, build
from maicivy.core.sites import Site
from maicivy.dashboard import asking as module
from maicivy.dashboard import over_time
from maicivy.dashboard.asking import PARTS, Asking, at_once
from maicivy.dashboard.page import Extras, Page, Problem
from maicivy.dashboard.panels import CARDS
from maicivy.dashboard.parameters import condition
from maicivy.dashboard.view import PERIODS, View
from maicivy.errors import Refusal, Unavailable
from tests.dashboard.visited import (
    NOW,
    Failing,
    ago,
    ask,
    asking,
    did,
    page_of,
    put,
    shown_name,
    visit_a_little,
)
from tests.standalone.processes import wait_until

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
    assert page_of(parts, View(), None, "ticker").extras == page.extras
    assert set(PARTS) == {"current", "figures", "series", "extras", "ticker", *(f"card-{key}" for key in CARDS)}


def test_letters_and_the_latest_events_that_nobody_can_tell_say_so(
    parts: Maicivy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any) -> None:
        raise Unavailable("postgres", "is down")

    monkeypatch.setattr(type(parts.reports), "timeline", down)
    page = page_of(parts, View(), None, "extras")
    assert page.extras == Extras(problem=Problem("unavailable", "postgres does not answer"))


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


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refusal("query_too_slow", "too slow"), "query_too_slow"),
        (Refusal("not_kept", "gone"), "not_kept"),
        (Unavailable("postgres", "away"), "unavailable"),
    ],
)
def test_a_part_that_fails_says_so_in_its_own_place(parts: Maicivy, error: Exception, code: str) -> None:
    failing: Any = Failing(parts, error, "event:page")
    asked = Asking(failing, parts.reports, parts.samples, parts.settings.timezone)
    page = asked.page(View(), Site(1), [], NOW, shown_name)
    problems = {card.key: card.panel.problem and card.panel.problem.code for card in page.cards}
    assert problems == {**dict.fromkeys(CARDS), "pages": code}
    assert page.figures
    failing = Failing(parts, error)
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


def test_a_site_that_was_empty_is_looked_at_again_at_once(empty: Maicivy) -> None:
    assert asking(empty).questions(Site(1), View(), NOW).began is None
    put(empty, did("page_view", ago(hours=2)))
    assert asking(empty).questions(Site(1), View(), NOW).began is not None


def test_what_goes_on_at_once_comes_back_by_name_and_fails_loudly() -> None:
    assert at_once({str(n): lambda n=n: n * n for n in range(9)}, 60) == {str(n): n * n for n in range(9)}
    with pytest.raises(ZeroDivisionError):
        at_once({"one": lambda: 1, "two": lambda: 1 // 0}, 60)
    assert at_once({}, 60) == {}


def test_nobody_waits_for_what_takes_too_long() -> None:
    over, slow_one = threading.Event(), threading.Event()

    def slow() -> int:
        over.wait(60)
        slow_one.set()
        return 1

    assert at_once({"slow": slow, "quick": lambda: 2}, 1) == {"quick": 2}
    over.set()
    assert slow_one.wait(60)


def test_what_fails_late_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    over = threading.Event()

    def failing() -> int:
        over.wait(60)
        return 1 // 0

    assert at_once({"slow": failing, "quick": lambda: 2}, 1) == {"quick": 2}
    over.set()
    wait_until(lambda: "late_part_failed" in caplog.messages, 60, "the failure to be logged")


def test_parts_that_are_late_say_so(parts: Maicivy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "at_once", lambda tasks, patience_s: {})
    page = page_of(parts, View())
    problems = [page.problem, page.series.problem, *(card.panel.problem for card in page.cards)]
    assert [problem and problem.code for problem in problems] == ["query_too_slow"] * (2 + len(CARDS))
    assert [card.key for card in page.cards] == list(CARDS)
    assert all(card.tabs for card in page.cards)
    assert page.current_visitors is None
    assert page.extras == Extras(problem=page.problem)
