"""The dashboard in a browser: it moves by itself, and leads from view to view without being loaded anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Request, Route, expect

from maicivy.core.sites import Site
from maicivy.storage import keys
from maicivy.storage.live import gap
from tests.browser.chromium import USER_AGENT, Complaints
from tests.browser.serving import Service
from tests.standalone.processes import wait_until

AS_WITHOUT_POSTGRES = """
document.addEventListener("readystatechange", () => {
  if (document.readyState !== "interactive") return;
  const problem = '<div class="problem"></div>';
  document.querySelector("[data-part=extras]").innerHTML = problem;
  document.querySelector("[data-part=ticker]").removeAttribute("data-fed");
  const list = document.querySelector("[data-ticker]");
  list.setAttribute("data-unfilled", "");
  list.querySelectorAll("li").forEach((row) => row.remove());
  list.insertAdjacentHTML("afterend", problem);
});
"""
"""Before the page's own scripts run."""
PAGES = [f"/page/{number}" for number in range(12)]


def view(page_url: str = "/", **members: Any) -> dict[str, Any]:
    return {"event_type": "page_view", "page_url": page_url} | members


def send(server: Service, site: Site, *events: dict[str, Any]) -> None:
    server.send(*({"domain": site.domain} | event for event in events), **{"User-Agent": USER_AGENT})


@pytest.fixture(scope="module")
def seen(server: Service) -> Site:
    """A site with some views, for tests that add none."""
    site = server.site()
    pages = [page for number, page in enumerate(PAGES) for _ in range(number + 1)]
    send(server, site, *(view(f"http://{site.domain}{page}?utm_source=letter") for page in pages))
    return site


@pytest.fixture
def fresh(server: Service) -> Site:
    """A site of the test's own, with one view."""
    site = server.site()
    send(server, site, view("/first"))
    return site


def look(page: Page, server: Service, site: Site, query: str = "") -> None:
    """Its dashboard, once it is live; `window.same` is gone when the page is loaded anew."""
    page.goto(f"{server.url}/dashboard/{site.domain}{query}")
    expect(page.locator("[data-live-state]")).to_have_attribute("data-live-state", "on")
    page.evaluate("window.same = true")


def is_same(page: Page) -> bool:
    return bool(page.evaluate("window.same === true"))


def figure(page: Page, place: int) -> Any:
    return page.locator("[data-part=figures] .figure-value").nth(place)


def asked(complaints: Complaints) -> list[list[str]]:
    """The parts that were asked for, by question."""
    queries = [parse_qs(urlsplit(url).query) for url in complaints.requests]
    return [query["parts"][0].split(",") for query in queries if "parts" in query]


def row(page: Page, text: str, part: str = "card-pages") -> Any:
    return page.locator(f'[data-part="{part}"] tr[data-key$=" {text}"]')


def test_figures_series_panels_and_ticker_move_by_themselves(page: Page, server: Service, fresh: Site) -> None:
    page.set_viewport_size({"width": 1440, "height": 2400})
    look(page, server, fresh)
    expect(figure(page, 2)).to_have_text("1")
    send(server, fresh, view("/second"), {"event_type": "signup", "page_url": "/second"})
    expect(figure(page, 2)).to_have_text("2")
    expect(row(page, "/second")).to_be_visible()
    expect(row(page, "signup", "card-events")).to_be_visible()
    expect(page.locator("[data-part=series] table td").last).not_to_have_text("0")
    expect(page.locator("[data-ticker] > li").first).to_contain_text("signup")
    expect(page.locator("[data-current]")).to_have_text("1")
    assert is_same(page)


def test_the_first_event_makes_a_dashboard_of_the_page_of_a_new_site(page: Page, server: Service) -> None:
    site = server.site()
    look(page, server, site)
    expect(page.locator("[data-renew]")).to_be_visible()
    send(server, site, view("/hello"))
    expect(row(page, "/hello")).to_be_visible()
    send(server, site, view("/again"))
    expect(row(page, "/again")).to_be_visible()
    assert is_same(page)


def test_parts_out_of_sight_are_asked_for_when_they_come_into_it(
    page: Page, server: Service, fresh: Site, complaints: Complaints
) -> None:
    page.set_viewport_size({"width": 1000, "height": 500})
    look(page, server, fresh)
    send(server, fresh, view("/second"))
    expect(figure(page, 2)).to_have_text("2")
    assert "card-events" not in {name for names in asked(complaints) for name in names}
    page.locator("[data-part=card-pages]").scroll_into_view_if_needed()
    expect(row(page, "/second")).to_be_visible()


