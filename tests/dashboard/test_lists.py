"""Panels: their rows are those of the API, by the names that people know, each a link that filters."""

from __future__ import annotations

from maicivy.bootstrap import Maicivy
from maicivy.dashboard.panels import PANELS
from maicivy.dashboard.view import View
from tests.dashboard.visited import (
    ago,
    ask,
    did,
    panel_of,
    put,
)


def test_the_rows_of_each_panel_are_those_of_the_api(parts: Maicivy) -> None:
    for key, spec in PANELS.items():
        panel = panel_of(parts, View(), key)
        assert panel.problem is None
        assert panel.rows, key
        assert panel.rows[0].share == 1.0
        assert all(row.url.startswith("/dashboard/example.org?") for row in panel.rows)
        if key != "properties":
            dimensions = [name for name in (spec.within, spec.dimension) if name]
            filters = [[operator, dimension, list(values)] for operator, dimension, values in spec.conditions]
            answer = ask(
                parts,
                metrics=list(spec.metrics),
                dimensions=dimensions,
                filters=filters,
                pagination={"limit": spec.rows},
            )
            assert [(row.value, list(row.numbers)) for row in panel.rows] == [
                (result.dimensions[-1], result.metrics) for result in answer.results
            ]


def test_a_row_is_shown_by_its_name_and_links_to_its_page(parts: Maicivy) -> None:
    assert [(row.value, row.text) for row in panel_of(parts, View(), "countries").rows][:2] == [
        ("DE", "Germany"),
        ("FR", "France"),
    ]
    assert [row.href for row in panel_of(parts, View(), "pages").rows] == [
        "https://example.org/",
        "https://example.org/pricing",
    ]
    assert {(row.within, row.value) for row in panel_of(parts, View(), "browser_versions").rows} == {
        ("Chrome", "130.0"),
        ("Firefox", "131.0"),
    }


def test_a_click_on_a_row_filters_by_it_and_the_next_one_no_more(parts: Maicivy) -> None:
    row = panel_of(parts, View(), "countries").rows[0]
    assert row.url == "/dashboard/example.org?f=is,visit:country,DE&show=countries"
    filtered = View().toggled("visit:country", "DE")
    (again,) = panel_of(parts, filtered, "countries").rows
    assert (again.is_filtered, again.url) == (True, "/dashboard/example.org?show=countries")
    version = panel_of(parts, View(), "browser_versions").rows[0]
    assert version.url.count("f=is,visit:browser") == 2


def test_properties_are_those_that_events_have(parts: Maicivy) -> None:
    panel = panel_of(parts, View(), "properties")
    assert [(choice.text, choice.is_selected) for choice in panel.choices] == [("plan", True), ("seats", False)]
    assert [(row.value, row.numbers) for row in panel.rows] == [("team", (1, 1))]
    assert panel.rows[0].url == "/dashboard/example.org?f=is,event:props:plan,team&show=properties"
    seats = panel_of(parts, View(prop="seats"), "properties")
    assert [row.value for row in seats.rows] == ["3"]
    unheard = panel_of(parts, View(prop="colour"), "properties")
    assert (unheard.rows, unheard.choices[-1].text) == ((), "colour")
    other = View().toggled("event:name", "page_view")
    assert panel_of(parts, other, "properties").choices == ()


def test_what_a_tracker_measures_is_no_property(empty: Maicivy) -> None:
    data = {"x": 10, "y": 20, "interactive": False, "engagement_ms": 5, "scroll_depth": 6, "button": "cta", "more": {}}
    put(empty, did("click", ago(hours=1), data=data), did("engagement", ago(hours=1), data={"odd": 1}))
    assert [choice.text for choice in panel_of(empty, View(), "properties").choices] == ["button"]


def test_events_are_all_but_page_views(parts: Maicivy) -> None:
    assert [row.value for row in panel_of(parts, View(), "events").rows] == ["signup"]
