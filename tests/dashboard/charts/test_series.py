"""The chart over time: what is known is drawn where it is, what is not is said, and nothing else gets in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maicivy.dashboard.charts.buckets import MAX_TOLD
from maicivy.dashboard.charts.series import series_chart
from maicivy.dashboard.formats import formats_for
from maicivy.dashboard.page import Number, Point, Series
from maicivy.dashboard.words import words_of
from tests.dashboard.charts.pictures import all_of, box_of, parsed, points_of, text_of

PARIS = ZoneInfo("Europe/Paris")
NOVEMBER = datetime(2026, 11, 1, tzinfo=PARIS)
FORMATS = formats_for("en-GB")

HEIGHT_PX = 236
LENGTHS = {"minute": 1, "hour": 60, "day": 1440, "week": 10080, "month": 43200}


def point(i: int, value: Number, interval: str = "day", **members: Any) -> Point:
    start = (NOVEMBER.astimezone(UTC) + i * timedelta(minutes=LENGTHS[interval])).astimezone(PARIS)
    return Point(start, value, **members)


def series(
    points: Sequence[Point], metric: str = "visitors", interval: str = "day", is_compared: bool = False
) -> Series:
    return Series(metric, interval, tuple(points), is_compared, None, (), ())


def drawn(a_series: Series) -> ET.Element:
    return parsed(series_chart(a_series, FORMATS, FORMATS.t))


def stories(tree: ET.Element) -> list[list[str]]:
    return [text_of(all_of(hit, "title")[0]).split("\n") for hit in all_of(tree, "g", "series-point")]


def canvas(tree: ET.Element) -> ET.Element:
    return all_of(tree, "svg", "series-canvas")[0]


def hatched(tree: ET.Element) -> list[ET.Element]:
    return all_of(canvas(tree), "rect", "series-hatch")


def classes_of_paths(tree: ET.Element) -> set[str]:
    return {path.get("class", "") for path in all_of(canvas(tree), "path") if path.get("class")}


def test_no_points_are_a_sentence() -> None:
    assert text_of(drawn(series([]))) == "Nothing happened in this period."


def test_a_bucket_tells_its_time_value_comparison_and_change() -> None:
    before = NOVEMBER - timedelta(days=28)
    one = point(0, 123, before_start=before, before=100)
    assert stories(drawn(series([one], is_compared=True))) == [
        ["Sunday, 1 November 2026", "Visitors: 123", "Compared period: 100 (Sunday, 4 October 2026)", "+23%"]
    ]


def test_a_french_colon_has_a_space_before_it_that_does_not_break() -> None:
    words = words_of("fr")
    tree = parsed(series_chart(series([point(0, 123)]), formats_for("", "fr"), words))
    assert stories(tree)[0] == ["dimanche 1 novembre 2026", "Visiteurs\u00a0: 123"]
    assert words("fact", name=words("period.label"), value="") == "Période\u00a0: "


@pytest.mark.parametrize(("metric", "value", "before", "change"), [
    ("visitors", 50, 100, ["−50%"]),
    ("visitors", 5, 0, []),
    ("visitors", 100, 100, ["0%"]),
    ("bounce_rate", 40, 45, ["−5 pts"]),
    ("bounce_rate", 5, 0, ["+5 pts"]),
    ("visitors", None, 100, []),
])  # fmt: skip
def test_changes_are_told_as_they_are_of_figures(metric: str, value: Number, before: Number, change: list[str]) -> None:
    one = point(0, value, before_start=NOVEMBER - timedelta(days=1), before=before)
    assert stories(drawn(series([one], metric, is_compared=True)))[0][3:] == change


def test_a_bucket_that_goes_on_is_dashed_and_compared_with_nothing() -> None:
    points = [point(i, 10, before=20, is_partial=i == 3) for i in range(4)]
    tree = drawn(series(points, is_compared=True))
    assert "series-line series-partial" in classes_of_paths(tree)
    assert stories(tree)[3] == ["Wednesday, 4 November 2026 (not complete)", "Visitors: 10", "Compared period: 20"]
    assert all_of(tree, "g", "is-partial") == all_of(tree, "g", "series-point")[3:]


def test_whole_buckets_have_no_dashes() -> None:
    assert classes_of_paths(drawn(series([point(i, i) for i in range(5)]))) == {"series-area", "series-line"}


def test_what_was_not_recorded_is_a_gap_that_says_so() -> None:
    points = [point(i, None if i < 6 else 5, is_unknown=i < 6) for i in range(12)]
    tree = drawn(series(points))
    (gap,) = hatched(tree)
    assert (gap.get("x"), gap.get("width")) == ("0%", "50%")
    assert [text_of(text) for text in all_of(tree, "text", "series-gap")] == ["not recorded"]
    assert stories(tree)[0] == ["Sunday, 1 November 2026", "Visitors: not recorded"]
    (line,) = all_of(canvas(tree), "path", "series-line")
    assert points_of(line.get("d", ""))[0][0] == 13


def test_what_is_still_to_come_is_empty() -> None:
    points = [point(i, 5 if i < 8 else None, "hour", is_unknown=i >= 8, is_partial=i == 7) for i in range(24)]
    tree = drawn(series(points, interval="hour"))
    assert not hatched(tree)
    assert stories(tree)[8] == ["1 Nov 2026, 08:00 – 09:00", "Visitors: still to come"]


def test_nothing_known_is_one_gap() -> None:
    tree = drawn(series([point(i, None, is_unknown=True) for i in range(10)]))
    (gap,) = hatched(tree)
    assert (gap.get("x"), gap.get("width")) == ("0%", "100%")
    assert classes_of_paths(tree) == set()


def test_a_mean_of_nothing_is_a_gap_without_a_word() -> None:
    points = [point(0, 50), point(1, None), point(2, 40)]
    tree = drawn(series(points, "bounce_rate"))
    assert not hatched(tree)
    assert stories(tree)[1] == ["Monday, 2 November 2026", "Bounce rate: –"]
    assert classes_of_paths(tree) == {"series-dot"}


def test_the_line_of_comparison_is_there_when_compared_only() -> None:
    points = [point(i, i, before=i) for i in range(3)]
    assert "series-before" not in classes_of_paths(drawn(series(points)))
    assert "series-before" in classes_of_paths(drawn(series(points, is_compared=True)))


@pytest.mark.parametrize(("points", "legend"), [
    ([point(0, 1), point(1, 2)], []),
    ([point(0, 1), point(1, 2, is_partial=True)], ["This period", "not complete"]),
    ([point(0, None, is_unknown=True), point(1, 2)], ["This period", "not recorded"]),
    ([point(0, 1), point(1, None, is_unknown=True, is_partial=True)], []),
    ([point(0, 1, before=2), point(1, 2)], ["This period", "Compared period"]),
])  # fmt: skip
def test_the_legend_names_the_kinds_of_lines_that_there_are(points: list[Point], legend: list[str]) -> None:
    tree = drawn(series(points, is_compared=True))
    assert [text_of(key) for key in all_of(tree, "span", "series-key")] == legend


def test_zeros_lie_on_the_base() -> None:
    (line,) = all_of(canvas(drawn(series([point(i, 0) for i in range(7)]))), "path", "series-line")
    assert {y for _, y in points_of(line.get("d", ""))} == {HEIGHT_PX * 10}


def test_one_bucket_is_in_the_tab_order_the_last_that_is_known() -> None:
    points = [point(i, 5 if i < 8 else None, "hour", is_unknown=i >= 8) for i in range(24)]
    hits = all_of(drawn(series(points, interval="hour")), "g", "series-point")
    assert [i for i, hit in enumerate(hits) if hit.get("tabindex") == "0"] == [7]
    assert [hit.get("data-point") for hit in hits] == [str(i) for i in range(24)]
    assert {hit.get("role") for hit in hits} == {"img"}


@pytest.mark.parametrize(("count", "hits"), [(400, 400), (401, 201), (2000, 400)])
def test_many_buckets_are_pointed_at_by_the_highest_of_a_few(count: int, hits: int) -> None:
    markup = series_chart(
        series([point(i, i % 5, "minute") for i in range(count)], interval="minute"), FORMATS, FORMATS.t
    )
    tree = parsed(markup)
    assert len(all_of(tree, "g", "series-point")) == hits <= MAX_TOLD
    assert len(all_of(tree, "tr")) == hits + 1
    assert ("the highest of every few" in markup) == (hits < count)
    if count == 2000:
        assert {story[1] for story in stories(tree)} == {"Visitors: 4"}


def test_the_table_behind_says_the_same() -> None:
    points = [point(0, 1234, before=1000), point(1, None, is_unknown=True), point(2, 7, before=0)]
    tree = drawn(series(points, is_compared=True))
    rows = [[text_of(cell) for cell in row] for row in all_of(tree, "tr")]
    assert rows == [
        ["Time", "Visitors", "Compared period", "Change"],
        ["Sunday, 1 November 2026", "1,234", "1,000", "+23%"],
        ["Monday, 2 November 2026", "not recorded", "–", "–"],
        ["Tuesday, 3 November 2026", "7", "0", "–"],
    ]
    assert all(cell.get("scope") for cell in all_of(tree, "th"))


def test_labels_of_values_are_written_out_where_short_ones_would_be_equal() -> None:
    tree = drawn(series([point(i, 4_000_000_000_000) for i in range(2)]))
    (scale,) = all_of(tree, "svg", "series-scale")
    assert [text_of(label) for label in all_of(scale, "text")] == ["0", "1T", "2T", "3T", "4T"]


@pytest.mark.parametrize("room_px", [260, 460, 820])
@pytest.mark.parametrize(("interval", "count"), [
    ("minute", 30), ("minute", 1440), ("hour", 24), ("hour", 168), ("day", 1), ("day", 2), ("day", 7), ("day", 28),
    ("day", 91), ("day", 2000), ("week", 52), ("month", 12), ("month", 60),
])  # fmt: skip
@pytest.mark.parametrize("language", ["en-US", "fr-FR"])
def test_labels_of_times_do_not_overlap(room_px: int, interval: str, count: int, language: str) -> None:
    formats = formats_for(language)
    name = {260: "tick-s", 460: "tick-m", 820: "tick-l"}[room_px]
    points = [point(i, 3, interval) for i in range(count)]
    if interval == "month":
        points = [Point(datetime(2020 + i // 12, i % 12 + 1, 1, tzinfo=PARIS), 3) for i in range(count)]
    tree = parsed(series_chart(series(points, interval=interval), formats, formats.t))
    end = -40.0
    labels = all_of(tree, "text", name)
    assert labels
    for label in labels:
        middle = float(label.get("x", "").removesuffix("%")) / 100 * room_px
        half = len(text_of(label)) * 6.7 / 2
        assert middle - half > end + 6
        end = middle + half
    assert end <= room_px + 1


figures = st.integers(0, 10**15) | st.floats(0, 1e12).map(lambda value: round(value, 2))
values = st.none() | figures | st.just(float("nan")) | st.integers(-5, -1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(values, values, st.booleans(), st.booleans()), min_size=1, max_size=12),
    st.sampled_from(["visitors", "bounce_rate", "visit_duration", "views_per_visit"]),
    st.sampled_from(["minute", "hour", "day", "week", "month"]),
    st.booleans(),
    st.sampled_from(["en", "fr", "ar", "de-CH"]),
)
def test_whatever_comes_is_a_picture_inside_its_box(
    given_points: list[tuple[Number, Number, bool, bool]], metric: str, interval: str, is_compared: bool, language: str
) -> None:
    points = [
        point(i, value, interval, before=before, before_start=NOVEMBER, is_partial=is_partial, is_unknown=is_unknown)
        for i, (value, before, is_partial, is_unknown) in enumerate(given_points)
        if value is None or value == value
    ]
    formats = formats_for(language)
    tree = parsed(series_chart(series(points, metric, interval, is_compared), formats, formats.t))
    for inner in (svg for svg in all_of(tree, "svg") if svg.get("viewBox")):
        width, height = box_of(inner)
        for path in all_of(inner, "path"):
            assert all(0 <= x <= width and 0 <= y <= height for x, y in points_of(path.get("d", "")))
    for circle in all_of(tree, "circle"):
        assert 0 <= float(circle.get("cx", "").removesuffix("%")) <= 100
        assert 0 <= float(circle.get("cy", "")) - 14 <= HEIGHT_PX
