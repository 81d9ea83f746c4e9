"""The days that a question is about: read, turned into bounds, and put beside the ones that they are compared with.

A range of days is made of calendar days of the question's zone, which have 23 to 25 hours; nothing here adds seconds
to get to the next one. A range of moments has a length of its own. Both become a half-open interval in UTC.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.buckets import Grain, starts
from maicivy.core.moments import moment
from maicivy.core.periods import Period, day_bounds, local_day
from maicivy.errors import Refusal

FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2100, 12, 31)
MAX_DAYS: Final = 5 * 366
MAX_MONTHS: Final = 60
MAX_BUCKETS: Final = 10_000
"""How many buckets of time are listed or laid side by side."""

Mode: TypeAlias = Literal["previous_period", "year_over_year", "custom"]
MODES: Final[tuple[Mode, ...]] = Mode.__args__  # type: ignore[attr-defined]

_AT_LEAST: Final = {Grain.MINUTE: timedelta(minutes=1), Grain.HOUR: timedelta(hours=1)}
_LAST_N: Final = re.compile(r"([1-9][0-9]{0,3})(d|mo)", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_HOURS: Final = {"24h": timedelta(hours=24), "30m": timedelta(minutes=30), "realtime": timedelta(minutes=5)}
_NAMES: Final = ("day", "month", "year", "all", *_HOURS)
_WANTED: Final = (
    "date_range must be day, 24h, 7d, 28d, 30d, 91d, month, 6mo, 12mo, year, all, 30m, realtime, any other number of"
    " days or months as in 14d or 3mo, or a list of two dates or two times with an offset"
)


class Days(msgspec.Struct, frozen=True):
    """Calendar days, both included."""

    first: date
    last: date


class Moments(msgspec.Struct, frozen=True):
    """From `start` up to, not including, `end`; aware and UTC."""

    start: datetime
    end: datetime


DateRange: TypeAlias = str | Days | Moments
"""As it was asked for: one of the names, days, or moments."""

Span: TypeAlias = Days | Moments
"""As it is at one moment."""


class Comparison(msgspec.Struct, frozen=True):
    """What to compare with; `days` are those of mode `custom`."""

    mode: Mode
    days: Days | None = None
    match_day_of_week: bool = False


def parse(value: Any, field: str) -> DateRange:
    """The range that a JSON value names.

    Raises:
        Refusal: `invalid_date_range`, naming `field`.
    """
    if isinstance(value, str):
        if value not in _NAMES:
            _check_last_n(value, field)
        return value
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(each, str) for each in value)):
        raise _invalid(_WANTED, field)
    if all(map(_DATE.fullmatch, value)):
        return _days(value, field)
    return _moments(value, field)


def parse_days(value: Any, field: str) -> Days:
    """The days that a list of two dates names.

    Raises:
        Refusal: `invalid_date_range`, naming `field`.
    """
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(each, str) for each in value)):
        raise _invalid("must be a list of two dates", field)
    return _days(value, field)


def span(asked: DateRange, zone: ZoneInfo, now: datetime, since: datetime | None) -> Span:
    """What `asked` means now. `since` is where `all` begins, at most five years ago; None: today.

    Named ranges of days and months include today and this month; `24h` and what is shorter ends with the present
    minute.
    """
    if not isinstance(asked, str):
        return asked
    today = local_day(now, zone)
    if asked in _HOURS:
        end = now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return Moments(end - _HOURS[asked], end)
    if asked == "day":
        return Days(today, today)
    if asked == "month":
        return Days(today.replace(day=1), Period.MONTH.end(today) - timedelta(days=1))
    if asked == "year":
        return Days(today.replace(month=1, day=1), today.replace(month=12, day=31))
    if asked == "all":
        first = today if since is None else min(local_day(since, zone), today)
        return Days(max(first, today - timedelta(days=MAX_DAYS - 1)), today)
    found = _LAST_N.fullmatch(asked)
    assert found is not None
    number = int(found[1])
    if found[2] == "d":
        return Days(today - timedelta(days=number - 1), today)
    return Days(_shifted(today.replace(day=1), 1 - number), Period.MONTH.end(today) - timedelta(days=1))


def bounds(meant: Span, zone: ZoneInfo, field: str = "date_range") -> tuple[datetime, datetime]:
    """Start and end in UTC.

    Raises:
        Refusal: `invalid_date_range`, naming `field`, for a day that the zone has not had: Samoa went from the 29th of
            December 2011 to the 31st.
    """
    if isinstance(meant, Moments):
        return meant.start, meant.end
    start, end = day_bounds(meant.first, zone)[0], day_bounds(meant.last, zone)[1]
    if start == end:
        raise _invalid(f"{zone} has had no such day", field)
    return start, end


def compared(meant: Span, comparison: Comparison, zone: ZoneInfo, now: datetime) -> Span:
    """What `meant` is compared with.

    Of days that are still to come nothing is known, so they are left out: a month on its 20th day is compared with 20
    days. The previous period ends where the range begins; with `match_day_of_week` it is moved to the nearest whole
    number of weeks before the range, a year before and days of one's own to the nearest equal day of the week.
    """
    if comparison.days is not None:
        first = meant.first if isinstance(meant, Days) else local_day(meant.start, zone)
        return _matched(comparison.days, first) if comparison.match_day_of_week else comparison.days
    if isinstance(meant, Moments):
        return _compared_moments(meant, comparison, zone)
    last = max(meant.first, min(meant.last, local_day(now, zone)))
    length = (last - meant.first).days + 1
    if comparison.mode == "previous_period":
        back = _whole_weeks(length) if comparison.match_day_of_week else length
        return Days(meant.first - timedelta(days=back), last - timedelta(days=back))
    first = _shifted(meant.first, -12)
    if comparison.match_day_of_week:
        return _matched(Days(first, first + timedelta(days=length - 1)), meant.first)
    return Days(first, _shifted(last, -12))


def automatic(asked: DateRange, meant: Span, zone: ZoneInfo) -> str:
    """The dimension that `time` stands for.

    Minutes for `30m` and `realtime`; hours up to a day; months for ranges of months and years, and for others that
    are longer than a month (but not for a number of days); days else.
    """
    if asked in ("30m", "realtime"):
        return "time:minute"
    if asked in ("24h", "day", "1d"):
        return "time:hour"
    if isinstance(asked, str) and (asked == "month" or asked.endswith("d")):
        return "time:day"
    if isinstance(asked, str) and asked != "all":
        return "time:month"
    start, end = bounds(meant, zone)
    first, last = local_day(start, zone), local_day(end - timedelta(microseconds=1), zone)
    if _shifted(first, 1) <= last:
        return "time:month"
    return "time:day" if end - start > timedelta(hours=25) else "time:hour"


def buckets(dimension: str, start: datetime, end: datetime, zone: ZoneInfo, field: str) -> list[datetime]:
    """Starts, in UTC, of the buckets of a time dimension that overlap the interval, the first of them at or before it.

    Raises:
        Refusal: `too_many_rows`, naming `field`, when there are more than `MAX_BUCKETS`.
    """
    grain = Grain(dimension.removeprefix("time:"))
    if end - start > MAX_BUCKETS * _AT_LEAST.get(grain, timedelta(hours=23)):
        message = f"{dimension} divides this range into more than {MAX_BUCKETS} buckets"
        raise Refusal("too_many_rows", message, field)
    return starts(grain, start, end, zone)


def bucket_of(at: datetime, begins: list[datetime]) -> int:
    """Which of the buckets that begin at `begins` contains `at`."""
    return max(0, bisect_right(begins, at) - 1)


def label(dimension: str, at: datetime, zone: ZoneInfo, start: datetime) -> str:
    """How the bucket that begins at `at` is told: its date, or its date and time in the zone.

    A week of which a range that begins at `start` has only the end is told as Plausible does: by the first day of the
    range. A time that the clocks show twice has its offset behind it, both times.
    """
    local = (max(at, start) if dimension == "time:week" else at).astimezone(zone)
    if dimension not in ("time:hour", "time:minute"):
        return local.date().isoformat()
    told = str(local)
    twice = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    return told[:19] + local.isoformat()[19:] if twice else told[:19]


def _check_last_n(text: str, field: str) -> None:
    found = _LAST_N.fullmatch(text)
    if found is None:
        raise _invalid(_WANTED, field)
    most = MAX_DAYS if found[2] == "d" else MAX_MONTHS
    if int(found[1]) > most:
        raise _invalid(f"date_range may be at most {most}{found[2]}", field)


def _days(pair: list[str], field: str) -> Days:
    first, last = (_day(text, f"{field}[{place}]") for place, text in enumerate(pair))
    if last < first:
        raise _invalid("the range ends before it begins", field)
    if (last - first).days >= MAX_DAYS:
        raise _invalid(f"the range is longer than {MAX_DAYS} days", field)
    return Days(first, last)


def _day(text: str, field: str) -> date:
    if not _DATE.fullmatch(text):
        raise _invalid("must be a date such as 2024-01-31", field)
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise _invalid("there is no such day", field) from error
    if not FIRST_DAY <= day <= LAST_DAY:
        raise _invalid(f"must be from {FIRST_DAY} to {LAST_DAY}", field)
    return day


def _moments(pair: list[str], field: str) -> Moments:
    start, end = (_moment(text, f"{field}[{place}]") for place, text in enumerate(pair))
    if end <= start:
        raise _invalid("the range ends before it begins", field)
    if end - start > timedelta(days=MAX_DAYS):
        raise _invalid(f"the range is longer than {MAX_DAYS} days", field)
    return Moments(start, end)


def _moment(text: str, field: str) -> datetime:
    try:
        at = moment(text)
    except (ValueError, OverflowError, OSError) as error:
        wanted = "must be a time with an offset such as 2024-01-31T12:00:00+01:00; or both must be dates"
        raise _invalid(wanted, field) from error
    if not FIRST_DAY <= at.date() <= LAST_DAY:
        raise _invalid(f"must be from {FIRST_DAY} to {LAST_DAY}", field)
    return at


def _compared_moments(meant: Moments, comparison: Comparison, zone: ZoneInfo) -> Moments:
    length = meant.end - meant.start
    if comparison.mode == "previous_period":
        if not comparison.match_day_of_week:
            return Moments(meant.start - length, meant.start)
        days = _whole_weeks(-(-length // timedelta(days=1)))
    else:
        local = local_day(meant.start, zone)
        days = (local - _shifted(local, -12)).days
        days = _whole_weeks(days) if comparison.match_day_of_week else days
    start = (meant.start.astimezone(zone) - timedelta(days=days)).astimezone(UTC)  # the same time by the clock
    return Moments(start, start + length)


def _matched(days: Days, first: date) -> Days:
    """The nearest days, as many, that begin on the day of the week that `first` is."""
    by = timedelta(days=(first.weekday() - days.first.weekday() + 3) % 7 - 3)
    return Days(days.first + by, days.last + by)


def _whole_weeks(days: int) -> int:
    """The number of days nearest to `days` that is whole weeks, at least one."""
    return max(1, (days + 3) // 7) * 7


def _shifted(day: date, months: int) -> date:
    """The same day of another month, or its last where it has none such."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _invalid(message: str, field: str) -> Refusal:
    return Refusal("invalid_date_range", message, field)
