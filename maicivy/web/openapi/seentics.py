"""The operations of Seentics' API: parameters out of the constants of `web.seentics`, answers out of their types."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from maicivy.core.query_filters import MAX_VALUE_CHARS
from maicivy.seentics import MAX_HOURS, MAX_SAMPLES, shapes
from maicivy.seentics.asking import FILTERS
from maicivy.web.openapi.parts import (
    SEENTICS,
    WHO,
    WHY,
    Json,
    errors,
    example,
    headers,
    operation,
    query,
    ref,
    whole,
)
from maicivy.web.packing import JSON, MESSAGE_PACK
from maicivy.web.seentics import DEFAULT_DAYS, DEFAULT_ROWS, MAX_DAYS, MAX_ROWS, WEBSITE

_ID: Final = "shop.example"
_NOW: Final = "2025-12-08T12:34:56Z"
_PAGES: Final = [shapes.PageFigures("/pricing", 420, 310, 41, 38, 25.6, 18.31)]
_SOURCES: Final = [shapes.SourceFigures("Google", 512, 203, 44), shapes.SourceFigures("", 301, 150, 52)]
_COUNTRIES: Final = [shapes.CountryFigures("FR", 611, 274, 274, 43), shapes.CountryFigures("", 90, 51, 51, None)]
_RESOLUTIONS: Final = [shapes.ResolutionFigures("1920x1080", 377, 160, 160, 39)]
_SUMMARY: Final = shapes.TrafficSummary(1337, 512, 512, 590, 45, 131, 2.27, 11.42, 8.02, None)
_PLACES: Final = (
    [shapes.CountryShare("FR", 611, 274, 53.52)],
    [shapes.RegionShare("Île-de-France", 300, 131, 25.59)],
    [shapes.CityShare("Paris", 271, 120, 23.44)],
)
_SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "dashboard": shapes.Dashboard(
        website_id=_ID,
        date_range="2025-12-02/2025-12-08",
        total_visitors=512,
        unique_visitors=512,
        live_visitors=7,
        page_views=1337,
        session_duration=131,
        bounce_rate=45,
        comparison=shapes.PeriodComparison(
            shapes.PeriodFigures(1337, 512, 590, 45, 131),
            shapes.PeriodFigures(1200, 474, 0, 47, 120),
            *(11.42, 8.02, None, -2.0, 9.17),
        ),
        metrics=_SUMMARY,
        top_pages=_PAGES,
        top_sources=_SOURCES,
        top_countries=_COUNTRIES,
        top_resolutions=_RESOLUTIONS,
        geolocation=shapes.Geolocation(*_PLACES),
    ),
    "realtime": shapes.Realtime(
        website_id=_ID,
        timestamp=_NOW,
        live_visitors=7,
        visitors=19,
        page_views=44,
        events=51,
        events_per_minute=[shapes.MinuteFigures("2025-12-08T12:34:00Z", 5, 4, 3)],
        top_pages=[shapes.LivePage("/pricing", 12, 9)],
        top_sources=[shapes.LiveSource("Google", 20, 8)],
        top_countries=[shapes.LiveCountry("FR", 31, 12)],
    ),
    "live-visitors": shapes.LiveVisitors(_ID, 7),
    "top-pages": shapes.TopPages(_ID, _PAGES),
    "top-referrers": shapes.TopReferrers(_ID, [shapes.ReferrerFigures("news.example/today", 88, 61, 57)]),
    "top-sources": shapes.TopSources(_ID, _SOURCES),
    "top-countries": shapes.TopCountries(_ID, _COUNTRIES),
    "top-browsers": shapes.TopBrowsers(_ID, [shapes.BrowserFigures("Firefox", 402, 190, 190, 40)]),
    "top-devices": shapes.TopDevices(_ID, [shapes.DeviceFigures("desktop", 803, 299, 299, 42)]),
    "top-os": shapes.TopOs(_ID, [shapes.OsFigures("Linux", 377, 160, 160, 39)]),
    "top-resolutions": shapes.TopResolutions(_ID, _RESOLUTIONS),
    "traffic-summary": _SUMMARY,
    "daily-stats": shapes.DailyStats(_ID, [shapes.DayFigures("2025-12-08", 210, 84)], "Europe/Paris"),
    "hourly-stats": shapes.HourlyStats(
        _ID, [shapes.HourFigures(13, 31, 18, "2025-12-08T12:00:00Z", "13:00")], "Europe/Paris"
    ),
    "custom-events": shapes.CustomEvents(
        _ID,
        [shapes.EventFigures("signup", 12, [{"plan": "team", "seats": 5}])],
        [shapes.DayCount("2025-12-07", 5), shapes.DayCount("2025-12-08", 7)],
        12,
        1,
    ),
    "geolocation-breakdown": shapes.GeolocationBreakdown(_ID, *_PLACES),
}
_ABOUT: Final = {
    "dashboard": (
        "All at once",
        "The range, the days before it, the top lists, and who is here now.",
    ),
    "realtime": ("The last half hour", "The present minute and the 29 before it. `days` changes nothing."),
    "live-visitors": (
        "Who is here now",
        "Distinct visitors of the last 300 seconds; with filters, of the present minute and the four before.",
    ),
    "top-pages": (
        "Pages",
        "`entry_rate` and `exit_rate`: visits that entered or left there, in % of visits with an event there.",
    ),
    "top-referrers": ("Referrers", "Pages of other sites that visits came from."),
    "top-sources": ("Sources", "Where visits came from, by name."),
    "top-countries": ("Countries", "Where visitors were."),
    "top-browsers": ("Browsers", "What visitors came with."),
    "top-devices": ("Kinds of devices", "What visitors came with."),
    "top-os": ("Operating systems", "What visitors came with."),
    "top-resolutions": ("Sizes of screens", "In CSS pixels."),
    "traffic-summary": ("The range in a few figures", "And how they have grown since as many days before."),
    "daily-stats": ("Day by day", "Every day of the range, by the clocks of the zone."),
    "hourly-stats": (
        "Hour by hour",
        f"Hours of the range that have begun, at most the latest {MAX_HOURS}; those that clocks show twice, twice.",
    ),
    "custom-events": (
        "Events of the site's own",
        f"All but page views and engagement. `sample_properties` are the data of up to {MAX_SAMPLES} of the latest.",
    ),
    "geolocation-breakdown": ("Countries, regions and cities", "`percentage` is the part of all visitors."),
}

TYPES: Final = tuple(dict.fromkeys(type(sample) for sample in _SAMPLES.values()))

_WEBSITE: Final[Json] = {
    "name": WEBSITE,
    "in": "path",
    "required": True,
    "description": "Number, measurement id or domain of the site.",
    "schema": {"type": "string", "examples": [_ID]},
}


def seentics_paths() -> Json:
    """Path -> what GET does there."""
    return {
        f"/api/v1/analytics/{name}/{{{WEBSITE}}}": {"get": _read(name, sample)} for name, sample in _SAMPLES.items()
    }


def _read(name: str, sample: Any) -> Json:
    summary, description = _ABOUT[name]
    told = headers("ETag", "Cache-Control")
    answer: Json = {
        "description": "The answer, in the form that `Accept` asks for.",
        "headers": told,
        "content": {
            JSON: {"schema": ref(type(sample)), "example": example(sample)},
            MESSAGE_PACK: {"schema": ref(type(sample))},
        },
    }
    answers = {"200": answer, "304": {"description": WHY[304], "headers": told}}
    answers |= errors(400, 401, 403, 404, 422, 503)
    return operation(
        SEENTICS,
        f"seentics_{name.replace('-', '_')}",
        summary,
        description,
        answers,
        parameters=[_WEBSITE, *_parameters()],
        **WHO,
    )


def _parameters() -> list[Json]:
    text = {"type": "string", "maxLength": MAX_VALUE_CHARS}
    return [
        query("days", "So many days, today among them.", whole(1, MAX_DAYS, DEFAULT_DAYS)),
        query(
            "timezone",
            "IANA name of the zone whose days and hours are meant; without it, that of the site.",
            {"type": "string", "examples": ["Europe/Paris"]},
        ),
        query("limit", "How many rows of each list.", whole(1, MAX_ROWS, DEFAULT_ROWS)),
        *(query(name, f"Only where `{dimension}` is this.", text) for name, dimension in FILTERS.items()),
    ]
