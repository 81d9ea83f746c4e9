"""Use case: what Seentics' API answers, made of a few questions to the query engine each.

The figures are those of docs/metrics.md under other names, so they never differ from what the query API says. Nothing
here knows HTTP, SQL or Redis; the clock is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.events import PAGE_VIEW, timestamp_text
from maicivy.core.ports import EventSamples, Presence
from maicivy.queries import Queries
from maicivy.seentics import shapes
from maicivy.seentics.asking import LAST_HALF_HOUR, Asked, Asking
from maicivy.seentics.figures import (
    COUNTED,
    RATED,
    SUMMARY,
    comparison,
    geolocation,
    pages,
    properties,
    rated,
    rated_by,
    sources,
    summary,
)

MAX_HOURS: Final = 7 * 24
MAX_SAMPLES: Final = 5
"""Of each type of event."""

_FIVE_MINUTES: Final = "realtime"


class Seentics:
    """The use case. Safe for threads; `zone` is the installation's, for sites that have none."""

    def __init__(self, queries: Queries, presence: Presence, samples: EventSamples, zone: ZoneInfo) -> None:
        self._queries = queries
        self._presence = presence
        self._samples = samples
        self._zone = zone

    def answer(self, name: str, asked: Asked, now: datetime) -> msgspec.Struct:
        """The answer to the question `name`, one of `QUESTIONS`, at the time `now`.

        Raises:
            Refusal: `not_kept`, naming `days`, or `query_too_slow`.
            Unavailable: of Postgres or Redis.
        """
        return QUESTIONS[name](self, _Request(asked, Asking(self._queries, asked, self._zone, now), now))

    def dashboard(self, request: _Request) -> shapes.Dashboard:
        """All at once."""
        asking = request.asking
        figures, before = asking.totals_compared(*SUMMARY)
        page_views, visitors, _, bounce_rate, duration, _ = figures
        countries = asking.top("visit:country", *RATED)
        days = asking.days
        return shapes.Dashboard(
            website_id=request.website_id,
            date_range=f"{days[0]}/{days[-1]}",
            total_visitors=visitors,
            unique_visitors=visitors,
            live_visitors=self._live(request),
            page_views=page_views,
            session_duration=duration,
            bounce_rate=bounce_rate,
            comparison=comparison(figures, before),
            metrics=summary(figures, before),
            top_pages=pages(asking),
            top_sources=sources(asking),
            top_countries=[shapes.CountryFigures(*row) for row in map(rated, countries)],
            top_resolutions=[shapes.ResolutionFigures(*row) for row in rated_by(asking, "visit:resolution")],
            geolocation=geolocation(asking, countries, visitors),
        )

    def realtime(self, request: _Request) -> shapes.Realtime:
        """The last half hour."""
        asking, half_hour = request.asking, LAST_HALF_HOUR
        visitors, page_views, events = asking.totals("visitors", "pageviews", "events", over=half_hour)

        def top(dimension: str) -> list[tuple[str, Any, Any]]:
            rows = asking.top(dimension, "visitors", "pageviews", over=half_hour)
            return [(row.dimensions[0], row.metrics[1], row.metrics[0]) for row in rows]

        return shapes.Realtime(
            website_id=request.website_id,
            timestamp=timestamp_text(request.now.replace(microsecond=0)),
            live_visitors=self._live(request),
            visitors=visitors,
            page_views=page_views,
            events=events,
            events_per_minute=[
                shapes.MinuteFigures(timestamp_text(at), *figures)
                for at, figures in asking.by_minute("events", "pageviews", "visitors")
            ],
            top_pages=[shapes.LivePage(*row) for row in top("event:page")],
            top_sources=[shapes.LiveSource(*row) for row in top("visit:source")],
            top_countries=[shapes.LiveCountry(*row) for row in top("visit:country")],
        )

    def live_visitors(self, request: _Request) -> shapes.LiveVisitors:
        """Who is here now."""
        return shapes.LiveVisitors(request.website_id, self._live(request))

    def top_pages(self, request: _Request) -> shapes.TopPages:
        """Pages."""
        return shapes.TopPages(request.website_id, pages(request.asking))

    def top_referrers(self, request: _Request) -> shapes.TopReferrers:
        """Referrers."""
        rows = rated_by(request.asking, "visit:referrer")
        figures = [shapes.ReferrerFigures(name, views, unique, bounces) for name, views, unique, _, bounces in rows]
        return shapes.TopReferrers(request.website_id, figures)

    def top_sources(self, request: _Request) -> shapes.TopSources:
        """Sources."""
        return shapes.TopSources(request.website_id, sources(request.asking))

    def top_countries(self, request: _Request) -> shapes.TopCountries:
        """Countries."""
        figures = [shapes.CountryFigures(*row) for row in rated_by(request.asking, "visit:country")]
        return shapes.TopCountries(request.website_id, figures)

    def top_browsers(self, request: _Request) -> shapes.TopBrowsers:
        """Browsers."""
        figures = [shapes.BrowserFigures(*row) for row in rated_by(request.asking, "visit:browser")]
        return shapes.TopBrowsers(request.website_id, figures)

    def top_devices(self, request: _Request) -> shapes.TopDevices:
        """Kinds of devices."""
        figures = [shapes.DeviceFigures(*row) for row in rated_by(request.asking, "visit:device")]
        return shapes.TopDevices(request.website_id, figures)

    def top_os(self, request: _Request) -> shapes.TopOs:
        """Operating systems."""
        figures = [shapes.OsFigures(*row) for row in rated_by(request.asking, "visit:os")]
        return shapes.TopOs(request.website_id, figures)

    def top_resolutions(self, request: _Request) -> shapes.TopResolutions:
        """Sizes of screens."""
        figures = [shapes.ResolutionFigures(*row) for row in rated_by(request.asking, "visit:resolution")]
        return shapes.TopResolutions(request.website_id, figures)

    def traffic_summary(self, request: _Request) -> shapes.TrafficSummary:
        """The range in a few figures."""
        return summary(*request.asking.totals_compared(*SUMMARY))

    def daily_stats(self, request: _Request) -> shapes.DailyStats:
        """Day by day."""
        figures = [shapes.DayFigures(day.isoformat(), *row) for day, row in request.asking.by_day(*COUNTED)]
        return shapes.DailyStats(request.website_id, figures, str(request.asking.zone))

    def hourly_stats(self, request: _Request) -> shapes.HourlyStats:
        """Hour by hour."""
        figures = []
        for at, (views, unique) in request.asking.by_hour(MAX_HOURS, *COUNTED):
            hour = at.astimezone(request.asking.zone).hour
            figures.append(shapes.HourFigures(hour, views, unique, timestamp_text(at), f"{hour:02d}:00"))
        return shapes.HourlyStats(request.website_id, figures, str(request.asking.zone))

    def custom_events(self, request: _Request) -> shapes.CustomEvents:
        """Events that are neither page views nor engagement."""
        asking = request.asking
        no_views = ["is_not", "event:name", [PAGE_VIEW]]
        answer = asking.top_of_all("event:name", "events", conditions=[no_views], count_all=True)
        counts = {row.dimensions[0]: int(row.metrics[0] or 0) for row in answer.results}
        samples = self._samples_of(list(counts), request)
        # What is no page view, for rollups know how many events and views a day has.
        days = [
            shapes.DayCount(day.isoformat(), events - views)
            for day, (events, views) in asking.by_day("events", "pageviews")
        ]
        return shapes.CustomEvents(
            website_id=request.website_id,
            top_events=[shapes.EventFigures(name, count, samples.get(name, [])) for name, count in counts.items()],
            timeseries=days,
            total_events=sum(day.count for day in days),
            unique_events=answer.meta.total_rows or 0,
        )

    def geolocation_breakdown(self, request: _Request) -> shapes.GeolocationBreakdown:
        """Countries, regions and cities."""
        asking = request.asking
        (visitors,) = asking.totals("visitors")
        found = geolocation(asking, asking.top("visit:country", *COUNTED), visitors)
        return shapes.GeolocationBreakdown(request.website_id, found.countries, found.regions, found.cities)

    def _live(self, request: _Request) -> int:
        """Visitors of the last 300 seconds; with filters, of the present minute and the four before."""
        if request.asked.filters:
            (visitors,) = request.asking.totals("visitors", over=_FIVE_MINUTES)
            return int(visitors or 0)
        site_id = request.asked.site.id
        return self._presence.active([site_id], request.now.timestamp())[site_id]

    def _samples_of(self, names: list[str], request: _Request) -> dict[str, list[dict[str, Any]]]:
        if not names:
            return {}
        start, end = request.asking.bounds
        conditions = dict(request.asked.filters)
        found: dict[str, list[dict[str, Any]]] = {}
        for name, text in self._samples.latest(request.asked.site.id, names, start, end, conditions, MAX_SAMPLES):
            found.setdefault(name, []).append(properties(text))
        return found


class _Request(msgspec.Struct, frozen=True):
    asked: Asked
    asking: Asking
    now: datetime

    @property
    def website_id(self) -> str:
        return self.asked.website_id


QUESTIONS: Final[dict[str, Callable[[Seentics, _Request], msgspec.Struct]]] = {
    "dashboard": Seentics.dashboard,
    "realtime": Seentics.realtime,
    "live-visitors": Seentics.live_visitors,
    "top-pages": Seentics.top_pages,
    "top-referrers": Seentics.top_referrers,
    "top-sources": Seentics.top_sources,
    "top-countries": Seentics.top_countries,
    "top-browsers": Seentics.top_browsers,
    "top-devices": Seentics.top_devices,
    "top-os": Seentics.top_os,
    "top-resolutions": Seentics.top_resolutions,
    "traffic-summary": Seentics.traffic_summary,
    "daily-stats": Seentics.daily_stats,
    "hourly-stats": Seentics.hourly_stats,
    "custom-events": Seentics.custom_events,
    "geolocation-breakdown": Seentics.geolocation_breakdown,
}
"""By the name that each has in its URL."""
