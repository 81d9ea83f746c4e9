"""What somebody looks at, as a value and as the query string of a link: read strictly, written in one form only.

Defaults are left out and the rest stands in a fixed order, so that views which show the same have the same URL. A
filter is written `f=OPERATOR,DIMENSION,VALUE,...` with `%` and `,` of its texts as `%25` and `%2C`, before the URL's
own encoding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from maicivy.core.date_ranges import Days, parse_days
from maicivy.core.query import Operator
from maicivy.core.query_filters import OPERATORS, parse_filters, shown
from maicivy.core.sites import time_zone
from maicivy.dashboard.panels import PANELS, card_of, default_panels
from maicivy.dashboard.words import LANGUAGES
from maicivy.errors import Refusal

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
"""Longest query string that is written: a request line has room for 8,190 bytes (gunicorn.conf.py)."""

MAX_PAGE_CHARS: Final = 500
MAX_PROPERTY_CHARS: Final = 64

_INSENSITIVE: Final = ("contains", "contains_not")
_ESCAPE: Final = re.compile(r"%(25|2C)|%", re.ASCII)
_REPEATED: Final = ("f", "show")

T = TypeVar("T")


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
        return msgspec.structs.replace(self, show=_shown_panels([*others, key]))

    def with_filter(self, condition: Condition) -> View:
        """With one more filter. Of those that say what a dimension is, the new one counts."""
        kept = [
            each
            for each in self.filters
            if not (each.dimension == condition.dimension and each.operator == condition.operator == "is")
        ]
        return msgspec.structs.replace(self, filters=_in_order([*kept, condition]))

    def without_filter(self, condition: Condition) -> View:
        """Without that filter."""
        return msgspec.structs.replace(self, filters=tuple(each for each in self.filters if each != condition))

    def without_filters(self) -> View:
        """Of everything; and without the choices that only mean something on one site."""
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

    def url(self, path: str, more: Iterable[tuple[str, str]] = ()) -> str:
        """A link to it below `path`; empty where that would be longer than servers take."""
        query = self.query(more)
        if len(query) > MAX_CHARS:
            return ""
        return f"{path}?{query}" if query else path


NAMES: Final = (
    *("period", "from", "to", "tz", "compare", "compare_from", "compare_to", "match", "metric", "interval"),
    *("f", "show", "prop", "heat", "lang", "bots"),
)
"""Parameters of a view."""


def query_string(pairs: Iterable[tuple[str, str]]) -> str:
    """Parameters as they stand in a URL; characters that need no encoding there are left readable."""
    return urlencode(list(pairs), safe="/:,", quote_via=quote)


def read_view(pairs: Sequence[tuple[str, str]], others: Collection[str] = ()) -> View:
    """The view that the parameters of a URL mean. A parameter without a value counts as absent, for forms send those.

    `others` are names of parameters that somebody else reads.

    Raises:
        Refusal: naming the parameter; `unknown_parameter`, `repeated_parameter`, `invalid_parameter`.
    """
    given = _given(pairs, others)

    def one(name: str, default: T, read: Callable[[str], T]) -> T:
        return read(given[name][0]) if name in given else default

    period = one("period", "28d", _choice("period", (*PERIODS, CUSTOM)))
    days = _days(given, ("from", "to"), period == CUSTOM, "period=custom")
    compare = one("compare", "previous", _choice("compare", COMPARISONS))
    compared = _days(given, ("compare_from", "compare_to"), compare == CUSTOM, "compare=custom")
    weekday = bool(one("match", "", _choice("match", ("weekday",))))
    if weekday and compare not in ("previous", "year"):
        raise _invalid("match", "goes with a comparison with the previous period or year only")
    if len(given.get("f", ())) > MAX_FILTERS:
        raise _invalid("f", f"may stand there {MAX_FILTERS} times at most")
    return View(
        period=period,
        days=days,
        zone=one("tz", "", _zone),
        compare=compare,
        compared_days=compared,
        match_weekday=weekday,
        metric=one("metric", "visitors", _choice("metric", METRICS)),
        interval=one("interval", "", _choice("interval", INTERVALS)),
        filters=_in_order([_condition(text) for text in given.get("f", ())]),
        show=_panels(given.get("show", [])),
        prop=one("prop", "", _property),
        heat=one("heat", "", _path),
        lang=one("lang", "", _choice("lang", LANGUAGES)),
        bots=bool(one("bots", "", _choice("bots", ("1",)))),
    )


def condition(operator: str, dimension: str, values: Sequence[str], field: str = "f") -> Condition:
    """A filter that the query API takes.

    Raises:
        Refusal: `invalid_parameter`, naming `field`.
    """
    kept = tuple(sorted(dict.fromkeys(values)))
    found = next((known for known in OPERATORS if known == operator), None)
    if found is None:
        raise _invalid(field, f"names an operator that there is not: {shown(operator)}")
    made = Condition(dimension, found, kept)
    try:
        parse_filters([made.asked()], field)
    except Refusal as refusal:
        raise Refusal("invalid_parameter", f"{field}: {refusal.message}", field) from refusal
    return made


def read_condition(text: str, field: str = "f") -> Condition:
    """The filter that is written so.

    Raises:
        Refusal: `invalid_parameter`, naming `field`.
    """
    operator, *rest = (_unescaped(part, field) for part in text.split(","))
    if len(rest) < 2:
        raise _invalid(field, "must be OPERATOR,DIMENSION,VALUE and perhaps more values")
    return condition(operator, rest[0], rest[1:], field)


def _condition(text: str) -> Condition:
    return read_condition(text)


def _given(pairs: Iterable[tuple[str, str]], others: Collection[str]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        if name not in NAMES:
            if name in others:
                continue
            told = name[:64].encode("ascii", "backslashreplace").decode()
            raise Refusal("unknown_parameter", f"there is no parameter {told!r}", told)
        if name in given and name not in _REPEATED:
            raise Refusal("repeated_parameter", f"{name} is given twice", name)
        if text:
            given.setdefault(name, []).append(text)
    return given


def _choice(name: str, allowed: Collection[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise _invalid(name, f"must be one of {', '.join(allowed)}")
        return text

    return read


def _days(given: dict[str, list[str]], names: tuple[str, str], are_wanted: bool, by: str) -> Days | None:
    there = [name for name in names if name in given]
    if not are_wanted:
        if there:
            raise _invalid(there[0], f"is for {by}")
        return None
    for name in names:
        if name not in given:
            raise _invalid(name, f"is needed by {by}")
    pair = [given[name][0] for name in names]
    try:
        return parse_days(pair, "")
    except Refusal as refusal:
        name = names[0] if refusal.field == "[0]" else names[1]
        raise Refusal("invalid_parameter", f"{name}: {refusal.message}", name) from refusal


def _zone(text: str) -> str:
    try:
        return str(time_zone(text))
    except ValueError as error:
        raise _invalid("tz", "must be an IANA time zone such as Europe/Paris") from error


def _property(text: str) -> str:
    if len(text) > MAX_PROPERTY_CHARS or not _is_text(text):
        raise _invalid("prop", f"must be the name of a property, {MAX_PROPERTY_CHARS} characters at most")
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or len(text) > MAX_PAGE_CHARS or not _is_text(text):
        raise _invalid("heat", f"must be a path that begins with /, {MAX_PAGE_CHARS} characters at most")
    return text


def _panels(keys: Sequence[str]) -> tuple[str, ...]:
    cards = []
    for key in keys:
        if key not in PANELS:
            raise _invalid("show", f"names a panel that there is not: {shown(key)}")
        cards.append(card_of(key))
    if len(set(cards)) != len(cards):
        raise _invalid("show", "names two panels of one card")
    return _shown_panels(keys)


def _shown_panels(keys: Iterable[str]) -> tuple[str, ...]:
    named = set(keys) - set(default_panels())
    return tuple(key for key in PANELS if key in named)


def _in_order(filters: Iterable[Condition]) -> tuple[Condition, ...]:
    return tuple(sorted(set(filters)))


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace(",", "%2C")


def _unescaped(text: str, field: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1] is None:
            raise _invalid(field, "has a % that is not part of %25 or %2C")
        return "%" if found[1] == "25" else ","

    return _ESCAPE.sub(one, text)


def _is_text(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _invalid(name: str, message: str) -> Refusal:
    return Refusal("invalid_parameter", f"{name} {message}", name)
