"""What dashboards ask: questions of many kinds, none twice, about a large site and a small one of bench/traffic.py.

Each is written as a body of `POST /api/v2/query`. What filters ask for is taken from the dictionary tables: of each
dimension a frequent value, one in the middle and a rare one.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import sqlalchemy as sa

from bench.days import DAYS
from bench.population import SMALL_SITES
from maicivy.core.query import VISIT_DIMENSIONS

BIG, SMALL = 1, 1 + (SMALL_SITES + 1) // 2
"""The two sites."""
MONTH: Final = 30
EVENT_DIMENSIONS: Final = ("event:page", "event:name", "event:hostname")
PROPERTY: Final = "event:props:plan"

_SUMMARY: Final = ("visitors", "visits", "pageviews", "views_per_visit", "bounce_rate", "visit_duration")
_SETS: Final[tuple[tuple[str, ...], ...]] = (
    ("visitors",),
    ("visitors", "pageviews"),
    ("visits", "bounce_rate"),
    ("visitors", "visits", "pageviews"),
    ("visitors", "visit_duration"),
)
_COLUMNS: Final = {
    "event:page": "actions.page",
    "event:name": "actions.name",
    "event:hostname": "actions.hostname",
    "visit:entry_page": "actions.page",
    "visit:exit_page": "actions.page",
}
_TABLES: Final = {
    **dict.fromkeys(("country", "region", "city"), "places"),
    **dict.fromkeys(
        ("device", "browser", "browser_version", "os", "os_version", "screen", "resolution", "language"), "clients"
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, its kind (`summary`, `by day` ...) and what tells it from others of its kind."""

    kind: str
    site: int
    body: Mapping[str, Any]


