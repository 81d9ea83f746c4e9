"""The tests in a browser find what they are for: each kind of complaint is one, and nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import watched
from tests.browser.serving import Pages, Service


@pytest.mark.parametrize(
    ("html", "complaint"),
    [
        ("<script>console.error('a mistake')</script>", "console: a mistake"),
        ("<script>nothing.at.all()</script>", "exception: nothing is not defined"),
        ("<script>Promise.reject(new Error('forgotten'))</script>", "exception: forgotten"),
        ("<img src='http://elsewhere.example/a.png'>", "request to another host: http://elsewhere.example/a.png"),
        (
            "<meta http-equiv=Content-Security-Policy content=\"style-src 'none'\"><p style='color:red'>",
            "style-src 'none'",
        ),
        ("<img src=/nothing.png>", "404"),
    ],
)
def test_a_page_in_which_something_goes_wrong_fails_its_test(
    html: str, complaint: str, browser: Browser, pages: Pages
) -> None:
    pages["/"] = html
    with pytest.raises(AssertionError, match="in the page:") as failure, watched(browser) as (context, _):
        context.new_page().goto(pages.url())
    assert complaint in str(failure.value)


def test_a_page_in_which_nothing_goes_wrong_does_not(page: Page, pages: Pages) -> None:
    pages["/"] = "<link rel=icon href=data:,><title>fine</title><script>console.warn('well')</script>"
    page.goto(pages.url(host="any.name.test"))
    assert page.title() == "fine"


def test_axe_finds_what_keeps_people_from_using_a_page(page: Page, pages: Pages, axe: Callable[..., list[str]]) -> None:
    pages["/"] = (
        "<html lang=en><title>a</title><main><h1>b</h1><input></main>",
        "",
        200,
        {"Content-Security-Policy": "default-src 'none'; img-src 'self'"},
    )
    page.goto(pages.url())
    found = axe(page)
    assert len(found) == 1
    assert found[0].startswith("critical: label ")
    assert axe(page, "h1") == []


def test_what_is_sent_to_the_server_is_stored_and_can_be_asked_for(server: Service) -> None:
    site = server.site()
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
    server.send(
        *({"event_type": "page_view", "page_url": f"/{n % 3}", "site_id": site.id} for n in range(501)),
        **{"User-Agent": agent},
    )
    assert len(server.events(site)) == 501
    assert server.ask(site, ["visitors", "pageviews"]) == [{"dimensions": [], "metrics": [1, 501]}]
