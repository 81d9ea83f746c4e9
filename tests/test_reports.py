"""The read questions, over fakes that keep the promises of core.ports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.periods import Period
from maicivy.core.ports import Snapshot, StoredEvent
from maicivy.reports import HLL_ERROR, MAX_HEAT_POINTS, Reports, conversion_rate, cursor, place
from tests.events import NOON, event_id, visitor_id

TODAY = NOON.date()  # a Monday


class FakeCounters:
    """Counters in dictionaries, by period key."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self.unique: dict[str, int] = {}
        self.theme_views: list[tuple[str, int]] = []
        self.pipelines = 0

    def realtime(self, site_id: int, day: date, now: float) -> Snapshot:
        self.pipelines += 1
        key = day.isoformat()
        total, letters = (self.counts.get((key, name), 0) for name in ("total_events", "letters_generated"))
        return Snapshot(0, self.unique.get(key, 0), total, letters, int(now))

    def period(self, site_id: int, period: Period, day: date, names: Sequence[str]) -> tuple[list[int], int]:
        return self.periods(site_id, [(period, day)], names)[0]

    def days(self, site_id: int, days: Sequence[date], names: Sequence[str]) -> list[tuple[list[int], int]]:
        return self.periods(site_id, [(Period.DAY, day) for day in days], names)

    def periods(
        self, site_id: int, periods: Sequence[tuple[Period, date]], names: Sequence[str]
    ) -> list[tuple[list[int], int]]:
        self.pipelines += 1
        keys = [period.key(day) for period, day in periods]
        return [([self.counts.get((key, name), 0) for name in names], self.unique.get(key, 0)) for key in keys]

    def themes(self, site_id: int, limit: int) -> list[tuple[str, int]]:
        return self.theme_views[:limit]

    def last_seen(self, visitors: Iterable[tuple[int, UUID]]) -> dict[tuple[int, UUID], float]:
        return {}


class FakeEvents:
    """Stored events in a list, latest first."""

    def __init__(self) -> None:
        self.rows: list[StoredEvent] = []
        self.spots: list[tuple[int, int, int]] = []
        self.asked: list[tuple[object, ...]] = []

    def timeline(
        self, site_id: int, limit: int, offset: int, before: tuple[datetime, UUID] | None, now: datetime
    ) -> list[StoredEvent]:
        rows = [row for row in self.rows if before is None or (row.created_at, row.id) < before]
        return rows[offset : offset + limit]

    def heatmap(
        self, site_id: int, page: str | None, since: datetime, until: datetime, limit: int
    ) -> list[tuple[int, int, int]]:
        self.asked.append((page, since, until))
        return self.spots[:limit]

    def themes(self, site_id: int, first: date, end: date, zone: ZoneInfo, limit: int) -> list[tuple[str, int]]:
        self.asked.append((first, end, str(zone)))
        return [("backend", 5), ("devops", 2)]


@pytest.fixture
def counters() -> FakeCounters:
    return FakeCounters()


@pytest.fixture
def events() -> FakeEvents:
    return FakeEvents()


@pytest.fixture
def reports(counters: FakeCounters, events: FakeEvents) -> Reports:
    return Reports(counters, events, ZoneInfo("UTC"))


def stored(number: int) -> StoredEvent:
    at = NOON - timedelta(minutes=number)
    return StoredEvent(event_id(), visitor_id(1), "page_view", '{"path": "/cv"}', "/cv", "", 0, at)


@pytest.mark.parametrize(
    ("letters", "visitors", "rate"),
    [(23, 145, 0.1586), (0, 145, 0.0), (0, 0, 0.0), (5, 0, 0.0), (1, 3, 0.3333), (2, 3, 0.6667), (7, 2, 3.5)],
)
def test_the_conversion_rate_is_letters_by_visitors_to_four_decimals(letters: int, visitors: int, rate: float) -> None:
    assert conversion_rate(letters, visitors) == rate


