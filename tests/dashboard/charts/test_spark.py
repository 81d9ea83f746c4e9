"""Tiny lines: whatever values come, a picture inside its box that says nothing to screen readers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.dashboard.charts.spark import spark
from maicivy.dashboard.page import Number
from tests.dashboard.charts.pictures import all_of, box_of, parsed, points_of


@pytest.mark.parametrize(("values", "paths"), [
    ([], []),
    ([None, None], []),
    ([5], ["M1 10h0"]),
    ([0, 0], ["M1 190l2 0V200H1z", "M1 190l2 0"]),
    ([1.7e308, 0], ["M1 10l2 180V200H1z", "M1 10l2 180"]),
    ([0, 2, 1], ["M1 190l2-180 2 90V200H1z", "M1 190l2-180 2 90"]),
])  # fmt: skip
def test_values_are_a_line(values: list[Number], paths: list[str]) -> None:
    assert [path.get("d") for path in all_of(parsed(spark(values)), "path")] == paths


@given(st.lists(st.none() | st.floats() | st.integers(-10, 10**15), max_size=50))
def test_whatever_comes_is_a_picture_inside_its_box(values: list[Number]) -> None:
    tree = parsed(spark(values))
    assert tree.get("aria-hidden") == "true"
    width, height = box_of(tree)
    for path in all_of(tree, "path"):
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points_of(path.get("d", "")))
