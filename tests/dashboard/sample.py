"""A page with everything on it, made by hand: for tests of what is drawn, and for looking at it.

`page()` is calm and believable; `hostile()` has in every text what people must not be able to do to the page, and
numbers and texts that are longer than their places.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.answers import MetricHow
from maicivy.dashboard.page import (
    Card,
    Chip,
    Details,
    Extras,
    Figure,
    HeatCell,
    Link,
    Moment,
    Page,
    Panel,
    Period,
    Point,
    Problem,
    Row,
    Series,
)
from maicivy.dashboard.panels import CARDS, PANELS, panels_of
from maicivy.dashboard.view import INTERVALS, METRICS, PERIODS

PARIS = ZoneInfo("Europe/Paris")
PATH = "/dashboard/example.com"
BAD = "<script>alert('1')</script>\"'><img src=x onerror=alert(2)>{{7*7}}&amp;"
"""Is text wherever it comes to stand."""
RIGHT_TO_LEFT = "\u202eمرحبا بالعالم/pricing"
LONG = "/" + "very-long-path-segment/" * 87
"""2,000 characters and no place to break."""

DAY = timedelta(days=1)
START = datetime(2026, 10, 24, tzinfo=PARIS)
HOW = MetricHow("count_distinct", ["raw", "day"], True, note="sum of the visitors of each day")
COUNT = MetricHow("count", ["day"], True)
RATIO = MetricHow("ratio", ["raw", "day"], False, 0.0123)

ROWS: dict[str, list[tuple[str, str, int]]] = {
    "event:page": [
        *(("/", "/", 4210), ("/blog/quiet-analytics", "/blog/quiet-analytics", 1930), ("/pricing", "/pricing", 1204)),
        *(("/docs", "/docs", 988), ("/docs/install", "/docs/install", 610), ("/about", "/about", 402)),
        *(
            ("/blog", "/blog", 377),
            ("/changelog", "/changelog", 150),
            ("/contact", "/contact", 61),
            ("/404", "/404", 9),
        ),
    ],
    "visit:channel": [
        *(("Direct", "Direct", 3020), ("Organic Search", "Organic search", 2210), ("Referral", "Referral", 760)),
        *(("AI Assistants", "AI assistants", 233), ("Email", "Email", 120), ("Organic Social", "Organic social", 84)),
    ],
    "visit:country": [
        *(("FR", "France", 1801), ("CH", "Switzerland", 1440), ("DE", "Germany", 1190), ("US", "United States", 870)),
        *(("GB", "United Kingdom", 402), ("IN", "India", 211), ("BR", "Brazil", 130), ("JP", "Japan", 88)),
        *(("ZA", "South Africa", 31), ("", "Unknown country", 12)),
    ],
    "visit:device": [("desktop", "Desktop", 4100), ("mobile", "Mobile", 2200), ("tablet", "Tablet", 127)],
    "event:name": [
        ("signup", "signup", 310),
        ("pdf_download", "PDF download", 120),
        ("outbound_click", "Outbound", 4),
    ],
}


def page(**changes: Any) -> Page:
    """A site of a few hundred visitors a day, 28 days of them beside the 28 before."""
    known = Page(
        site_id=3,
        site_name="example.com",
        measurement_id="MC-1A2B3C4D",
        state="ok",
        period=Period("28d", START, START + 28 * DAY, START - 28 * DAY, START),
        timezone="Europe/Paris",
        current_visitors=17,
        figures=_figures(),
        series=series(),
        cards=tuple(Card(key, _tabs(key), panel(panels_of(key)[0])) for key in CARDS),
        chips=(
            Chip("is", "visit:country", ("France", "Switzerland"), f"{PATH}?f=1", written="is,visit:country,FR,CH"),
            Chip(
                "contains", "plan", ("pro",), f"{PATH}?f=2", is_property=True, written="contains,event:props:plan,pro"
            ),
        ),
        periods=tuple(Link(key, f"{PATH}?period={key}", key == "28d") for key in PERIODS),
        comparisons=tuple(
            Link(key, f"{PATH}?compare={key}", key == "previous") for key in ("previous", "year", "off", "weekday")
        ),
        sites=(Link("site", PATH, True, "example.com"), Link("site", "/dashboard/other.example", text="other.example")),
        live_url="/live/example.com",
        current_url=f"{PATH}?period=realtime",
        options=(Link("bots", f"{PATH}?bots=1"),),
        as_of=START + 27 * DAY + timedelta(hours=14, minutes=5),
        extras=extras(),
    )
    return msgspec.structs.replace(known, **changes)


def hostile() -> Page:
    """The same with every text made by somebody who means ill, and figures that nobody expects."""
    known = page()
    texts = (BAD, RIGHT_TO_LEFT, LONG)
    rows = tuple(
        Row(text, text, (10**12 // (n + 1),), 1 / (n + 1), f"{PATH}?f={n}", n == 0, "https://x.example/")
        for n, text in enumerate(texts * 3)
    )
    cards = tuple(
        msgspec.structs.replace(card, panel=msgspec.structs.replace(card.panel, rows=rows, metrics=("visitors",)))
        for card in known.cards
    )
    properties = tuple(Link(text, PATH, n == 0, text) for n, text in enumerate(texts))
    cards = (
        *cards[:-1],
        msgspec.structs.replace(
            cards[-1], panel=panel("properties", rows=rows, metrics=("visitors",), choices=properties)
        ),
    )
    figures = tuple(
        msgspec.structs.replace(figure, value=10**15 + 7, before=1, change=10**9, how=MetricHow(BAD, [BAD], False, 0.1))
        for figure in known.figures
    )
    assert known.extras is not None
    ill = msgspec.structs.replace(
        known.extras,
        themes=tuple((text, 3) for text in texts),
        heat_page=BAD,
        heat_pages=tuple(Link(text, PATH, text=text) for text in texts),
        moments=tuple(Moment(str(n), "x" * 50, text, START, BAD[:6], ((BAD, text),)) for n, text in enumerate(texts)),
    )
    return msgspec.structs.replace(
        known,
        site_name=BAD,
        measurement_id=BAD,
        timezone="Europe/Paris",
        current_visitors=10**9,
        figures=figures,
        cards=cards,
        chips=tuple(Chip("is", BAD, texts, PATH, is_property=n > 0) for n in range(2)),
        sites=tuple(Link("site", PATH, n == 0, text) for n, text in enumerate(texts)),
        problem=Problem(BAD, BAD),
        notices=(Problem(BAD, BAD),),
        extras=ill,
    )


def series(metric: str = "visitors", interval: str = "day", points: int = 28, **changes: Any) -> Series:
    """Weeks with their weekends; the first two buckets unknown, the last one not over yet."""
    step = {"minute": DAY / 1440, "hour": DAY / 24, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}[interval]
    made = tuple(
        Point(
            START + n * step,
            None if n < 2 else _wave(n, 240),
            START - (points - n) * step,
            _wave(n + 3, 205),
            is_partial=n == points - 1,
            is_unknown=n < 2,
        )
        for n in range(points)
    )
    known = Series(
        metric,
        interval,
        made,
        is_compared=True,
        how=HOW,
        metrics=tuple(Link(name, f"{PATH}?metric={name}", name == metric) for name in METRICS),
        intervals=tuple(Link(name, f"{PATH}?interval={name}", name == interval) for name in INTERVALS[1:4]),
    )
    return msgspec.structs.replace(known, **changes)


def panel(key: str, **changes: Any) -> Panel:
    """A panel of the table with rows that suit it."""
    spec = PANELS[key]
    rows = ROWS.get(spec.dimension, ROWS["visit:device"])
    made = tuple(
        Row(
            value,
            text,
            (count, *(count // 2 for _ in spec.metrics[1:])),
            count / rows[0][2],
            f"{PATH}?f=is,{spec.dimension},{value}",
            value == "CH",
            f"https://example.com{value}" if spec.dimension == "event:page" else "",
        )
        for value, text, count in rows
    )
    known = Panel(
        key,
        spec.dimension,
        spec.metrics,
        made,
        f"{PATH}/details/{key}",
        f"{PATH}/export/{key}.csv",
        how=HOW,
        has_more=True,
    )
    return msgspec.structs.replace(known, **changes)


def details(key: str = "pages") -> Details:
    """A panel in full, on its second page."""
    spec = PANELS[key]
    metrics = (*spec.metrics, *spec.more)
    known = panel(key)
    rows = tuple(
        msgspec.structs.replace(row, numbers=(row.numbers[0], *(40 + n for n in range(len(metrics) - 1))))
        for row in known.rows
    )
    url = f"{PATH}/details/{key}"
    columns = (spec.dimension, *metrics)
    return Details(
        panel=msgspec.structs.replace(known, metrics=metrics, rows=rows),
        search="",
        sorted_by=metrics[0],
        is_descending=True,
        columns=tuple(Link(name, f"{url}?sort={name}", name == metrics[0]) for name in columns),
        first=51,
        total=1234,
        previous_url=url,
        next_url=f"{url}?page=3",
    )


def extras() -> Extras:
    """Letters, themes, clicks around a button, and the latest events."""
    return Extras(
        letters=(("motivation", 41), ("anti_motivation", 17)),
        letters_period="month",
        heat_hours=168,
        themes=(("backend", 120), ("data", 77), ("security", 31)),
        heat_page="/pricing",
        heat_pages=(Link("/", f"{PATH}?heat=/", text="/"), Link("/pricing", f"{PATH}?heat=/pricing", True, "/pricing")),
        heat=tuple(HeatCell(300 + 20 * (n % 5), 400 + 20 * (n // 5), 1 + n * 3 % 17) for n in range(25)),
        moments=tuple(
            Moment(
                f"0190-{n}",
                ("page_view", "signup", "pdf_download")[n % 3],
                ("/", "/pricing", "/blog/quiet-analytics")[n % 3],
                START + 27 * DAY + timedelta(hours=14, minutes=5, seconds=-37 * n),
                f"a{n}c4e",
                (("plan", "pro"),) if n % 3 == 1 else (),
            )
            for n in range(12)
        ),
        earlier_url=f"{PATH}/moments?before=x",
    )


def _figures() -> tuple[Figure, ...]:
    numbers = (
        ("visitors", 6427, 5712, 13, True, HOW),
        ("visits", 8113, 7450, 9, True, COUNT),
        ("pageviews", 20394, 21020, -3, False, COUNT),
        ("views_per_visit", 2.51, 2.82, -11, False, RATIO),
        ("bounce_rate", 48, 51, -3, True, RATIO),
        ("visit_duration", 154, 154, 0, None, RATIO),
    )
    return tuple(
        Figure(name, value, before, change, is_good, how, f"{PATH}?metric={name}", name == "visitors")
        for name, value, before, change, is_good, how in numbers
    )


def _tabs(card: str) -> tuple[Link, ...]:
    return tuple(Link(key, f"{PATH}?show={key}", n == 0) for n, key in enumerate(panels_of(card)))


def _wave(n: int, height: int) -> int:
    weekend = 0.55 if n % 7 in (0, 1) else 1.0
    return round(height * weekend * (1 + 0.25 * math.sin(n / 4) + 0.08 * math.sin(n * 2.7)))