def test_stats_are_those_of_the_period_that_today_lies_in(reports: Reports, counters: FakeCounters) -> None:
    counters.counts = {("2025-W50", "total_events"): 2340, ("2025-W50", "letters_generated"): 23}
    counters.unique = {"2025-W50": 145}

    report = reports.stats(1, Period.WEEK, NOON)

    assert msgspec.to_builtins(report.data) == {
        "period": "week",
        "period_key": "2025-W50",
        "total_events": 2340,
        "letters_generated": 23,
        "unique_visitors": 145,
        "conversion_rate": 0.1586,
    }
    assert (report.meta.start, report.meta.end) == ("2025-12-08T00:00:00Z", "2025-12-15T00:00:00Z")


def test_today_is_a_day_of_the_installations_zone(counters: FakeCounters, events: FakeEvents) -> None:
    reports = Reports(counters, events, ZoneInfo("Asia/Tokyo"))
    new_year = datetime(2025, 12, 31, 15, 0, tzinfo=UTC)  # midnight in Tokyo
    assert reports.stats(1, Period.DAY, new_year).data.period_key == "2026-01-01"
    assert reports.stats(1, Period.DAY, new_year - timedelta(seconds=1)).data.period_key == "2025-12-31"
    assert reports.stats(1, Period.MONTH, new_year).meta.start == "2025-12-31T15:00:00Z"
    assert reports.realtime(1, new_year).meta.day == "2026-01-01"


@pytest.mark.parametrize(
    ("zone", "period", "note"),
    [
        ("UTC", Period.DAY, None),
        ("Europe/London", Period.DAY, None),  # on UTC in December
        ("Europe/Paris", Period.DAY, "within this day"),
        ("UTC", Period.WEEK, "sum of daily visitors: ids rotate at 00:00 UTC"),
        ("UTC", Period.MONTH, "sum of daily visitors: ids rotate at 00:00 UTC"),
    ],
)
def test_unique_visitors_say_how_they_were_counted(
    counters: FakeCounters, events: FakeEvents, zone: str, period: Period, note: str | None
) -> None:
    how = Reports(counters, events, ZoneInfo(zone)).stats(1, period, NOON).meta.numbers["unique_visitors"]
    assert (how.method, how.standard_error) == ("hyperloglog", HLL_ERROR)
    if note is None:
        assert how.note is msgspec.UNSET
    else:
        assert note in str(how.note)


def test_every_number_of_an_answer_is_explained(reports: Reports, counters: FakeCounters) -> None:
    counters.theme_views = [("a", 1)]
    for data, meta in (
        (reports.realtime(1, NOON).data, reports.realtime(1, NOON).meta),
        (reports.stats(1, Period.DAY, NOON).data, reports.stats(1, Period.DAY, NOON).meta),
        (reports.letters(1, Period.DAY, NOON).data, reports.letters(1, Period.DAY, NOON).meta),
        (reports.themes(1, 5).data[0], reports.themes(1, 5).meta),
    ):
        numbers = msgspec.to_builtins(data).keys() - {"timestamp", "period", "period_key", "theme"}
        assert meta.numbers.keys() == numbers


def test_letters_have_a_history_of_every_day_up_to_today(reports: Reports, counters: FakeCounters) -> None:
    wednesday = NOON + timedelta(days=2)
    counters.counts = {
        ("2025-W50", "letters_generated"): 23,
        ("2025-W50", "letters_generated:motivation"): 15,
        ("2025-W50", "letters_generated:anti_motivation"): 8,
        ("2025-12-08", "letters_generated"): 20,
        ("2025-12-10", "letters_generated"): 3,
        ("2025-12-11", "letters_generated"): 99,  # tomorrow
    }
    data = reports.letters(1, Period.WEEK, wednesday).data
    assert (data.total, data.motivation, data.anti_motivation) == (23, 15, 8)
    assert msgspec.to_builtins(data.history) == [
        {"date": "2025-12-08", "count": 20},
        {"date": "2025-12-09", "count": 0},
        {"date": "2025-12-10", "count": 3},
    ]
    assert counters.pipelines == 1


def test_the_history_of_a_day_is_that_day(reports: Reports) -> None:
    assert [day.date for day in reports.letters(1, Period.DAY, NOON).data.history] == ["2025-12-08"]


