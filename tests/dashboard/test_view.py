"""A view as the query string of a link: there and back, one form only, and what is no view."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maicivy.core.date_ranges import Days
from maicivy.core.query import VISIT_DIMENSIONS
from maicivy.dashboard.panels import CARDS, PANELS, card_of, default_panels, panels_of, shown_panel
from maicivy.dashboard.parameters import condition, read_view
from maicivy.dashboard.view import (
    COMPARISONS,
    INTERVALS,
    METRICS,
    NAMES,
    PERIODS,
    View,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
DAYS = st.builds(
    lambda first, length: Days(first, first + timedelta(days=length)),
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.integers(0, 400),
)


@st.composite
def views(draw: st.DrawFn) -> View:
    view = View(zone=draw(st.sampled_from(["", "UTC", "Europe/Paris", "Asia/Kolkata"])))
    period = draw(st.sampled_from([*PERIODS, "custom"]))
    view = view.with_period(period, draw(DAYS) if period == "custom" else None)
    compare = draw(st.sampled_from(COMPARISONS))
    view = view.with_comparison(compare, draw(DAYS) if compare == "custom" else None)
    if compare in ("previous", "year"):
        view = view.with_weekday(draw(st.booleans()))
    view = view.with_metric(draw(st.sampled_from(METRICS))).with_interval(draw(st.sampled_from(["", *INTERVALS])))
    for key in draw(st.lists(st.sampled_from(list(PANELS)), max_size=4)):
        view = view.with_panel(key)
    for operator, dimension, values in draw(
        st.lists(
            st.tuples(
                st.sampled_from(["is", "is_not", "contains", "contains_not"]),
                st.sampled_from(
                    ["event:page", "visit:country", "event:props:a,b%2C", "event:props:%", *VISIT_DIMENSIONS]
                ),
                st.lists(TEXTS, min_size=1, max_size=3),
            ),
            max_size=4,
        )
    ):
        view = view.with_filter(condition(operator, dimension, values))
    return view.with_bots(draw(st.booleans())).with_property(draw(TEXTS)).with_heat(draw(st.just("") | st.just("/a b")))


@settings(deadline=None)
@given(views())
def test_a_view_that_is_written_and_read_is_the_same(view: View) -> None:
    assert read_view(parse_qsl(view.query(), keep_blank_values=True)) == view


@settings(deadline=None)
@given(views(), st.randoms())
def test_views_that_are_the_same_have_the_same_url(view: View, random: Any) -> None:
    pairs = view.pairs()
    random.shuffle(pairs)
    assert read_view(pairs).query() == view.query()


@settings(deadline=None)
@given(views(), st.sampled_from(["event:page", "visit:city"]), TEXTS)
def test_a_filter_that_is_set_and_taken_away_leaves_the_others(view: View, dimension: str, value: str) -> None:
    others = tuple(each for each in view.filters if (each.dimension, each.operator) != (dimension, "is"))
    there = view.toggled(dimension, value) if not view.is_filtered_by(dimension, value) else view
    assert there.is_filtered_by(dimension, value)
    assert there.toggled(dimension, value).filters == others


def test_the_default_view_has_no_parameters() -> None:
    assert View().query() == ""
    assert View().url("/dashboard/x") == "/dashboard/x"
    assert read_view([(name, "") for name in NAMES]) == View()


@pytest.mark.parametrize(
    ("view", "query"),
    [
        (View(period="7d"), "period=7d"),
        (View("custom", Days(date(2026, 2, 1), date(2026, 2, 28))), "period=custom&from=2026-02-01&to=2026-02-28"),
        (View(filters=(condition("is", "event:page", ["/a,b", "/100%"]),)), "f=is,event:page,/100%2525,/a%252Cb"),
        (View(show=("countries",), compare="off"), "compare=off&show=countries"),
        (View(filters=(condition("is", "visit:city", [""]),)), "f=is,visit:city,"),
        (View(filters=(condition("is", "visit:source", ["a&b=c#d"]),)), "f=is,visit:source,a%26b%3Dc%23d"),
    ],
)
def test_a_view_is_written_so(view: View, query: str) -> None:
    assert view.query() == query
    assert read_view(parse_qsl(query, keep_blank_values=True)) == view


def test_an_is_takes_the_place_of_another() -> None:
    view = View().toggled("visit:country", "DE").toggled("visit:country", "FR").toggled("visit:os", "Linux")
    assert [each.written() for each in view.filters] == ["is,visit:country,FR", "is,visit:os,Linux"]


def test_a_url_that_no_server_would_take_is_none() -> None:
    assert View().toggled("event:props:x", "é" * 1500).url("/dashboard/1") == ""


def test_each_card_shows_one_panel() -> None:
    assert [card_of(key) for key in default_panels()] == list(CARDS)
    view = View().with_panel("countries").with_panel("browsers")
    assert view.show == ("countries", "browsers")
    assert view.with_panel("cities").show == ("cities", "browsers")
    assert view.with_panel(panels_of("places")[0]).show == ("browsers",)
    assert shown_panel("places", view.show) == "countries"
    assert shown_panel("pages", view.show) == "pages"


def test_another_range_has_intervals_of_its_own() -> None:
    assert View(interval="hour").with_period("12mo").interval == ""
