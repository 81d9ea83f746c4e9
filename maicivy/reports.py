"""Use case: the answer to each read question.

One method per question, and one frozen value per answer: `data` is what seed 001 shows, `meta` says what was asked
and how every number in it was computed and how exact it is. Nothing here knows HTTP, SQL or Redis; the clock is an
argument.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Generic, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Meta, UnsetType

from maicivy.core.events import timestamp_text
from maicivy.core.periods import Period, day_bounds, local_day
from maicivy.core.ports import Counters, EventQueries, Snapshot, StoredEvent
from maicivy.core.tallies import LABEL_CAPS, LETTERS, THEMES, TOTAL
from maicivy.memo import Memo

Data = TypeVar("Data")
About = TypeVar("About")

MAX_HEAT_POINTS: Final = 1000
MAX_EXPORT_ROWS: Final = 1000
HLL_ERROR: Final = 0.0081
"""Relative standard error of a Redis HyperLogLog: 1.04 / sqrt(2^14), https://redis.io/docs PFCOUNT."""

FRESH_S: Final = 5.0
STALE_S: Final = 30.0
MAX_REMEMBERED: Final = 32

MOTIVATION: Final = f"{LETTERS}:motivation"
ANTI_MOTIVATION: Final = f"{LETTERS}:anti_motivation"

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]
Count = Annotated[int, Meta(ge=0)]


class Report(msgspec.Struct, Generic[Data, About], frozen=True):
    """An answer and what is to be said about it."""

    data: Data
    meta: About


class How(msgspec.Struct, frozen=True):
    """How a number was computed: `count` (exact), `hyperloglog`, or `ratio` of two others. `standard_error` is
    relative, and absent where the number is exact."""

    method: str
    standard_error: float | UnsetType = UNSET
    note: str | UnsetType = UNSET


class RealtimeMeta(msgspec.Struct, frozen=True):
    """The day that `_today` means."""

    day: Day
    timezone: str
    numbers: dict[str, How]


class PeriodMeta(msgspec.Struct, frozen=True):
    """The period from `start` up to, not including, `end`, which are midnights of `timezone`."""

    period_key: str
    start: Time
    end: Time
    timezone: str
    numbers: dict[str, How]


class Stats(msgspec.Struct, frozen=True):
    """A period in five numbers."""

    period: Period
    period_key: str
    total_events: Count
    letters_generated: Count
    unique_visitors: Count
    conversion_rate: float


class DayLetters(msgspec.Struct, frozen=True):
    """Letters of one day."""

    date: Day
    count: Count


class Letters(msgspec.Struct, frozen=True):
    """Letters of a period. `total` also counts those of no kind; `history` has every day of the period up to today."""

    period: Period
    total: Count
    motivation: Count
    anti_motivation: Count
    unique_visitors: Count
    conversion_rate: float
    history: list[DayLetters]


class ThemeViews(msgspec.Struct, frozen=True):
    """A theme and how often it was viewed."""

    theme: str
    views: Count


class ThemesMeta(msgspec.Struct, frozen=True):
    """`count` is the number of themes in the answer."""

    limit: Count
    count: Count
    numbers: dict[str, How]


class TimelineEvent(msgspec.Struct, frozen=True):
    """A stored event."""

    id: UUID
    visitor_id: UUID
    event_type: str
    event_data: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
    page_url: str
    referrer: str
    session_duration: Count
    created_at: Time


class TimelineMeta(msgspec.Struct, frozen=True):
    """`count` is the number of events in the answer; `next_before` asks for the events after its last one, and is
    null when there are none."""

    limit: Count
    offset: Count
    count: Count
    next_before: str | None


class HeatPoint(msgspec.Struct, frozen=True):
    """A position in whole pixels, and how many events happened there."""

    x: int
    y: int
    count: Count


class HeatmapMeta(msgspec.Struct, frozen=True):
    """`count` is the number of positions in the answer; `truncated` is true when there may be more."""

    page_url: str | None
    hours: Count
    count: Count
    truncated: bool
    start: Time
    end: Time
    numbers: dict[str, How]


