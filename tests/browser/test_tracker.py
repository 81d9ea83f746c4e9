"""The tracker in a real browser: which views it sees, how they were looked at, and when it keeps quiet."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright

from tests.browser.chromium import Complaints, alone, launched, watched
from tests.browser.serving import Pages, Service
from tests.browser.tracked import FILLER, Tracked
from tests.standalone.processes import wait_until

DOC = Path(__file__).parents[2] / "docs" / "tracker.md"
HIDDEN = """
Object.defineProperty(document, "hidden", {configurable: true, get: () => !window.isShown});
window.show = (isShown) => {
  window.isShown = isShown;
  document.dispatchEvent(new Event("visibilitychange", {bubbles: true}));
};
"""


@pytest.fixture
def tracked(server: Service, pages: Pages) -> Tracked:
    return Tracked(server, pages)


def sent(complaints: Complaints, tracked: Tracked) -> list[str]:
    """What was posted to maicivy."""
    return [url for url in complaints.requests if url.startswith(f"{tracked.server.url}/api")]


def test_a_view_of_a_page_arrives_once_with_what_is_known_of_it(page: Page, tracked: Tracked) -> None:
    tracked.put("/pricing")
    tracked.pages["/from"] = f"<a href='{tracked.url('/pricing')}?utm_source=mail&secret=1#plans'>there"
    page.goto(tracked.pages.url("/from", "partner.test"))
    page.click("a")
    (view,) = tracked.events(1)
    assert view.event_type == "page_view"
    assert tracked.path(view.page_url) == "/pricing?utm_source=mail"
    assert view.referrer == tracked.pages.url("/", "partner.test")
    assert view.event_data == {}
    assert (view.id.version, view.id.variant) == (7, "specified in RFC 4122")
    assert abs(view.created_at - view.id_time) < timedelta(minutes=1)
    assert tracked.server.ask(
        tracked.site,
        ["visitors", "visits", "pageviews", "bounce_rate"],
        dimensions=["visit:utm_source", "visit:screen"],
    ) == [{"dimensions": ["mail", "Laptop"], "metrics": [1, 1, 1, 100]}]


def test_time_counts_while_a_page_is_looked_at_and_the_deepest_scroll(page: Page, tracked: Tracked) -> None:
    page.clock.install()
    page.add_init_script(HIDDEN + "window.isShown = true")
    page.goto(tracked.put("/long", FILLER))
    tracked.events(1)
    page.evaluate("scrollTo(0, 1500)")
    page.wait_for_function("scrollY === 1500")
    page.clock.fast_forward(20_000)
    page.evaluate("show(false)")
    (first,) = tracked.events(1, "engagement")
    assert 20_000 <= first.event_data["engagement_ms"] < 35_000
    page.clock.fast_forward(60_000)  # nobody looks
    page.evaluate("show(true)")
    page.evaluate("scrollTo(0, 0)")
    page.clock.fast_forward(10_000)
    page.goto("about:blank")
    _, second = tracked.events(2, "engagement")
    assert 10_000 <= second.event_data["engagement_ms"] < 25_000
    height = 3_000 + 16  # and the margins of the body
    deepest = (1500 + 720) * 100 / height
    assert first.event_data["scroll_depth"] == second.event_data["scroll_depth"] == pytest.approx(deepest, abs=2)
    assert tracked.paths(1) == ["/long"]
    told = (first.event_data["engagement_ms"] + second.event_data["engagement_ms"]) / 1000
    time, depth = tracked.figures("time_on_page", "scroll_depth", filters=[["is", "event:page", ["/long"]]])
    assert time == pytest.approx(told, abs=1)
    assert depth == first.event_data["scroll_depth"]


def test_a_page_that_fits_was_seen_whole(page: Page, tracked: Tracked) -> None:
    page.clock.install()
    page.goto(tracked.put("/short", "<p>hello"))
    tracked.events(1)
    page.clock.fast_forward(1_000)
    page.goto("about:blank")
    (reading,) = tracked.events(1, "engagement")
    assert reading.event_data["scroll_depth"] == 100


def test_a_single_page_application_has_a_view_for_each_of_its_paths(page: Page, tracked: Tracked) -> None:
    page.clock.install()
    page.goto(tracked.put("/app"))
    tracked.events(1)
    for step in (
        "history.pushState({}, '', '/app/a')",
        "history.replaceState({at: 1}, '', '/app/a')",  # state alone is no page
        "history.pushState({}, '', '/app/a?tab=2')",
        "history.replaceState({}, '', '/app/b')",
        "history.pushState({}, '', '/app/c')",
    ):
        page.clock.fast_forward(3_000)
        page.evaluate(step)
    page.go_back()
    assert tracked.paths(5) == ["/app", "/app/a", "/app/b", "/app/c", "/app/b"]
    referrers = [tracked.path(row.referrer) for row in tracked.events(5, "page_view")]
    assert referrers == ["", "/app", "/app/a", "/app/b", "/app/c"]
    page.goto("about:blank")
    least = {"/app": 3_000, "/app/a": 9_000, "/app/b": 3_000}  # and how long this test takes

    def read() -> Counter[str]:
        told: Counter[str] = Counter()
        for row in tracked.server.events(tracked.site):
            told[tracked.path(row.page_url)] += row.event_data.get("engagement_ms", 0)
        return told

    wait_until(lambda: all(read()[path] >= told_ms for path, told_ms in least.items()), 20, "the pages to be read")
    assert read()["/app/c"] < 3_000
    assert tracked.figures("visits", "pageviews") == [1, 5]


def test_errors_of_the_history_are_the_pages_own(page: Page, tracked: Tracked) -> None:
    page.goto(tracked.put("/app"))
    tracked.events(1)
    assert page.evaluate(
        "try { history.pushState({}, '', 'http://elsewhere.test/') } catch (error) { error.name }"
    ) == ("SecurityError")
    assert tracked.paths(1) == ["/app"]


@pytest.mark.parametrize(
    ("attributes", "paths"),
    [
        ({"hash": ""}, ["/hash/", "/hash/users", "/hash/users/7", "/hash/about", "/hash/users", "/hash/token"]),
        ({}, ["/hash/"]),
    ],
)
def test_what_follows_the_hash_is_a_path_where_that_is_wanted(
    attributes: dict[str, str], paths: list[str], page: Page, tracked: Tracked
) -> None:
    page.goto(tracked.put("/hash/", **attributes))
    for fragment in ("#/users", "#!/users/7?tab=1", "#!/users/7?tab=2", "#about", "#/users", "#token=1&type=secret"):
        page.evaluate("(fragment) => { location.hash = fragment }", fragment)
        page.wait_for_function("(fragment) => location.hash === fragment", arg=fragment)
    page.evaluate("maicivy('last')")
    tracked.events(1, "last")
    assert tracked.paths(len(paths)) == paths


def test_a_page_that_comes_back_from_the_cache_is_viewed_again(playwright: Playwright, tracked: Tracked) -> None:
    tracked.put("/a", "<a href=/b>b</a><script>onpageshow = (e) => { window.restored = e.persisted }</script>")
    tracked.put("/b")
    with (
        launched(playwright, without=("--disable-back-forward-cache",)) as browser,
        watched(browser) as (context, _),
    ):
        page = context.new_page()
        page.goto(tracked.url("/a"))
        page.click("a")
        page.wait_for_url("**/b")
        tracked.events(2, "page_view")
        page.evaluate("setTimeout(() => history.back())")  # no load follows, which go_back() would wait for
        page.wait_for_url("**/a", wait_until="commit")
        page.wait_for_function("window.restored === true")
        assert tracked.paths(3) == ["/a", "/b", "/a"]
    assert tracked.figures("visits", "pageviews") == [1, 3]


def test_a_page_that_is_prerendered_is_viewed_when_it_is_shown(tracked: Tracked, tmp_path: Path) -> None:
    rules = '{"prerender": [{"source": "list", "urls": ["/next"], "eagerness": "immediate"}]}'
    tracked.pages["/"] = f"""<script type="speculationrules">{rules}</script><script>
        setInterval(async () => {{ if (await (await fetch("/gate")).text() === "go") location = "/next" }}, 50)
        </script>"""
    tracked.put(
        "/next",
        """<script>
        window.maicivy = (...call) => { (maicivy.q = maicivy.q || []).push(call) };
        maicivy("state", {prerendering: document.prerendering});
        onload = () => fetch("/loaded", {method: "POST", body: document.prerendering});
        </script>""",
    )
    with alone(tracked.pages.url(), tmp_path):
        wait_until(lambda: tracked.pages.posted, 20, "the page to be prerendered")
        assert tracked.pages.posted == [("/loaded", "true")]
        assert tracked.server.events(tracked.site) == []
        tracked.pages["/gate"] = "go"
        view, state = tracked.events(2)
    assert (view.event_type, view.page_url) == ("page_view", tracked.pages.url("/next"))
    assert state.event_data == {"prerendering": True}
    assert len(tracked.pages.posted) == 1, "it was loaded once"


def test_a_tab_that_nobody_opens_is_no_view(page: Page, tracked: Tracked, complaints: Complaints) -> None:
    page.add_init_script(HIDDEN)
    page.goto(tracked.put("/behind"))
    page.evaluate("maicivy('early')")
    assert sent(complaints, tracked) == []
    page.evaluate("show(true)")
    assert [row.event_type for row in tracked.events(2)] == ["page_view", "early"]


@pytest.mark.parametrize(
    "wish",
    [
        "Object.defineProperty(navigator, 'doNotTrack', {get: () => '1'})",
        "Object.defineProperty(navigator, 'globalPrivacyControl', {get: () => true})",
        "localStorage.maicivy_ignore = 'true'",
    ],
)
def test_who_does_not_want_to_be_tracked_is_not(
    wish: str, page: Page, tracked: Tracked, complaints: Complaints
) -> None:
    page.add_init_script(f"if (location.protocol === 'http:') {wish}")
    page.goto(tracked.put("/", "<button>click"))
    page.click("button")
    page.evaluate("maicivy('signup')")
    page.goto("about:blank")
    assert any(url.endswith("/js/maicivy.js") for url in complaints.requests)
    assert sent(complaints, tracked) == []


def test_nothing_is_sent_before_consent_and_nothing_after_it_is_withdrawn(
    page: Page, tracked: Tracked, complaints: Complaints
) -> None:
    page.goto(tracked.put("/", "<button>click", consent="required"))
    page.click("button")
    page.evaluate("history.pushState({}, '', '/second')")
    page.evaluate("maicivy('early')")
    assert sent(complaints, tracked) == []
    page.evaluate("maicivy.consent(true); maicivy.consent(true)")
    assert [row.event_type for row in tracked.events(2)] == ["page_view", "early"]
    assert tracked.paths(1) == ["/second"]
    page.evaluate("maicivy.consent(false)")
    before = len(sent(complaints, tracked))
    page.evaluate("maicivy('late')")
    page.evaluate("history.pushState({}, '', '/third')")
    page.goto(tracked.pages.url("/elsewhere"))
    assert len(sent(complaints, tracked)) == before
    complaints.expect("404")
    tracked.events(2)


def test_what_happens_after_consent_is_withdrawn_is_forgotten(page: Page, tracked: Tracked) -> None:
    page.goto(tracked.put("/", consent="required"))
    page.evaluate("maicivy('early'); maicivy.consent(false); maicivy('late'); maicivy.consent(0); maicivy('later')")
    page.evaluate("maicivy.consent(true); maicivy('now')")
    assert [row.event_type for row in tracked.events(2)] == ["page_view", "now"]
    page.evaluate("maicivy.consent(false); maicivy('never'); maicivy.consent(true); maicivy('again')")
    assert [row.event_type for row in tracked.events(4)] == ["page_view", "now", "page_view", "again"]


def test_nothing_is_kept_in_the_browser(page: Page, tracked: Tracked) -> None:
    page.goto(tracked.put("/"))
    tracked.events(1)
    assert page.context.cookies() == []
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_maicivy_is_the_only_global(page: Page, tracked: Tracked) -> None:
    page.add_init_script("window.before = Object.getOwnPropertyNames(window)")
    page.goto(tracked.put("/"))
    tracked.events(1)
    new = "Object.getOwnPropertyNames(window).filter((name) => !before.includes(name) && name !== 'before')"
    assert page.evaluate(new) == ["maicivy"]


@pytest.mark.parametrize(
    "breaking",
    [
        "Object.defineProperty(window, 'localStorage', {get: () => { throw new DOMException('no', 'SecurityError') }})",
        "window.fetch = () => { throw new Error('no') }",
        "Object.defineProperty(navigator, 'onLine', {get: () => { throw new Error('no') }})",
        "URL = undefined",
        "performance.now = undefined",
    ],
)
def test_the_page_goes_on_whatever_is_broken(breaking: str, page: Page, tracked: Tracked) -> None:
    page.add_init_script(breaking)
    page.goto(tracked.put("/", "<button onclick='this.textContent = 1'>0", downloads="("))
    page.click("button")
    page.evaluate("history.pushState({}, '', '/second')")
    assert page.inner_text("button") == "1"
    assert page.url == tracked.url("/second")


@pytest.mark.parametrize("mistake", [{"downloads": "("}, {"api": "http://["}])
def test_with_its_own_line_a_page_calls_a_script_that_has_stopped_without_an_error(
    mistake: dict[str, str], page: Page, tracked: Tracked, complaints: Complaints
) -> None:
    (line,) = re.findall(r"^ *(window\.maicivy = .*)$", DOC.read_text(encoding="utf-8"), re.M)
    page.goto(tracked.put("/", f"<script>{line}</script>", **mistake))
    page.evaluate("maicivy('signup')")
    assert sent(complaints, tracked) == []


def test_a_policy_that_forbids_it_is_all_that_is_said(page: Page, tracked: Tracked, complaints: Complaints) -> None:
    html = f"<title>a</title>{tracked.script()}<button>click"
    policy = f"default-src 'none'; script-src {tracked.server.url}; img-src 'self'"
    tracked.pages["/"] = (html, "", 200, {"Content-Security-Policy": policy})
    with page.expect_console_message(lambda message: "connect-src" in message.text):
        page.goto(tracked.url("/"))
    page.click("button")
    complaints.expect("Content Security Policy|violates the document's Content Security Policy|Refused to connect")
    assert tracked.server.events(tracked.site) == []


def test_the_script_runs_under_a_strict_policy_with_its_hash(page: Page, tracked: Tracked) -> None:
    page.goto(f"{tracked.server.url}/js/maicivy.json")
    told = page.evaluate("JSON.parse(document.body.innerText)")
    url, site = tracked.server.url, tracked.site.measurement_id
    attributes = (
        f'src="{url}{told["script"]}" integrity="{told["integrity"]}" crossorigin="anonymous" data-site="{site}"'
    )
    policy = f"default-src 'none'; script-src {url}; connect-src {url}; img-src 'self'"
    tracked.pages["/"] = (f"<script defer {attributes}></script>", "", 200, {"Content-Security-Policy": policy})
    page.goto(tracked.url("/"))
    assert tracked.paths(1) == ["/"]


def test_the_picture_counts_where_no_script_runs(browse: Callable[..., Page], tracked: Tracked) -> None:
    page = browse(java_script_enabled=False)
    url = f"{tracked.server.url}/p.gif?site={tracked.site.measurement_id}"
    picture = f'<noscript><img src="{url}" alt="" referrerpolicy="no-referrer-when-downgrade"></noscript>'
    tracked.put("/plain", picture)
    page.goto(tracked.url("/plain"))
    assert tracked.paths(1) == ["/plain"]
