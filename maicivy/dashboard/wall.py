"""What a screen on a wall shows of a site: who is there now, today's figures, the last half hour.

Every figure is asked for in the language of `POST /api/v2/query`. What cannot be answered is left out and said once:
a screen that nobody sits at has to go on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.answers import Answer
from maicivy.core.query_language import read
from maicivy.core.sites import Site
from maicivy.dashboard import links
from maicivy.dashboard.extras import moments
from maicivy.dashboard.page import Figure, Moment, Problem
from maicivy.errors import Refusal, Unavailable
from maicivy.queries import Queries
from maicivy.reports import Reports

MINUTES: Final = 30
ROWS: Final = 6
MOMENTS: Final = 8
METRICS: Final = ("visitors", "visits", "pageviews", "bounce_rate", "visit_duration")
LISTS: Final = {"pages": "event:page", "sources": "visit:source", "countries": "visit:country"}
"""Panel -> dimension."""

log = logging.getLogger(__name__)


class WallMinute(msgspec.Struct, frozen=True):
    """A minute of the line. `height` is that of its bar, 0 to 1; the last minute is not over yet."""

    start: datetime
    views: int
    height: float


class WallRow(msgspec.Struct, frozen=True):
    """A value, as it is stored, of the visitors of the last half hour. `share` is of the largest row, 0 to 1."""

    value: str
    visitors: int
    share: float


class WallList(msgspec.Struct, frozen=True):
    """The largest values of a dimension; `key` names it in the words of panels."""

    key: str
    dimension: str
    rows: tuple[WallRow, ...]


class Wall(msgspec.Struct, frozen=True):
    """All of it.

    Attributes:
        current: visitors of the last five minutes; None: not known now.
        figures: of today.
        views: pages viewed in the last half hour; None: not known now.
        problem: the first reason why something is missing.
    """

    site_id: int
    name: str
    timezone: str
    current: int | None
    figures: tuple[Figure, ...]
    views: int | None
    minutes: tuple[WallMinute, ...]
    lists: tuple[WallList, ...]
    problem: Problem | None = None


def wall_of(queries: Queries, reports: Reports, site: Site, zone: ZoneInfo, now: datetime) -> Wall:
    """The screen of `site`. Its days are those of its own zone, else of `zone`."""
    asking = _Asking(queries, site, now)
    today = asking.ask("day", METRICS)
    minutes = _minutes(asking.ask("30m", ["pageviews"], ["time:minute"], {"time_labels": True}))
    return Wall(
        site_id=site.id,
        name=links.site_name(site),
        timezone=site.timezone or str(zone),
        current=_current(reports, site, now),
        figures=_figures(today),
        views=sum(minute.views for minute in minutes) if minutes else None,
        minutes=minutes,
        lists=tuple(_list(asking, key, dimension) for key, dimension in LISTS.items()),
        problem=asking.problem,
    )


def latest(reports: Reports, site: Site, zone: ZoneInfo, now: datetime) -> tuple[Moment, ...]:
    """What happened last, latest first: what the list begins with. Nothing where the store is away."""
    own = ZoneInfo(site.timezone) if site.timezone else zone
    try:
        found = moments(reports, site.id, before="", zone=own, now=now, earlier_url=lambda _: "")
    except Unavailable:
        return ()
    return found.moments[:MOMENTS]


class _Asking:
    """Asks, and remembers the first problem instead of raising it. A server that is away is not asked again: one that
    hangs makes each question wait."""

    def __init__(self, queries: Queries, site: Site, now: datetime) -> None:
        self._queries = queries
        self._site = site
        self._now = now
        self._is_away = False
        self.problem: Problem | None = None

    def ask(
        self,
        date_range: str,
        metrics: Sequence[str],
        dimensions: Sequence[str] = (),
        include: dict[str, Any] | None = None,
        limit: int | None = None,
    ) -> Answer | None:
        if self._is_away:
            return None
        said = {
            "site_id": self._site.id,
            "metrics": list(metrics),
            "date_range": date_range,
            "dimensions": list(dimensions),
        }
        if include is not None:
            said["include"] = include
        if limit is not None:
            said["pagination"] = {"limit": limit}
        try:
            return self._queries.answer(read(said), self._site, self._now)
        except Refusal as refusal:
            self.problem = self.problem or Problem(refusal.code, refusal.message)
        except Unavailable as error:
            log.warning("wall_incomplete", extra={"site": self._site.id, "part": error.part})
            self._is_away = True
            self.problem = self.problem or Problem("unavailable", "")
        return None


def _current(reports: Reports, site: Site, now: datetime) -> int | None:
    try:
        return reports.realtime(site.id, now).data.current_visitors
    except Unavailable:
        return None


def _figures(today: Answer | None) -> tuple[Figure, ...]:
    if today is None:
        return tuple(Figure(metric, None) for metric in METRICS)
    return tuple(
        Figure(metric, value, how=today.meta.metrics[metric])
        for metric, value in zip(METRICS, today.results[0].metrics, strict=True)
    )


def _minutes(answer: Answer | None) -> tuple[WallMinute, ...]:
    """Every minute, the empty ones too."""
    if answer is None or not isinstance(answer.meta.time_labels, list):
        return ()
    counted = {result.dimensions[0]: int(result.metrics[0] or 0) for result in answer.results}
    most = max(counted.values(), default=0) or 1
    # Told by the clocks of the zone, which may be set back on the way: counted from the first instead.
    begin = datetime.fromisoformat(answer.query.date_range[0])
    return tuple(
        WallMinute(begin + timedelta(minutes=number), counted.get(label, 0), counted.get(label, 0) / most)
        for number, label in enumerate(answer.meta.time_labels)
    )


def _list(asking: _Asking, key: str, dimension: str) -> WallList:
    answer = asking.ask("30m", ["visitors"], [dimension], limit=ROWS)
    rows = [(result.dimensions[0], int(result.metrics[0] or 0)) for result in answer.results] if answer else []
    most = max((visitors for _, visitors in rows), default=0) or 1
    return WallList(key, dimension, tuple(WallRow(value, visitors, visitors / most) for value, visitors in rows))
