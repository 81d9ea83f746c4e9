"""Charts in a real Chromium: labels keep apart in the fonts that there are, and pictures keep to their room."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from maicivy import web
from maicivy.dashboard.charts.heatmap import heat_map
from maicivy.dashboard.charts.series import series_chart
from maicivy.dashboard.charts.spark import spark
from maicivy.dashboard.charts.worldmap import world_map
from maicivy.dashboard.formats import Formats, formats_for
from maicivy.dashboard.page import HeatCell, Point, Row, Series
from tests.browser.serving import Pages

STYLES = Path(web.__file__).parent / "static" / "dashboard"
NOON = datetime(2026, 11, 20, tzinfo=UTC)
LENGTHS = {"minute": (30, 1), "hour": (168, 60), "day": (28, 1440), "week": (52, 10080)}

OVERLAPS = """() => [...document.querySelectorAll(".series-canvas, .series-scale")].flatMap((svg) => {
  const boxes = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()])
    .filter(([, box]) => box.width > 0);
  if (boxes.length < 2) return ["no labels"];
  return boxes.flatMap(([a, one], i) => boxes.slice(i + 1)
    .filter(([, two]) => one.left < two.right + 4 && two.left < one.right + 4
      && one.top < two.bottom && two.top < one.bottom)
    .map(([b]) => `${a} / ${b}`));
})"""
BEYOND = """() => [...document.querySelectorAll("svg, text, figcaption")]
  .filter((each) => each.getBoundingClientRect().right > innerWidth || each.getBoundingClientRect().left < 0)
  .map((each) => each.outerHTML.slice(0, 200))"""


def series(interval: str, metric: str) -> Series:
    count, minutes = LENGTHS[interval]
    starts = [NOON + timedelta(minutes=minutes * i) for i in range(count)]
    points = [Point(at, i * 977 % 4321, at, i * 31 % 5000, is_partial=i == count - 1) for i, at in enumerate(starts)]
    return Series(metric, interval, tuple(points), True, None, (), ())


def drawings(formats: Formats) -> str:
    """A page of charts with the sheets of the dashboard, as a page of another site."""
    t = formats.t
    rows = tuple(
        Row(code, formats.country(code), (900 - i,), 1.0, f"/?f={code}") for i, code in enumerate(("FR", "US"))
    )
    heat = tuple(HeatCell(i * 40 % 1200, i * 140, 1 + i) for i in range(20))
    charts = [
        *(series_chart(series(interval, "visitors"), formats, t) for interval in LENGTHS),
        series_chart(series("day", "visit_duration"), formats, t),
        world_map(rows, formats, t),
        heat_map(heat, formats, t),
        spark([1, 2, 3]),
    ]
    sheets = "".join((STYLES / name).read_text("utf-8") for name in ("dashboard.css", "charts.css"))
    return f"<!doctype html><html lang=en><title>Charts</title><style>{sheets}</style><main><h1>Charts</h1>" + "".join(
        charts
    )


@pytest.mark.parametrize("language", ["en-US", "fr-FR"])
def test_labels_keep_apart_and_charts_keep_to_their_room(pages: Pages, page: Page, language: str) -> None:
    pages["/"] = drawings(formats_for(language))
    page.goto(pages.url())
    for width in (360, 520, 768, 1440, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(OVERLAPS) == [], width
        assert page.evaluate(BEYOND) == [], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_countries_are_reached_by_keyboard_and_lead_somewhere(pages: Pages, page: Page) -> None:
    pages["/"] = drawings(formats_for("en-GB"))
    page.goto(pages.url())
    france = page.get_by_role("link", name="France: 900")
    france.focus()
    expect(france).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/?f=FR")
