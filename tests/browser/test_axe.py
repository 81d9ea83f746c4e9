"""axe-core finds nothing serious on any page, in both themes, on a phone and on a desk; and what it cannot find."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from maicivy.core.gate import Gate
from maicivy.core.sites import Site
from maicivy.demo import history
from tests.browser.axe import violations
from tests.browser.chromium import Complaints
from tests.browser.serving import Service

Axe = Callable[[Page], list[str]]
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def server_environ() -> dict[str, str]:
    return {"MAICIVY_DEMO": "1"}


@pytest.fixture(scope="module")
def site(server: Service) -> Site:
    """The default site, with what a few visitors of the demo did yesterday and today; and another one that waits."""
    parts = server.parts
    now = parts.now()
    gate = Gate(now, timedelta(days=90), parts.settings.query_params)
    made = history.events(random.Random(3), now, 2, server.url, gate, parts.salts.current(now))
    parts.inbox.append([next(made) for _ in range(300)])
    server.settle()
    server.site("waiting.example")
    site = parts.sites.all()[0]
    assert site.id == 1
    return site


VIEWS = {
    "the dashboard": "/dashboard/1?period=7d",
    "hours, with a filter and countries": "/dashboard/1?period=24h&f=is%2Cvisit%3Adevice%2Cdesktop&show=countries",
    "nothing in the view": "/dashboard/1?f=is%2Cvisit%3Acountry%2CAQ",
    "details": "/dashboard/1/details/pages",
    "the timeline": "/dashboard/1/moments",
    "a new site": "/dashboard/waiting.example",
    "the list of sites": "/dashboard",
    "a view that there is not": "/dashboard/1?period=never",
    "the wall": "/live/1",
}
OTHERS = {
    "the demo": "/",
    "the demo's CV": "/cv?theme=data",
    "a project of the demo": "/projects/tidetable",
    "the demo's letters": "/letters?kind=motivation&company=Acme&role=data",
}


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 360)])
@pytest.mark.parametrize("path", VIEWS.values(), ids=VIEWS.keys())
def test_nothing_keeps_people_from_the_dashboard(
    server: Service, site: Site, page: Page, complaints: Complaints, axe: Axe, path: str, scheme: Scheme, width: int
) -> None:
    complaints.expect("period=never")  # a 400
    shown(page, server.url + path, scheme, width)
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out at the side"


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1440)])
def test_the_dashboard_is_for_everybody_the_other_way_round_too(
    server: Service, site: Site, page: Page, axe: Axe, scheme: Scheme, width: int
) -> None:
    shown(page, f"{server.url}/dashboard/1?lang=fr", scheme, width)
    assert page.locator("html").get_attribute("lang") == "fr"
    assert axe(page) == []


@pytest.mark.parametrize("path", OTHERS.values(), ids=OTHERS.keys())
def test_nothing_keeps_people_from_the_other_pages(
    server: Service, site: Site, page: Page, axe: Axe, path: str
) -> None:
    shown(page, server.url + path, "light", 1440)
    assert axe(page) == []
    shown(page, server.url + path, "dark", 360)
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, "nothing sticks out at the side"


def test_nothing_keeps_people_from_what_is_said_of_the_api(server: Service, page: Page) -> None:
    """The beginning of each section: axe-core takes half a minute for all of it."""
    shown(page, f"{server.url}/api/docs", "light", 1440)
    page.evaluate("document.querySelectorAll('article:nth-of-type(n + 2)').forEach((article) => article.remove())")
    assert violations(page) == []


def test_what_is_said_of_a_figure_goes_away_with_escape_and_comes_back(server: Service, site: Site, page: Page) -> None:
    """It covers what is below, under the pointer as with the focus: WCAG 2.1, 1.4.13."""
    shown(page, f"{server.url}/dashboard/1?period=7d", "light", 1440)
    button, box = page.locator(".card-sources .how-button"), page.locator(".card-sources .how-box")
    button.focus()
    expect(box).to_be_visible()
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(box).to_be_visible()
    page.keyboard.press("Tab")
    button.hover()
    expect(box).to_be_visible()
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    page.mouse.move(0, 0)
    button.hover()
    expect(box).to_be_visible()


def test_names_can_be_read_on_a_phone(server: Service, site: Site, page: Page) -> None:
    shown(page, f"{server.url}/dashboard/1?lang=fr", "light", 360)
    page.locator(".site-when summary").first.click()
    for choice in page.locator(".menu-wide .menu-list span").all():
        assert choice.evaluate("(text) => text.scrollWidth - text.clientWidth") <= 0, choice.inner_text()
    page.keyboard.press("Escape")
    page.locator(".card-pages a[data-details]").click()
    dialog = page.locator("dialog[open]")
    assert dialog.locator("tbody .name").first.evaluate("(name) => name.clientWidth") >= 180
    sides = "(first) => [first.getBoundingClientRect().right, first.closest('.scroll').getBoundingClientRect().right]"
    end_of_number, end_of_room = dialog.locator("tbody .number").first.evaluate(sides)
    assert end_of_number <= end_of_room


def shown(page: Page, url: str, scheme: Scheme, width: int) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(url)
