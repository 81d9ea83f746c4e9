"""Buckets of time: the minutes, hours, days, weeks and months of a zone as half-open ranges of instants.

Queries and rollups know nothing of time zones: they are given the instants at which buckets begin, worked out here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from maicivy.core.periods import day_bounds

SLOT: Final = timedelta(minutes=15)
"""What visits keep their events by (`core.visits.SLOT_S`)."""

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Grain(StrEnum):
    """The lengths that a bucket can have; weeks begin on Monday."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def starts(grain: Grain, start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants (UTC, ascending) at which the buckets begin that have a part in [start, end); the first may lie
    before `start`."""
    if end <= start:
        return []
    first = start_of(grain, start, zone)
    following = _FOLLOWING[grain]
    found = [first]
    while (first := following(first, zone)) < end:
        found.append(first)
        if grain is Grain.HOUR and first + _DAY < end and _is_steady(first, zone):
            found += [first + n * _HOUR for n in range(1, 24)]
            first = found[-1]
    return found


def start_of(grain: Grain, moment: datetime, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the bucket begins that `moment` lies in."""
    if grain is Grain.MINUTE:
        return moment.astimezone(UTC).replace(second=0, microsecond=0)
    if grain is Grain.HOUR:
        return _hour_of(moment, zone)
    day = moment.astimezone(zone).date()
    if grain is Grain.WEEK:
        day -= timedelta(days=day.weekday())
    elif grain is Grain.MONTH:
        day = day.replace(day=1)
    return _midnight(day, zone)


def is_aligned(moment: datetime) -> bool:
    """Whether an instant is the beginning of a quarter of an hour."""
    return (moment - _EPOCH) % SLOT == timedelta(0)


def _is_steady(moment: datetime, zone: ZoneInfo) -> bool:
    """Whether clocks are not changed for the next day: no zone does it twice in one."""
    return moment.astimezone(zone).utcoffset() == (moment + _DAY).astimezone(zone).utcoffset()


def _hour_of(moment: datetime, zone: ZoneInfo) -> datetime:
    local = moment.astimezone(zone)
    return moment.astimezone(UTC) - timedelta(
        minutes=local.minute, seconds=local.second, microseconds=local.microsecond
    )


def _next_hour(start: datetime, zone: ZoneInfo) -> datetime:
    following = _hour_of(start + _HOUR, zone)
    # Where clocks are moved by half an hour, an hour of the clock may last for thirty minutes or ninety.
    return following if following > start else start + _HOUR


def _next_day(start: datetime, zone: ZoneInfo) -> datetime:
    return _midnight(_local_day(start, zone) + _DAY, zone)


def _next_week(start: datetime, zone: ZoneInfo) -> datetime:
    return _midnight(_local_day(start, zone) + 7 * _DAY, zone)


def _next_month(start: datetime, zone: ZoneInfo) -> datetime:
    return _midnight((_local_day(start, zone) + 32 * _DAY).replace(day=1), zone)


def _local_day(start: datetime, zone: ZoneInfo) -> date:
    return start.astimezone(zone).date()


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return day_bounds(day, zone)[0]


_FOLLOWING: Final[dict[Grain, Callable[[datetime, ZoneInfo], datetime]]] = {
    Grain.MINUTE: lambda start, _: start + _MINUTE,
    Grain.HOUR: _next_hour,
    Grain.DAY: _next_day,
    Grain.WEEK: _next_week,
    Grain.MONTH: _next_month,
}