class Questions:
    """All questions about an installation whose last day is `last` (UTC)."""

    def __init__(self, engine: sa.Engine, last: date, each: int, days: int = DAYS) -> None:
        self._last = last
        self._each = each
        self._days = days
        self._values = {
            site: {name: _values(engine, name, site) for name in (*VISIT_DIMENSIONS, *EVENT_DIMENSIONS)}
            | {PROPERTY: ["free", "team", "business"]}
            for site in (BIG, SMALL)
        }

    def plain(self, site: int, days: int) -> Iterator[Asked]:
        """Summaries with comparison, by day, by hour, and the ten first of each dimension, over so many days."""
        kinds: dict[str, tuple[str, dict[str, Any]]] = {
            "summary": ("", {"include": {"comparisons": {"mode": "previous_period"}}}),
            "by day": ("time:day", {}),
            "by hour": ("time:hour", {}),
        }
        for kind, (dimension, more) in kinds.items():
            for metrics, dates in self._mixed([_SUMMARY, *_SETS] if kind == "summary" else _SETS, days, self._each):
                yield Asked(kind, site, _body(site, dates, metrics, [dimension] if dimension else []) | more)
        for metrics, dates in self._mixed(_SETS, days, 1 + self._each // 20):
            for dimension in (*VISIT_DIMENSIONS, *EVENT_DIMENSIONS):
                chosen = ("visitors", "events") if dimension == "event:name" else metrics
                yield Asked("top 10", site, _top(_body(site, dates, chosen, [dimension])))

    def filtered(self, site: int, days: int = MONTH) -> Iterator[Asked]:
        """One filter on each dimension, for a summary and for the ten first of another dimension."""
        others = itertools.cycle(("visit:source", "event:page", "visit:country", "visit:browser", "visit:entry_page"))
        dates = itertools.cycle(self._dates(days))
        for dimension, values in self._values[site].items():
            for operator, value in zip(("is", "is", "is", "is_not", "contains"), [*values, *values], strict=False):
                filters = [[operator, dimension, [value]]]
                yield Asked(f"one filter, {_family(dimension)}", site, _body(site, next(dates), _SUMMARY, [], filters))
                other = next(others)
                body = _body(site, next(dates), ("visitors", "visits", "bounce_rate"), [other], filters)
                yield Asked(f"one filter, {_family(dimension)}", site, _top(body))

    def narrowed(self, site: int, days: int = DAYS) -> Iterator[Asked]:
        """Two filters and a pattern of pages, for a summary, by day, and for the ten first of a dimension."""
        chance = random.Random(5)
        values = self._values[site]
        visit = [dimension for dimension in VISIT_DIMENSIONS if values[dimension]]
        patterns = itertools.cycle(
            (
                ["contains", "event:page", ["/blog/"]],
                ["matches", "event:page", ["^/docs/202[0-9]/"]],
                ["contains", "event:page", ["servers", "visits"]],
                ["matches", "event:page", ["-(new|best)-.*[05]$", "^/$"]],
                ["contains_not", "event:page", ["/news/"]],
            )
        )
        for dates in itertools.islice(itertools.cycle(self._dates(days)), max(2, self._each // 4)):
            first, second = chance.sample(visit, 2)
            filters = [
                ["is", first, [values[first][0]]],
                ["is_not", second, [chance.choice(values[second])]],
                next(patterns),
            ]
            yield Asked("two filters and pages", site, _body(site, dates, _SUMMARY, [], filters))
            yield Asked("two filters and pages", site, _body(site, dates, ("visitors",), ["time:day"], filters))
            top = _body(site, dates, ("visitors", "visits"), [chance.choice(["event:page", *visit])], filters)
            yield Asked("two filters and pages", site, _top(top))

    def _mixed(
        self, sets: Sequence[tuple[str, ...]], days: int, count: int
    ) -> list[tuple[tuple[str, ...], tuple[date, date]]]:
        """So many different pairs of metrics and dates; the first is of the latest days."""
        first, *others = itertools.product(sets, self._dates(days))
        random.Random(3).shuffle(others)
        return [first, *others][:count]

    def _dates(self, days: int) -> list[tuple[date, date]]:
        """First and last days: one that ends today, then others further and further back, as far as there is data."""
        days = min(days, self._days)
        ends = [self._last - timedelta(days=back) for back in range(self._days - days + 1)]
        spread = sorted(ends, key=lambda end: (end != self._last, (end.toordinal() * 7) % 11, end))
        if len(spread) < 5:  # a little less than all of it, too, for else there is one question only
            shorter = [(end - timedelta(days=days - 1 - less), end) for end in ends for less in range(min(5, days))]
            return [(first, last) for first, last in shorter if first <= last]
        return [(end - timedelta(days=days - 1), end) for end in spread]


def _body(
    site: int,
    dates: tuple[date, date],
    metrics: tuple[str, ...],
    dimensions: list[str],
    filters: list[list[Any]] | None = None,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "site_id": site,
        "metrics": list(metrics),
        "date_range": [day.isoformat() for day in dates],
        "dimensions": dimensions,
    }
    return body | ({"filters": filters} if filters else {})


def _top(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"order_by": [[body["metrics"][0], "desc"]], "pagination": {"limit": 10}}


def _family(dimension: str) -> str:
    return "property" if dimension == PROPERTY else "page or event" if dimension in _COLUMNS else "visit"


def _values(engine: sa.Engine, dimension: str, site: int) -> list[str]:
    """A frequent value, one in the middle, a rare one: rows of dictionaries were made in the order of frequency."""
    name = dimension.partition(":")[2]
    table, _, column = _COLUMNS.get(dimension, f"{_TABLES.get(name, 'origins')}.{name}").partition(".")
    here = f" AND site_id = {site:d}" if table == "actions" else ""
    statement = f"SELECT {column} FROM {table} WHERE {column} <> ''{here} GROUP BY 1 ORDER BY min(id)"
    with engine.connect() as connection:
        found = list(connection.execute(sa.text(statement)).scalars())
    return [found[0], found[len(found) // 8], found[len(found) // 2]] if found else []
