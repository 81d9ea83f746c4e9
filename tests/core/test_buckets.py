"""Buckets of time in zones with all kinds of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.buckets import Grain, is_aligned, start_of, starts

PARIS = ZoneInfo("Europe/Paris")
ZONES = ("UTC", "Europe/Paris", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "America/Sao_Paulo")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-29", 23), ("2026-03-28", 24), ("2025-10-26", 25)],
)
def test_a_day_has_as_many_hours_as_the_clock_makes_it(day: str, hours: int) -> None:
    first = start_of(Grain.DAY, at(f"{day}T12:00:00+00:00"), PARIS)
    (_, end) = starts(Grain.DAY, first, first + timedelta(hours=26), PARIS)
    assert end - first == timedelta(hours=hours)
    assert len(starts(Grain.HOUR, first, end, PARIS)) == hours


@pytest.mark.parametrize(
    ("grain", "moment", "zone", "start"),
    [
        (Grain.HOUR, "2025-12-31T23:59:59+00:00", "Asia/Kolkata", "2025-12-31T23:30:00+00:00"),
        (Grain.DAY, "2025-12-31T23:30:00+00:00", "Europe/Paris", "2025-12-31T23:00:00+00:00"),
        (Grain.WEEK, "2026-01-01T12:00:00+00:00", "UTC", "2025-12-29T00:00:00+00:00"),
        (Grain.MONTH, "2026-01-01T00:00:00+00:00", "UTC", "2026-01-01T00:00:00+00:00"),
        (Grain.MONTH, "2025-12-31T23:30:00+00:00", "Europe/Paris", "2025-12-31T23:00:00+00:00"),
        (Grain.MINUTE, "2025-12-31T23:30:59+00:00", "America/St_Johns", "2025-12-31T23:30:00+00:00"),
    ],
)
def test_a_bucket_begins_where_the_zone_says(grain: Grain, moment: str, zone: str, start: str) -> None:
    assert start_of(grain, at(moment), ZoneInfo(zone)) == at(start)


def test_nothing_lies_in_an_empty_range() -> None:
    moment = at("2026-01-01T00:00:00+00:00")
    assert starts(Grain.DAY, moment, moment, PARIS) == []


@given(
    st.sampled_from(list(Grain)),
    st.sampled_from(ZONES),
    st.integers(0, 15 * 365 * 86_400),
    st.integers(1, 60 * 24 * 3),
)
def test_buckets_follow_one_another_and_cover_the_range(grain: Grain, zone: str, second: int, minutes: int) -> None:
    start = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    end = start + timedelta(minutes=minutes)
    found = starts(grain, start, end, ZoneInfo(zone))
    assert found[0] <= start
    assert found[-1] < end
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(start_of(grain, bucket, ZoneInfo(zone)) == bucket for bucket in found)
    assert grain is Grain.MINUTE or all(map(is_aligned, found))
