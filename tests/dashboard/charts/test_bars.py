"""Bars behind rows."""

from __future__ import annotations

import pytest

from maicivy.dashboard.charts.bars import bar
from tests.dashboard.charts.pictures import all_of, parsed


@pytest.mark.parametrize(("share", "width"), [
    (0, "0%"),
    (1, "100%"),
    (0.425, "42.5%"),
    (1 / 3, "33.33%"),
    (7, "100%"),
    (-1, "0%"),
    (float("nan"), "0%"),
    (float("inf"), "0%"),
])  # fmt: skip
def test_a_bar_is_as_long_as_its_share(share: float, width: str) -> None:
    tree = parsed(bar(share))
    (rect,) = all_of(tree, "rect")
    assert rect.get("width") == width
    assert tree.get("aria-hidden") == "true"
