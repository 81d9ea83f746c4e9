"""The dashboard in a real Chromium: what it shows is what the API answers, whatever was sent is text, and links, forms
and the back button do what they say, with a script and without."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, expect

from maicivy.core.events import Traits
from maicivy.core.sites import Site
from maicivy.dashboard.formats import formats_for
from maicivy.dashboard.over_time import FIGURES
from maicivy.dashboard.panels import CARDS, PANELS, panels_of
from maicivy.dashboard.parameters import condition
from maicivy.dashboard.view import PERIODS, View
from tests.browser.serving import Service
from tests.dashboard.visited import BERLIN, CHROME, PARIS, did, put
from tests.naughty import STRINGS

TOKEN = "0123456789abcdef"
FORMATS = formats_for("en")
LONG = "long" * 500
NAME = "x" * 64  # of a property, with nowhere to break a line
BAD = "<script>alert('1')</script>\"'><img src=x onerror=alert(2)>\u202e{{7*7}}"
FILTERS = (
    condition("is", "visit:country", ["FR"]),
    condition("is_not", "visit:browser", ["Chrome"]),
    condition("contains", "event:page", ["CV"]),
    condition("is", "event:props:plan", ["team"]),
)


@pytest.fixture(scope="module")
def server_environ() -> dict[str, str]:
    return {"MAICIVY_ADMIN_TOKEN": TOKEN}


@pytest.fixture(scope="module")
def visited(server: Service) -> Site:
    """A site with visits of an hour ago and of twelve days ago."""
    site = server.site()
    at = server.parts.now() - timedelta(hours=1)
    events = [
        did("page_view", at, 1, "/", referrer="https://www.google.com/search"),
        did("page_view", at + timedelta(minutes=1), 1, "/cv"),
        did("signup", at + timedelta(minutes=2), 1, "/cv", data={"plan": "team"}),
        did("page_view", at, 2, "/cv", BERLIN),
        did("page_view", at - timedelta(days=12), 3, "/", BERLIN),
        did("page_view", at - timedelta(days=12), 4, "/pricing", PARIS),
    ]
    put(server.parts, *(msgspec.structs.replace(each, site_id=site.id) for each in events))
    return site


@pytest.fixture(scope="module")
def hostile(server: Service) -> Site:
    """A site that was sent what nobody should send, in every field."""
    site = server.site()
    at = server.parts.now() - timedelta(minutes=40)
    for number, text in enumerate([BAD, LONG, *STRINGS.values()]):
        short = text[:200]
        traits = Traits(CHROME, short, short, short, short, 1920, 1080, (short,) * 5)
        for name in ("page_view", "signup"):
            happened = did(name, at, 9000 + number, f"/{text[:480]}", traits, {"plan": text, NAME: number, "y": 1})
            put(server.parts, msgspec.structs.replace(happened, site_id=site.id, referrer=f"https://{short or 'x'}/"))
    return site


@pytest.fixture
def plain(browse: Callable[..., Page]) -> Page:
    """A page in a browser that runs no scripts."""
    return browse(java_script_enabled=False, locale="en")


def path(site: Site, view: View | None = None, below: str = "") -> str:
    return (view or View()).url(f"/dashboard/{site.domain}{below}")


def alone(site: Site, view: View) -> str:
    """The figures without the rest, which takes less time."""
    return view.url(f"/dashboard/{site.domain}", [("parts", "figures")])


def figures(page: Page) -> list[str]:
    return [str(each.get_attribute("title") or "") for each in page.locator(".figure-value").all()]


def expected(server: Service, site: Site, **members: Any) -> list[str]:
    (row,) = server.ask(site, list(FIGURES), **members)
    pairs = zip(FIGURES, row["metrics"], strict=True)
    return [FORMATS.exactly(name, value) if value is not None else "" for name, value in pairs]


def key(*values: str) -> str:
    """What a row is known by: its value behind the one that it belongs to."""
    return " ".join(values if len(values) > 1 else ("", *values))


def keys(page: Page) -> list[str]:
    return [str(row.get_attribute("data-key")) for row in page.locator("tr[data-key]").all()]


def rows(page: Page, card: str) -> list[tuple[str, str]]:
    """Value and first figure of each row of a card."""
    found = page.locator(f"[data-part='card-{card}'] table.rows tbody tr")
    return [(str(row.get_attribute("data-key")), row.locator("td").first.inner_text().strip()) for row in found.all()]


def test_each_range_and_filter_shows_the_figures_of_the_api(server: Service, visited: Site, plain: Page) -> None:
    for period, date_range in PERIODS.items():
        plain.set_content(plain.request.get(server.url + alone(visited, View(period))).text())
        assert figures(plain) == expected(server, visited, date_range=date_range), period
    for one in FILTERS:
        plain.set_content(plain.request.get(server.url + alone(visited, View(filters=(one,)))).text())
        assert figures(plain) == expected(server, visited, date_range="28d", filters=[one.asked()])


def test_each_panel_shows_the_rows_of_the_api(server: Service, visited: Site, plain: Page) -> None:
    for number in range(max(len(panels_of(card)) for card in CARDS)):
        view = View()
        for card in CARDS:
            view = view.with_panel(panels_of(card)[number % len(panels_of(card))])
        plain.goto(server.url + path(visited, view))
        for card in CARDS:
            spec = PANELS[panels_of(card)[number % len(panels_of(card))]]
            if spec.key in ("map", "properties"):
                continue
            answer = server.ask(
                visited,
                list(spec.metrics),
                date_range="28d",
                dimensions=[name for name in (spec.within, spec.dimension) if name],
                filters=[[operator, dimension, list(values)] for operator, dimension, values in spec.conditions],
            )
            assert answer, spec.key
            assert rows(plain, card) == [(key(*row["dimensions"]), str(row["metrics"][0])) for row in answer]


def test_a_click_filters_and_the_back_button_takes_it_back(server: Service, visited: Site, page: Page) -> None:
    page.goto(server.url + path(visited))
    before = figures(page)
    page.locator("[data-part='card-pages'] tr[data-key=' /pricing'] a[data-nav]").click()
    page.wait_for_url("**f=is,event:page,/pricing")
    expect(page.locator(".chip")).to_have_count(1)
    assert figures(page) == expected(server, visited, date_range="28d", filters=[["is", "event:page", ["/pricing"]]])
    page.go_back()
    expect(page.locator(".chip")).to_have_count(0)
    assert page.url == server.url + path(visited)
    assert figures(page) == before
    page.go_forward()
    expect(page.locator(".chip")).to_have_count(1)
    page.locator(".chip .chip-off").first.click()
    expect(page.locator(".chip")).to_have_count(0)
    assert figures(page) == before


def test_a_filter_is_added_by_a_form_without_a_script(server: Service, visited: Site, plain: Page) -> None:
    plain.goto(server.url + path(visited, View("7d")))
    form = plain.locator("form:has(select[name='fdim']):has(input[name='fval'])").last
    plain.locator("details:has(select[name='fdim'])").last.locator("summary").first.click()
    form.locator("select[name='fdim']").select_option("event:page")
    form.locator("select[name='fop']").select_option("contains")
    form.locator("input[name='fval']").first.fill("Cv")
    form.locator("button").last.click()
    plain.wait_for_url("**/dashboard/**period=7d&f=contains,event:page,Cv")
    asked = condition("contains", "event:page", ["Cv"]).asked()
    assert figures(plain) == expected(server, visited, date_range="7d", filters=[asked])


def test_whatever_was_sent_is_text(server: Service, hostile: Site, page: Page) -> None:
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    for number in range(max(len(panels_of(card)) for card in CARDS)):
        view = View()
        for card in CARDS:
            view = view.with_panel(panels_of(card)[number % len(panels_of(card))])
        page.goto(server.url + path(hostile, view))
        nothing_stirs(page)
    for panel in ("pages", "properties", "utm_sources"):
        page.goto(server.url + path(hostile, below=f"/details/{panel}"))
        nothing_stirs(page)
        wanted = f"/{BAD}" if panel == "pages" else BAD
        assert key(wanted) in keys(page)
    page.goto(server.url + path(hostile, View(filters=(condition("is", "event:props:plan", [BAD]),))))
    nothing_stirs(page)
    expect(page.locator(".chip")).to_contain_text("<script>alert('1')</script>")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(server.url + path(hostile, View(prop=NAME, show=("properties",))))
    expect(page.locator(".card-events th").first).to_have_text(NAME)
    nothing_stirs(page)
    for panel, count in (("properties", 2), ("pages", 1)):
        page.goto(server.url + path(hostile, below=f"/details/{panel}"))
        for box in [cell.bounding_box() for cell in page.locator("tbody tr").first.locator("td").all()][:count]:
            assert box is not None
            assert box["x"] + box["width"] <= 360, "a phone shows the first numbers without being moved"
    page.goto(server.url + path(hostile, View(filters=(condition("is", f"event:props:{NAME}", ["1"]),))))
    assert figures(page)[0] == "1"
    assert said == []


def nothing_stirs(page: Page) -> None:
    """No markup came out of the data, and nothing is wider than the window."""
    assert page.locator("img, iframe, object, embed, [onerror], [onload], [onmouseover], main script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")


def test_a_file_has_what_was_sent_and_no_formula(server: Service, hostile: Site, page: Page) -> None:
    page.goto(server.url + path(hostile, below="/details/utm_sources"))
    with page.expect_download() as download:
        page.locator("a[download]").click()
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        found = list(csv.reader(file))
    assert BAD in [row[0] for row in found]
    assert not [cell for row in found for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert download.value.suggested_filename.startswith(f"maicivy-{hostile.domain}-utm_sources-")


def test_details_are_searched_and_sorted_without_a_script(server: Service, visited: Site, plain: Page) -> None:
    plain.goto(server.url + path(visited))
    plain.locator("[data-part='card-pages'] a[data-details]").click()
    plain.wait_for_url("**/details/pages")
    assert keys(plain) == [key("/"), key("/cv"), key("/pricing")]
    plain.locator("thead a").first.click()
    plain.locator("thead a").first.click()
    assert plain.url.endswith("sort=-value")
    assert keys(plain) == [key("/pricing"), key("/cv"), key("/")]
    plain.locator("input[type='search']").fill("CV")
    plain.locator("form[role='search'] button").click()
    plain.wait_for_url("**search=CV**")
    assert keys(plain) == [key("/cv")]


def test_what_is_not_public_is_opened_by_the_token(server: Service, page: Page, complaints: Any) -> None:
    secret = server.site(is_public=False)
    complaints.expect("401")
    page.goto(server.url + path(secret, View("7d")))
    page.locator("input[name='token']").fill("wrong wrong wrong")
    page.locator("form.unlock button").click()
    expect(page.locator("[role='alert']")).to_be_visible()
    page.locator("input[name='token']").fill(TOKEN)
    page.locator("form.unlock button").click()
    page.wait_for_url(f"**{path(secret, View('7d'))}")
    expect(page.locator("h1")).to_contain_text(secret.domain)
    expect(page.locator("[data-live-state='on']")).to_be_attached()
    assert page.evaluate("document.cookie") == ""
