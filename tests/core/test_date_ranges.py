"""Ranges of days and moments: what they mean when, what they are compared with, and how their buckets are told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.date_ranges import (
    MAX_BUCKETS,
    Comparison,
    Days,
    Moments,
    Span,
    automatic,
    bounds,
    bucket_of,
    buckets,
    compared,
    label,
    parse,
    parse_days,
    span,
)
from maicivy.errors import Refusal

BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 11, 20, 18, 30, 15, tzinfo=UTC)


def days(first: str, last: str) -> Days:
    return Days(date.fromisoformat(first), date.fromisoformat(last))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("day", days("2026-11-20", "2026-11-20")),
        ("1d", days("2026-11-20", "2026-11-20")),
        ("7d", days("2026-11-14", "2026-11-20")),
        ("28d", days("2026-10-24", "2026-11-20")),
        ("91d", days("2026-08-22", "2026-11-20")),
        ("month", days("2026-11-01", "2026-11-30")),
        ("6mo", days("2026-06-01", "2026-11-30")),
        ("12mo", days("2025-12-01", "2026-11-30")),
        ("year", days("2026-01-01", "2026-12-31")),
        ("24h", Moments(at("2026-11-19T18:31Z"), at("2026-11-20T18:31Z"))),
        ("30m", Moments(at("2026-11-20T18:01Z"), at("2026-11-20T18:31Z"))),
        ("realtime", Moments(at("2026-11-20T18:26Z"), at("2026-11-20T18:31Z"))),
    ],
)
def test_a_named_range_ends_with_the_present(asked: str, meant: Span) -> None:
    assert span(asked, UTC_ZONE, NOW, None) == meant
    assert parse(asked, "date_range") == asked


def test_today_is_that_of_the_zone() -> None:
    assert span("day", ZoneInfo("Pacific/Auckland"), NOW, None) == days("2026-11-21", "2026-11-21")


@pytest.mark.parametrize(
    ("since", "first"),
    [
        (None, "2026-11-20"),
        (at("2026-11-02T23:30Z"), "2026-11-03"),
        (at("2001-01-01T00:00Z"), "2021-11-17"),
        (at("2027-01-01T00:00Z"), "2026-11-20"),
    ],
)
def test_all_begins_with_the_first_visit_but_not_more_than_five_years_ago(since: datetime | None, first: str) -> None:
    assert span("all", BERLIN, NOW, since) == days(first, "2026-11-20")


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (["2024-01-01", "2024-07-01"], days("2024-01-01", "2024-07-01")),
        (["2024-02-29", "2024-02-29"], days("2024-02-29", "2024-02-29")),
        (["2020-01-01", "2025-01-03"], days("2020-01-01", "2025-01-03")),
        (
            ["2024-01-01T12:00:00+02:00", "2024-01-02T15:59:00Z"],
            Moments(at("2024-01-01T10:00Z"), at("2024-01-02T15:59Z")),
        ),
    ],
)
def test_two_dates_or_times_are_a_range(value: Any, meant: Span) -> None:
    assert parse(value, "date_range") == meant


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("yesterday", "date_range"),
        ("", "date_range"),
        ("0d", "date_range"),
        ("-7d", "date_range"),
        ("٧d", "date_range"),
        ("7D", "date_range"),
        ("7d ", "date_range"),
        ("1831d", "date_range"),
        ("61mo", "date_range"),
        ("99999d", "date_range"),
        (7, "date_range"),
        (None, "date_range"),
        (True, "date_range"),
        ({}, "date_range"),
        ([], "date_range"),
        (["2024-01-01"], "date_range"),
        (["2024-01-01", "2024-01-02", "2024-01-03"], "date_range"),
        (["2024-01-01", 20240102], "date_range"),
        (["2024-01-02", "2024-01-01"], "date_range"),
        (["2020-01-01", "2025-01-04"], "date_range"),
        (["1824-01-01", "2024-01-01"], "date_range[0]"),
        (["1969-12-31", "1970-01-01"], "date_range[0]"),
        (["2100-12-31", "2101-01-01"], "date_range[1]"),
        (["9999-12-31", "9999-12-31"], "date_range[0]"),
        (["2023-02-29", "2023-03-01"], "date_range[0]"),
        (["2024-01-01", "2024-13-01"], "date_range[1]"),
        (["٢٠٢٤-01-01", "2024-01-02"], "date_range[0]"),
        (["2024-1-1", "2024-01-02"], "date_range[0]"),
        (["20240101", "20240102"], "date_range[0]"),
        (["2024-W01-1", "2024-W01-2"], "date_range[0]"),
        (["2024-01-01", "2024-01-02T00:00:00Z"], "date_range[0]"),
        (["2024-01-01T00:00:00", "2024-01-02T00:00:00"], "date_range[0]"),
        (["2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"], "date_range"),
        (["2024-01-01T00:00:00Z", "2024-01-01T00:59:59+01:00"], "date_range"),
        (["2019-01-01T00:00:00Z", "2024-06-01T00:00:00Z"], "date_range"),
        (["1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"], "date_range[0]"),
        (["0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z"], "date_range[0]"),
    ],
)
def test_anything_else_is_refused_with_the_place(value: Any, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse(value, "date_range")
    assert (refused.value.code, refused.value.field) == ("invalid_date_range", field)


@pytest.mark.parametrize("value", ["7d", None, ["2024-01-01"], ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"]])
def test_a_custom_comparison_takes_dates_only(value: Any) -> None:
    with pytest.raises(Refusal):
        parse_days(value, "d")


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)], ids=["spring", "autumn", "plain"]
)
def test_a_day_has_as_many_hours_as_the_clocks_show(day: str, hours: int) -> None:
    start, end = bounds(days(day, day), BERLIN)
    assert end - start == timedelta(hours=hours)
    assert len(buckets("time:hour", start, end, BERLIN, "f")) == hours
    assert len(buckets("time:minute", start, end, BERLIN, "f")) == hours * 60


def test_a_day_that_a_zone_has_not_had_is_refused() -> None:
    apia = ZoneInfo("Pacific/Apia")
    with pytest.raises(Refusal, match="Pacific/Apia has had no such day") as refused:
        bounds(days("2011-12-30", "2011-12-30"), apia, "f")
    assert (refused.value.code, refused.value.field) == ("invalid_date_range", "f")
    start, end = bounds(days("2011-12-29", "2011-12-30"), apia)
    assert end - start == timedelta(days=1)


@pytest.mark.parametrize(
    ("meant", "comparison", "with_"),
    [
        (days("2026-11-14", "2026-11-20"), Comparison("previous_period"), days("2026-11-07", "2026-11-13")),
        (days("2026-11-01", "2026-11-30"), Comparison("previous_period"), days("2026-10-12", "2026-10-31")),
        (days("2026-10-01", "2026-10-31"), Comparison("previous_period"), days("2026-08-31", "2026-09-30")),
        (days("2026-11-20", "2026-11-20"), Comparison("previous_period"), days("2026-11-19", "2026-11-19")),
        (days("2027-01-01", "2027-01-31"), Comparison("previous_period"), days("2026-12-31", "2026-12-31")),
        (days("2026-11-20", "2026-11-20"), Comparison("previous_period", None, True), days("2026-11-13", "2026-11-13")),
        (days("2026-10-24", "2026-11-20"), Comparison("previous_period", None, True), days("2026-09-26", "2026-10-23")),
        (days("2026-10-22", "2026-11-20"), Comparison("previous_period", None, True), days("2026-09-24", "2026-10-23")),
        (days("2026-11-01", "2026-11-30"), Comparison("year_over_year"), days("2025-11-01", "2025-11-20")),
        (days("2024-02-29", "2024-02-29"), Comparison("year_over_year"), days("2023-02-28", "2023-02-28")),
        (days("2026-11-20", "2026-11-20"), Comparison("year_over_year", None, True), days("2025-11-21", "2025-11-21")),
        (
            days("2026-11-20", "2026-11-20"),
            Comparison("custom", days("2020-01-01", "2020-01-09")),
            days("2020-01-01", "2020-01-09"),
        ),
        (
            days("2026-11-20", "2026-11-20"),
            Comparison("custom", days("2020-01-01", "2020-01-09"), True),
            days("2020-01-03", "2020-01-11"),
        ),
        (
            Moments(at("2026-03-29T23:00Z"), at("2026-03-30T12:00Z")),
            Comparison("custom", days("2020-01-02", "2020-01-03"), True),
            days("2019-12-30", "2019-12-31"),
        ),
        (
            Moments(at("2026-03-29T00:00Z"), at("2026-03-29T12:00Z")),
            Comparison("previous_period"),
            Moments(at("2026-03-28T12:00Z"), at("2026-03-29T00:00Z")),
        ),
        (
            Moments(at("2026-03-30T10:00+02:00"), at("2026-03-30T12:00+02:00")),
            Comparison("previous_period", None, True),
            Moments(at("2026-03-23T10:00+01:00"), at("2026-03-23T12:00+01:00")),
        ),
        (
            Moments(at("2026-03-30T10:00+02:00"), at("2026-03-30T12:00+02:00")),
            Comparison("year_over_year"),
            Moments(at("2025-03-30T10:00+02:00"), at("2025-03-30T12:00+02:00")),
        ),
    ],
)
def test_what_a_range_is_compared_with(meant: Span, comparison: Comparison, with_: Span) -> None:
    assert compared(meant, comparison, BERLIN, NOW) == with_


@given(st.dates(date(1990, 1, 1), date(2026, 11, 20)), st.integers(0, 400), st.sampled_from(["previous", "year"]))
def test_matched_days_of_the_week_match(first: date, more: int, mode: str) -> None:
    last = min(first + timedelta(days=more), date(2026, 11, 20))
    name: Any = "previous_period" if mode == "previous" else "year_over_year"
    found = compared(Days(first, last), Comparison(name, None, True), UTC_ZONE, NOW)
    assert isinstance(found, Days)
    assert found.first.weekday() == first.weekday()
    assert found.first < first
    assert found.last - found.first == last - first


@pytest.mark.parametrize(
    ("asked", "dimension"),
    [
        ("realtime", "time:minute"),
        ("30m", "time:minute"),
        ("24h", "time:hour"),
        ("day", "time:hour"),
        ("7d", "time:day"),
        ("91d", "time:day"),
        ("month", "time:day"),
        ("1mo", "time:month"),
        ("6mo", "time:month"),
        ("year", "time:month"),
        ("all", "time:month"),
        (["2026-10-25", "2026-10-25"], "time:hour"),
        (["2026-10-24", "2026-10-25"], "time:day"),
        (["2026-01-01", "2026-01-31"], "time:day"),
        (["2026-01-01", "2026-02-01"], "time:month"),
        (["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"], "time:hour"),
    ],
)
def test_time_stands_for_an_interval_that_suits_the_range(asked: Any, dimension: str) -> None:
    range_ = parse(asked, "date_range")
    assert automatic(range_, span(range_, BERLIN, NOW, at("2026-01-01T00:00Z")), BERLIN) == dimension


@pytest.mark.parametrize(
    ("dimension", "meant", "zone", "labels"),
    [
        ("time:month", days("2026-01-15", "2026-03-01"), BERLIN, ["2026-01-01", "2026-02-01", "2026-03-01"]),
        ("time:week", days("2026-11-18", "2026-11-30"), BERLIN, ["2026-11-18", "2026-11-23", "2026-11-30"]),
        ("time:week", days("2026-11-16", "2026-11-22"), BERLIN, ["2026-11-16"]),
        ("time:day", days("2026-10-24", "2026-10-26"), BERLIN, ["2026-10-24", "2026-10-25", "2026-10-26"]),
        # A day whose midnight the clocks leave out.
        (
            "time:day",
            days("2024-09-07", "2024-09-09"),
            ZoneInfo("America/Santiago"),
            ["2024-09-07", "2024-09-08", "2024-09-09"],
        ),
        (
            "time:hour",
            Moments(at("2026-10-24T23:30Z"), at("2026-10-25T02:30Z")),
            BERLIN,
            [
                "2026-10-25 01:00:00",
                "2026-10-25 02:00:00+02:00",
                "2026-10-25 02:00:00+01:00",
                "2026-10-25 03:00:00",
            ],
        ),
        (
            "time:hour",
            Moments(at("2026-03-29T00:30Z"), at("2026-03-29T01:30Z")),
            BERLIN,
            ["2026-03-29 01:00:00", "2026-03-29 03:00:00"],
        ),
        (
            "time:hour",
            Moments(at("2026-01-01T00:00Z"), at("2026-01-01T01:00Z")),
            ZoneInfo("Asia/Kathmandu"),
            ["2026-01-01 05:00:00", "2026-01-01 06:00:00"],
        ),
        # A zone whose clocks change by half an hour.
        (
            "time:hour",
            Moments(at("2026-04-04T14:00Z"), at("2026-04-04T16:00Z")),
            ZoneInfo("Australia/Lord_Howe"),
            ["2026-04-05 01:00:00", "2026-04-05 01:30:00+11:00", "2026-04-05 02:00:00"],
        ),
        (
            "time:minute",
            Moments(at("2026-01-01T00:00:30Z"), at("2026-01-01T00:02Z")),
            UTC_ZONE,
            ["2026-01-01 00:00:00", "2026-01-01 00:01:00"],
        ),
    ],
)
def test_buckets_and_how_they_are_told(dimension: str, meant: Span, zone: ZoneInfo, labels: list[str]) -> None:
    start, end = bounds(meant, zone)
    starts = buckets(dimension, start, end, zone, "f")
    assert [label(dimension, at, zone, start) for at in starts] == labels
    assert [bucket_of(at, starts) for at in starts] == list(range(len(starts)))
    assert bucket_of(end, starts) == len(starts) - 1
    assert bucket_of(start - timedelta(days=1), starts) == 0


def test_there_are_not_more_buckets_than_anybody_looks_at() -> None:
    start = at("2026-01-01T00:00Z")
    end = start + timedelta(minutes=MAX_BUCKETS)
    assert len(buckets("time:minute", start, end, UTC_ZONE, "f")) == MAX_BUCKETS
    with pytest.raises(Refusal) as refused:
        buckets("time:minute", start, end + timedelta(minutes=1), UTC_ZONE, "include.time_labels")
    assert (refused.value.code, refused.value.field) == ("too_many_rows", "include.time_labels")
