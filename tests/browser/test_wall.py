"""The wall screen in a browser: it moves by itself, comes back by itself, and never grows."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, Route, expect

from maicivy.core.sites import Site
from tests.browser.chromium import USER_AGENT
from tests.browser.serving import Service

LIVE = '[data-live-state="on"]'
HOSTILE = "/<img/src=x/onerror=alert(1)>?q=\"'&amp;\u202egnp.exe" + "x" * 400


def view(page_url: str = "/", **members: Any) -> dict[str, Any]:
    return {"event_type": "page_view", "page_url": page_url} | members


def watch(page: Page, server: Service, query: str = "") -> Site:
    """The screen of a new site, once it is live."""
    site = server.site()
    page.goto(f"{server.url}/live/{site.domain}{query}")
    page.wait_for_selector(LIVE)
    return site


def send(server: Service, site: Site, *events: dict[str, Any]) -> None:
    server.send(*({"domain": site.domain} | event for event in events), **{"User-Agent": USER_AGENT})


def rows(page: Page) -> Any:
    return page.locator("[data-ticker] > li:not(.none)")


def test_what_happens_appears_without_a_reload(page: Page, server: Service) -> None:
    site = watch(page, server)
    page.evaluate("window.same = true")
    expect(page.locator(".wall-ticker .none")).to_be_visible()
    send(server, site, view("/cv"))
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text(re.compile("Page view.*/cv"))
    expect(page.locator(".wall-ticker .none")).to_have_count(0)
    expect(page.locator("[data-part=figures] dd").first).to_have_text("1")
    expect(page.locator("[data-part=pages] li")).to_have_text(re.compile(r"/cv\s+1"))
    expect(page.locator("[data-current]")).to_have_text("1")
    assert page.evaluate("window.same")


def test_a_screen_shows_all_of_it_without_scrolling(page: Page, server: Service) -> None:
    site = watch(page, server)
    send(server, site, *(view(f"/{number}") for number in range(9)))
    expect(page.locator("[data-part=pages] li")).to_have_count(6)
    for width, height in ((1920, 1080), (1280, 720), (3840, 2160)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("[document.body.scrollWidth, document.body.scrollHeight]") == [width, height]
        for listed in (page.locator("[data-part=pages] li"), rows(page).locator("visible=true")):
            expect(listed).to_have_count(6)
            last = listed.last.bounding_box()
            assert last is not None
            assert last["y"] + last["height"] <= height, "no row is cut off below"


def test_a_phone_scrolls_one_way_only(page: Page, server: Service) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    site = watch(page, server)
    send(server, site, view("/" + "long" * 100))
    expect(rows(page)).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_hostile_strings_are_text_and_no_longer_than_a_line(page: Page, server: Service) -> None:
    site = watch(page, server)
    send(server, site, view(HOSTILE), {"event_type": "constructor", "page_url": "/"})
    expect(rows(page)).to_have_count(2)
    said = rows(page).locator("bdi[data-slot=page]").all_text_contents()
    assert any(text.startswith("/<img/src=x/onerror=alert(1)>") for text in said)
    assert max(map(len, said)) <= 201
    expect(rows(page).locator("[data-slot=type]", has_text="constructor")).to_have_count(1)
    assert page.locator(".wall-ticker img, .wall-list img").count() == 0


def test_it_does_not_grow_however_much_happens(page: Page, server: Service) -> None:
    site = watch(page, server)
    counters = page.context.new_cdp_session(page)

    def size() -> tuple[int, int]:
        counters.send("HeapProfiler.collectGarbage")
        found = counters.send("Memory.getDOMCounters")
        return int(found["nodes"]), int(found["jsEventListeners"])

    def storm(name: str) -> None:
        send(server, site, *(view(f"/{name}/{number}") for number in range(1000)))
        expect(rows(page).first).to_contain_text(f"/{name}/999")
        # The figures of the whole storm are shown: nothing of it is still to come.
        expect(page.locator("[data-part=figures] dd").nth(2)).to_have_text("1,000" if name == "first" else "2,000")

    storm("first")
    nodes, listeners = size()
    storm("second")
    expect(rows(page)).to_have_count(8)
    again, more = size()
    assert again <= nodes + 50
    assert more <= listeners


def test_a_list_that_somebody_points_at_keeps_still(page: Page, server: Service) -> None:
    site = watch(page, server)
    send(server, site, view("/before"))
    expect(rows(page)).to_have_count(1)
    page.locator("[data-ticker]").hover()
    send(server, site, *(view(f"/{number}") for number in range(30)))
    expect(page.locator("[data-part=figures] dd").nth(2)).to_have_text("31")
    expect(rows(page)).to_have_count(1)
    page.mouse.move(0, 0)
    expect(rows(page)).to_have_count(8)
    expect(rows(page).first).to_contain_text("/29")


def test_after_an_upgrade_of_the_server_it_loads_itself_anew(page: Page, server: Service) -> None:
    # A minute after it was loaded, that is: not when two versions answer side by side.
    page.add_init_script("const now = performance.now.bind(performance); performance.now = () => now() + 120_000")
    site = watch(page, server)

    def upgraded(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=re.sub('data-version="[^"]*"', 'data-version="next"', answer.text()))

    page.route("**/live/*parts=*", upgraded)
    with page.expect_navigation():
        send(server, site, view())
    page.wait_for_selector(LIVE)


def test_it_fills_the_screen_when_asked_to(page: Page, server: Service) -> None:
    watch(page, server)
    button = page.get_by_role("button", name="Full screen")
    button.click()
    expect(page.locator("html.is-full")).to_be_attached()
    page.get_by_role("button", name="Leave full screen").click()
    expect(page.locator("html:not(.is-full)")).to_be_attached()
    expect(button).to_be_visible()
