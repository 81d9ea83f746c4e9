"""Tests in a real Chromium. Fixtures:

- `server`: a `serving.Service` for the tests of a file, on an empty installation: a real gunicorn at `server.url`
  (http://localhost:PORT), and events are stored and announced as they come. `server.site()` makes a site of the
  test's own, `server.send({...}, ...)` posts events, `server.events(site)` is what is stored, `server.ask(site,
  ["visitors"], dimensions=[...])` asks the API, `server.parts` is the wired installation. A file that needs other
  settings has its own fixture `server_environ` (scope "module", a dict, as {"MAICIVY_DEMO": "1"}).
- `page`: a page in a context of its own. The test fails in the end for each console error (and so each violation of
  a content security policy), exception that nobody caught, and request to a host that is not this machine.
- `complaints`: of that page; `complaints.expect("net::ERR_")` lets something happen, `complaints.requests` is every URL
  that was asked for.
- `browse`: opens further such pages: `browse(color_scheme="dark", viewport={...}, locale="fr-CH",
  java_script_enabled=False, reduced_motion="reduce")`.
- `axe`: `axe(page) == []`, the serious and critical violations that axe-core finds, as text.
- `pages`: a small site of the test's own, at any name under .test: `pages["/"] = "<p>..."`, `page.goto(pages.url())`.
- `browser`: the browser of all tests of the session; `playwright` starts others (`chromium.launched`).

Wait with `page.wait_for_function`, `expect(locator)` or `wait_until`: `time.sleep` is never right, and stops events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from maicivy.config import Settings
from tests.browser.axe import violations
from tests.browser.chromium import Complaints, launched, watched
from tests.browser.serving import Pages, Service


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """What drives browsers."""
    expect.set_options(timeout=15_000)  # long enough for a machine that is busy, as the timeout of contexts is
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """One Chromium for all tests that need no other."""
    with launched(playwright) as browser:
        yield browser


@pytest.fixture(scope="module")
def server_environ() -> dict[str, str]:
    """Settings of the server beside those that it needs."""
    return {}


@pytest.fixture(scope="module")
def server(shared_environ: dict[str, str], server_environ: dict[str, str]) -> Iterator[Service]:
    """A running installation with a database of its own."""
    own = {"MAICIVY_EVENT_RATE_LIMIT": "0", **server_environ}
    settings = Settings.from_env(shared_environ | own)
    service = Service(settings, settings.data_dir, **own)
    yield service
    service.stop()


@pytest.fixture
def browse(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, each in a context of its own with the options of Playwright's `new_context`."""
    with ExitStack() as stack:

        def browse(**options: Any) -> Page:
            context, _ = stack.enter_context(watched(browser, **options))
            return context.new_page()

        yield browse


@pytest.fixture
def _watched(browser: Browser) -> Iterator[tuple[Page, Complaints]]:
    with watched(browser) as (context, complaints):
        yield context.new_page(), complaints


@pytest.fixture
def page(_watched: tuple[Page, Complaints]) -> Page:
    """A page in which nothing may go wrong."""
    return _watched[0]


@pytest.fixture
def complaints(_watched: tuple[Page, Complaints]) -> Complaints:
    """What went wrong in `page` so far."""
    return _watched[1]


@pytest.fixture
def pages() -> Iterator[Pages]:
    """A small site."""
    pages = Pages()
    yield pages
    pages.stop()


@pytest.fixture
def axe() -> Callable[..., list[str]]:
    """Finds what keeps people from using a page."""
    return violations
