"""How numbers, times and names are written for one reader: the words of the page's language, the customs of the region
that the browser names (an English page in Zurich says 3 Nov and 12’345).

Nothing here chooses what is shown. All text is plain: escaping is left to whoever puts it into a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_date, format_interval, format_skeleton, format_time
from babel.numbers import format_compact_decimal, format_decimal, format_percent

from maicivy.dashboard.page import last_day
from maicivy.dashboard.words import LANGUAGES, Words, words_of
from maicivy.enrichment.channels import CHANNELS

Value = int | float | None

NOTHING: Final = "–"
"""Stands for what is not known, or what there is no mean of."""
MINUS: Final = "−"

PERCENTS: Final = frozenset({"bounce_rate", "scroll_depth", "percentage", "conversion_rate"})
DURATIONS: Final = frozenset({"visit_duration", "time_on_page"})
"""In seconds."""
IN_POINTS: Final = frozenset({"bounce_rate", "conversion_rate"})
"""Metrics whose change is told in percentage points."""

_NAMED: Final = ("channel", "device", "screen", "event")
"""Dimensions that have values of ours, for which there are words."""
_TAG: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
_KEY: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_MAX_HEADER_CHARS: Final = 500
_COMPACT_FROM: Final = 10_000


def formats_for(accept_language: str, lang: str | None = None) -> Formats:
    """What writes for a reader whose browser sends `accept_language`.

    The language is `lang` where it is one of `LANGUAGES`, else the first of them that the header asks for, else
    English; the region is that of the first language in the header that has one.
    """
    wanted = list(_wanted(accept_language[:_MAX_HEADER_CHARS]))
    if lang not in LANGUAGES:
        lang = next((tag for tag in (_primary(tag) for tag in wanted) if tag in LANGUAGES), LANGUAGES[0])
    region = next((found for tag in wanted if (found := _region(tag))), "")
    return _formats(lang, region)


class Formats:
    """Writes values for one language and region; safe to share.

    Attributes:
        t: the words of the same language, whose code is `lang`.
        locale: what Babel writes by; tag: the same as HTML and `Intl` name it: `en-CH`.
    """

    def __init__(self, locale: Locale, words: Words) -> None:
        self.locale = locale
        self.t = words
        self.lang = words.language
        self.tag = str(locale).replace("_", "-")
        self._has_noon = "a" in re.sub(r"'[^']*'", "", str(locale.time_formats["short"].pattern))

    def number(self, value: Value) -> str:
        """A number in full, with at most two decimals: `12,345`."""
        return NOTHING if value is None else _signed(format_decimal(round(value, 2), locale=self.locale))

    def compact(self, value: Value) -> str:
        """A number in four figures or so: `9,876`, `12.3K`, `4.6M`."""
        if value is None or abs(value) < _COMPACT_FROM:
            return self.number(value)
        rounded = round(value, 4 - len(str(int(abs(value)))))  # 999,999 is 1M, not 1,000K
        return _signed(format_compact_decimal(rounded, fraction_digits=1, locale=self.locale))

    def percent(self, value: Value) -> str:
        """Of a number of percent; one decimal where there is one: `45%`."""
        if value is None:
            return NOTHING
        digits, zero, sign = self.locale.percent_formats[None].pattern.rpartition("0")  # `#,##,##` in India
        pattern = digits + zero + (".#" if value % 1 else "") + sign
        return _signed(format_percent(value / 100, format=pattern, locale=self.locale))

    def duration(self, seconds: Value) -> str:
        """Two units at most: `34s`, `2m 34s`, `1h 05m`."""
        if seconds is None:
            return NOTHING
        whole = round(seconds)
        minutes, s = divmod(abs(whole), 60)
        hours, m = divmod(minutes, 60)
        if hours:
            return self.t("duration.hours", h=self.number(hours), m=f"{m:02}")
        return self.t("duration.minutes", m=m, s=f"{s:02}") if minutes else self.t("duration.seconds", s=s)

    def metric(self, name: str, value: Value) -> str:
        """A figure of a metric, short enough for a headline."""
        return self._metric(name, value, self.compact(value))

    def exactly(self, name: str, value: Value) -> str:
        """A figure of a metric with all its digits."""
        return self._metric(name, value, self.number(value))

    def change(self, name: str, value: Value, *, is_signed: bool = True) -> str:
        """A change in percent or percentage points: `+12%`, `−3 pts`; `0%` has no sign, nor has one that stands beside
        an arrow."""
        if value is None:
            return NOTHING
        sign = "" if not is_signed or not value else "+" if value > 0 else MINUS
        if name in IN_POINTS:
            return sign + self.t("change.points", n=abs(value), count=self.number(abs(value)))
        return sign + self.percent(abs(value))

    def day(self, at: date) -> str:
        """A day: `3 Nov 2026`."""
        return format_skeleton("yMMMd", at, locale=self.locale)

    def weekday(self, at: date) -> str:
        """A day in full: `Tuesday, 3 November 2026`."""
        return format_date(at, "full", locale=self.locale)

    def clock(self, at: datetime) -> str:
        """A time of day as the clocks of `at`'s zone show it: `14:05`, `2:05 PM`; where they show it twice on that day,
        as at the end of summer time, with the offset: `02:05 UTC+1`."""
        return format_time(at, "short", tzinfo=at.tzinfo, locale=self.locale) + _told_apart(at)

    def to_the_second(self, at: datetime) -> str:
        """A time of day with its seconds: `14:05:09`."""
        return format_time(at, "medium", tzinfo=at.tzinfo, locale=self.locale)

    def moment(self, at: datetime) -> str:
        """A day and a time of it."""
        return self.t("moment", day=self.day(at), clock=self.clock(at))

    def range(self, start: datetime, end: datetime) -> str:
        """A half-open range: its days, or hours where it is no longer than a day and a bit: `3–30 Nov 2026`."""
        last = last_day(end)
        is_of_days = _is_first_moment(start) and _is_first_moment(end)
        if is_of_days or end - start > timedelta(days=2):
            if start.date() == last:
                return self.weekday(start)
            return format_interval(start.date(), last, "yMMMd", locale=self.locale)
        both = self.clock(end) if start.date() == end.date() else self.moment(end)
        return self.t("range", start=self.moment(start), end=both)

    def bucket(self, start: datetime, interval: str) -> str:
        """A bucket of time by its name: `Tuesday, 3 November 2026`, `week from 3 Nov 2026`, `November 2026`."""
        match interval:
            case "month":
                return format_skeleton("yMMMM", start, locale=self.locale)
            case "week":
                return self.t("bucket.week", day=self.day(start))
            case "day":
                return self.weekday(start)
            case "hour":
                end = (start.astimezone(UTC) + timedelta(hours=1)).astimezone(start.tzinfo)
                return self.t("bucket.hour", day=self.day(start), start=self.clock(start), end=self.clock(end))
        return self.moment(start)

    def tick(self, start: datetime, interval: str) -> str:
        """A bucket of time in few letters, for an axis: `3 Nov`, `14:00`, `Nov`; `2026` stands for January."""
        match interval:
            case "month":
                return format_skeleton("y" if start.month == 1 else "MMM", start, locale=self.locale)
            case "week" | "day":
                return format_skeleton("MMMd", start, locale=self.locale)
            case "hour" if self._has_noon:
                return format_skeleton("h", start, locale=self.locale) + _told_apart(start)
        return self.clock(start)

    def country(self, code: str) -> str:
        """The name of a country by ISO 3166-1; a code that has none stands for itself."""
        return str(self.locale.territories.get(code.upper(), code))

    def language(self, code: str) -> str:
        """The name of a language by its tag, with a capital: `German`."""
        name = str(self.locale.languages.get(code.lower(), code))
        return name[:1].upper() + name[1:]

    def value(self, dimension: str, value: str) -> str:
        """A value of a dimension (`visit:country`) as people read it; an empty one says what that means there."""
        kind = dimension.rpartition(":")[2]
        if dimension.startswith("event:props:"):
            kind = "property"
        if not value:
            return self.t.get(f"none.{kind}") or self.t("none.other")
        if kind == "country":
            return self.country(value)
        if kind == "language":
            return self.language(value)
        if dimension == "event:name":
            kind = "event"
        key = value.lower().replace(" ", "_").replace("-", "_")
        if kind in _NAMED and _KEY.fullmatch(key):
            return self.t.get(f"{kind}.{key}") or value
        return value

    def meant(self, dimension: str, text: str) -> str:
        """The value that somebody means who writes a name as `value` shows it (`France`), or a code in any case (`fr`);
        what nothing is called by stands for itself."""
        wanted = text.casefold()
        codes: list[str]
        if dimension == "visit:country":
            codes = [code for code in map(str, self.locale.territories) if len(code) == 2 and code.isalpha()]
        elif dimension == "visit:language":
            codes = [code for code in map(str, self.locale.languages) if code.isalpha()]
        elif dimension == "visit:channel":
            codes = list(CHANNELS)
        elif dimension == "visit:device":
            codes = list(self.t.under("device"))
        elif dimension == "event:name" and text != wanted:  # events have names in lower case
            codes = list(self.t.under("event"))
        else:
            return text
        same = (code for code in codes if wanted in (code.casefold(), self.value(dimension, code).casefold()))
        return next(same, text)

    def _metric(self, name: str, value: Value, plain: str) -> str:
        if name in PERCENTS:
            return self.percent(value)
        return self.duration(value) if name in DURATIONS else plain


def _is_first_moment(at: datetime) -> bool:
    """Of its day, which does not begin at midnight where the clocks skip that."""
    before = (at.astimezone(UTC) - timedelta(microseconds=1)).astimezone(at.tzinfo)
    return before.date() != at.date()


def _told_apart(at: datetime) -> str:
    """What a time of day needs besides, when the clocks of its zone show it twice."""
    first, again = (at.replace(fold=fold).utcoffset() for fold in (0, 1))
    offset = at.utcoffset()
    if offset is None or first is None or again is None or first <= again:  # less than again: clocks skip it
        return ""
    hours, minutes = divmod(round(abs(offset) / timedelta(minutes=1)), 60)
    sign = MINUS if offset < timedelta() else "+"
    return f"\u00a0UTC{sign}{hours}" + (f":{minutes:02}" if minutes else "")


def _signed(text: str) -> str:
    """With a minus as wide as a plus."""
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


def _wanted(header: str) -> Iterator[str]:
    """The tags of an Accept-Language header, dearest first; what is no tag is passed over."""
    found = []
    for item in header.split(","):
        tag, _, weight = item.strip().partition(";")
        if _TAG.fullmatch(tag.strip()):
            found.append((_weight(weight), tag.strip()))
    yield from (tag for weight, tag in sorted(found, key=lambda each: -each[0]) if weight > 0)


def _weight(text: str) -> float:
    match = re.fullmatch(r"\s*q=([01](?:\.[0-9]{0,3})?)\s*", text, re.ASCII)
    return float(match[1]) if match else 0.0 if text.strip() else 1.0


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()


def _region(tag: str) -> str:
    """The region of a tag: its own, or the one where most people speak the language, but for English and French:
    a bare `en` says nothing of where somebody is."""
    region = next((part for part in tag.split("-")[1:] if len(part) == 2 and part.isalpha()), "").upper()
    if region or _primary(tag) in LANGUAGES:
        return region
    return str(get_global("likely_subtags").get(_primary(tag), "")).rpartition("_")[2]


@lru_cache(maxsize=1024)
def _formats(lang: str, region: str) -> Formats:
    try:
        locale = Locale(lang, region or None)
    except UnknownLocaleError:  # `fr_US`: no customs of their own
        locale = Locale(lang)
    return Formats(locale, words_of(lang))
