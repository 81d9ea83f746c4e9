"""From rows of the query engine to what Seentics' clients expect."""

from __future__ import annotations

import json
from typing import Any, Final

from maicivy.core.answers import Result
from maicivy.seentics import shapes
from maicivy.seentics.asking import Asking, Figures

RATED: Final = ("pageviews", "visitors", "bounce_rate")
COUNTED: Final = ("pageviews", "visitors")
SUMMARY: Final = ("pageviews", "visitors", "visits", "bounce_rate", "visit_duration", "views_per_visit")
"""What `summary` and `comparison` are made of, in this order."""

_MANY_DIGITS: Final = 18
_BOUNCE_RATE: Final = SUMMARY.index("bounce_rate")


def rated(row: Result) -> tuple[str, int, int, int, int | None]:
    """Value, views, unique, visitors and bounce rate of a row of `RATED`."""
    views, visitors, bounce_rate = row.metrics
    return row.dimensions[0], _count(views), _count(visitors), _count(visitors), _whole(bounce_rate)


def rated_by(asking: Asking, dimension: str) -> list[tuple[str, int, int, int, int | None]]:
    """The top rows of a dimension."""
    return [rated(row) for row in asking.top(dimension, *RATED)]


def sources(asking: Asking) -> list[shapes.SourceFigures]:
    """The top sources."""
    rows = rated_by(asking, "visit:source")
    return [shapes.SourceFigures(source, views, unique, bounces) for source, views, unique, _, bounces in rows]


def pages(asking: Asking) -> list[shapes.PageFigures]:
    """The top pages.

    Rates of entries and exits are those of visits with an event on the page. A visit that entered before the range
    began may have none within it, so what would be more than all of them is all of them.
    """
    rows = asking.top("event:page", *RATED, "time_on_page", "visits")
    names = [row.dimensions[0] for row in rows]
    entries, exits = _visits_by(asking, "visit:entry_page", names), _visits_by(asking, "visit:exit_page", names)
    made = []
    for name, row in zip(names, rows, strict=True):
        views, unique, bounce_rate, seconds, visits = row.metrics
        entry_rate, exit_rate = (_part(found.get(name, 0), _count(visits)) for found in (entries, exits))
        time = _whole(seconds) or None  # nobody spends no time at all: no page told
        made.append(
            shapes.PageFigures(name, _count(views), _count(unique), _whole(bounce_rate), time, entry_rate, exit_rate)
        )
    return made


def geolocation(asking: Asking, countries: list[Result], visitors: int) -> shapes.Geolocation:
    """Countries as they were found already, regions and cities, each with its part of all `visitors`.

    Of cities there are many, and every figure more that is asked of each takes its time: rows need no more than
    `COUNTED`.
    """

    def shares(rows: list[Result]) -> list[tuple[str, int, int, float | None]]:
        counted = ((row.dimensions[0], _count(row.metrics[0]), _count(row.metrics[1])) for row in rows)
        return [(name, views, unique, _part(unique, visitors)) for name, views, unique in counted]

    return shapes.Geolocation(
        [shapes.CountryShare(*row) for row in shares(countries)],
        [shapes.RegionShare(*row) for row in shares(asking.top("visit:region", *COUNTED))],
        [shapes.CityShare(*row) for row in shares(asking.top("visit:city", *COUNTED))],
    )


def summary(now: Figures, before: Figures | None) -> shapes.TrafficSummary:
    """A range of `SUMMARY`, and how it has grown."""
    views, visitors, visits, bounce_rate, duration, views_per_visit = now
    of_views, of_visitors, of_visits, *_ = _changes(now, before)
    return shapes.TrafficSummary(
        total_page_views=views,
        total_visitors=visitors,
        unique_visitors=visitors,
        total_sessions=visits,
        bounce_rate=bounce_rate,
        avg_session_time=duration,
        pages_per_session=views_per_visit,
        growth_rate=of_views,
        visitors_growth_rate=of_visitors,
        sessions_growth_rate=of_visits,
    )


def comparison(now: Figures, before: Figures | None) -> shapes.PeriodComparison:
    """Two ranges of `SUMMARY` side by side."""
    return shapes.PeriodComparison(
        shapes.PeriodFigures(*now[:5]),
        None if before is None else shapes.PeriodFigures(*before[:5]),
        *_changes(now, before)[:5],
    )


def properties(text: str) -> dict[str, Any]:
    """The object in a JSON text. A whole number of more digits than 64 bits hold becomes a float, in which form
    MessagePack and other people's languages can hold it."""
    found: dict[str, Any] = json.loads(text, parse_int=_number)
    return found


def _number(text: str) -> int | float:
    return int(text) if len(text) <= _MANY_DIGITS else float(text)


def _visits_by(asking: Asking, dimension: str, names: list[str]) -> dict[str, int]:
    if not names:
        return {}
    rows = asking.top(dimension, "visits", conditions=[["is", dimension, names]], limit=len(names))
    return {row.dimensions[0]: _count(row.metrics[0]) for row in rows}


def _changes(now: Figures, before: Figures | None) -> list[float | None]:
    """In % of before, of the bounce rate in percentage points; None where there is nothing to compare with."""
    if before is None:
        return [None] * len(now)
    made: list[float | None] = []
    for place, (new, old) in enumerate(zip(now, before, strict=True)):
        if new is None or old is None:
            made.append(None)
        elif place == _BOUNCE_RATE:
            made.append(float(new - old))
        else:
            made.append(round((new - old) / old * 100, 2) if old else None)
    return made


def _part(part: int, whole: int) -> float | None:
    return round(min(part / whole, 1) * 100, 2) if whole else None


def _count(figure: Any) -> int:
    return int(figure or 0)


def _whole(figure: Any) -> int | None:
    return None if figure is None else int(figure)
