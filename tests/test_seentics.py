"""What Seentics' API answers, over a real store with a handful of visits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
import pytest
import redis
from sqlalchemy import Engine

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.answers import Answer, Result
from maicivy.core.events import Event, Traits
from maicivy.core.ports import Parcel
from maicivy.core.query_language import Question
from maicivy.core.sites import Site
from maicivy.errors import Refusal
from maicivy.queries import Queries
from maicivy.seentics import MAX_HOURS, MAX_SAMPLES, QUESTIONS
from maicivy.seentics.asking import FILTERS, Asked, Asking
from maicivy.seentics.figures import SUMMARY, comparison, properties, summary
from maicivy.storage import keys
from tests.events import event, visitor_id

NOW = datetime(2025, 12, 10, 12, 30, 20, tzinfo=UTC)
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0"
BOT = "Googlebot/2.1 (+http://www.google.com/bot.html)"
PARIS = Traits(CHROME, "fr", "FR", "Ile-de-France", "Paris", 1920, 1080)
BERLIN = Traits(FIREFOX, "de", "DE", "Berlin", "Berlin", 1366, 768)


@pytest.fixture
def parts(settings: Settings, engine: Engine, redis_client: redis.Redis) -> Iterator[Maicivy]:
    parts = build(settings)
    yield parts
    parts.close()


def did(
    event_type: str,
    at: datetime,
    visitor: int = 1,
    page: str = "/",
    traits: Traits = PARIS,
    data: dict[str, Any] | None = None,
    referrer: str = "",
) -> Event:
    happened = event(event_type, data, at=at, visitor=visitor, page_url=page)
    return msgspec.structs.replace(happened, traits=traits, referrer=referrer)


def put(parts: Maicivy, *events: Event) -> None:
    parts.store.store([Parcel("1-0", len(events), list(events), [])])


def ask(parts: Maicivy, name: str, now: datetime = NOW, **asked: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"site": Site(1), "website_id": "1", "days": 7, "limit": 10} | asked
    answer = parts.seentics.answer(name, Asked(**values), now)
    wire: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    return wire


def ago(**past: float) -> datetime:
    return NOW - timedelta(**past)


@pytest.fixture
def visited(parts: Maicivy) -> Maicivy:
    """Yesterday a visit of two pages from Paris and one of a page from Berlin; a bot; ten days ago one visit."""
    google, day = "https://www.google.com/search", ago(days=1)
    put(
        parts,
        did("page_view", day, page="/", referrer=google),
        did(
            "engagement",
            day + timedelta(seconds=40),
            page="/",
            traits=msgspec.structs.replace(PARIS, engagement_ms=40_000),
        ),
        did("page_view", day + timedelta(minutes=1), page="/pricing"),
        did("signup", day + timedelta(minutes=2), page="/pricing", data={"plan": "team"}),
        did("page_view", day + timedelta(hours=2), 2, "/pricing", BERLIN),
        did("page_view", day, 3, "/", Traits(BOT)),
        did("signup", day, 3, "/", Traits(BOT), {"plan": "bot"}),
        did("page_view", ago(days=10), 4, "/", BERLIN),
    )
    return parts


def test_a_summary_counts_the_days_and_compares_them_with_as_many_before(visited: Maicivy) -> None:
    assert ask(visited, "traffic-summary") == {
        "total_page_views": 3,
        "total_visitors": 2,
        "unique_visitors": 2,
        "total_sessions": 2,
        "bounce_rate": 50,
        "avg_session_time": 60,
        "pages_per_session": 1.5,
        "growth_rate": 200.0,
        "visitors_growth_rate": 100.0,
        "sessions_growth_rate": 100.0,
        "new_visitors": None,
        "returning_visitors": None,
        "engagement_score": None,
        "retention_rate": None,
    }


def test_a_summary_of_nothing_has_neither_rates_nor_growth(parts: Maicivy) -> None:
    answer = ask(parts, "traffic-summary")
    counted = {"total_page_views", "total_visitors", "unique_visitors", "total_sessions"}
    assert {name for name, value in answer.items() if value == 0} == counted
    assert {value for name, value in answer.items() if name not in counted} == {None}


def test_the_range_is_whole_days_of_the_zone_today_among_them(parts: Maicivy) -> None:
    put(
        parts,
        did("page_view", datetime(2025, 12, 8, 22, 59, 59, tzinfo=UTC), 1),  # 23:59:59 of the 8th in Paris
        did("page_view", datetime(2025, 12, 8, 23, 0, 0, tzinfo=UTC), 2),
        did("page_view", datetime(2025, 12, 10, 22, 59, 59, tzinfo=UTC), 3),
        did("page_view", datetime(2025, 12, 10, 23, 0, 0, tzinfo=UTC), 4),
    )
    answer = ask(parts, "traffic-summary", days=2, zone=ZoneInfo("Europe/Paris"))
    assert (answer["total_page_views"], answer["growth_rate"]) == (2, 100.0)
    site = Site(1, timezone="Europe/Paris")
    assert ask(parts, "traffic-summary", days=2, site=site) == answer
    assert ask(parts, "daily-stats", days=2, site=site) == {
        "website_id": "1",
        "daily_stats": [
            {"date": "2025-12-09", "views": 1, "unique": 1},
            {"date": "2025-12-10", "views": 1, "unique": 1},
        ],
        "timezone": "Europe/Paris",
    }


def test_pages_with_who_entered_and_left_there(visited: Maicivy) -> None:
    assert ask(visited, "top-pages") == {
        "website_id": "1",
        "top_pages": [
            {
                "page": "/pricing",
                "views": 2,
                "unique": 2,
                "bounce_rate": 100,
                "avg_time": None,
                "entry_rate": 50.0,
                "exit_rate": 100.0,
            },
            {
                "page": "/",
                "views": 1,
                "unique": 1,
                "bounce_rate": 0,
                "avg_time": 40,
                "entry_rate": 100.0,
                "exit_rate": 0.0,
            },
        ],
    }


def test_a_page_that_was_entered_before_the_range_has_no_rate_beyond_all(parts: Maicivy) -> None:
    midnight = datetime(2025, 12, 10, tzinfo=UTC)
    before, after = midnight - timedelta(minutes=5), midnight + timedelta(minutes=5)
    went_on = msgspec.structs.replace(did("page_view", after, page="/b"), visitor_id=visitor_id(1, before))
    put(parts, did("page_view", before), went_on, did("page_view", after, 2), did("page_view", after, 2, "/b"))
    rates = {page["page"]: page["entry_rate"] for page in ask(parts, "top-pages", days=1)["top_pages"]}
    assert rates == {"/": 100.0, "/b": 0.0}


TOP_LISTS: list[tuple[str, list[Any]]] = [
    (
        "top-referrers",
        [
            {"referrer": "google.com/search", "views": 2, "unique": 1, "bounce_rate": 0},
            {"referrer": "", "views": 1, "unique": 1, "bounce_rate": 100},
        ],
    ),
    (
        "top-sources",
        [
            {"source": "Google", "views": 2, "unique_visitors": 1, "bounce_rate": 0},
            {"source": "", "views": 1, "unique_visitors": 1, "bounce_rate": 100},
        ],
    ),
    (
        "top-countries",
        [
            {"country": "FR", "views": 2, "unique": 1, "visitors": 1, "bounce_rate": 0},
            {"country": "DE", "views": 1, "unique": 1, "visitors": 1, "bounce_rate": 100},
        ],
    ),
    (
        "top-browsers",
        [
            {"browser": "Chrome", "views": 2, "unique": 1, "visitors": 1, "bounce_rate": 0},
            {"browser": "Firefox", "views": 1, "unique": 1, "visitors": 1, "bounce_rate": 100},
        ],
    ),
    ("top-devices", [{"device": "desktop", "views": 3, "unique": 2, "visitors": 2, "bounce_rate": 50}]),
    (
        "top-os",
        [
            {"os": "Linux", "views": 2, "unique": 1, "visitors": 1, "bounce_rate": 0},
            {"os": "Windows", "views": 1, "unique": 1, "visitors": 1, "bounce_rate": 100},
        ],
    ),
    (
        "top-resolutions",
        [
            {"resolution": "1920x1080", "views": 2, "unique": 1, "visitors": 1, "bounce_rate": 0},
            {"resolution": "1366x768", "views": 1, "unique": 1, "visitors": 1, "bounce_rate": 100},
        ],
    ),
]


def test_top_lists_have_just_these_members(visited: Maicivy) -> None:
    for name, rows in TOP_LISTS:
        assert ask(visited, name) == {"website_id": "1", name.replace("-", "_"): rows}


def test_a_limit_cuts_every_list(visited: Maicivy) -> None:
    dashboard = ask(visited, "dashboard", limit=1)
    lists = [dashboard[name] for name in ("top_pages", "top_sources", "top_countries", "top_resolutions")]
    assert [len(each) for each in [*lists, *dashboard["geolocation"].values()]] == [1] * 7


FILTERED = [
    ("country", "FR", 2),
    ("country", "", 0),
    ("device", "desktop", 3),
    ("browser", "Firefox", 1),
    ("browser", "firefox", 0),
    ("os", "Linux", 2),
    ("utm_source", "", 3),
    ("utm_medium", "mail", 0),
    ("utm_campaign", "x' OR ''='", 0),
    ("page_path", "/pricing", 2),
]


def test_filters(visited: Maicivy) -> None:
    for name, value, views in FILTERED:
        filters = ((name, value),)
        assert ask(visited, "traffic-summary", filters=filters)["total_page_views"] == views
        assert sum(day["views"] for day in ask(visited, "daily-stats", filters=filters)["daily_stats"]) == views


def test_all_filters_together(visited: Maicivy) -> None:
    every = {"country": "FR", "device": "desktop", "browser": "Chrome", "os": "Linux", "page_path": "/pricing"}
    every |= dict.fromkeys(("utm_source", "utm_medium", "utm_campaign"), "")
    assert every.keys() == FILTERS.keys()
    filters = tuple(every.items())
    for name in QUESTIONS:
        ask(visited, name, filters=filters)
    assert ask(visited, "traffic-summary", filters=filters)["total_page_views"] == 1
    (page,) = ask(visited, "top-pages", filters=filters)["top_pages"]
    assert (page["page"], page["entry_rate"], page["exit_rate"]) == ("/pricing", 0.0, 100.0)
    (signup,) = ask(visited, "custom-events", filters=filters)["top_events"]
    assert signup == {"event_type": "signup", "count": 1, "sample_properties": [{"plan": "team"}]}


def test_every_day_has_a_row(visited: Maicivy) -> None:
    days = ask(visited, "daily-stats")["daily_stats"]
    assert [day["date"] for day in days] == [f"2025-12-{n:02d}" for n in range(4, 11)]
    assert [(day["views"], day["unique"]) for day in days] == [(0, 0)] * 5 + [(3, 2), (0, 0)]


def test_hours_are_those_that_have_begun(visited: Maicivy) -> None:
    answer = ask(visited, "hourly-stats", days=2)
    hours = answer["hourly_stats"]
    assert answer.keys() == {"website_id", "hourly_stats", "timezone"}
    assert len(hours) == 24 + 13
    assert hours[0]["timestamp"] == "2025-12-09T00:00:00Z"
    assert [hour for hour in hours if hour["views"]] == [
        {"hour": 12, "views": 2, "unique": 1, "timestamp": "2025-12-09T12:00:00Z", "hour_label": "12:00"},
        {"hour": 14, "views": 1, "unique": 1, "timestamp": "2025-12-09T14:00:00Z", "hour_label": "14:00"},
    ]


def test_of_many_hours_there_are_the_latest(parts: Maicivy) -> None:
    for days, count in [(1, 13), (7, 6 * 24 + 13), (8, MAX_HOURS), (365, MAX_HOURS)]:
        hours = ask(parts, "hourly-stats", days=days)["hourly_stats"]
        assert len(hours) == count
        assert hours[-1]["timestamp"] == "2025-12-10T12:00:00Z"
        stamps = [datetime.fromisoformat(hour["timestamp"]) for hour in hours]
        assert {later - earlier for earlier, later in pairwise(stamps)} == {timedelta(hours=1)}


def test_an_hour_that_comes_twice_is_two_hours(parts: Maicivy) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    put(
        parts,
        did("page_view", datetime(2025, 10, 26, 0, 30, tzinfo=UTC), 1),
        did("page_view", datetime(2025, 10, 26, 1, 30, tzinfo=UTC), 2),
        did("page_view", datetime(2025, 10, 26, 1, 40, tzinfo=UTC), 3),
    )
    now = datetime(2025, 10, 26, 22, 59, tzinfo=UTC)
    hours = ask(parts, "hourly-stats", now, days=1, zone=berlin)["hourly_stats"]
    assert len(hours) == 25
    assert [(hour["hour"], hour["views"], hour["timestamp"][11:16]) for hour in hours[1:5]] == [
        (1, 0, "23:00"),
        (2, 1, "00:00"),
        (2, 2, "01:00"),
        (3, 0, "02:00"),
    ]
    (day,) = ask(parts, "daily-stats", now, days=1, zone=berlin)["daily_stats"]
    assert day == {"date": "2025-10-26", "views": 3, "unique": 3}


def test_an_hour_that_is_left_out_is_no_hour(parts: Maicivy) -> None:
    now = datetime(2026, 3, 29, 21, 59, tzinfo=UTC)
    hours = ask(parts, "hourly-stats", now, days=1, zone=ZoneInfo("Europe/Berlin"))["hourly_stats"]
    assert [hour["hour"] for hour in hours] == [0, 1, *range(3, 24)]


def test_custom_events_are_neither_views_nor_engagement(visited: Maicivy) -> None:
    put_days = [f"2025-12-{n:02d}" for n in range(4, 11)]
    assert ask(visited, "custom-events") == {
        "website_id": "1",
        "top_events": [{"event_type": "signup", "count": 1, "sample_properties": [{"plan": "team"}]}],
        "timeseries": [{"date": day, "count": int(day == "2025-12-09")} for day in put_days],
        "total_events": 1,
        "unique_events": 1,
    }


def test_samples_are_few_short_latest_and_of_people(parts: Maicivy) -> None:
    put(
        parts,
        *(did("click", ago(minutes=n), data={"n": n}) for n in range(1, MAX_SAMPLES + 3)),
        did("click", ago(minutes=0.5), data={"long": "x" * 2000}),
        did("click", ago(minutes=0.4)),
        did("click", ago(minutes=0.3), 2, traits=Traits(BOT), data={"n": 0}),
        did("rare", ago(days=2), 3, traits=BERLIN, data={"a": {"b": [1.5, None, "é"]}}),
    )
    answer = ask(parts, "custom-events")
    assert [(each["event_type"], each["count"]) for each in answer["top_events"]] == [("click", 9), ("rare", 1)]
    assert answer["top_events"][0]["sample_properties"] == [{"n": n} for n in range(1, MAX_SAMPLES + 1)]
    assert answer["top_events"][1]["sample_properties"] == [{"a": {"b": [1.5, None, "é"]}}]
    assert (answer["total_events"], answer["unique_events"]) == (10, 2)
    limited = ask(parts, "custom-events", limit=1)
    assert [each["event_type"] for each in limited["top_events"]] == ["click"]
    assert (limited["total_events"], limited["unique_events"]) == (10, 2)
    of_berlin = ask(parts, "custom-events", filters=(("country", "DE"),))
    assert [each["event_type"] for each in of_berlin["top_events"]] == ["rare"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ('{"a": 123456789012345678}', {"a": 123456789012345678}),
        ('{"a": -100000000000000000000}', {"a": -1e20}),
        ('{"a": 1' + "0" * 300 + "}", {"a": 1e300}),
        ('{"a": 0.1, "b": true}', {"a": 0.1, "b": True}),
    ],
)
def test_properties_fit_into_any_format(text: str, value: dict[str, Any]) -> None:
    assert properties(text) == value
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(properties(text))) == value


def test_places_with_their_part_of_all_visitors(visited: Maicivy) -> None:
    answer = ask(visited, "geolocation-breakdown")
    assert answer == {
        "website_id": "1",
        "countries": [
            {"country": "FR", "views": 2, "unique": 1, "percentage": 50.0},
            {"country": "DE", "views": 1, "unique": 1, "percentage": 50.0},
        ],
        "regions": [
            {"region": "Ile-de-France", "views": 2, "unique": 1, "percentage": 50.0},
            {"region": "Berlin", "views": 1, "unique": 1, "percentage": 50.0},
        ],
        "cities": [
            {"city": "Paris", "views": 2, "unique": 1, "percentage": 50.0},
            {"city": "Berlin", "views": 1, "unique": 1, "percentage": 50.0},
        ],
    }


def test_the_dashboard_says_what_the_others_say(visited: Maicivy, redis_client: redis.Redis) -> None:
    redis_client.zadd(keys.presence(1), {"a": NOW.timestamp() - 299, "b": NOW.timestamp() - 301})
    dashboard = ask(visited, "dashboard")
    places = ask(visited, "geolocation-breakdown")
    del places["website_id"]
    now = {"page_views": 3, "visitors": 2, "sessions": 2, "bounce_rate": 50, "session_duration": 60}
    before = {"page_views": 1, "visitors": 1, "sessions": 1, "bounce_rate": 100, "session_duration": 0}
    assert dashboard == {
        "website_id": "1",
        "date_range": "2025-12-04/2025-12-10",
        "total_visitors": 2,
        "unique_visitors": 2,
        "live_visitors": 1,
        "page_views": 3,
        "session_duration": 60,
        "bounce_rate": 50,
        "new_visitors": None,
        "returning_visitors": None,
        "comparison": {
            "current_period": now,
            "previous_period": before,
            "page_views_change": 200.0,
            "visitors_change": 100.0,
            "sessions_change": 100.0,
            "bounce_rate_change": -50.0,
            "session_duration_change": None,
        },
        "metrics": ask(visited, "traffic-summary"),
        **{name: ask(visited, name.replace("_", "-"))[name] for name in ("top_pages", "top_sources", "top_countries")},
        "top_resolutions": ask(visited, "top-resolutions")["top_resolutions"],
        "geolocation": places,
    }


def test_where_the_days_before_are_forgotten_nothing_is_compared() -> None:
    told = summary([3, 2, 2, 50, 60, 1.5], None)
    assert (told.growth_rate, told.visitors_growth_rate, told.sessions_growth_rate) == (None, None, None)
    assert comparison([3, 2, 2, 50, 60, 1.5], None).previous_period is None


class Forgetful:
    """Queries that know only the present range."""

    def __init__(self, *, knows_range: bool) -> None:
        self.knows_range = knows_range

    def answer(self, question: Question, site: Site, now: datetime) -> Answer:
        if question.include.comparisons is not None or not self.knows_range:
            raise Refusal("not_kept", "forgotten", "date_range")
        return cast("Answer", SimpleNamespace(results=[Result([1, 1, 1, 0, 0, 1.0], [])]))


def test_days_that_are_forgotten_are_refused_by_the_name_of_the_parameter() -> None:
    asked = Asked(Site(1), "1", 365, 10)
    asking = Asking(cast("Queries", Forgetful(knows_range=False)), asked, ZoneInfo("UTC"), NOW)
    with pytest.raises(Refusal) as refused:
        asking.totals_compared("pageviews")
    assert (refused.value.code, refused.value.field) == ("not_kept", "days")
    asking = Asking(cast("Queries", Forgetful(knows_range=True)), asked, ZoneInfo("UTC"), NOW)
    assert asking.totals_compared(*SUMMARY) == ([1, 1, 1, 0, 0, 1.0], None)


def test_realtime_is_the_last_half_hour(parts: Maicivy, redis_client: redis.Redis) -> None:
    redis_client.zadd(keys.presence(1), {"a": NOW.timestamp() - 10, "bot": NOW.timestamp() - 10})
    redis_client.zadd(keys.bots(1), {"bot": NOW.timestamp() - 10})
    put(
        parts,
        did("page_view", ago(minutes=29), 1, "/a"),
        did("page_view", ago(minutes=2), 1, "/b"),
        did("signup", ago(minutes=2), 1, "/b"),
        did("page_view", ago(minutes=1), 2, "/b", BERLIN, referrer="https://www.google.com/"),
        did("page_view", ago(minutes=31), 3, "/c"),
    )
    answer = ask(parts, "realtime")
    minutes = answer.pop("events_per_minute")
    assert answer == {
        "website_id": "1",
        "timestamp": "2025-12-10T12:30:20Z",
        "live_visitors": 1,
        "visitors": 2,
        "page_views": 3,
        "events": 4,
        "top_pages": [{"page": "/b", "views": 2, "unique": 2}, {"page": "/a", "views": 1, "unique": 1}],
        "top_sources": [
            {"source": "", "views": 2, "unique_visitors": 1},
            {"source": "Google", "views": 1, "unique_visitors": 1},
        ],
        "top_countries": [{"country": "FR", "views": 2, "unique": 1}, {"country": "DE", "views": 1, "unique": 1}],
    }
    assert len(minutes) == 30
    assert [minute["timestamp"][11:] for minute in (minutes[0], minutes[-1])] == ["12:01:00Z", "12:30:00Z"]
    assert minutes[-3] == {"timestamp": "2025-12-10T12:28:00Z", "events": 2, "views": 1, "unique": 1}
    assert sum(minute["events"] for minute in minutes) == 4


def test_live_visitors_are_those_of_five_minutes(parts: Maicivy, redis_client: redis.Redis) -> None:
    redis_client.zadd(keys.presence(1), {"a": NOW.timestamp() - 1, "b": NOW.timestamp() - 301})
    put(parts, did("page_view", ago(minutes=1)), did("page_view", ago(minutes=3), 2, traits=BERLIN))
    assert ask(parts, "live-visitors", website_id="shop") == {"website_id": "shop", "live_visitors": 1}
    for country, count in [("FR", 1), ("DE", 1), ("US", 0)]:
        assert ask(parts, "live-visitors", filters=(("country", country),))["live_visitors"] == count


def test_sites_are_kept_apart(visited: Maicivy) -> None:
    assert visited.sites.add({"domain": "shop.example"}).id == 2
    for name in QUESTIONS:
        answer = ask(visited, name, site=Site(2), website_id="2")
        assert answer.get("website_id", "2") == "2"
    assert ask(visited, "traffic-summary", site=Site(2))["total_page_views"] == 0
    assert ask(visited, "custom-events", site=Site(2))["top_events"] == []
