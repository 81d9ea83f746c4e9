"""Paths are short and go through every point that is known, and through no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.dashboard.charts.paths import areas, dots, edges, runs, strokes
from tests.dashboard.charts.pictures import points_of


@pytest.mark.parametrize(("heights", "line", "area", "alone"), [
    ([], "", "", ""),
    ([None, None], "", "", ""),
    ([7], "", "", "M1 7h0"),
    ([7, 3], "M1 7l2-4", "M1 7l2-4V9H1z", ""),
    ([7, 3, 3, 5], "M1 7l2-4 2 0 2 2", "M1 7l2-4 2 0 2 2V9H1z", ""),
    ([7, 3, None, 5, None, 1, 2], "M1 7l2-4M11 1l2 1", "M1 7l2-4V9H1zM11 1l2 1V9H11z", "M7 5h0"),
])  # fmt: skip
def test_a_line_is_lifted_over_gaps(heights: list[int | None], line: str, area: str, alone: str) -> None:
    assert strokes(heights, edges(heights)) == line
    assert areas(heights, 9) == area
    assert dots(heights) == alone


@given(st.lists(st.none() | st.integers(0, 2000), max_size=60))
def test_line_and_dots_go_through_all_that_is_known_and_nothing_else(heights: list[int | None]) -> None:
    path = strokes(heights, edges(heights)) + dots(heights)
    known = {(2 * i + 1, height) for i, height in enumerate(heights) if height is not None}
    assert (set(points_of(path)) if path else set()) == known


@pytest.mark.parametrize(("flags", "expected"), [
    ([], []),
    ([False], []),
    ([True], [(0, 1)]),
    ([True, False, True, True], [(0, 1), (2, 4)]),
])  # fmt: skip
def test_runs_are_half_open(flags: list[bool], expected: list[tuple[int, int]]) -> None:
    assert list(runs(flags)) == expected


def test_two_thousand_points_are_a_few_kilobytes() -> None:
    heights: list[int | None] = [(i * 7919) % 1960 for i in range(2000)]
    assert len(strokes(heights, edges(heights))) < 16_000
