"""Traffic and questions for the oracle and the engine: a few of everything, close to every edge that there is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st

from maicivy.core.events import Event, Traits
from maicivy.core.query import (
    EVENT_DIMENSIONS,
    METRICS,
    TIME_DIMENSIONS,
    VISIT_DIMENSIONS,
    And,
    Filter,
    Match,
    Metric,
    Not,
    Operator,
    Or,
    Query,
)
from maicivy.core.visits import VISIT_GAP
from tests.events import event_id, visitor_id
from tests.oracle.oracle import names_of

_SCALE: Final = float(os.environ.get("MAICIVY_ORACLE_SCALE", "1"))

ZONES: Final = tuple(ZoneInfo(name) for name in ("UTC", "Europe/Paris", "Asia/Kolkata", "America/St_Johns"))
EVENINGS: Final = (
    datetime(2025, 10, 25, 20, 0, tzinfo=UTC),  # Paris sets its clocks back at 01:00 UTC, a day of 25 hours
    datetime(2026, 3, 28, 20, 0, tzinfo=UTC),  # and forward: 23 hours
    datetime(2025, 12, 31, 17, 45, tzinfo=UTC),  # Kolkata's New Year is at 18:30, and a week goes on into it
    datetime(2026, 1, 31, 23, 30, tzinfo=UTC),  # a month ends on a Saturday
)
PROPERTIES: Final = ("event:props:plan", "event:props:per.cent")
DIMENSIONS: Final = (*VISIT_DIMENSIONS, *EVENT_DIMENSIONS, *PROPERTIES)

_PAGES = ("/", "/cv", "/cv", "/cv?theme=backend", "/blog/Über_1", "https://example.org/cv", "https://shop.example.org/")
_REFERRERS = (
    *("", "", "https://www.google.com/search", "https://t.co/x", "https://news.example.net/a"),
    *("android-app://com.example.reader/", "https://example.org/cv", "https://4webmasters.org/"),
)
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1 Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "python-requests/2.32.4",
)
_UTM = (None, None, ("newsletter", "email", "Summer", "", ""), ("google", "cpc", "", "cv", "a"), ("", "", "", "", ""))
_PLACES = (("", "", ""), ("FR", "Île-de-France", "Paris"), ("FR", "", ""), ("CA", "Newfoundland", "St. John's"))
_PROPERTIES: tuple[dict[str, Any], ...] = (
    {},
    {"plan": "pro"},
    {"plan": "Pro", "per.cent": 50},
    {"plan": "", "per.cent": 12.5},
    {"plan": None, "per.cent": True},
    {"plan": ["a", 1], "per.cent": "50"},
)
_READINGS: tuple[dict[str, Any], ...] = (
    {"engagement_ms": 1500},
    {"engagement_ms": 60_000, "scroll_depth": 33},
    {"engagement_ms": 1, "scroll_depth": 100},
    {"engagement_ms": 0, "scroll_depth": 0},
    {"scroll_depth": 80},
    {"engagement_ms": 1.5, "scroll_depth": 50.0},  # as event_data may hold: no such numbers
    {"engagement_ms": 10**11, "scroll_depth": "70"},
)
_STEPS = (
    *(timedelta(0), timedelta(microseconds=1), timedelta(seconds=1), timedelta(seconds=59), timedelta(minutes=14)),
    *(timedelta(minutes=15), timedelta(minutes=29), timedelta(minutes=29), VISIT_GAP),
    *(VISIT_GAP + timedelta(microseconds=1), timedelta(hours=1), timedelta(hours=5), timedelta(hours=21)),
)


def examples(usual: int) -> int:
    """How many examples a test looks at; MAICIVY_ORACLE_SCALE=20 makes it twenty times the usual number."""
    return max(1, round(usual * _SCALE))


class Persona(msgspec.Struct, frozen=True):
    """What the events of one visitor have in common, mostly."""

    number: int
    offset: timedelta
    traits: Traits


@st.composite
def traffic(draw: st.DrawFn, sites: tuple[int, int] = (1, 2), max_events: int = 60) -> list[Event]:
    """Events of two sites over a few days, in the order of time for each visitor, without repeats."""
    evening = draw(st.sampled_from(EVENINGS))
    personas = draw(st.lists(_personas(), min_size=1, max_size=5))
    clocks = [evening + persona.offset for persona in personas]
    events = []
    for _ in range(draw(st.integers(1, max_events))):
        who = draw(st.integers(0, len(personas) - 1))
        clocks[who] += draw(st.sampled_from(_STEPS))
        site_id = sites[draw(st.integers(0, 9)) == 0]
        events.append(draw(_event(personas[who], clocks[who], evening, site_id)))
    return events


@st.composite
def _personas(draw: st.DrawFn) -> Persona:
    country, region, city = draw(st.sampled_from(_PLACES))
    width, height = draw(st.sampled_from(((0, 0), (390, 844), (1920, 1080))))
    return Persona(
        draw(st.integers(1, 4)),  # two may be one and the same, on two devices
        timedelta(minutes=draw(st.integers(0, 16 * 60))),
        Traits(
            user_agent=draw(st.sampled_from((*_AGENTS[:3], *_AGENTS))),
            language=draw(st.sampled_from(("", "en", "fr"))),
            country=country,
            region=region,
            city=city,
            screen_width=width,
            screen_height=height,
        ),
    )


@st.composite
def _event(draw: st.DrawFn, persona: Persona, at: datetime, evening: datetime, site_id: int) -> Event:
    kind = draw(
        st.sampled_from(("page_view", "page_view", "page_view", "engagement", "engagement", "signup", "scroll"))
    )
    data = dict(draw(st.sampled_from(_PROPERTIES)))
    if kind == "engagement":
        data |= draw(st.sampled_from(_READINGS))
    traits = msgspec.structs.replace(
        persona.traits,
        utm=draw(st.sampled_from(_UTM)),
        click_id=draw(st.sampled_from(("", "", "", "gclid"))),
        interactive=draw(st.integers(0, 2)) != 0,
        engagement_ms=_told(data, "engagement_ms", 86_400_000),
        scroll_depth=_told(data, "scroll_depth", 100),
        bot=draw(st.integers(0, 30)) == 30,
    )
    return Event(
        _id(draw(st.integers(0, 3))),
        site_id,
        visitor_id(persona.number, evening),
        None,
        kind,
        data,
        draw(st.sampled_from(_PAGES)),
        draw(st.sampled_from(_REFERRERS)),
        0,
        at,
        traits,
    )


def _told(data: dict[str, Any], name: str, most: int) -> int:
    """What the gate takes for a reading: a whole number within the limit."""
    value = data.get(name)
    return value if type(value) is int and value <= most else 0


def _id(order: int) -> UUID:
    """A new id. Its first 65 bits do not decide which of two events of one microsecond is the earlier."""
    return UUID(int=event_id().int ^ order << 50 ^ (order % 2) << 126)


@st.composite
def portions(draw: st.DrawFn, events: list[Event]) -> list[list[Event]]:
    """The events in any order, some of them again, in portions as they may reach the store."""
    again = [event for event in events if draw(st.integers(0, 7)) == 7]
    shuffled = draw(st.permutations(events + again))
    size = draw(st.sampled_from((1, 3, 10, 100)))
    size = max(size, len(shuffled) // 6)  # a transaction each: enough to meet, few enough to be quick
    return [list(shuffled[at : at + size]) for at in range(0, len(shuffled), size)]


def leaves(dimensions: tuple[str, ...] = DIMENSIONS) -> st.SearchStrategy[Match]:
    """Conditions on one dimension, mostly with values that occur."""
    return st.builds(
        _match,
        st.sampled_from(("is", "is_not", "contains", "contains_not", "matches", "matches_not")),
        st.sampled_from(dimensions),
        st.lists(st.integers(0, 100), min_size=1, max_size=3),
        st.booleans(),
    )


def _match(operator: Operator, dimension: str, places: list[int], case_sensitive: bool) -> Match:
    values = _values_of(dimension)
    if operator.startswith("matches"):
        values = tuple(value for value in values if value)  # there is no empty pattern
    return Match(operator, dimension, tuple({values[place % len(values)]: 0 for place in places}), case_sensitive)


def filters(dimensions: tuple[str, ...] = DIMENSIONS) -> st.SearchStrategy[Filter]:
    """Conditions, and up to a few of them joined."""
    return st.recursive(
        leaves(dimensions),
        lambda parts: st.one_of(
            st.lists(parts, min_size=1, max_size=3).map(lambda some: And(tuple(some))),
            st.lists(parts, min_size=1, max_size=3).map(lambda some: Or(tuple(some))),
            parts.map(Not),
        ),
        max_leaves=4,
    )


def _values_of(dimension: str) -> tuple[str, ...]:
    name = dimension.rpartition(":")[2]
    if dimension.startswith("event:props:"):
        return ("pro", "Pro", "", "50", "12.5", "true", "o")
    if name in ("page", "entry_page", "exit_page"):
        return ("/", "/cv", "/CV", "/blog/Über_1", "blog/", "^/c", "_", "")
    some: dict[str, tuple[str, ...]] = {
        "name": ("page_view", "signup", "SIGN", "^s", "engagement"),
        "hostname": ("example.org", "shop.example.org", "^example", ""),
        "source": ("Google", "google", "newsletter", "news.example.net", ""),
        "channel": ("Direct", "Referral", "Organic Search", "search", "Email"),
        "referrer": ("news.example.net/a", "google", "t.co", ""),
        "country": ("FR", "fr", "CA", ""),
        "region": ("Île-de-France", "île", "Newfoundland"),
        "city": ("Paris", "St. John's", "'"),
        "device": ("desktop", "mobile", "bot", "e"),
        "browser": ("Firefox", "Chrome", "Mobile Safari", "Safari", "fire"),
        "os": ("Windows", "Linux", "iOS", ""),
        "language": ("en", "fr", ""),
        "screen": ("Mobile", "desktop", "e"),
        "resolution": ("1920x1080", "390x844", ""),
    }
    return some.get(name, ("google", "email", "cpc", "Summer", "summer", "cv", "a", "18", "14", ""))


def metrics_for(dimensions: Sequence[str], condition: Filter | None = None) -> tuple[Metric, ...]:
    """What may be asked: two metrics are about pages."""
    of_pages = "event:page" in names_of(condition) | {*dimensions}
    absent = () if of_pages else ("time_on_page", "scroll_depth")
    return tuple(name for name in METRICS if name not in absent)


@st.composite
def ranges(draw: st.DrawFn, around: datetime, zone: ZoneInfo, grain: str | None) -> tuple[datetime, datetime]:
    """Around a moment: whole local days mostly; hours and odd times too; short where minutes are asked for."""
    local = around.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    kind = "hours" if grain == "minute" else draw(st.sampled_from(("days", "days", "days", "hours", "odd")))
    if kind == "days":
        start = local.replace(hour=0) - timedelta(days=draw(st.sampled_from((0, 1, 4))))
        return start.astimezone(UTC), (start + timedelta(days=draw(st.sampled_from((1, 2, 7, 31))))).astimezone(UTC)
    begin = local.astimezone(UTC) - timedelta(hours=draw(st.integers(0, 2)))
    if kind == "odd":
        begin = around + draw(st.sampled_from((timedelta(0), timedelta(microseconds=1), -timedelta(minutes=7))))
    return begin, begin + timedelta(hours=draw(st.sampled_from((1, 2, 4) if grain == "minute" else (1, 7, 60))))


@st.composite
def simple_queries(draw: st.DrawFn, site_id: int, events: list[Event], zone: ZoneInfo) -> Query:
    """A question that rollups can answer: in the site's zone, by one dimension at most, and filtered by no other."""
    name = draw(st.sampled_from((*VISIT_DIMENSIONS, *EVENT_DIMENSIONS)))
    condition = st.one_of(st.none(), leaves((name,)))
    return draw(queries(site_id, events, condition, (zone,), (name,)))


