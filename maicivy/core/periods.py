"""Day, ISO week and month: their keys, bounds and lifetimes.

A period is always one of the calendar of `MAICIVY_TIMEZONE`; storage and wire are UTC. Ranges are half-open.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

RETENTION_AT: Final = time(2, 0)
"""Time of the daily run of retention, in the installation's zone."""

DAY_LIFETIME: Final = timedelta(days=90)
LONG_LIFETIME: Final = timedelta(days=365)


class Period(StrEnum):
    """The three lengths of time that counters are kept for."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def key(self, day: date) -> str:
        """The period that `day` lies in: `2025-12-08`, `2025-W50` (ISO 8601 year and week) or `2025-12`."""
        if self is Period.DAY:
            return day.isoformat()
        if self is Period.WEEK:
            year, week, _ = day.isocalendar()
            return f"{year:04d}-W{week:02d}"
        return f"{day.year:04d}-{day.month:02d}"

    def start(self, day: date) -> date:
        """First day of the period that `day` lies in; weeks begin on Monday."""
        if self is Period.DAY:
            return day
        if self is Period.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1)

    def end(self, day: date) -> date:
        """First day after the period that `day` lies in."""
        if self is Period.DAY:
            return day + timedelta(days=1)
        if self is Period.WEEK:
            return self.start(day) + timedelta(days=7)
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)

    def days(self, day: date) -> list[date]:
        """Every day of the period that `day` lies in, ascending."""
        first = self.start(day)
        return [first + timedelta(days=i) for i in range((self.end(day) - first).days)]

    @property
    def lifetime(self) -> timedelta:
        """How long after its end a period's counters are kept."""
        return DAY_LIFETIME if self is Period.DAY else LONG_LIFETIME


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The calendar day in `zone` of an aware time."""
    return moment.astimezone(zone).date()


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Start and end, in UTC, of a calendar day of `zone`: 23, 24 or 25 hours apart."""
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    following = day + timedelta(days=1)
    return start.astimezone(UTC), datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC)


def expires_at(period: Period, day: date, zone: ZoneInfo) -> int:
    """Unix second at which the counters of the period that `day` lies in are deleted."""
    return int((day_bounds(period.end(day), zone)[0] + period.lifetime).timestamp())
