"""Days, ISO weeks and months: every moment lies in one of each, also where clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.periods import DAY_LIFETIME, LONG_LIFETIME, Period, day_bounds, expires_at, local_day

days = st.dates(date(1970, 1, 1), date(2199, 12, 31))
periods = st.sampled_from(Period)
# Zones change by the pen of ministers: what is true of all of them since 2012 is taken for granted.
moments = st.floats(datetime(2012, 1, 1, tzinfo=UTC).timestamp(), datetime(2038, 1, 1, tzinfo=UTC).timestamp()).map(
    lambda unix_s: datetime.fromtimestamp(unix_s, UTC)
)
zones = st.sampled_from(sorted(available_timezones())).map(ZoneInfo)
DAY_S = 86_400


@pytest.mark.parametrize(
    ("day", "week", "monday"),
    [
        ("2025-12-08", "2025-W50", "2025-12-08"),
        ("2025-12-14", "2025-W50", "2025-12-08"),
        ("2025-12-15", "2025-W51", "2025-12-15"),
        ("2025-12-28", "2025-W52", "2025-12-22"),
        ("2025-12-29", "2026-W01", "2025-12-29"),
        ("2026-01-01", "2026-W01", "2025-12-29"),
        ("2026-12-31", "2026-W53", "2026-12-28"),
        ("2027-01-03", "2026-W53", "2026-12-28"),
        ("2027-01-04", "2027-W01", "2027-01-04"),
        ("2020-12-31", "2020-W53", "2020-12-28"),
        ("2021-01-03", "2020-W53", "2020-12-28"),
        ("2016-01-01", "2015-W53", "2015-12-28"),
        ("2024-02-29", "2024-W09", "2024-02-26"),
        ("2024-12-30", "2025-W01", "2024-12-30"),
        ("0999-12-31", "1000-W01", "0999-12-30"),
        ("0998-12-31", "0999-W01", "0998-12-31"),
    ],
)
def test_weeks_are_those_of_iso_8601(day: str, week: str, monday: str) -> None:
    assert Period.WEEK.key(date.fromisoformat(day)) == week
    assert Period.WEEK.start(date.fromisoformat(day)) == date.fromisoformat(monday)


@pytest.mark.parametrize(
    ("period", "day", "key", "start", "end"),
    [
        (Period.DAY, "2025-12-31", "2025-12-31", "2025-12-31", "2026-01-01"),
        (Period.DAY, "2024-02-28", "2024-02-28", "2024-02-28", "2024-02-29"),
        (Period.WEEK, "2025-12-31", "2026-W01", "2025-12-29", "2026-01-05"),
        (Period.MONTH, "2025-12-01", "2025-12", "2025-12-01", "2026-01-01"),
        (Period.MONTH, "2025-12-31", "2025-12", "2025-12-01", "2026-01-01"),
        (Period.MONTH, "2026-01-31", "2026-01", "2026-01-01", "2026-02-01"),
        (Period.MONTH, "2024-02-29", "2024-02", "2024-02-01", "2024-03-01"),
        (Period.MONTH, "2025-02-28", "2025-02", "2025-02-01", "2025-03-01"),
        (Period.MONTH, "2025-04-30", "2025-04", "2025-04-01", "2025-05-01"),
        (Period.MONTH, "0999-04-30", "0999-04", "0999-04-01", "0999-05-01"),
    ],
)
def test_a_period_has_a_key_and_bounds(period: Period, day: str, key: str, start: str, end: str) -> None:
    inside = date.fromisoformat(day)
    assert period.key(inside) == key
    assert (period.start(inside), period.end(inside)) == (date.fromisoformat(start), date.fromisoformat(end))


@given(periods, days)
def test_a_day_lies_in_one_period_which_is_the_same_from_each_of_its_days(period: Period, day: date) -> None:
    members = period.days(day)
    assert day in members
    assert members == sorted(set(members))
    assert len(members) in {Period.DAY: (1,), Period.WEEK: (7,), Period.MONTH: (28, 29, 30, 31)}[period]
    assert (members[0], members[-1]) == (period.start(day), period.end(day) - timedelta(days=1))
    for member in members:
        assert (period.key(member), period.start(member), period.end(member)) == (
            period.key(day),
            period.start(day),
            period.end(day),
        )
    outside = (members[0] - timedelta(days=1), period.end(day))
    assert period.key(day) not in map(period.key, outside)
    assert period.end(outside[0]) == members[0]
    assert period.start(outside[1]) == period.end(day)


@given(periods, days, days)
def test_keys_sort_like_time(period: Period, one: date, other: date) -> None:
    assert (period.key(one) < period.key(other)) == (period.start(one) < period.start(other))
    assert (period.key(one) == period.key(other)) == (period.start(one) == period.start(other))


@given(days)
def test_an_iso_week_is_what_strptime_says(day: date) -> None:
    monday = datetime.strptime(f"{Period.WEEK.key(day)}-1", "%G-W%V-%u").replace(tzinfo=UTC).date()
    assert monday == Period.WEEK.start(day)
    assert Period.WEEK.key(day) == f"{day:%G-W%V}"


@given(moments, zones)
def test_a_moment_lies_within_the_bounds_of_its_day(moment: datetime, zone: ZoneInfo) -> None:
    day = local_day(moment, zone)
    start, end = day_bounds(day, zone)
    assert start <= moment < end
    assert local_day(start, zone) == day
    assert local_day(end - timedelta(microseconds=1), zone) == day
    assert local_day(end, zone) == day + timedelta(days=1)
    assert (start.tzinfo, end.tzinfo) == (UTC, UTC)
    assert 22 <= (end - start).total_seconds() / 3600 <= 26


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", "2025-03-30", 24),
        ("Europe/Paris", "2025-03-29", 24),
        ("Europe/Paris", "2025-03-30", 23),
        ("Europe/Paris", "2025-10-26", 25),
        ("America/New_York", "2025-03-09", 23),
        ("America/New_York", "2025-11-02", 25),
        ("America/Havana", "2025-03-09", 23),  # 00:00 does not exist
        ("America/Havana", "2025-11-02", 25),  # 00:00 to 01:00 exists twice
        ("Asia/Beirut", "2025-03-30", 23),  # 00:00 does not exist
        ("Asia/Beirut", "2025-10-25", 25),  # ends an hour after it would have ended
        ("Africa/Cairo", "2025-10-30", 25),
        ("America/Santiago", "2025-09-07", 23),
        ("Australia/Lord_Howe", "2025-04-06", 24.5),
        ("Australia/Lord_Howe", "2025-10-05", 23.5),
        ("Asia/Kathmandu", "2025-10-26", 24),
        ("Pacific/Kiritimati", "2025-12-31", 24),
        ("Pacific/Apia", "2011-12-30", 0),  # did not take place
    ],
)
def test_a_day_has_as_many_hours_as_the_clock_shows(zone: str, day: str, hours: float) -> None:
    start, end = day_bounds(date.fromisoformat(day), ZoneInfo(zone))
    assert (end - start) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        ("2025-12-31T23:59:59.999999Z", "UTC", "2025-12-31"),
        ("2026-01-01T00:00:00Z", "UTC", "2026-01-01"),
        ("2025-12-31T23:00:00Z", "Europe/Paris", "2026-01-01"),
        ("2026-01-01T04:59:59Z", "America/New_York", "2025-12-31"),
        ("2025-12-31T10:00:00Z", "Pacific/Kiritimati", "2026-01-01"),
        ("2026-01-01T11:59:59Z", "Etc/GMT+12", "2025-12-31"),
        ("2025-12-31T18:14:59Z", "Asia/Kathmandu", "2025-12-31"),
        ("2025-12-31T18:15:00Z", "Asia/Kathmandu", "2026-01-01"),
        ("1969-12-31T23:59:59.5Z", "UTC", "1969-12-31"),
        ("1970-01-01T00:44:29Z", "Africa/Monrovia", "1969-12-31"),
        ("1970-01-01T00:44:30Z", "Africa/Monrovia", "1970-01-01"),
        ("2025-12-31T19:00:00-05:00", "UTC", "2026-01-01"),
    ],
)
def test_the_day_of_a_moment_is_that_of_the_zone(moment: str, zone: str, day: str) -> None:
    assert local_day(datetime.fromisoformat(moment), ZoneInfo(zone)) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("period", "day", "zone", "expires"),
    [
        (Period.DAY, "2025-12-08", "UTC", "2026-03-09T00:00:00Z"),
        (Period.DAY, "2025-12-31", "UTC", "2026-04-01T00:00:00Z"),
        (Period.WEEK, "2025-12-08", "UTC", "2026-12-15T00:00:00Z"),
        (Period.WEEK, "2026-12-31", "UTC", "2028-01-04T00:00:00Z"),
        (Period.MONTH, "2025-12-08", "UTC", "2027-01-01T00:00:00Z"),
        (Period.DAY, "2025-12-08", "Europe/Paris", "2026-03-08T23:00:00Z"),
        (Period.DAY, "2025-03-29", "Europe/Paris", "2025-06-27T23:00:00Z"),
        (Period.DAY, "2025-03-30", "Europe/Paris", "2025-06-28T22:00:00Z"),
    ],
)
def test_counters_expire_a_lifetime_after_their_period(period: Period, day: str, zone: str, expires: str) -> None:
    expected = datetime.fromisoformat(expires).timestamp()
    assert expires_at(period, date.fromisoformat(day), ZoneInfo(zone)) == expected


@given(periods, moments, zones)
def test_no_counter_expires_before_its_lifetime_and_all_of_a_period_at_once(
    period: Period, moment: datetime, zone: ZoneInfo
) -> None:
    day = local_day(moment, zone)
    expires = expires_at(period, day, zone)
    assert expires > moment.timestamp() + period.lifetime.total_seconds()
    assert expires <= moment.timestamp() + period.lifetime.total_seconds() + 32 * DAY_S
    assert {expires_at(period, member, zone) for member in period.days(day)} == {expires}


def test_lifetimes_are_those_of_the_design() -> None:
    assert (DAY_LIFETIME.days, LONG_LIFETIME.days) == (90, 365)
    assert [period.lifetime for period in Period] == [DAY_LIFETIME, LONG_LIFETIME, LONG_LIFETIME]
    assert [str(period) for period in Period] == ["day", "week", "month"]
