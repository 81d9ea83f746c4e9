"""Text that is safe by the way it is made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from maicivy.dashboard.charts.svg import percent, short, tag
from tests.dashboard.charts.pictures import HOSTILE, parsed, text_of


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(text: str) -> None:
    tree = parsed(tag("g", tag("title", text), aria_label=text, class_="a"))
    assert text_of(tree) == text
    assert tree.attrib == {"aria-label": text, "class": "a"}


def test_markup_stays_what_it_is() -> None:
    assert tag("g", Markup("<a>b</a>"), "<c>") == "<g><a>b</a>&lt;c&gt;</g>"


def test_names_of_attributes_are_those_of_svg() -> None:
    assert tag("svg", view_box="0 0 1 1", data_point=3, x=None) == '<svg viewBox="0 0 1 1" data-point="3"></svg>'


def test_elements_without_children_close_themselves_but_containers_do_not() -> None:
    assert tag("path", d="M1 1h0") == '<path d="M1 1h0"/>'
    assert tag("a", href="/") == '<a href="/"></a>'


@pytest.mark.parametrize(("number", "text"), [
    (0, "0"), (12, "12"), (100, "100"), (12.5, "12.5"), (1 / 3, "0.33"), (-0.001, "0"), (1e15, "1000000000000000"),
])  # fmt: skip
def test_numbers_are_short(number: float, text: str) -> None:
    assert short(number) == text


@given(st.floats(0, 1))
def test_shares_are_percents(share: float) -> None:
    assert abs(float(percent(share).removesuffix("%")) - share * 100) <= 0.005 + 1e-9
