"""Ticks are round, few, and true on the days on which clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.dashboard.charts.scales import Kind, few_of, kind_of, round_ticks, value_ticks

PARIS = ZoneInfo("Europe/Paris")
BEIRUT = ZoneInfo("Asia/Beirut")


def hours(zone: ZoneInfo, year: int, month: int, day: int, count: int) -> list[datetime]:
    first = datetime(year, month, day, tzinfo=zone).astimezone(UTC)
    return [(first + timedelta(hours=i)).astimezone(zone) for i in range(count)]


def days(first: datetime, count: int, length: int = 1) -> list[datetime]:
    return [first + timedelta(days=i * length) for i in range(count)]


def months(year: int, count: int) -> list[datetime]:
    return [datetime(year + i // 12, i % 12 + 1, 1, tzinfo=PARIS) for i in range(count)]


@pytest.mark.parametrize(("metric", "kind"), [
    ("visitors", "count"),
    ("bounce_rate", "percent"),
    ("visit_duration", "duration"),
    ("views_per_visit", "decimal"),
])  # fmt: skip
def test_metrics_are_measured_in_their_own_kind(metric: str, kind: str) -> None:
    assert kind_of(metric) == kind


@pytest.mark.parametrize(("highest", "kind", "ticks"), [
    (0, "count", (0, 1)),
    (float("nan"), "count", (0, 1)),
    (1, "count", (0, 1)),
    (3, "count", (0, 1, 2, 3)),
    (5, "count", (0, 2, 4, 6)),
    (8, "count", (0, 2, 4, 6, 8)),
    (1042, "count", (0, 500, 1000, 1500)),
    (4_000_000_000_000, "count", (0, 1e12, 2e12, 3e12, 4e12)),
    (0, "percent", (0, 1)),
    (45, "percent", (0, 20, 40, 60)),
    (95, "percent", (0, 25, 50, 75, 100)),
    (100, "percent", (0, 25, 50, 75, 100)),
    (900, "percent", (0, 500, 1000)),
    (50, "duration", (0, 15, 30, 45, 60)),
    (130, "duration", (0, 60, 120, 180)),
    (400, "duration", (0, 120, 240, 360, 480)),
    (7 * 86400, "duration", (0, 200_000, 400_000, 600_000, 800_000)),
    (2.3, "decimal", (0, 1, 2, 3)),
    (0.07, "decimal", (0, 0.02, 0.04, 0.06, 0.08)),
])  # fmt: skip
def test_values_get_round_ticks(highest: float, kind: Kind, ticks: tuple[float, ...]) -> None:
    assert value_ticks(highest, kind) == pytest.approx(ticks)


@given(st.floats(0, 1e15), st.sampled_from(["count", "decimal", "percent", "duration"]))
def test_value_ticks_are_few_and_reach_the_highest(highest: float, kind: Kind) -> None:
    ticks = value_ticks(highest, kind)
    assert 2 <= len(ticks) <= 5
    assert ticks[0] == 0
    assert list(ticks) == sorted(set(ticks))
    assert ticks[-1] >= highest * (1 - 1e-9)
    if kind == "count":
        assert all(tick == int(tick) for tick in ticks)


@pytest.mark.parametrize(("starts", "interval", "limit", "ticks"), [
    ([], "day", 5, ()),
    (days(datetime(2026, 11, 4, tzinfo=PARIS), 1), "day", 5, (0,)),
    (days(datetime(2026, 11, 4, tzinfo=PARIS), 7), "day", 7, (0, 1, 2, 3, 4, 5, 6)),
    (days(datetime(2026, 11, 4, tzinfo=PARIS), 7), "day", 4, (0, 2, 4, 6)),
    (days(datetime(2026, 10, 24, tzinfo=PARIS), 28), "day", 4, (2, 9, 16, 23)),  # Mondays
    (days(datetime(2026, 8, 21, tzinfo=PARIS), 92), "day", 4, (11, 41, 72)),  # first days of months
    (days(datetime(2026, 1, 5, tzinfo=PARIS), 40, 7), "week", 4, (0, 13, 26, 39)),  # of quarters
    (months(2025, 24), "month", 4, (0, 6, 12, 18)),
    (months(2010, 200), "month", 5, (0, 60, 120, 180)),  # every fifth year
    (hours(PARIS, 2026, 11, 20, 24), "hour", 8, (0, 3, 6, 9, 12, 15, 18, 21)),
    (hours(PARIS, 2026, 11, 18, 72), "hour", 3, (0, 24, 48)),
    (hours(PARIS, 2026, 11, 18, 168), "hour", 3, (24, 72, 120)),  # every other midnight
    (hours(PARIS, 2026, 11, 17, 120), "hour", 1, (0,)),  # a midnight still
], ids=lambda value: f"{len(value)} buckets" if isinstance(value, list) else None)  # fmt: skip
def test_times_get_ticks_where_calendars_have_them(
    starts: list[datetime], interval: str, limit: int, ticks: tuple[int, ...]
) -> None:
    assert few_of(round_ticks(starts, interval), limit) == ticks


@pytest.mark.parametrize(("starts", "clocks"), [
    (hours(PARIS, 2026, 3, 29, 23), [0, 3, 6, 9, 12, 15, 18, 21]),
    (hours(PARIS, 2026, 10, 25, 25), [0, 3, 6, 9, 12, 15, 18, 21]),
    (hours(BEIRUT, 2026, 3, 29, 23), [1, 3, 6, 9, 12, 15, 18, 21]),  # there is no midnight
])  # fmt: skip
def test_clocks_that_change_keep_their_round_hours(starts: list[datetime], clocks: list[int]) -> None:
    assert [starts[i].hour for i in few_of(round_ticks(starts, "hour"), 8)] == clocks


def test_minutes_are_told_by_quarters_of_hours() -> None:
    first = datetime(2026, 11, 20, 14, 12, tzinfo=PARIS)
    starts = [first + timedelta(minutes=i) for i in range(60)]
    assert [starts[i].minute for i in few_of(round_ticks(starts, "minute"), 4)] == [15, 30, 45, 0]


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001 - gets its zone below
    st.sampled_from(["minute", "hour", "day", "week", "month"]),
    st.integers(1, 400),
    st.integers(1, 12),
)
def test_time_ticks_are_some_ascend_and_keep_the_limit(first: datetime, interval: str, count: int, limit: int) -> None:
    lengths = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800}
    if interval == "month":
        starts = months(first.year, count)
    else:
        start = first.replace(tzinfo=UTC).timestamp()
        starts = [datetime.fromtimestamp(start + i * lengths[interval], PARIS) for i in range(count)]
    ticks = few_of(round_ticks(starts, interval), limit)
    assert 1 <= len(ticks) <= limit
    assert list(ticks) == sorted(set(ticks))
    assert 0 <= ticks[0] <= ticks[-1] < count