class Table(msgspec.Struct, frozen=True):
    """What an export writes; `name` is fit for a file."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[str | int, ...]]


_EXACT: Final = How("count")
_RATE_NOTE: Final = "letters / unique_visitors"
_ROTATION_NOTE: Final = "sum of daily visitors: ids rotate at 00:00 UTC"
_SPLIT_DAY_NOTE: Final = "ids rotate at 00:00 UTC, within this day: a visitor before and after it counts twice"


class Reports:
    """Every read question over one installation. Safe for threads."""

    def __init__(self, counters: Counters, events: EventQueries, zone: ZoneInfo) -> None:
        self._counters = counters
        self._events = events
        self._zone = zone
        self._heat: Memo[Report[list[HeatPoint], HeatmapMeta]] = Memo(FRESH_S, STALE_S, MAX_REMEMBERED)
        self._theme_tables: Memo[list[tuple[str, int]]] = Memo(FRESH_S, STALE_S, MAX_REMEMBERED)

    def realtime(self, site_id: int, now: datetime) -> Report[Snapshot, RealtimeMeta]:
        """Who is here, and what happened today."""
        today = local_day(now, self._zone)
        numbers = {
            "current_visitors": How("count", note="visitors with an event in the last 300 s"),
            "unique_today": self._unique(Period.DAY, today),
            "total_events": _EXACT,
            "letters_today": _EXACT,
        }
        snapshot = self._counters.realtime(site_id, today, now.timestamp())
        return Report(snapshot, RealtimeMeta(today.isoformat(), str(self._zone), numbers))

    def stats(self, site_id: int, period: Period, now: datetime) -> Report[Stats, PeriodMeta]:
        """The current day, week or month."""
        today = local_day(now, self._zone)
        (total, letters), unique = self._counters.period(site_id, period, today, (TOTAL, LETTERS))
        data = Stats(period, period.key(today), total, letters, unique, conversion_rate(letters, unique))
        return Report(data, self._about(period, today, "total_events", "letters_generated"))

    def themes(self, site_id: int, limit: int) -> Report[list[ThemeViews], ThemesMeta]:
        """The most viewed themes of all time."""
        data = [ThemeViews(theme, views) for theme, views in self._counters.themes(site_id, limit)]
        note = f"since the beginning; the first {LABEL_CAPS[THEMES]} themes of a site are counted"
        return Report(data, ThemesMeta(limit, len(data), {"views": How("count", note=note)}))

    def letters(self, site_id: int, period: Period, now: datetime) -> Report[Letters, PeriodMeta]:
        """Letters of the current day, week or month."""
        today = local_day(now, self._zone)
        days = _until(today, period)
        (((total, motivation, anti), unique), *daily) = self._counters.periods(
            site_id, [(period, today), *((Period.DAY, day) for day in days)], (LETTERS, MOTIVATION, ANTI_MOTIVATION)
        )
        history = [DayLetters(day.isoformat(), counts[0]) for day, (counts, _) in zip(days, daily, strict=True)]
        data = Letters(period, total, motivation, anti, unique, conversion_rate(total, unique), history)
        return Report(data, self._about(period, today, "total", "motivation", "anti_motivation", "history"))

    def timeline(
        self, site_id: int, limit: int, offset: int, before: tuple[datetime, UUID] | None, now: datetime
    ) -> Report[list[TimelineEvent], TimelineMeta]:
        """The latest events, or those before a cursor, latest first."""
        rows = self._events.timeline(site_id, limit + 1, offset, before, now)
        shown = rows[:limit]
        following = cursor(shown[-1].created_at, shown[-1].id) if len(rows) > limit else None
        return Report([_timeline_event(row) for row in shown], TimelineMeta(limit, offset, len(shown), following))

    def heatmap(
        self, site_id: int, page: str | None, hours: int, now: datetime
    ) -> Report[list[HeatPoint], HeatmapMeta]:
        """Where events with a position happened in the last `hours`; up to a few seconds old."""

        def ask() -> Report[list[HeatPoint], HeatmapMeta]:
            start = now - timedelta(hours=hours)
            rows = self._events.heatmap(site_id, page, start, now, MAX_HEAT_POINTS)
            note = f"positions rounded to whole pixels; the {MAX_HEAT_POINTS} most frequent"
            meta = HeatmapMeta(
                page_url=page,
                hours=hours,
                count=len(rows),
                truncated=len(rows) == MAX_HEAT_POINTS,
                start=timestamp_text(start),
                end=timestamp_text(now),
                numbers={"count": How("count", note=note)},
            )
            return Report([HeatPoint(*row) for row in rows], meta)

        return self._heat.get((site_id, page, hours), now.timestamp(), ask)

    def visitors_table(self, site_id: int, period: Period, now: datetime) -> Table:
        """Visitors and events of each day of the current period up to today."""
        today = local_day(now, self._zone)
        days = _until(today, period)
        counted = self._counters.days(site_id, days, (TOTAL,))
        rows: list[tuple[str | int, ...]] = [
            (day.isoformat(), unique, total) for day, ((total,), unique) in zip(days, counted, strict=True)
        ]
        return Table(f"visitors-{period.key(today)}", ("date", "unique_visitors", "total_events"), rows)

    def themes_table(self, site_id: int, period: Period, now: datetime) -> Table:
        """Themes of the current period, most viewed first; up to a few seconds old."""
        today = local_day(now, self._zone)
        first, end = period.start(today), period.end(today)
        rows = self._theme_tables.get(
            (site_id, first, end),
            now.timestamp(),
            lambda: self._events.themes(site_id, first, end, self._zone, MAX_EXPORT_ROWS),
        )
        return Table(f"themes-{period.key(today)}", ("theme", "views"), list(rows))

    def letters_table(self, site_id: int, period: Period, now: datetime) -> Table:
        """Letters of each day of the current period up to today."""
        today = local_day(now, self._zone)
        days = _until(today, period)
        counted = self._counters.days(site_id, days, (LETTERS, MOTIVATION, ANTI_MOTIVATION))
        rows: list[tuple[str | int, ...]] = [
            (day.isoformat(), *counts) for day, (counts, _) in zip(days, counted, strict=True)
        ]
        return Table(f"letters-{period.key(today)}", ("date", "total", "motivation", "anti_motivation"), rows)

    def _about(self, period: Period, today: date, *counted: str) -> PeriodMeta:
        numbers = dict.fromkeys(counted, _EXACT)
        numbers["unique_visitors"] = self._unique(period, today)
        numbers["conversion_rate"] = How("ratio", HLL_ERROR, _RATE_NOTE)
        return PeriodMeta(
            period_key=period.key(today),
            start=timestamp_text(day_bounds(period.start(today), self._zone)[0]),
            end=timestamp_text(day_bounds(period.end(today), self._zone)[0]),
            timezone=str(self._zone),
            numbers=numbers,
        )

    def _unique(self, period: Period, today: date) -> How:
        if period is not Period.DAY:
            return How("hyperloglog", HLL_ERROR, _ROTATION_NOTE)
        starts_with_ids = day_bounds(today, self._zone)[0].time() == datetime.min.time()
        return How("hyperloglog", HLL_ERROR, UNSET if starts_with_ids else _SPLIT_DAY_NOTE)


def conversion_rate(letters: int, unique_visitors: int) -> float:
    """Letters per visitor, to 4 decimals; 0 when there were no visitors."""
    return round(letters / unique_visitors, 4) if unique_visitors else 0.0


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR: Final = re.compile(r"[A-Za-z0-9_-]{32}")
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)  # hours and minutes are spelled out because fromisoformat takes 24:00 and +12:99, from Python 3.13 on


def cursor(created_at: datetime, event_id: UUID) -> str:
    """The place of an event in the timeline, as 32 characters that fit in a URL."""
    microseconds = (created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(microseconds.to_bytes(8, "big", signed=True) + event_id.bytes).decode("ascii")


def place(text: str) -> tuple[datetime, UUID]:
    """The place in the timeline that a cursor or an RFC 3339 time with an offset stands for.

    Raises:
        ValueError: when it is neither.
    """
    try:
        if _CURSOR.fullmatch(text):
            packed = base64.urlsafe_b64decode(text)
            at = _EPOCH + timedelta(microseconds=int.from_bytes(packed[:8], "big", signed=True))
            return at, UUID(bytes=packed[8:])
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC), UUID(int=0)
    except OverflowError as error:
        raise ValueError(text) from error
    raise ValueError(text)


def _until(today: date, period: Period) -> list[date]:
    return [day for day in period.days(today) if day <= today]


def _timeline_event(row: StoredEvent) -> TimelineEvent:
    return TimelineEvent(
        row.id,
        row.visitor_id,
        row.event_type,
        msgspec.Raw(row.event_data.encode()),
        row.page_url,
        row.referrer,
        row.session_duration,
        timestamp_text(row.created_at),
    )
