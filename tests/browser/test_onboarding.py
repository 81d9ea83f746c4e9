"""A new site from its first look on: what to paste, the first event, the list of sites; the two ways of the demo."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Pages, Service

Browse = Callable[..., Page]


@pytest.fixture(scope="module")
def server_environ() -> dict[str, str]:
    return {"MAICIVY_DEMO": "1"}


def view(path: str = "/", **more: object) -> dict[str, object]:
    return {"event_type": "page_view", "page_url": path, **more}


BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


def test_a_new_site_shows_what_to_paste_with_its_own_id(server: Service, page: Page) -> None:
    site = server.site()
    page.goto(f"{server.url}/dashboard/{site.domain}")
    tag = page.locator("#snippet-script")
    expect(tag).to_have_text(
        f'<script defer src="{server.url}/js/maicivy.js" data-site="{site.measurement_id}"></script>'
    )
    expect(page.locator("#snippet-flask")).to_contain_text(f'site="{site.measurement_id}"')
    expect(page.locator("#snippet-curl")).to_contain_text(f"curl {server.url}/api/v1/analytics/event")
    expect(page.locator("[data-new-state]")).to_be_visible()
    expect(page.locator(".figures")).to_have_count(0)


def test_a_line_is_copied_by_its_button(server: Service, browse: Browse) -> None:
    page = browse(permissions=["clipboard-read", "clipboard-write"])
    site = server.site()
    page.goto(f"{server.url}/dashboard/{site.domain}")
    button = page.locator('[data-copy="snippet-script"]')
    button.click()
    expect(button).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#snippet-script").inner_text()


def test_the_page_becomes_the_dashboard_with_the_first_event(server: Service, page: Page) -> None:
    site = server.site()
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{server.url}/dashboard/{site.domain}")
    expect(page.locator('[data-live-state="on"]')).to_be_attached()
    page.locator("[data-new-state]").scroll_into_view_if_needed()
    server.send(view("/first", measurement_id=site.measurement_id), **BROWSER)
    expect(page.locator(".figures")).to_be_visible(timeout=15_000)
    expect(page.locator(".figure-value").first).to_be_in_viewport()
    expect(page.locator('[data-part="card-pages"]')).to_contain_text("/first")
    expect(page.locator("[data-new]")).to_have_count(0)


def test_the_line_that_was_pasted_brings_the_first_event(server: Service, pages: Pages, browse: Browse) -> None:
    waiting, visitor = browse(), browse()
    site = server.site()
    waiting.goto(f"{server.url}/dashboard/{site.domain}")
    expect(waiting.locator('[data-live-state="on"]')).to_be_attached()
    pages["/pasted"] = f"<!doctype html><title>A page</title>{waiting.locator('#snippet-script').inner_text()}<p>hello"
    visitor.goto(pages.url("/pasted"))
    expect(waiting.locator('[data-part="card-pages"]')).to_contain_text("/pasted", timeout=15_000)


def test_without_scripts_the_lines_are_there_and_reloading_is_said(server: Service, browse: Browse) -> None:
    page = browse(java_script_enabled=False)
    site = server.site()
    page.goto(f"{server.url}/dashboard/{site.domain}")
    expect(page.locator("#snippet-script")).to_be_visible()
    expect(page.locator("[data-copy]").first).to_be_hidden()
    server.send(view("/later", measurement_id=site.measurement_id), **BROWSER)
    page.reload()
    expect(page.locator(".figures")).to_be_visible()


def test_several_sites_are_listed_with_their_visitors(server: Service, page: Page) -> None:
    site = server.site()
    server.send(view(measurement_id=site.measurement_id), **BROWSER)
    page.goto(f"{server.url}/dashboard")
    row = page.get_by_role("row").filter(has_text=site.domain)
    expect(row.locator(".sites-visitors")).to_have_text("1")
    expect(row.locator("svg.spark")).to_be_visible()
    row.get_by_role("link").click()
    expect(page.locator("h1")).to_contain_text(site.domain)


def test_hostile_words_stay_words(server: Service, page: Page) -> None:
    site = server.site()
    hostile = "<img src=x onerror=alert(1)>\u202e'\"&{{7*7}}"
    data = {"theme": hostile, "x": 30, "y": 40, hostile: hostile}
    events = [
        view("/<b>bold", measurement_id=site.measurement_id, event_data=data),
        {
            "event_type": "letter_generated",
            "measurement_id": site.measurement_id,
            "event_data": {"type": "motivation"},
            "page_url": "/",
        },
    ]
    server.send(*events, **BROWSER)
    page.goto(f"{server.url}/dashboard/{site.domain}")
    extras = page.locator('[data-part="extras"]')
    expect(extras.get_by_role("row").filter(has_text=hostile)).to_have_count(1)
    expect(extras).to_contain_text("Motivation")
    expect(page.locator("#heatmap")).to_be_visible()
    page.goto(f"{server.url}/dashboard/{site.domain}/moments")
    expect(page.locator("[data-moments]")).to_contain_text(hostile)
    expect(page.locator("[data-moments] img")).to_have_count(0)


def test_the_timeline_goes_back_by_links_alone(server: Service, browse: Browse) -> None:
    site = server.site()
    events = [view(f"/{number}", measurement_id=site.measurement_id) for number in range(50)]
    for event in events:
        server.post("/api/v1/analytics/event", event, **BROWSER)
    server.settle()
    page = browse(java_script_enabled=False)
    page.goto(f"{server.url}/dashboard/{site.domain}/moments")
    seen: list[str] = []
    while True:
        seen += page.locator(".moment-page").all_inner_texts()
        earlier = page.locator("[data-more]")
        if not earlier.count():
            break
        with page.expect_navigation():  # else a page that is half there is read
            earlier.click()
    assert sorted(seen) == sorted(str(event["page_url"]) for event in events)


def test_the_demo_and_its_dashboard_lead_to_each_other(server: Service, browse: Browse) -> None:
    page = browse()
    page.goto(server.url)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open the dashboard").click()
    beside = opened.value
    beside.get_by_role("link", name="Demo site").click()
    expect(beside.locator("h1")).to_have_text("Every page here counts itself.")
    beside.get_by_role("navigation", name="Pages").get_by_role("link", name="Dashboard").click()
    expect(beside).to_have_url(f"{server.url}/dashboard")
