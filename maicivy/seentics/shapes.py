"""What Seentics' clients expect, member by member: answers stand alone, without the envelope of the other endpoints.

`views` are page views; `unique`, `visitors` and `unique_visitors` are all the visitors of docs/metrics.md. What is not
known is null.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Rate = Annotated[int, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(ge=0, le=100)]
Seconds = Annotated[int, Meta(ge=0)]
Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
WebsiteId = Annotated[str, Meta(description="The site as the URL named it.")]


class PageFigures(msgspec.Struct, frozen=True):
    """A page. `avg_time` is in seconds, null where nobody told; `entry_rate` and `exit_rate` are in %."""

    page: str
    views: Count
    unique: Count
    bounce_rate: Rate | None
    avg_time: Seconds | None
    entry_rate: Share | None
    exit_rate: Share | None


class ReferrerFigures(msgspec.Struct, frozen=True):
    """A referrer: host and path; empty for none."""

    referrer: str
    views: Count
    unique: Count
    bounce_rate: Rate | None


class SourceFigures(msgspec.Struct, frozen=True):
    """A source; empty for none."""

    source: str
    views: Count
    unique_visitors: Count
    bounce_rate: Rate | None


class CountryFigures(msgspec.Struct, frozen=True):
    """A country: ISO 3166-1 alpha-2; empty where it is not known."""

    country: str
    views: Count
    unique: Count
    visitors: Count
    bounce_rate: Rate | None


class BrowserFigures(msgspec.Struct, frozen=True):
    """A browser; empty where it is not known."""

    browser: str
    views: Count
    unique: Count
    visitors: Count
    bounce_rate: Rate | None


class DeviceFigures(msgspec.Struct, frozen=True):
    """A kind of device; empty where it is not known."""

    device: str
    views: Count
    unique: Count
    visitors: Count
    bounce_rate: Rate | None


class OsFigures(msgspec.Struct, frozen=True):
    """An operating system; empty where it is not known."""

    os: str
    views: Count
    unique: Count
    visitors: Count
    bounce_rate: Rate | None


class ResolutionFigures(msgspec.Struct, frozen=True):
    """A size of screens, such as 1920x1080; empty where it is not known."""

    resolution: str
    views: Count
    unique: Count
    visitors: Count
    bounce_rate: Rate | None


class TopPages(msgspec.Struct, frozen=True):
    """Pages, most viewed first."""

    website_id: WebsiteId
    top_pages: list[PageFigures]


class TopReferrers(msgspec.Struct, frozen=True):
    """Referrers, most views first."""

    website_id: WebsiteId
    top_referrers: list[ReferrerFigures]


class TopSources(msgspec.Struct, frozen=True):
    """Sources, most views first."""

    website_id: WebsiteId
    top_sources: list[SourceFigures]


class TopCountries(msgspec.Struct, frozen=True):
    """Countries, most views first."""

    website_id: WebsiteId
    top_countries: list[CountryFigures]


class TopBrowsers(msgspec.Struct, frozen=True):
    """Browsers, most views first."""

    website_id: WebsiteId
    top_browsers: list[BrowserFigures]


class TopDevices(msgspec.Struct, frozen=True):
    """Kinds of devices, most views first."""

    website_id: WebsiteId
    top_devices: list[DeviceFigures]


class TopOs(msgspec.Struct, frozen=True):
    """Operating systems, most views first."""

    website_id: WebsiteId
    top_os: list[OsFigures]


class TopResolutions(msgspec.Struct, frozen=True):
    """Sizes of screens, most views first."""

    website_id: WebsiteId
    top_resolutions: list[ResolutionFigures]


class DayFigures(msgspec.Struct, frozen=True):
    """A day of the zone."""

    date: Day
    views: Count
    unique: Count


class DailyStats(msgspec.Struct, frozen=True):
    """Every day of the range, ascending."""

    website_id: WebsiteId
    daily_stats: list[DayFigures]
    timezone: str


class HourFigures(msgspec.Struct, frozen=True):
    """An hour by the clocks of the zone. `timestamp` is when it begins, in UTC."""

    hour: Annotated[int, Meta(ge=0, le=23)]
    views: Count
    unique: Count
    timestamp: Time
    hour_label: Annotated[str, Meta(pattern="^[0-9]{2}:00$")]


class HourlyStats(msgspec.Struct, frozen=True):
    """Hours of the range that have begun, ascending, but no more than the latest 168."""

    website_id: WebsiteId
    hourly_stats: list[HourFigures]
    timezone: str


class TrafficSummary(msgspec.Struct, frozen=True):
    """The range in a few figures. Growth is in % over as many days before, null where nothing was or is known.

    `new_visitors`, `returning_visitors` and `retention_rate` are null: ids change every night, so nobody can tell.
    `engagement_score` is null: no formula of it means anything.
    """

    total_page_views: Count
    total_visitors: Count
    unique_visitors: Count
    total_sessions: Count
    bounce_rate: Rate | None
    avg_session_time: Seconds | None
    pages_per_session: Annotated[float, Meta(ge=0)] | None
    growth_rate: float | None
    visitors_growth_rate: float | None
    sessions_growth_rate: float | None
    new_visitors: None = None
    returning_visitors: None = None
    engagement_score: None = None
    retention_rate: None = None


class PeriodFigures(msgspec.Struct, frozen=True):
    """One of two ranges of the same length."""

    page_views: Count
    visitors: Count
    sessions: Count
    bounce_rate: Rate | None
    session_duration: Seconds | None


class PeriodComparison(msgspec.Struct, frozen=True):
    """The range beside the one before. Changes are in %, that of `bounce_rate` in percentage points; null where there
    is nothing to compare with. `previous_period` is null where what it takes is not kept any more."""

    current_period: PeriodFigures
    previous_period: PeriodFigures | None
    page_views_change: float | None
    visitors_change: float | None
    sessions_change: float | None
    bounce_rate_change: float | None
    session_duration_change: float | None


class CountryShare(msgspec.Struct, frozen=True):
    """A country; `percentage` is its part of all visitors."""

    country: str
    views: Count
    unique: Count
    percentage: Share | None


class RegionShare(msgspec.Struct, frozen=True):
    """A region; `percentage` is its part of all visitors."""

    region: str
    views: Count
    unique: Count
    percentage: Share | None


class CityShare(msgspec.Struct, frozen=True):
    """A city; `percentage` is its part of all visitors."""

    city: str
    views: Count
    unique: Count
    percentage: Share | None


class Geolocation(msgspec.Struct, frozen=True):
    """Where visitors were, most views first."""

    countries: list[CountryShare]
    regions: list[RegionShare]
    cities: list[CityShare]


class GeolocationBreakdown(msgspec.Struct, frozen=True):
    """Where visitors were, most views first."""

    website_id: WebsiteId
    countries: list[CountryShare]
    regions: list[RegionShare]
    cities: list[CityShare]


class Dashboard(msgspec.Struct, frozen=True):
    """All at once. `metrics` is the answer of traffic-summary; `date_range` the first and the last day."""

    website_id: WebsiteId
    date_range: Annotated[str, Meta(pattern="^[0-9-]{10}/[0-9-]{10}$")]
    total_visitors: Count
    unique_visitors: Count
    live_visitors: Count
    page_views: Count
    session_duration: Seconds | None
    bounce_rate: Rate | None
    comparison: PeriodComparison
    metrics: TrafficSummary
    top_pages: list[PageFigures]
    top_sources: list[SourceFigures]
    top_countries: list[CountryFigures]
    top_resolutions: list[ResolutionFigures]
    geolocation: Geolocation
    new_visitors: None = None
    returning_visitors: None = None


class LiveVisitors(msgspec.Struct, frozen=True):
    """Visitors of the last 300 seconds."""

    website_id: WebsiteId
    live_visitors: Count


class LivePage(msgspec.Struct, frozen=True):
    """A page of the last half hour."""

    page: str
    views: Count
    unique: Count


class LiveSource(msgspec.Struct, frozen=True):
    """A source of the last half hour."""

    source: str
    views: Count
    unique_visitors: Count


class LiveCountry(msgspec.Struct, frozen=True):
    """A country of the last half hour."""

    country: str
    views: Count
    unique: Count


class MinuteFigures(msgspec.Struct, frozen=True):
    """A minute; `events` are page views and all others but engagement."""

    timestamp: Time
    events: Count
    views: Count
    unique: Count


class Realtime(msgspec.Struct, frozen=True):
    """The last half hour: the present minute and the 29 before. Lists have the most visitors first."""

    website_id: WebsiteId
    timestamp: Time
    live_visitors: Count
    visitors: Count
    page_views: Count
    events: Count
    events_per_minute: list[MinuteFigures]
    top_pages: list[LivePage]
    top_sources: list[LiveSource]
    top_countries: list[LiveCountry]


class EventFigures(msgspec.Struct, frozen=True):
    """Events of one type, and the data of a few of the latest."""

    event_type: str
    count: Count
    sample_properties: list[dict[str, Any]]


class DayCount(msgspec.Struct, frozen=True):
    """Events of a day of the zone."""

    date: Day
    count: Count


class CustomEvents(msgspec.Struct, frozen=True):
    """Events that are neither page views nor engagement. `timeseries` has every day of the range, and `unique_events`
    is the number of their types."""

    website_id: WebsiteId
    top_events: list[EventFigures]
    timeseries: list[DayCount]
    total_events: Count
    unique_events: Count
