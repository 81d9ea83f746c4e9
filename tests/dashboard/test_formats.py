"""How readers of several regions see numbers, times and names."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from maicivy.dashboard.formats import NOTHING, formats_for
from maicivy.dashboard.page import Period

MEANT = [
    ("fr", "visit:country", "France", "FR"),
    ("fr", "visit:country", "états-unis", "US"),
    ("en", "visit:country", "germany", "DE"),
    ("en", "visit:country", "de", "DE"),
    ("fr", "visit:country", "Germany", "Germany"),
    ("en", "visit:country", "Atlantis", "Atlantis"),
    ("en", "visit:country", "", ""),
    ("fr", "visit:language", "allemand", "de"),
    ("en", "visit:language", "EN", "en"),
    ("fr", "visit:device", "Ordinateur", "desktop"),
    ("en", "event:name", "Page view", "page_view"),
    ("en", "event:name", "Signup", "Signup"),
    ("en", "event:name", "click", "click"),
    ("en", "visit:channel", "organic search", "Organic Search"),
    ("fr", "visit:channel", "Recherche naturelle", "Organic Search"),
    ("en", "event:page", "France", "France"),
    ("en", "event:props:country", "France", "France"),
]
ZURICH = ZoneInfo("Europe/Zurich")
TUESDAY = datetime(2026, 11, 3, 14, 5, tzinfo=ZURICH)
NBSP, THIN = "\u00a0", "\u202f"


def zurich(*clock: int) -> datetime:
    year, month, day, hour, minute = (*clock, 0, 0)[:5]
    return datetime(year, month, day, hour, minute, tzinfo=ZURICH)


@pytest.mark.parametrize(("header", "lang", "tag"), [
    ("", None, "en"),
    ("en-US,en;q=0.9", None, "en-US"),
    ("en-GB", None, "en-GB"),
    ("fr", None, "fr"),
    ("fr-CH,fr;q=0.9,en;q=0.8,de;q=0.7", None, "fr-CH"),
    ("de-CH,de;q=0.9,fr;q=0.8", None, "fr-CH"),
    ("de-CH,de;q=0.9", None, "en-CH"),
    ("de,en;q=0.5", None, "en-DE"),
    ("zh-Hant-TW", None, "en"),
    ("fr;q=0.2,en-IE;q=0.9", None, "en-IE"),
    ("fr;q=0, en", None, "en"),
    ("*", None, "en"),
    ("de-CH", "fr", "fr-CH"),
    ("en-US", "fr", "fr"),
    ("fr-FR", "en", "en-FR"),
    ("fr", "de", "fr"),
    ("../../etc/passwd, fr", None, "fr"),
    ("en-ZZ", None, "en"),
    ("x" * 10_000, None, "en"),
    ("fr;q=9", None, "en"),
    (",,;;q=1,", None, "en"),
])  # fmt: skip
def test_the_reader_gets_a_language_of_ours_and_the_customs_of_their_region(
    header: str, lang: str | None, tag: str
) -> None:
    formats = formats_for(header, lang)
    assert formats.tag == tag
    assert formats.lang == formats.t.language == tag[:2]


@pytest.mark.parametrize(("header", "value", "text"), [
    ("en", None, NOTHING),
    ("en", 0, "0"),
    ("en", 12345, "12,345"),
    ("en", -12345.678, "−12,345.68"),
    ("en-CH", 12345, "12’345"),
    ("fr", 12345.6, f"12{THIN}345,6"),
    ("en-DE", 12345, "12.345"),
])  # fmt: skip
def test_numbers_are_grouped_as_the_region_does(header: str, value: float, text: str) -> None:
    assert formats_for(header).number(value) == text


@pytest.mark.parametrize(("header", "value", "text"), [
    ("en", None, NOTHING),
    ("en", 0, "0%"),
    ("en", 3, "3%"),
    ("en", 45.5, "45.5%"),
    ("en-IN", 3, "3%"),
    ("en-IN", 123456, "1,23,456%"),
    ("fr", 1234.5, f"1{THIN}234,5{NBSP}%"),
    ("en-DE", -3, f"−3{NBSP}%"),
])  # fmt: skip
def test_percents_are_written_as_the_region_does(header: str, value: float | None, text: str) -> None:
    assert formats_for(header).percent(value) == text


@pytest.mark.parametrize(("value", "text"), [
    (9_999, "9,999"), (10_000, "10K"), (12_345, "12.3K"), (999_999, "1M"), (4_600_000, "4.6M"), (None, NOTHING),
    (2.5, "2.5"),
])  # fmt: skip
def test_long_numbers_are_told_in_short(value: float, text: str) -> None:
    assert formats_for("en").compact(value) == text


@pytest.mark.parametrize(("header", "metric", "value", "text"), [
    ("en", "visitors", 12_345, "12.3K"),
    ("en", "views_per_visit", 2.25, "2.25"),
    ("en", "bounce_rate", 45, "45%"),
    ("fr", "bounce_rate", 45, f"45{NBSP}%"),
    ("en", "conversion_rate", 1.25, "1.2%"),
    ("en", "visit_duration", 0, "0s"),
    ("en", "visit_duration", 59.6, "1m 00s"),
    ("en", "visit_duration", 154, "2m 34s"),
    ("en", "time_on_page", 3_725, "1h 02m"),
    ("fr", "time_on_page", 154, f"2{THIN}min 34{THIN}s"),
    ("en", "visit_duration", None, NOTHING),
])  # fmt: skip
def test_a_figure_is_written_after_its_metric(header: str, metric: str, value: float, text: str) -> None:
    assert formats_for(header).metric(metric, value) == text


def test_a_figure_can_be_had_with_all_its_digits() -> None:
    assert formats_for("en").exactly("visitors", 12_345) == "12,345"
    assert formats_for("en").exactly("bounce_rate", 45) == "45%"


@pytest.mark.parametrize(("metric", "value", "text"), [
    ("visitors", 12, "+12%"), ("visitors", -3, "−3%"), ("visitors", 0, "0%"), ("visitors", None, NOTHING),
    ("bounce_rate", -1, "−1 pt"), ("bounce_rate", 2, "+2 pts"), ("conversion_rate", 0.4, "+0.4 pts"),
    ("visitors", 1200, "+1,200%"),
])  # fmt: skip
def test_a_change_has_its_sign(metric: str, value: float, text: str) -> None:
    assert formats_for("en").change(metric, value) == text
    assert formats_for("en").change(metric, value, is_signed=False) == text.lstrip("+−")


@pytest.mark.parametrize(("header", "interval", "bucket", "tick"), [
    ("en-GB", "day", "Tuesday, 3 November 2026", "3 Nov"),
    ("en-US", "day", "Tuesday, November 3, 2026", "Nov 3"),
    ("fr", "day", "mardi 3 novembre 2026", "3 nov."),
    ("en-GB", "week", "Week from 3 Nov 2026", "3 Nov"),
    ("en-GB", "month", "November 2026", "Nov"),
    ("en-GB", "hour", "3 Nov 2026, 14:05 – 15:05", "14:05"),
    ("en-US", "hour", "Nov 3, 2026, 2:05\u202fPM – 3:05\u202fPM", "2 PM"),
    ("en-GB", "minute", "3 Nov 2026, 14:05", "14:05"),
])  # fmt: skip
def test_buckets_of_time_have_a_name_and_a_place_on_the_axis(
    header: str, interval: str, bucket: str, tick: str
) -> None:
    formats = formats_for(header)
    assert formats.bucket(TUESDAY, interval) == bucket
    assert formats.tick(TUESDAY, interval) == tick


@pytest.mark.parametrize(("header", "zone", "utc", "hour", "minute", "tick"), [
    ("en-GB", "Europe/Paris", (10, 24, 23), "25 Oct 2026, 01:00 – 02:00*UTC+2", "25 Oct 2026, 01:00", "01:00"),
    ("en-GB", "Europe/Paris", (10, 25, 0), "25 Oct 2026, 02:00*UTC+2 – 02:00*UTC+1", "25 Oct 2026, 02:00*UTC+2",
     "02:00*UTC+2"),
    ("en-GB", "Europe/Paris", (10, 25, 1), "25 Oct 2026, 02:00*UTC+1 – 03:00", "25 Oct 2026, 02:00*UTC+1",
     "02:00*UTC+1"),
    ("fr", "Europe/Paris", (10, 25, 1), "25 oct. 2026, 02:00*UTC+1 – 03:00", "25 oct. 2026, 02:00*UTC+1",
     "02:00*UTC+1"),
    ("en-GB", "Europe/Paris", (3, 29, 0), "29 Mar 2026, 01:00 – 03:00", "29 Mar 2026, 01:00", "01:00"),
    ("en-US", "America/New_York", (11, 1, 5), "Nov 1, 2026, 1:00 AM*UTC−4 – 1:00 AM*UTC−5",
     "Nov 1, 2026, 1:00 AM*UTC−4", "1 AM*UTC−4"),
    ("en-GB", "Australia/Lord_Howe", (4, 4, 14), "5 Apr 2026, 01:00 – 01:30*UTC+10:30", "5 Apr 2026, 01:00", "01:00"),
    ("en-GB", "UTC", (10, 25, 1), "25 Oct 2026, 01:00 – 02:00", "25 Oct 2026, 01:00", "01:00"),
])  # fmt: skip
def test_hours_that_come_twice_are_told_apart(
    header: str, zone: str, utc: tuple[int, int, int], hour: str, minute: str, tick: str
) -> None:
    month, day, clock = utc
    at = datetime(2026, month, day, clock, tzinfo=UTC).astimezone(ZoneInfo(zone))
    formats = formats_for(header)
    told = [formats.bucket(at, "hour"), formats.bucket(at, "minute"), formats.tick(at, "hour")]
    assert [text.replace(THIN, " ").replace(NBSP, "*") for text in told] == [hour, minute, tick]


def test_a_january_on_the_axis_is_its_year() -> None:
    assert formats_for("en").tick(datetime(2026, 1, 1, tzinfo=ZURICH), "month") == "2026"


@pytest.mark.parametrize(("start", "end", "text"), [
    (zurich(2026, 11, 3), zurich(2026, 12, 1), "3–30 Nov 2026"),
    (zurich(2025, 11, 3), zurich(2026, 1, 1), "3 Nov – 31 Dec 2025"),
    (zurich(2025, 12, 3), zurich(2026, 1, 3), "3 Dec 2025 – 2 Jan 2026"),
    (zurich(2026, 11, 3), zurich(2026, 11, 4), "Tuesday 3 November 2026"),
    (zurich(2026, 11, 3, 14), zurich(2026, 11, 4, 14), "3 Nov 2026, 14:00 – 4 Nov 2026, 14:00"),
    (zurich(2026, 11, 3, 14), zurich(2026, 11, 3, 14, 30), "3 Nov 2026, 14:00 – 14:30"),
])  # fmt: skip
def test_a_range_is_told_by_its_days_or_its_hours(start: datetime, end: datetime, text: str) -> None:
    told = formats_for("en-GB").range(start, end)
    assert told.replace(",", "").replace("\u2009", " ") == text.replace(",", "")


def test_a_day_of_25_hours_is_one_day() -> None:
    day = datetime(2026, 10, 25, tzinfo=ZURICH)
    assert formats_for("en-GB").range(day, day + timedelta(days=1)) == formats_for("en-GB").weekday(day)


def test_days_and_moments() -> None:
    formats = formats_for("fr")
    assert formats.day(date(2026, 11, 3)) == "3 nov. 2026"
    assert formats.moment(TUESDAY) == "3 nov. 2026, 14:05"
    assert formats.to_the_second(TUESDAY) == "14:05:00"


@pytest.mark.parametrize(("header", "dimension", "value", "text"), [
    ("en", "visit:country", "CH", "Switzerland"),
    ("fr", "visit:country", "ch", "Suisse"),
    ("en", "visit:country", "XK", "Kosovo"),
    ("en", "visit:country", "T1", "T1"),
    ("en", "visit:country", "", "Unknown country"),
    ("en", "visit:language", "de", "German"),
    ("fr", "visit:language", "de", "Allemand"),
    ("en", "visit:language", "qqx", "qqx".capitalize()),
    ("fr", "visit:channel", "Organic Search", "Recherche naturelle"),
    ("fr", "visit:channel", "Cross-network", "Multiréseau"),
    ("fr", "visit:device", "mobile", "Téléphone"),
    ("fr", "visit:screen", "Laptop", "Portable"),
    ("en", "event:name", "page_view", "Page view"),
    ("en", "event:name", "my_own", "my_own"),
    ("en", "event:page", "/a{b}", "/a{b}"),
    ("en", "visit:source", "", "Direct or unknown"),
    ("en", "event:props:plan", "", "(empty)"),
    ("en", "event:props:country", "CH", "CH"),
    ("en", "visit:channel", "one.two<script>", "one.two<script>"),
    ("en", "visit:city", "", "Unknown city"),
    ("en", "visit:utm_term", "", "(none)"),
])  # fmt: skip
def test_values_are_shown_as_people_read_them(header: str, dimension: str, value: str, text: str) -> None:
    assert formats_for(header).value(dimension, value) == text


def test_formats_are_made_once_for_a_language_and_region() -> None:
    assert formats_for("fr-CH,fr") is formats_for("fr-CH")


@pytest.mark.parametrize(("lang", "dimension", "text", "value"), MEANT)
def test_a_name_that_people_write_means_what_is_stored(lang: str, dimension: str, text: str, value: str) -> None:
    assert formats_for("", lang).meant(dimension, text) == value


def test_a_day_that_begins_without_midnight_is_one_day() -> None:
    santiago = ZoneInfo("America/Santiago")
    start, end = datetime(2026, 9, 5, tzinfo=santiago), datetime(2026, 9, 6, 1, tzinfo=santiago)
    assert formats_for("en-GB").range(start, end) == formats_for("en-GB").weekday(start)
    assert Period("custom", start, end).last_day == date(2026, 9, 5)
    day = formats_for("en-GB").range(end, datetime(2026, 9, 7, tzinfo=santiago))
    assert day == formats_for("en-GB").weekday(end)
