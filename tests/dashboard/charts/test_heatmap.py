"""Clicks over the outline of a page."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maicivy.dashboard.charts.heatmap import MAX_PLACES, MAX_SPOTS, heat_map
from maicivy.dashboard.formats import formats_for
from maicivy.dashboard.page import HeatCell
from tests.dashboard.charts.pictures import all_of, box_of, parsed, text_of

FORMATS = formats_for("en-GB")


def test_no_clicks_are_a_sentence() -> None:
    assert text_of(parsed(heat_map((), FORMATS, FORMATS.t))) == "No clicks in this period."


@pytest.mark.parametrize("cell", [HeatCell(-20, 0, 5), HeatCell(0, -20, 5), HeatCell(0, 0, 0), HeatCell(900_000, 0, 1)])
def test_clicks_that_are_on_no_page_are_left_out(cell: HeatCell) -> None:
    assert text_of(parsed(heat_map((cell,), FORMATS, FORMATS.t))) == "No clicks in this period."


@pytest.mark.parametrize(("x", "y", "width", "height"), [
    (0, 0, 390, 1000),
    (360, 980, 390, 1100),
    (380, 980, 768, 1100),
    (1260, 4000, 1280, 4100),
    (3820, 19_980, 3840, 20_100),
])  # fmt: skip
def test_the_outline_has_room_for_all_clicks(x: int, y: int, width: float, height: float) -> None:
    tree = parsed(heat_map((HeatCell(x, y, 1),), FORMATS, FORMATS.t))
    (page,) = all_of(tree, "svg", "heat-page")
    assert box_of(page) == (width, height)


def test_a_line_each_thousand_pixels_tells_how_far_down_one_is() -> None:
    tree = parsed(heat_map((HeatCell(0, 2400, 1),), FORMATS, FORMATS.t))
    assert [text_of(label) for label in all_of(tree, "text", "heat-label")] == ["1,000 px", "2,000 px"]


def test_hotter_places_are_drawn_later_and_in_another_class() -> None:
    cells = (HeatCell(40, 60, 100), HeatCell(0, 0, 1), HeatCell(20, 20, 30))
    groups = all_of(parsed(heat_map(cells, FORMATS, FORMATS.t)), "g", "heat-blob")
    assert [group.get("fill") for group in groups] == [f"url(#heat-blob-{i})" for i in (1, 3, 5)]
    (hottest,) = all_of(groups[-1], "circle")
    assert (hottest.get("cx"), hottest.get("cy")) == ("50", "70")
    assert text_of(hottest) == "40 px from the left, 60 px from the top: 100"


def test_the_table_lists_the_hottest_places() -> None:
    cells = [HeatCell(20 * i, 0, i + 1) for i in range(60)]
    rows = [[text_of(cell) for cell in line] for line in all_of(parsed(heat_map(cells, FORMATS, FORMATS.t)), "tr")]
    assert len(rows) == MAX_PLACES + 1
    assert rows[:2] == [["Place", "Clicks"], ["1,180 px from the left, 0 px from the top", "60"]]


def test_spots_are_no_more_than_a_page_can_carry() -> None:
    cells = [HeatCell(i % 60 * 20, i // 60 * 20, 1 + i % 7) for i in range(5000)]
    markup = heat_map(cells, FORMATS, FORMATS.t)
    assert len(all_of(parsed(markup), "circle")) == MAX_SPOTS
    assert len(markup) < 70_000


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.builds(HeatCell, st.integers(-100, 10**6), st.integers(-100, 10**6), st.integers(-1, 10**12)), max_size=30
    )
)
def test_whatever_comes_is_a_picture_whose_spots_lie_on_the_page(cells: list[HeatCell]) -> None:
    tree = parsed(heat_map(cells, FORMATS, FORMATS.t))
    for page in all_of(tree, "svg", "heat-page"):
        width, height = box_of(page)
        for spot in all_of(page, "circle"):
            assert 0 <= float(spot.get("cx", "")) <= width
            assert 0 <= float(spot.get("cy", "")) <= height
        for rect in all_of(page, "rect"):
            assert float(rect.get("x", "0")) + float(rect.get("width", "")) <= width