def test_a_range_that_is_over_is_not_asked_for_again(
    page: Page, server: Service, fresh: Site, complaints: Complaints
) -> None:
    look(page, server, fresh, "?period=custom&from=2026-01-01&to=2026-01-31&compare=off")
    send(server, fresh, view("/second"))
    expect(page.locator("[data-ticker] > li").first).to_contain_text("/second")
    assert asked(complaints) == []


def test_after_a_gap_everything_in_sight_is_asked_for(
    page: Page, server: Service, seen: Site, complaints: Complaints
) -> None:
    look(page, server, seen)
    server.parts.redis.publish(keys.channel(seen.id), gap(17))
    expect(page.locator("[data-live-state]")).to_contain_text("Some events were missed")
    wait_until(lambda: page.evaluate("true") and asked(complaints), 5, "parts to be asked for")
    assert {"figures", "series"} <= set(asked(complaints)[0])


def test_after_the_server_was_away_what_was_missed_is_there(
    page: Page, server: Service, fresh: Site, complaints: Complaints
) -> None:
    complaints.expect("ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED|WebSocket connection")
    look(page, server, fresh)
    with server.away():
        expect(page.locator("[data-live-state]")).to_have_text("Connection lost. Trying again…")
    send(server, fresh, view("/meanwhile"))
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(figure(page, 2)).to_have_text("2")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    assert is_same(page)


def test_a_part_that_does_not_come_stays_and_is_marked_until_it_does(
    page: Page, server: Service, fresh: Site, complaints: Complaints
) -> None:
    complaints.expect("ERR_FAILED")
    look(page, server, fresh)
    page.route("**/*parts=*", lambda route: route.abort())
    send(server, fresh, view("/second"))
    expect(page.locator("[data-part=figures][data-stale]")).to_be_visible()
    expect(figure(page, 2)).to_have_text("1")
    page.unroute("**/*parts=*")
    expect(figure(page, 2)).to_have_text("2", timeout=10_000)
    expect(page.locator("[data-stale]")).to_have_count(0)


def test_what_could_not_be_told_when_the_page_was_drawn_comes_by_itself(
    page: Page, server: Service, fresh: Site
) -> None:
    page.add_init_script(AS_WITHOUT_POSTGRES)
    page.set_viewport_size({"width": 1440, "height": 4000})
    look(page, server, fresh, "?period=custom&from=2026-01-01&to=2026-01-31&compare=off")
    expect(page.locator(".problem")).to_have_count(2)
    expect(page.locator("[data-ticker] > li")).to_have_count(0)
    send(server, fresh, view("/second"))
    expect(page.locator(".problem")).to_have_count(0)
    expect(page.locator("[data-unfilled]")).to_have_count(0)
    expect(page.locator("[data-ticker] > li").last).to_contain_text("/first")
    send(server, fresh, view("/third"))
    expect(page.locator("[data-ticker] > li").first).to_contain_text("/third")
    assert is_same(page)


def test_a_reader_who_may_not_see_it_any_more_is_told_so_by_the_page(
    page: Page, server: Service, fresh: Site, complaints: Complaints
) -> None:
    complaints.expect("401")
    look(page, server, fresh)
    page.route("**/*parts=*", lambda route: route.fulfill(status=401, body=""))
    with page.expect_navigation():
        send(server, fresh, view("/second"))
    assert not is_same(page)


def test_focus_selection_and_what_is_open_outlast_what_is_drawn_anew(page: Page, server: Service, fresh: Site) -> None:
    page.set_viewport_size({"width": 1000, "height": 3000})
    look(page, server, fresh)
    row(page, "/first").locator("a").first.focus()
    page.locator("[data-part=series] details:not([data-menu])").first.evaluate("(details) => { details.open = true }")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#series-title'))")
    selected = page.evaluate("String(getSelection())")
    send(server, fresh, view("/second"), view("/second"))
    expect(figure(page, 2)).to_have_text("3")
    expect(row(page, "/second")).to_be_visible()
    expect(row(page, "/first").locator("a").first).to_be_focused()
    assert page.locator("[data-part=series] details:not([data-menu])").first.evaluate("(details) => details.open")
    assert page.evaluate("String(getSelection())") == selected != ""


def test_rows_filter_and_the_back_button_takes_the_filter_away(page: Page, server: Service, seen: Site) -> None:
    look(page, server, seen)
    row(page, "/page/11").locator("a[data-nav]").click()
    expect(page.locator(".chip")).to_contain_text("/page/11")
    expect(figure(page, 2)).to_have_text("12")
    assert page.url.endswith("?f=is,event:page,/page/11")
    expect(row(page, "/page/11").locator("a[data-nav]")).to_be_focused()
    page.go_back()
    expect(page.locator(".chip")).to_have_count(0)
    expect(figure(page, 2)).to_have_text("78")
    page.go_forward()
    expect(page.locator(".chip")).to_contain_text("/page/11")
    assert is_same(page)