def test_the_timeline_hands_out_the_cursor_of_the_next_page_until_there_is_none(
    reports: Reports, events: FakeEvents
) -> None:
    events.rows = [stored(number) for number in range(5)]
    seen: list[UUID] = []
    before = None
    for _ in range(3):
        report = reports.timeline(1, 2, 0, before, NOON)
        seen += [row.id for row in report.data]
        if report.meta.next_before is not None:
            before = place(report.meta.next_before)
    assert report.meta.next_before is None
    assert seen == [row.id for row in events.rows]


def test_a_full_last_page_has_no_next_one(reports: Reports, events: FakeEvents) -> None:
    events.rows = [stored(number) for number in range(4)]
    assert reports.timeline(1, 2, 2, None, NOON).meta.next_before is None
    assert reports.timeline(1, 2, 2, None, NOON).meta.count == 2


MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS, st.uuids(allow_nil=True))
def test_a_cursor_leads_back_to_its_place(created_at: datetime, event_id: UUID) -> None:
    text = cursor(created_at, event_id)
    assert len(text) == 32
    assert place(text) == (created_at, event_id)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-12-08T12:00:00Z", NOON),
        ("2025-12-08T13:00:00+01:00", NOON),
        ("2025-12-08T12:00:00.250Z", NOON + timedelta(milliseconds=250)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_place_before_all_events_of_that_moment(text: str, moment: datetime) -> None:
    assert place(text) == (moment, UUID(int=0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2025-12-08",
        "2025-12-08T12:00:00",
        "2025-12-08 12:00:00Z",
        "2025-13-08T12:00:00Z",
        "2025-12-08T12:00:60Z",
        "2025-12-08T24:00:00Z",
        "2025-12-08T12:00:00+12:99",
        "20251208T120000Z",
        "0001-01-01T00:00:00+23:59",
        "٢٠٢٥-12-08T12:00:00Z",
        "_" * 31,
        "_" * 33,
        "f" * 32,  # a moment that no calendar has
        "1765195200",
    ],
)
def test_anything_else_is_no_place(text: str) -> None:
    with pytest.raises(ValueError):
        place(text)


def test_the_heatmap_is_asked_once_for_many_equal_questions(reports: Reports, events: FakeEvents) -> None:
    events.spots = [(450, 200, 23), (320, 450, 18)]
    for second in range(5):
        report = reports.heatmap(1, "/cv", 24, NOON + timedelta(seconds=second))
    assert events.asked == [("/cv", NOON - timedelta(hours=24), NOON)]
    assert (report.meta.count, report.meta.truncated, report.meta.end) == (2, False, "2025-12-08T12:00:00Z")

    reports.heatmap(1, "/cv", 25, NOON)
    reports.heatmap(1, None, 24, NOON)
    reports.heatmap(1, "/cv", 24, NOON + timedelta(seconds=5))
    assert len(events.asked) == 4


def test_a_heatmap_that_was_cut_says_so(reports: Reports, events: FakeEvents) -> None:
    events.spots = [(n, 0, 1) for n in range(MAX_HEAT_POINTS + 1)]
    meta = reports.heatmap(1, None, 24, NOON).meta
    assert (meta.count, meta.truncated) == (MAX_HEAT_POINTS, True)


def test_tables_have_a_row_for_each_day_up_to_today(reports: Reports, counters: FakeCounters) -> None:
    counters.counts = {("2025-12-08", "total_events"): 7, ("2025-12-08", "letters_generated:motivation"): 1}
    counters.unique = {"2025-12-08": 3}
    visitors = reports.visitors_table(1, Period.MONTH, NOON)
    assert visitors.name == "visitors-2025-12"
    assert [row[0] for row in visitors.rows] == [f"2025-12-{day:02d}" for day in range(1, 9)]
    assert visitors.rows[-1] == ("2025-12-08", 3, 7)
    assert reports.letters_table(1, Period.DAY, NOON).rows == [("2025-12-08", 0, 1, 0)]


def test_the_table_of_themes_covers_the_whole_period(reports: Reports, events: FakeEvents) -> None:
    table = reports.themes_table(1, Period.WEEK, NOON)
    assert (table.name, table.rows) == ("themes-2025-W50", [("backend", 5), ("devops", 2)])
    assert events.asked == [(date(2025, 12, 8), date(2025, 12, 15), "UTC")]
