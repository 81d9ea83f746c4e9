"""What a client of Seentics asks for, as questions to the query engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core import date_ranges
from maicivy.core.answers import Answer, Result
from maicivy.core.periods import local_day
from maicivy.core.query import Metric
from maicivy.core.query_language import read
from maicivy.core.sites import Site
from maicivy.errors import Refusal
from maicivy.queries import Queries

FILTERS: Final = {
    "country": "visit:country",
    "device": "visit:device",
    "browser": "visit:browser",
    "os": "visit:os",
    "utm_source": "visit:utm_source",
    "utm_medium": "visit:utm_medium",
    "utm_campaign": "visit:utm_campaign",
    "page_path": "event:page",
}
"""Parameter -> dimension that has to have just its value."""

Figures: TypeAlias = list[Any]
"""Of metrics, in their order: whole numbers, `views_per_visit` with decimals; None where there is nothing to tell."""

LAST_HALF_HOUR: Final = "30m"


class Asked(msgspec.Struct, frozen=True):
    """One request, checked.

    Attributes:
        website_id: the site as it was named.
        days: of the zone, today among them.
        zone: None is that of the site.
        filters: names of `FILTERS`, each with its value.
    """

    site: Site
    website_id: str
    days: int
    limit: int
    zone: ZoneInfo | None = None
    filters: tuple[tuple[str, str], ...] = ()


class Asking:
    """The questions of one request, all of the same moment."""

    def __init__(self, queries: Queries, asked: Asked, default_zone: ZoneInfo, now: datetime) -> None:
        self._queries = queries
        self._asked = asked
        self._now = now
        site_zone = ZoneInfo(asked.site.timezone) if asked.site.timezone is not None else default_zone
        self.zone = asked.zone or site_zone

    @property
    def days(self) -> list[date]:
        """Every day of the range, ascending."""
        today = local_day(self._now, self.zone)
        return [today - timedelta(days=back) for back in range(self._asked.days - 1, -1, -1)]

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Start and end of the range, in UTC."""
        days = self.days
        return date_ranges.bounds(date_ranges.Days(days[0], days[-1]), self.zone)

    def totals(self, *metrics: Metric, over: str | None = None) -> Figures:
        """Figures of the whole range."""
        return self._answer(metrics, over=over).results[0].metrics

    def totals_compared(self, *metrics: Metric) -> tuple[Figures, Figures | None]:
        """Figures of the range, and of as many days before it; None where what that takes is not kept."""
        try:
            (result,) = self._answer(metrics, include={"comparisons": {"mode": "previous_period"}}).results
        except Refusal as refusal:
            if refusal.code != "not_kept":
                raise
            return self.totals(*metrics), None
        before = result.comparison
        return result.metrics, before.metrics if isinstance(before, msgspec.Struct) else None

    def top(
        self,
        dimension: str,
        *metrics: Metric,
        over: str | None = None,
        conditions: Sequence[Any] = (),
        limit: int | None = None,
    ) -> list[Result]:
        """Rows by one dimension, those with the most of the first metric, then of the second, first."""
        return self.top_of_all(dimension, *metrics, over=over, conditions=conditions, limit=limit).results

    def top_of_all(
        self,
        dimension: str,
        *metrics: Metric,
        over: str | None = None,
        conditions: Sequence[Any] = (),
        limit: int | None = None,
        count_all: bool = False,
    ) -> Answer:
        """The same, and in `meta.total_rows` how many there are."""
        return self._answer(
            metrics,
            over=over,
            conditions=conditions,
            dimensions=[dimension],
            order_by=[[name, "desc"] for name in metrics[:2]],
            pagination={"limit": limit or self._asked.limit},
            include={"total_rows": True} if count_all else {},
        )

    def by_day(self, *metrics: Metric) -> list[tuple[date, Figures]]:
        """Figures of every day of the range; zeros where nothing happened."""
        known = self._by_time("time:day", metrics, None)
        return [(day, known.get(day.isoformat(), [0] * len(metrics))) for day in self.days]

    def by_hour(self, most: int, *metrics: Metric) -> list[tuple[datetime, Figures]]:
        """Figures of the latest hours of the range that have begun, at most so many; zeros where nothing happened."""
        days = min(self._asked.days, -(-most // 24) + 1)
        start, end = self.bounds
        start = max(start, date_ranges.bounds(date_ranges.Days(self.days[-days], self.days[-1]), self.zone)[0])
        known = self._by_time("time:hour", metrics, f"{days}d")
        return [pair for pair in self._filled("time:hour", start, end, known, len(metrics)) if pair[0] <= self._now][
            -most:
        ]

    def by_minute(self, *metrics: Metric) -> list[tuple[datetime, Figures]]:
        """Figures of every minute of the last half hour; zeros where nothing happened."""
        known = self._by_time("time:minute", metrics, LAST_HALF_HOUR)
        start, end = date_ranges.bounds(date_ranges.span(LAST_HALF_HOUR, self.zone, self._now, None), self.zone)
        return self._filled("time:minute", start, end, known, len(metrics))

    def _by_time(self, dimension: str, metrics: Sequence[Metric], over: str | None) -> dict[str, Figures]:
        rows = self._answer(metrics, over=over, dimensions=[dimension]).results
        return {row.dimensions[0]: row.metrics for row in rows}

    def _filled(
        self, dimension: str, start: datetime, end: datetime, known: dict[str, Figures], width: int
    ) -> list[tuple[datetime, Figures]]:
        starts = date_ranges.buckets(dimension, start, end, self.zone, "days")
        return [(at, known.get(date_ranges.label(dimension, at, self.zone, start), [0] * width)) for at in starts]

    def _answer(
        self, metrics: Sequence[Metric], *, over: str | None = None, conditions: Sequence[Any] = (), **members: Any
    ) -> Answer:
        asked = self._asked
        filters = [*conditions, *(["is", FILTERS[name], [value]] for name, value in asked.filters)]
        said: dict[str, Any] = {
            "site_id": asked.site.id,
            "metrics": list(metrics),
            "date_range": over or f"{asked.days}d",
            "filters": filters,
            **members,
        }
        if asked.zone is not None:
            said["timezone"] = str(asked.zone)
        try:
            return self._queries.answer(read(said), asked.site, self._now)
        except Refusal as refusal:
            if refusal.field == "date_range":
                raise Refusal(refusal.code, refusal.message, "days") from refusal
            raise