def test_going_back_leads_to_where_one_was_on_the_page(page: Page, server: Service, seen: Site) -> None:
    page.set_viewport_size({"width": 1000, "height": 500})
    look(page, server, seen)
    link = page.locator("[data-part=card-sources] tr a[data-nav]").first
    link.scroll_into_view_if_needed()
    page.mouse.wheel(0, 60)
    at = page.evaluate("scrollY")
    assert at > 0
    link.click()
    expect(page.locator(".chip")).to_have_count(1)
    page.evaluate("scrollTo(0, 0)")
    page.go_back()
    expect(page.locator(".chip")).to_have_count(0)
    wait_until(lambda: abs(page.evaluate("scrollY") - at) < 100, 5, "the page to be scrolled")
    page.reload()
    assert abs(page.evaluate("scrollY") - at) < 100


def test_a_menu_is_closed_by_what_is_chosen_by_escape_and_by_a_click_elsewhere(
    page: Page, server: Service, seen: Site
) -> None:
    look(page, server, seen)
    menu = page.locator("details[data-menu]", has=page.locator("a", has_text="Last 7 days"))
    summary = menu.locator("summary")
    summary.click()
    menu.get_by_role("link", name="Last 7 days").click()
    expect(summary).to_contain_text("Last 7 days")
    expect(menu).not_to_have_attribute("open", "")
    expect(summary).to_be_focused()
    summary.click()
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    summary.click()
    page.mouse.click(3, 300)
    expect(menu).not_to_have_attribute("open", "")
    assert "period=7d" in page.url
    assert is_same(page)


def test_a_filter_that_is_typed_leads_to_the_same_view_as_a_click(page: Page, server: Service, seen: Site) -> None:
    look(page, server, seen)
    menu = page.locator("details[data-menu]", has=page.locator("select[name=fdim]")).first
    menu.locator("summary").click()
    menu.locator("select[name=fdim]").select_option("event:page")
    menu.locator("input[name=fval]").fill("/page/2")
    menu.locator("input[name=fval]").press("Enter")
    expect(page.locator(".chip")).to_contain_text("/page/2")
    assert page.url.endswith("?f=is,event:page,/page/2")
    assert is_same(page)


def test_whatever_goes_wrong_is_left_to_the_browser(
    page: Page, server: Service, seen: Site, complaints: Complaints
) -> None:
    complaints.expect("500")
    look(page, server, seen)
    fetched: Callable[[Route], None] = lambda route: (  # noqa: E731
        route.fulfill(status=500) if route.request.resource_type == "fetch" else route.continue_()
    )
    page.route("**/dashboard/**", fetched)
    row(page, "/page/11").locator("a[data-nav]").click()
    expect(page.locator(".chip")).to_contain_text("/page/11")
    assert not is_same(page)


def test_a_click_while_nobody_answers_leaves_the_page_where_it_is(
    page: Page, server: Service, seen: Site, complaints: Complaints
) -> None:
    complaints.expect("ERR_FAILED")
    look(page, server, seen)
    page.route("**/dashboard/**", lambda route: route.abort())
    row(page, "/page/11").locator("a[data-nav]").click()
    expect(page.locator("[data-part=figures][data-stale]")).to_be_visible()
    assert is_same(page)
    page.unroute("**/dashboard/**")
    row(page, "/page/11").locator("a[data-nav]").click()
    expect(page.locator(".chip")).to_contain_text("/page/11")
    expect(page.locator("[data-stale]")).to_have_count(0)


def test_of_several_answers_the_last_one_asked_for_counts(page: Page, server: Service, seen: Site) -> None:
    look(page, server, seen)
    held: list[Route] = []
    page.route(re.compile("page,/page/11$"), lambda route: held.append(route))  # noqa: PLW0108 - Playwright looks inside
    row(page, "/page/11").locator("a[data-nav]").click()
    wait_until(lambda: page.evaluate("true") and held, 5, "the first question")
    expect(page.locator("html[data-loading]")).to_be_attached()
    row(page, "/page/2").locator("a[data-nav]").click()
    expect(page.locator(".chip")).to_contain_text("/page/2")
    expect(page.locator("html[data-loading]")).to_have_count(0)
    held[0].continue_()
    expect(page.locator(".chip")).to_contain_text("/page/2")
    assert is_same(page)


