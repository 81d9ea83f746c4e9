"""Letters, themes, clicks and moments, over fakes that keep the promises of core.ports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from maicivy.core.periods import Period
from maicivy.core.ports import StoredEvent
from maicivy.dashboard.extras import (
    MAX_DETAIL_CHARS,
    MAX_DETAILS,
    MAX_HEAT_HOURS,
    MAX_MOMENTS,
    TRIED_PAGES,
    answered,
    cells_of,
    details_of,
    heat_hours,
    moments,
    nearest_period,
    page_of,
)
from maicivy.dashboard.page import Extras, HeatCell
from maicivy.errors import Refusal
from maicivy.reports import HeatPoint, Reports
from tests.events import NOON, event_id, visitor_id
from tests.test_reports import FakeCounters, FakeEvents

PARIS = ZoneInfo("Europe/Paris")


class Spots(FakeEvents):
    """Clicks on one page only."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page

    def heatmap(
        self, site_id: int, page: str | None, since: datetime, until: datetime, limit: int
    ) -> list[tuple[int, int, int]]:
        self.asked.append((page, since, until))
        return [(41, 19, 2), (59, 0, 3), (60, 0, 1)] if page == self.page else []


def ask(events: FakeEvents, counters: FakeCounters | None = None, **members: Any) -> Extras:
    asked: dict[str, Any] = {
        "start": NOON - timedelta(days=7),
        "end": NOON,
        "zone": PARIS,
        "pages": ("/", "/cv"),
        "heat_page": "",
        "before": "",
        "now": NOON,
        "heat_url": lambda page: f"?heat={page}",
        "earlier_url": lambda cursor: f"?before={cursor}",
    } | members
    reports = Reports(counters or FakeCounters(), events, ZoneInfo("UTC"))
    return answered(reports, 1, **asked)


def stored(number: int, data: str = "{}") -> StoredEvent:
    at = NOON - timedelta(seconds=number)
    return StoredEvent(event_id(), visitor_id(1), "signup", data, f"/{number}", "", 0, at)


def test_a_site_with_nothing_of_it_shows_nothing() -> None:
    assert ask(FakeEvents(), pages=()) == Extras(letters_period="week", heat_hours=168)


def test_letters_are_told_by_kind_and_those_of_no_kind_too() -> None:
    counters = FakeCounters()
    counters.counts = {
        ("2025-W50", "letters_generated"): 7,
        ("2025-W50", "letters_generated:motivation"): 4,
        ("2025-W50", "letters_generated:anti_motivation"): 2,
    }
    counters.theme_views = [("backend", 9), ("data", 3)]
    shown = ask(FakeEvents(), counters)
    assert shown.letters == (("motivation", 4), ("anti_motivation", 2), ("other", 1))
    assert shown.themes == (("backend", 9), ("data", 3))


@pytest.mark.parametrize(
    ("days", "period"),
    [(0, Period.DAY), (1, Period.DAY), (7, Period.WEEK), (28, Period.MONTH), (365, Period.MONTH)],
)
def test_counters_are_those_of_the_period_nearest_to_the_range(days: int, period: Period) -> None:
    assert nearest_period(NOON - timedelta(days=days), NOON) is period


@pytest.mark.parametrize(
    ("ago", "hours"),
    [
        (timedelta(0), 1),
        (timedelta(minutes=61), 2),
        (timedelta(hours=24), 24),
        (timedelta(days=28), MAX_HEAT_HOURS),
        (-timedelta(days=1), 1),
    ],
)
def test_clicks_are_of_the_hours_of_the_range_as_far_back_as_may_be_asked(ago: timedelta, hours: int) -> None:
    assert heat_hours(NOON - ago, NOON) == hours


def test_clicks_go_into_squares_of_20_pixels() -> None:
    points = [HeatPoint(41, 19, 2), HeatPoint(59, 0, 3), HeatPoint(60, 0, 1), HeatPoint(-1, 5, 9), HeatPoint(0, 0, 1)]
    assert cells_of(points) == (HeatCell(40, 0, 5), HeatCell(0, 0, 1), HeatCell(60, 0, 1))
    assert cells_of([]) == ()


def test_the_heatmap_is_of_the_first_page_that_was_clicked_on() -> None:
    events = Spots("/cv")
    shown = ask(events)
    assert shown.heat_page == "/cv"
    assert shown.heat == (HeatCell(40, 0, 5), HeatCell(60, 0, 1))
    assert [(link.text, link.url, link.is_selected) for link in shown.heat_pages] == [
        ("/", "?heat=/", False),
        ("/cv", "?heat=/cv", True),
    ]


def test_few_pages_are_tried() -> None:
    events = Spots("/9")
    assert ask(events, pages=tuple(f"/{number}" for number in range(20))).heat_page == ""
    assert len(events.asked) == TRIED_PAGES


def test_a_page_that_was_chosen_is_shown_even_without_clicks() -> None:
    shown = ask(Spots("/cv"), heat_page="/rare")
    assert (shown.heat_page, shown.heat) == ("/rare", ())
    assert [link.text for link in shown.heat_pages if link.is_selected] == ["/rare"]


def test_the_timeline_goes_back_page_by_page_and_ends() -> None:
    events = FakeEvents()
    events.rows = [stored(number) for number in range(MAX_MOMENTS + 3)]
    first = ask(events)
    assert [moment.page for moment in first.moments] == [f"/{number}" for number in range(MAX_MOMENTS)]
    assert first.moments[0].at.isoformat() == "2025-12-08T13:00:00+01:00"
    assert str(visitor_id(1)).endswith(first.moments[0].visitor)
    reports = Reports(FakeCounters(), events, ZoneInfo("UTC"))
    before = first.earlier_url.removeprefix("?before=")
    rest = moments(reports, 1, before=before, zone=PARIS, now=NOON, earlier_url=str)
    assert [moment.page for moment in rest.moments] == ["/20", "/21", "/22"]
    assert rest.earlier_url == ""


@pytest.mark.parametrize("before", ["x", "2025-12-08", "' OR 1=1", "é" * 32, "A" * 31])
def test_a_place_that_is_none_is_refused_by_name(before: str) -> None:
    with pytest.raises(Refusal) as refusal:
        ask(FakeEvents(), before=before)
    assert (refusal.value.code, refusal.value.field) == ("invalid_parameter", "before")


def test_a_moment_tells_the_first_plain_properties_cut_short() -> None:
    data = {"path": "/cv", "x": 1, "y": 2, "theme": "é" * 500, "paid": True, "nested": {"a": 1}, "list": [1], "n": 1.5}
    told = details_of(data)
    assert [name for name, _ in told] == ["theme", "paid", "n"]
    assert len(told[0][1]) == MAX_DETAIL_CHARS
    assert told[1:] == (("paid", "true"), ("n", "1.5"))
    assert len(details_of({f"p{number}": number for number in range(20)})) == MAX_DETAILS


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("/cv?theme=data", "/cv?theme=data"),
        ("https://shop.test/cv?next=https://other.test/", "/cv?next=https://other.test/"),
        ("http://shop.test:8080", "/"),
        ("/from?url=https://other.test/", "/from?url=https://other.test/"),
        ("", ""),
    ],
)
def test_a_page_is_told_without_its_host(url: str, page: str) -> None:
    assert page_of(url) == page


def test_times_are_those_of_the_zone_of_the_view() -> None:
    events = FakeEvents()
    events.rows = [StoredEvent(event_id(), visitor_id(1), "a", "{}", "/", "", 0, datetime(2025, 7, 1, tzinfo=UTC))]
    assert ask(events).moments[0].at.hour == 2
