"""What somebody looks at, as a value and as the query string of a link, which has one form only (`parameters.py` reads
it).

Defaults are left out and the rest stands in a fixed order, so that views which show the same have the same URL. A
filter is written `f=OPERATOR,DIMENSION,VALUE,...` with `%` and `,` of its texts as `%25` and `%2C`, before the URL's
own encoding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from maicivy.core.date_ranges import Days
from maicivy.core.query import Operator
from maicivy.dashboard.panels import PANELS, card_of, default_panels

PERIODS: Final = {
    "today": "day",
    "24h": "24h",
    "7d": "7d",
    "28d": "28d",
    "30d": "30d",
    "91d": "91d",
    "month": "month",
    "year": "year",
    "12mo": "12mo",
    "all": "all",
    "realtime": "realtime",
}
"""Period -> date range of the query API; besides them there is `custom`."""

CUSTOM: Final = "custom"
COMPARISONS: Final = ("previous", "year", CUSTOM, "off")
METRICS: Final = ("visitors", "visits", "pageviews", "views_per_visit", "bounce_rate", "visit_duration", "events")
INTERVALS: Final = ("minute", "hour", "day", "week", "month")
MAX_FILTERS: Final = 20
MAX_CHARS: Final = 6_000
"""Longest query string that is written as a rule: a request line has room for 8,190 bytes (gunicorn.conf.py)."""
MAX_CHARS_BACK: Final = 7_900
"""Of a link that takes something away; the path and the protocol have the rest of the line."""

_INSENSITIVE: Final = ("contains", "contains_not")


class Condition(msgspec.Struct, frozen=True, order=True):
    """A filter: one of `values` has to be, be contained or match, or none of them may. What is contained may be written
    in any case."""

    dimension: str
    operator: Operator
    values: tuple[str, ...]

    def asked(self) -> list[Any]:
        """As the query API takes it."""
        plain: list[Any] = [self.operator, self.dimension, list(self.values)]
        return [*plain, {"case_sensitive": False}] if self.operator in _INSENSITIVE else plain

    def written(self) -> str:
        """As it stands in a URL, before that is encoded."""
        return ",".join(map(_escaped, (self.operator, self.dimension, *self.values)))


class View(msgspec.Struct, frozen=True):
    """A view of a site; without anything said, the last 28 days beside those before.

    Attributes:
        days: of the period `custom`, and of no other; compared_days: of the comparison `custom`.
        zone: IANA name; empty: the site's.
        match_weekday: the range compared with begins on the same day of the week.
        interval: empty: what suits the range.
        filters: all of them have to hold; sorted, none twice.
        show: of each card at most one panel, in the order of the cards; never the first of a card.
        prop: name of the property whose values are listed; empty: the most frequent one.
        heat: the page whose clicks are shown; empty: one that has some.
        lang: empty: what the browser asks for.
        bots: whether bots are counted, too.
    """

    period: str = "28d"
    days: Days | None = None
    zone: str = ""
    compare: str = "previous"
    compared_days: Days | None = None
    match_weekday: bool = False
    metric: str = "visitors"
    interval: str = ""
    filters: tuple[Condition, ...] = ()
    show: tuple[str, ...] = ()
    prop: str = ""
    heat: str = ""
    lang: str = ""
    bots: bool = False

    def with_period(self, period: str, days: Days | None = None) -> View:
        """Another range; the interval of the old one may not suit it."""
        return msgspec.structs.replace(self, period=period, days=days, interval="")

    def with_comparison(self, compare: str, days: Days | None = None) -> View:
        """Compared with something else, or with nothing."""
        weekday = self.match_weekday and compare in ("previous", "year")
        return msgspec.structs.replace(self, compare=compare, compared_days=days, match_weekday=weekday)

    def with_metric(self, metric: str) -> View:
        """Another metric over time."""
        return msgspec.structs.replace(self, metric=metric)

    def with_interval(self, interval: str) -> View:
        """Other buckets of time; empty: those that suit."""
        return msgspec.structs.replace(self, interval=interval)

    def with_panel(self, key: str) -> View:
        """With that panel on top of its card."""
        others = [name for name in self.show if card_of(name) != card_of(key)]
        return msgspec.structs.replace(self, show=panels_in_order([*others, key]))

    def with_filter(self, condition: Condition) -> View:
        """With one more filter. Of those that say what a dimension is, the new one counts."""
        kept = [
            each
            for each in self.filters
            if not (each.dimension == condition.dimension and each.operator == condition.operator == "is")
        ]
        return msgspec.structs.replace(self, filters=filters_in_order([*kept, condition]))

    def without_filter(self, condition: Condition) -> View:
        """Without that filter."""
        return msgspec.structs.replace(self, filters=tuple(each for each in self.filters if each != condition))

    def without_filters(self) -> View:
        """Of everything."""
        return msgspec.structs.replace(self, filters=())

    def for_any_site(self) -> View:
        """Without the filters and choices that only mean something on one."""
        return msgspec.structs.replace(self, filters=(), prop="", heat="")

    def with_weekday(self, is_matched: bool) -> View:
        """Compared by days of the week, or by date."""
        return msgspec.structs.replace(self, match_weekday=is_matched)

    def with_bots(self, are_counted: bool) -> View:
        """With bots, or without."""
        return msgspec.structs.replace(self, bots=are_counted)

    def with_property(self, name: str) -> View:
        """With the values of another property."""
        return msgspec.structs.replace(self, prop=name)

    def with_heat(self, page: str) -> View:
        """With the clicks of another page."""
        return msgspec.structs.replace(self, heat=page)

    def is_filtered_by(self, dimension: str, value: str) -> bool:
        """Whether a filter says that the dimension is just this value."""
        return Condition(dimension, "is", (value,)) in self.filters

    def toggled(self, dimension: str, value: str) -> View:
        """With a filter for just this value, or without it where it is in force."""
        condition = Condition(dimension, "is", (value,))
        return self.without_filter(condition) if condition in self.filters else self.with_filter(condition)

    def pairs(self, *without: str) -> list[tuple[str, str]]:
        """The parameters of its URL in their order, but for those named: what a form keeps in hidden fields."""
        found: list[tuple[str, str]] = []
        if self.period != "28d":
            found.append(("period", self.period))
        if self.days is not None:
            found += [("from", self.days.first.isoformat()), ("to", self.days.last.isoformat())]
        found += [("tz", self.zone)] if self.zone else []
        if self.compare != "previous":
            found.append(("compare", self.compare))
        if self.compared_days is not None:
            days = self.compared_days
            found += [("compare_from", days.first.isoformat()), ("compare_to", days.last.isoformat())]
        found += [("match", "weekday")] if self.match_weekday else []
        if self.metric != "visitors":
            found.append(("metric", self.metric))
        found += [("interval", self.interval)] if self.interval else []
        found += [("f", each.written()) for each in self.filters]
        found += [("show", key) for key in self.show]
        found += [("prop", self.prop)] if self.prop else []
        found += [("heat", self.heat)] if self.heat else []
        found += [("lang", self.lang)] if self.lang else []
        found += [("bots", "1")] if self.bots else []
        return [pair for pair in found if pair[0] not in without]

    def query(self, more: Iterable[tuple[str, str]] = ()) -> str:
        """Its query string, with more parameters behind; empty for the default view."""
        return query_string([*self.pairs(), *more])

    def url(self, path: str, more: Iterable[tuple[str, str]] = (), max_chars: int = MAX_CHARS) -> str:
        """A link to it below `path`; empty where its query string would be longer than `max_chars`."""
        query = self.query(more)
        if len(query) > max_chars:
            return ""
        return f"{path}?{query}" if query else path

    def way_back(self, path: str) -> str:
        """A link to it that takes something away: longer than others if need be, since servers took the longer URL of
        the page it stands on; where it would still be too long, without the filters. Never empty."""
        return self.url(path, max_chars=MAX_CHARS_BACK) or self.for_any_site().url(path) or path


NAMES: Final = (
    *("period", "from", "to", "tz", "compare", "compare_from", "compare_to", "match", "metric", "interval"),
    *("f", "show", "prop", "heat", "lang", "bots"),
)
"""Parameters of a view."""


def query_string(pairs: Iterable[tuple[str, str]]) -> str:
    """Parameters as they stand in a URL; characters that need no encoding there are left readable."""
    return urlencode(list(pairs), safe="/:,", quote_via=quote)


def panels_in_order(keys: Iterable[str]) -> tuple[str, ...]:
    """The panels to be shown as a view has them: without those that are shown anyway."""
    named = set(keys) - set(default_panels())
    return tuple(key for key in PANELS if key in named)


def filters_in_order(filters: Iterable[Condition]) -> tuple[Condition, ...]:
    """Filters as a view has them: none twice."""
    return tuple(sorted(set(filters)))


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace(",", "%2C")