def test_details_open_over_the_page_and_are_searched_as_one_types(
    page: Page, server: Service, seen: Site, axe: Callable[[Page], list[str]]
) -> None:
    look(page, server, seen)
    home = page.url
    opener = page.locator("[data-part=card-pages] a[data-details]")
    opener.click()
    dialog = page.locator("dialog[open]")
    expect(dialog.locator("tbody tr")).to_have_count(12)
    assert page.url == f"{home}/details/pages"
    assert axe(page) == []
    dialog.locator("input[type=search]").press_sequentially("PAGE/1")
    expect(dialog.locator("tbody tr")).to_have_count(3)
    expect(dialog.locator("input[type=search]")).to_have_value("PAGE/1")
    expect(dialog.locator("input[type=search]")).to_be_focused()
    assert "search=PAGE/1" in page.url
    page.go_back()
    expect(dialog).to_have_count(0)
    assert page.url == home
    expect(opener).to_be_focused()
    page.go_forward()
    expect(dialog.locator("tbody tr")).to_have_count(3)
    dialog.locator("thead a").nth(1).focus()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.wait_for_url(home)
    assert is_same(page)


def test_a_row_of_the_details_filters_the_page_below(page: Page, server: Service, seen: Site) -> None:
    look(page, server, seen)
    home = page.url
    page.locator("[data-part=card-pages] a[data-details]").click()
    dialog = page.locator("dialog[open]")
    dialog.locator("thead a").nth(0).click()
    expect(dialog.locator("th[aria-sort]").first).to_be_visible()
    dialog.locator('tr[data-key$=" /page/4"] a[data-nav]').click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".chip")).to_contain_text("/page/4")
    page.go_back()
    expect(page.locator(".chip")).to_have_count(0)
    assert page.url == home
    assert is_same(page)


def test_whoever_goes_back_or_opens_something_else_is_not_taken_to_what_was_asked_for_before(
    page: Page, server: Service, seen: Site
) -> None:
    look(page, server, seen)
    home, dialog = page.url, page.locator("dialog[open]")
    held: list[Route] = []
    failed: list[Request] = []
    page.on("requestfailed", lambda request: failed.extend([request]))
    page.route(re.compile("page,/page/4$"), lambda route: held.append(route))  # noqa: PLW0108 - Playwright looks inside
    page.locator("[data-part=card-pages] a[data-details]").click()
    dialog.locator('tr[data-key$=" /page/4"] a[data-nav]').click()
    wait_until(lambda: page.evaluate("true") and len(held) == 1, 5, "the row's view to be asked for")
    page.go_back()
    assert page.url == home
    wait_until(lambda: page.evaluate("true") and len(failed) == 1, 5, "it to be taken back")
    expect(page.locator("html[data-loading]")).to_have_count(0)
    row(page, "/page/4").locator("a[data-nav]").click()
    wait_until(lambda: page.evaluate("true") and len(held) == 2, 5, "the row's view to be asked for again")
    page.locator("[data-part=card-pages] a[data-details]").click()
    expect(dialog.locator("tbody tr")).to_have_count(12)
    wait_until(lambda: page.evaluate("true") and len(failed) == 2, 5, "that to be taken back, too")
    assert page.url == f"{home}/details/pages"
    dialog.locator("thead a").nth(1).focus()
    page.keyboard.press("Escape")
    page.wait_for_url(home)
    expect(dialog).to_have_count(0)
    expect(page.locator(".chip")).to_have_count(0)


def test_details_that_are_a_page_of_their_own_are_searched_in_place(page: Page, server: Service, seen: Site) -> None:
    page.goto(f"{server.url}/dashboard/{seen.domain}/details/pages")
    page.evaluate("window.same = true")
    page.locator("input[type=search]").press_sequentially("PAGE/1")
    expect(page.locator("tbody tr")).to_have_count(3)
    assert is_same(page)
    page.locator('tr[data-key$=" /page/10"] a[data-nav]').click()
    expect(page.locator(".chip")).to_contain_text("/page/10")
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(3)


def test_arrow_keys_go_from_point_to_point_of_a_chart(page: Page, server: Service, seen: Site) -> None:
    look(page, server, seen)
    page.locator('[data-part=series] [data-point][tabindex="0"]').focus()
    tooltip = page.locator(".tooltip")
    expect(tooltip).to_be_visible()
    page.keyboard.press("Home")
    first = tooltip.text_content()
    page.keyboard.press("ArrowRight")
    expect(tooltip).not_to_have_text(first or "")
    page.keyboard.press("ArrowLeft")
    expect(tooltip).to_have_text(first or "")
    page.keyboard.press("End")
    expect(tooltip).to_contain_text(re.compile(r"Visitors.*1"))
    assert page.locator("[data-part=series] [data-point][tabindex='0']").count() == 1
    page.keyboard.press("Escape")
    expect(tooltip).to_be_hidden()
    page.locator("[data-part=series] [data-point]").nth(3).hover()
    expect(tooltip).to_be_visible()
    box = tooltip.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["y"] >= 0
