"""The oracle itself, against figures worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from maicivy.core.events import Event, Traits
from maicivy.core.query import And, Match, Not, Query
from tests.events import event
from tests.log_import.logs import FIREFOX
from tests.oracle.oracle import answer, buckets

PARIS = ZoneInfo("Europe/Paris")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2025-12-{text}").replace(tzinfo=UTC)


def done(
    kind: str, text: str, page: str = "/", visitor: int = 1, data: dict[str, Any] | None = None, **traits: Any
) -> Event:
    made = event(kind, data, at=at(text), page_url=page, visitor=visitor)
    # one id, whatever the day
    return msgspec.structs.replace(made, visitor_id=event(visitor=visitor).visitor_id, traits=Traits(FIREFOX, **traits))


EVENTS = [
    # over midnight of Paris, which is 23:00 here: on / and /cv, no bounce, 40 minutes
    done("page_view", "08 22:40", "/"),
    done("engagement", "08 22:45", "/", engagement_ms=9_000, scroll_depth=80),
    done("page_view", "08 23:05", "/cv", data={"plan": "pro"}),
    done("engagement", "08 23:20", "/cv", engagement_ms=3_000, scroll_depth=20),
    # the same visitor later, a bounce on /cv
    done("page_view", "09 12:00", "/cv"),
    # another one: a page view and a click that does not count as interaction, and one minute on /cv
    done("page_view", "09 12:30", "/cv", 2),
    done("signup", "09 12:31", "/cv", 2, {"plan": "free"}, interactive=False),
    # a bot, and somebody of whom nothing is known but engagement
    done("page_view", "09 13:00", "/cv", 3, bot=True),
    done("engagement", "09 14:00", "/cv", 4, engagement_ms=1),
]
MONTH = (at("01 00:00"), datetime(2026, 1, 1, tzinfo=UTC))
DAY_8 = (at("07 23:00"), at("08 23:00"))
DAY_9 = (at("08 23:00"), at("09 23:00"))
FREE = Match("is", "event:props:plan", ("free",))


def ask(metrics: str, dimensions: str = "", span: tuple[datetime, datetime] = MONTH, **more: Any) -> list[Any]:
    query = Query(1, PARIS, *span, tuple(metrics.split()), tuple(dimensions.split()), **more)  # type: ignore[arg-type]
    return [(*row[0], *row[1]) for row in answer([*reversed(EVENTS), *EVENTS], query).rows]


@pytest.mark.parametrize(
    ("metrics", "rows"),
    [
        ("visits visitors", [(3, 3)]),  # the first visitor on two days, twice on the second
        ("pageviews events", [(4, 5)]),
        ("views_per_visit", [(4 / 3,)]),
        ("bounce_rate", [(200 / 3,)]),
        ("visit_duration", [((2400 + 0 + 60) / 3,)]),
        ("time_on_page scroll_depth", [(12 / 3, 80)]),
        ("percentage conversion_rate", [(100, 100)]),
    ],
)
def test_without_dimensions(metrics: str, rows: list[Any]) -> None:
    assert ask(metrics) == rows


@pytest.mark.parametrize(
    ("span", "figures"),
    [
        (DAY_8, (1, 1, 1, 1, 9.0, 80)),
        (DAY_9, (2, 3, 3, 4, 1.0, 20)),
        ((at("08 22:40"), at("08 22:50")), (1, 1, 1, 1, 9.0, 80)),
        ((at("08 22:50"), at("08 23:05")), (2, 1, 0, 0, None, None)),  # it goes on, though nothing happens
        ((at("08 23:20"), at("08 23:21")), (1, 1, 0, 0, None, 20)),
        ((at("08 23:21"), at("08 23:22")), (0, 0, 0, 0, None, None)),
    ],
)
def test_a_visit_counts_wherever_it_touches_the_range(span: tuple[datetime, datetime], figures: Any) -> None:
    assert ask("visitors visits pageviews events time_on_page scroll_depth", span=span) == [figures]


def test_by_time_a_visit_counts_in_every_bucket_and_buckets_without_any_have_no_row() -> None:
    assert ask("visits visitors pageviews", "time:hour") == [
        (at("08 22:00"), 1, 1, 1),
        (at("08 23:00"), 1, 1, 1),
        (at("09 12:00"), 2, 2, 2),
    ]
    assert ask("visits visitors", "time:day") == [(at("07 23:00"), 1, 1), (at("08 23:00"), 2 + 1, 2)]
    assert ask("visits visitors", "time:week") == [(at("07 23:00"), 3, 3)]


def test_a_visit_counts_in_the_row_of_each_page_and_bounces_where_it_entered() -> None:
    assert ask("visits visitors pageviews events bounce_rate time_on_page", "event:page") == [
        ("/", 1, 1, 1, 1, 0, 9.0),
        ("/cv", 3, 2, 3, 4, 100, 1.0),
    ]
    assert ask("visits percentage", "event:name") == [("page_view", 3, 100), ("signup", 1, 100 / 3)]
    assert ask("visits", "event:props:plan") == [("", 3), ("free", 1), ("pro", 1)]


@pytest.mark.parametrize(
    ("condition", "figures"),
    [
        (Match("is", "event:page", ("/",)), (1, 1, 1, 0)),
        (Match("is", "event:page", ("/cv", "/nowhere")), (3, 3, 4, 100)),
        (Match("is_not", "event:page", ("/cv",)), (1, 1, 1, 0)),
        (Match("contains", "event:page", ("CV",), case_sensitive=False), (3, 3, 4, 100)),
        (Match("matches", "visit:exit_page", ("^/c",)), (3, 4, 5, 200 / 3)),
        (FREE, (1, 0, 1, 100)),
        (And((FREE, Match("is", "event:name", ("page_view",)))), (0, 0, 0, None)),  # no event is both
        (Not(FREE), (3, 4, 4, 200 / 3)),
    ],
)
def test_events_count_that_all_conditions_are_true_of(condition: Any, figures: Any) -> None:
    assert ask("visits pageviews events bounce_rate", filter=condition) == [figures]


def test_a_conversion_is_one_of_those_who_might_have_converted() -> None:
    assert ask("visitors conversion_rate percentage", filter=FREE) == [(1, 100 / 3, 100)]


def test_bots_are_counted_when_they_are_asked_for() -> None:
    assert ask("visitors visits", include_bots=True) == [(4, 4)]


def test_rows_are_ordered_and_cut() -> None:
    by_views = {"order_by": (("pageviews", "desc"),)}
    assert ask("pageviews", "event:page", **by_views) == [("/cv", 3), ("/", 1)]
    assert ask("pageviews", "event:page", **by_views, limit=1, offset=1) == [("/", 1)]


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [("2025-10-25 22:00", "2025-10-26 23:00", 25), ("2026-03-28 23:00", "2026-03-29 22:00", 23)],
)
def test_a_day_on_which_clocks_change_has_23_or_25_hours(start: str, end: str, hours: int) -> None:
    span = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end)]
    assert len(list(buckets(Query(1, PARIS, *span, ("visits",), ("time:hour",))))) == hours
    assert len(list(buckets(Query(1, PARIS, *span, ("visits",), ("time:day",))))) == 1
