"""Clocks: the turns of the calendar under load, and a clock that jumps.

The clock of maicivy's own processes is shifted, not those of Redis and Postgres: as on machines that disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from maicivy.core.identity import day_of
from tests.chaos.clients import event_of, post_answer
from tests.chaos.fault import Arena, Fault
from tests.chaos.system import System
from tests.standalone.processes import wait_until

LEAD_S = 1.5
"""Before a turn, when the clock is set to it."""

AFTER = 50
"""Events acknowledged after a turn."""

REPEATED = 20
UTC_ZONE, BERLIN = "UTC", "Europe/Berlin"
_IN_SUITE = {"clock:year", "clock:hour back over midnight"}
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Clock(Fault):
    """What has to do with time."""

    def __init__(self, name: str, zone: str) -> None:
        self.name = f"clock:{name}"
        self.zone = zone
        self.in_suite = self.name in _IN_SUITE

    @property
    def ground(self) -> object:
        return Clock, self.zone

    def start(self, home: Path) -> System:
        return System(home, MAICIVY_TIMEZONE=self.zone)


class Turn(Clock):
    """The clock passes one moment. Ids sent before it and again after it count once; a visit goes on."""

    def strike(self, arena: Arena) -> str:
        moments = _MOMENTS[self.name](arena.system.now())
        for moment in moments:
            self._pass(arena, moment)
        return "passed " + ", ".join(moment.astimezone(ZoneInfo(self.zone)).isoformat(" ") for moment in moments)

    def _pass(self, arena: Arena, moment: datetime) -> None:
        system = arena.system
        repeated = [event_of(arena.dice) for _ in range(REPEATED)]
        lead_s = LEAD_S
        while True:
            agent = f"Mozilla/5.0 (walker {arena.dice.random()})"
            before, after, other = (event_of(arena.dice) for _ in range(3))
            arena.sent(*repeated, before, after, other)
            with arena.quiet():  # a day's counters live for 90 days: what waits for longer than that is not counted
                system.set_clock(moment - timedelta(seconds=lead_s))
            _send(system, repeated)
            _send(system, [before], agent)
            wait_until(partial(_rows, system, [before]), 30, "an event stored before the turn")
            if system.now() < moment:
                break
            lead_s *= 2  # a busy machine
        wait_until(lambda: system.now() > moment, lead_s + 1, "the turn")
        _send(system, repeated)
        _send(system, [after], agent)
        _send(system, [other], f"{agent} and a newcomer")
        arena.load.wait_acknowledged(AFTER)
        wait_until(lambda: len(_rows(system, [before, after, other])) == 3, 30, "the events after the turn stored")
        visitors = _rows(system, [before, after, other])
        walker, later, newcomer = (visitors[UUID(event["id"])] for event in (before, after, other))
        assert walker == later, "a visit did not go on across the turn"
        assert walker != newcomer
        assert day_of(newcomer) == moment.astimezone(UTC).date(), f"an id of {day_of(newcomer)} after {moment}"


class Jump(Clock):
    """The clock is set, forward or back, under load."""

    def __init__(self, name: str, zone: str, jump: timedelta, *, over_midnight: bool = False) -> None:
        super().__init__(name, zone)
        self._jump = jump
        self._over_midnight = over_midnight

    def strike(self, arena: Arena) -> str:
        system = arena.system
        if self._over_midnight:  # there first, for a while
            system.set_clock(_midnight(system.now()) + timedelta(minutes=10))
            arena.load.wait_acknowledged(AFTER)
        repeated = [event_of(arena.dice) for _ in range(REPEATED)]
        arena.sent(*repeated)
        _send(system, repeated)
        system.set_clock(system.now() + self._jump)
        _send(system, repeated)
        arena.load.wait_acknowledged(AFTER)
        return f"set by {self._jump.total_seconds() / 3600:+.0f} h to {system.now():%Y-%m-%d %H:%M}"


def _send(system: System, events: list[dict[str, Any]], agent: str = "chaos") -> None:
    wait_until(lambda: post_answer(system.port, events, agent=agent)[0] == 202, 30, "an acknowledgement")


def _rows(system: System, events: list[dict[str, Any]]) -> dict[UUID, UUID]:
    """Visitor ids of those that are stored, by event id."""
    since = system.now() - DAY
    with system.database() as database:
        rows = database.execute(
            "SELECT id, visitor_id FROM analytics_events WHERE id = ANY(%s) AND created_at > %s",
            [[UUID(event["id"]) for event in events], since],
        )
        return dict(rows.fetchall())


def _midnight(now: datetime, zone: str = "UTC") -> datetime:
    """The next one."""
    day = now.astimezone(ZoneInfo(zone)).date() + DAY
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _month(now: datetime) -> datetime:
    """The next beginning of a month that is not that of a year."""
    at = _midnight(now)
    while at.day != 1 or at.month == 1:
        at += DAY
    return at


def _long_year() -> int:
    """The next year with a week 53 that is still ahead."""
    today = datetime.now(UTC).date()
    year = today.year
    while date(year, 12, 28).isocalendar().week != 53 or date(year, 12, 27) <= today:
        year += 1
    return year


def _week_53() -> datetime:
    day = date.fromisocalendar(_long_year(), 53, 1)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _new_year() -> list[datetime]:
    """Within the week 53: in Berlin, and an hour later for visitor ids."""
    at = datetime(_long_year() + 1, 1, 1, tzinfo=UTC)
    return [at - HOUR, at]


def _change(now: datetime, *, to_summer: bool) -> datetime:
    """The next time that clocks in Berlin are changed."""
    zone = ZoneInfo(BERLIN)
    at = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + HOUR
    while not (
        at.astimezone(zone).utcoffset() != (at - HOUR).astimezone(zone).utcoffset()
        and bool(at.astimezone(zone).dst()) is to_summer
    ):
        at += HOUR
    return at


def _around(change: datetime) -> list[datetime]:
    """The change itself, and the end of its day of 23 or 25 hours."""
    return [change, _midnight(change, BERLIN)]


_MOMENTS: dict[str, Callable[[datetime], list[datetime]]] = {
    "clock:midnight": lambda now: [_midnight(now)],
    "clock:month": lambda now: [_month(now)],
    "clock:week 53": lambda _: [_week_53()],
    "clock:year": lambda _: _new_year(),
    "clock:end of week 53": lambda _: [_week_53() + 7 * DAY],
    "clock:summer time": lambda now: _around(_change(now, to_summer=True)),
    "clock:winter time": lambda now: _around(_change(now, to_summer=False)),
}

FAULTS: list[Fault] = [
    Jump("day ahead", UTC_ZONE, DAY),
    Jump("hour back", UTC_ZONE, -HOUR),
    *(Turn(name, UTC_ZONE) for name in ("midnight", "month", "week 53", "end of week 53")),
    *(Turn(name, BERLIN) for name in ("year", "summer time", "winter time")),
    Jump("hour back over midnight", BERLIN, -HOUR, over_midnight=True),
]