@st.composite
def queries(
    draw: st.DrawFn,
    site_id: int,
    events: list[Event],
    condition: st.SearchStrategy[Filter | None] | None = None,
    zones: Sequence[ZoneInfo] = ZONES,
    dimensions_of: Sequence[str] = DIMENSIONS,
) -> Query:
    """A question of any kind about a time at which something happened."""
    around = draw(st.sampled_from(events)).created_at
    zone = draw(st.sampled_from(zones))
    grains = [name for name in [draw(st.sampled_from((None, None, *TIME_DIMENSIONS)))] if name]
    names = draw(st.lists(st.sampled_from(dimensions_of), max_size=2, unique=True))
    dimensions = tuple(draw(st.permutations([*grains, *names])))
    start, end = draw(ranges(around, zone, grains[0].removeprefix("time:") if grains else None))
    chosen = draw(st.one_of(st.none(), filters()) if condition is None else condition)
    metrics = draw(st.permutations(metrics_for(dimensions, chosen)))[: draw(st.sampled_from((1, 3, 11, 11)))]
    order_by = tuple(
        (name, draw(st.sampled_from(("asc", "desc"))))
        for name in draw(st.lists(st.sampled_from([*metrics, *dimensions]), max_size=2, unique=True))
    )
    return Query(
        site_id,
        zone,
        start,
        end,
        tuple(metrics),
        dimensions,
        chosen,
        order_by,
        draw(st.sampled_from((10_000, 10_000, 3))),
        draw(st.sampled_from((0, 0, 0, 1))),
        draw(st.booleans()),
        draw(st.booleans()),
    )
