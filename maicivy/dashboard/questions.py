"""The questions of one view, all of the same site and moment, asked in the language of `POST /api/v2/query`: what a
page shows and what the API answers cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from maicivy.core import date_ranges
from maicivy.core.answers import Answer
from maicivy.core.date_ranges import Comparison, Days, Span
from maicivy.core.query_language import read
from maicivy.core.sites import Site
from maicivy.dashboard.page import Period, Problem
from maicivy.dashboard.view import CUSTOM, PERIODS, View
from maicivy.errors import Refusal, Unavailable
from maicivy.queries import Queries

_MODES: Final = {"previous": "previous_period", "year": "year_over_year"}


class Questions:
    """What may be asked for a view.

    Attributes:
        zone: of the view, which everything is told in.
        start, end: of the range, half-open, in that zone.
        began: when the first event of the site that is still known of came; None: never.
        other: the range compared with; None: nothing is compared, for nobody wants it or the site is younger.
    """

    def __init__(self, queries: Queries, site: Site, view: View, default_zone: ZoneInfo, now: datetime) -> None:
        self._queries = queries
        self._site = site
        self._view = view
        self.now = now
        self.zone = ZoneInfo(view.zone or site.timezone or str(default_zone))
        self.began = queries.first_moment(site, now)
        self._range = self._date_range()
        self._meant = date_ranges.span(date_ranges.parse(self._range, "period"), self.zone, now, None)
        self.start, self.end = self._local(self._meant)
        self._comparison = self._compared()
        self.other = self._other()

    def ask(
        self,
        metrics: Sequence[str],
        *,
        dimensions: Sequence[str] = (),
        conditions: Sequence[Any] = (),
        compared: bool = False,
        limit: int | None = None,
        offset: int = 0,
        order_by: Sequence[tuple[str, str]] = (),
        count_rows: bool = False,
    ) -> Answer:
        """The answer of the query engine.

        Raises:
            Refusal: and `Unavailable`, see `Queries.answer`.
        """
        include: dict[str, Any] = {"total_rows": True} if count_rows else {}
        if compared and self.other is not None:
            include["comparisons"] = self._comparison
        return self._queries.answer(
            read(self.said(metrics, dimensions, conditions, include, limit, offset, order_by)), self._site, self.now
        )

    def ask_compared(self, metrics: Sequence[str], *, dimensions: Sequence[str] = ()) -> tuple[Answer, bool]:
        """The answer beside that for the range compared with, and whether that can be told: else without it."""
        try:
            return self.ask(metrics, dimensions=dimensions, compared=True), True
        except Refusal as refusal:
            if refusal.field != "include.comparisons":
                raise
            return self.ask(metrics, dimensions=dimensions), False

    def said(
        self,
        metrics: Sequence[str],
        dimensions: Sequence[str] = (),
        conditions: Sequence[Any] = (),
        include: dict[str, Any] | None = None,
        limit: int | None = None,
        offset: int = 0,
        order_by: Sequence[tuple[str, str]] = (),
    ) -> dict[str, Any]:
        """A question as a client of the API would send it."""
        view = self._view
        body: dict[str, Any] = {
            "site_id": self._site.id,
            "metrics": list(metrics),
            "date_range": self._range,
            "dimensions": list(dimensions),
            "filters": [*(each.asked() for each in view.filters), *map(_as_lists, conditions)],
        }
        if include:
            body["include"] = include
        if order_by:
            body["order_by"] = [list(each) for each in order_by]
        if limit is not None:
            body["pagination"] = {"limit": limit, "offset": offset}
        if view.zone:
            body["timezone"] = view.zone
        if view.bots:
            body["include_bots"] = True
        return body

    def buckets(self, interval: str) -> tuple[list[datetime], list[datetime]]:
        """Starts of the buckets of both ranges, in the zone; of that compared with none, where they are too many.

        Raises:
            Refusal: `too_many_rows`.
        """
        others: list[datetime] = []
        with suppress(Refusal):
            others = [] if self.other is None else self._buckets(interval, self.other)
        return self._buckets(interval, self._meant), others

    def period(self) -> Period:
        """Both ranges."""
        before = (None, None) if self.other is None else self._local(self.other)
        return Period(self._view.period, self.start, self.end, *before)

    def _date_range(self) -> Any:
        if self._view.period == CUSTOM and self._view.days is not None:
            return _pair(self._view.days)
        if self._view.period == "all":
            # In days, so that all questions mean the same ones whatever comes meanwhile.
            meant = date_ranges.span("all", self.zone, self.now, self.began)
            assert isinstance(meant, Days)
            return _pair(meant)
        return PERIODS[self._view.period]

    def _compared(self) -> dict[str, Any] | None:
        view = self._view
        if view.compare == "off" or view.period == "all":
            return None
        if view.compared_days is not None:
            return {"mode": "custom", "date_range": _pair(view.compared_days)}
        return {"mode": _MODES[view.compare]} | ({"match_day_of_week": True} if view.match_weekday else {})

    def _other(self) -> Span | None:
        if self._comparison is None or self.began is None:
            return None
        mode, weekday = self._comparison["mode"], self._view.match_weekday
        comparison = Comparison(mode, self._view.compared_days, weekday)
        other = date_ranges.compared(self._meant, comparison, self.zone, self.now)
        return None if date_ranges.bounds(other, self.zone)[1] <= self.began else other

    def _local(self, meant: Span) -> tuple[datetime, datetime]:
        start, end = date_ranges.bounds(meant, self.zone)
        return start.astimezone(self.zone), end.astimezone(self.zone)

    def _buckets(self, interval: str, meant: Span) -> list[datetime]:
        start, end = date_ranges.bounds(meant, self.zone)
        found = date_ranges.buckets(f"time:{interval}", start, end, self.zone, "interval")
        return [at.astimezone(self.zone) for at in found]


def problem_of(error: Refusal | Unavailable) -> Problem:
    """What a part that failed says instead of its figures."""
    if isinstance(error, Refusal):
        return Problem(error.code, error.message)
    return Problem("unavailable", f"{error.part} does not answer")


def _as_lists(value: Any) -> Any:
    """A filter of the table of panels as JSON has it."""
    return [_as_lists(each) for each in value] if isinstance(value, tuple) else value


def _pair(days: Days) -> list[str]:
    return [days.first.isoformat(), days.last.isoformat()]
