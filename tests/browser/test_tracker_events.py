"""The tracker in a real browser: what happens on pages, and that it arrives once, whatever happens on the way."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from playwright.sync_api import Page, Request, Route

from maicivy.core.sites import DEFAULT
from maicivy.web.assets import read
from maicivy.web.tracker import SCRIPT
from tests.browser.chromium import Complaints
from tests.browser.serving import Pages, Service
from tests.browser.tracked import FILLER, Tracked
from tests.standalone.processes import wait_until

BATCH = "**/api/v1/analytics/event/batch"
STAY = """<script>
addEventListener("click", (event) => event.target.closest("a") && event.preventDefault());
addEventListener("submit", (event) => event.preventDefault());
</script>"""


@pytest.fixture(scope="module")
def server_environ() -> dict[str, str]:
    return {"MAICIVY_DEMO": "1"}


@pytest.fixture
def tracked(server: Service, pages: Pages) -> Tracked:
    return Tracked(server, pages)


def test_pages_say_what_happens_before_and_after_the_script_has_come(page: Page, tracked: Tracked) -> None:
    stub = "<script>window.maicivy = window.maicivy || function () { (maicivy.q = maicivy.q || []).push(arguments) };"
    page.goto(tracked.put("/", stub + "maicivy('early'); maicivy('signup', {plan: 'pro', seats: 3})</script>"))
    tracked.events(3)
    page.evaluate("maicivy('Add to cart!'); maicivy('video:play', {at: 1.5}, {interactive: false})")
    rows = tracked.events(5)
    assert [(row.event_type, row.event_data) for row in rows] == [
        ("page_view", {}),
        ("early", {}),
        ("signup", {"plan": "pro", "seats": 3}),
        ("add_to_cart_", {}),
        ("video:play", {"at": 1.5, "interactive": False}),
    ]
    assert {row.page_url for row in rows} == {tracked.url("/")}
    assert tracked.figures("visits", "pageviews", "events", "bounce_rate") == [1, 1, 5, 0]
    assert tracked.server.ask(tracked.site, ["visits"], dimensions=["visit:entry_page"]) == [
        {"dimensions": ["/"], "metrics": [1]}
    ]


@pytest.mark.parametrize(
    "call",
    ["maicivy()", "maicivy(null)", "maicivy('a', {f: 1n})", "maicivy('a', window)", "maicivy('a', {}, {f: 1n})"],
)
def test_nonsense_is_no_exception(call: str, page: Page, tracked: Tracked) -> None:
    page.goto(tracked.put("/"))
    tracked.events(1)
    assert page.evaluate(f"[{call}]") == [None]
    page.evaluate("maicivy('after')")
    assert [row.event_type for row in tracked.events(2)] == ["page_view", "after"]


def test_data_are_those_of_the_moment_of_the_call(page: Page, tracked: Tracked) -> None:
    page.goto(tracked.put("/"))
    tracked.events(1)
    page.evaluate("const cart = {items: 1}; maicivy('a', cart); cart.items = 2; maicivy('b', cart); cart.items = 3")
    assert [row.event_data for row in tracked.events(2, "a", "b")] == [{"items": 1}, {"items": 2}]


def test_links_to_elsewhere_and_files_are_told_without_their_queries(page: Page, tracked: Tracked) -> None:
    port = tracked.pages.port
    tracked.pages["/deep/page"] = "<title>elsewhere</title>"
    page.goto(
        tracked.put(
            "/",
            f"""{STAY}
            <a id=a href="http://elsewhere.test:{port}/deep/page?token=1#x"><b>elsewhere</b></a>
            <a id=b href="/files/report.PDF?key=1">a file</a>
            <a id=c href="http://cdn.test:{port}/movie.mp4">a file elsewhere</a>
            <a id=d href="/export" download>a file by its attribute</a>
            <a id=e href="/inside">inside</a> <a id=f href="mailto:a@b.test">mail</a> <a id=g href="#top">top</a>
            <svg width=10 height=10><a id=h href="/drawn"><rect width=10 height=10 /></a></svg>
            <a id=i>no link</a>""",
        )
    )
    for name in "bcdefghi":
        page.click(f"#{name}")
    page.click("#a", button="middle")
    page.click("#a", button="right")
    page.click("#a b")
    page.evaluate("maicivy('last')")
    tracked.events(1, "last")
    elsewhere = {"url": f"http://elsewhere.test:{port}/deep/page"}
    told = [(row.event_type, row.event_data) for row in tracked.events(5, "outbound_click", "file_download")]
    assert told == [
        ("file_download", {"url": tracked.url("/files/report.PDF")}),
        ("file_download", {"url": f"http://cdn.test:{port}/movie.mp4"}),
        ("file_download", {"url": tracked.url("/export")}),
        ("outbound_click", elsewhere),
        ("outbound_click", elsewhere),
    ]


def test_what_leads_away_is_told_although_the_page_is_gone(page: Page, tracked: Tracked) -> None:
    away = tracked.pages.url("/there", "elsewhere.test")
    tracked.pages["/there"] = "<title>there</title>"
    page.clock.install()
    page.goto(tracked.put("/", f"<a href='{away}'>away</a>"))
    tracked.events(1)
    page.clock.fast_forward(2_000)
    page.click("a")
    page.wait_for_url(away)
    assert Counter(row.event_type for row in tracked.events(4)) == Counter(
        ["page_view", "click", "outbound_click", "engagement"]
    )
    assert len({row.visitor_id for row in tracked.events(4)}) == 1
    assert tracked.figures("visits", "pageviews", "bounce_rate") == [1, 1, 0]


def test_files_are_what_the_page_takes_for_files(page: Page, tracked: Tracked) -> None:
    page.goto(tracked.put("/", f"{STAY}<a id=a href=/a.pdf>a</a><a id=b href=/b.stl>b</a>", downloads="stl|step"))
    page.click("#a")
    page.click("#b")
    (row,) = tracked.events(1, "file_download")
    assert row.event_data == {"url": tracked.url("/b.stl")}


def test_forms_and_whatever_has_the_attribute(page: Page, tracked: Tracked) -> None:
    page.goto(
        tracked.put(
            "/",
            f"""{STAY}
            <form id=plain><input name=secret value=hunter2 id=of-a-person><button>send</button></form>
            <form id=named data-maicivy-event=newsletter data-maicivy-list=weekly><button>subscribe</button></form>
            <form id=invalid><input required><button>never</button></form>
            <button id=tagged data-maicivy-event="Sign up" data-maicivy-plan=pro data-maicivy-from-page=home data-x=1>
            <i>up</i></button>""",
        )
    )
    for selector in ("#plain button", "#named button", "#invalid button", "#tagged i"):
        page.click(selector)
    page.focus("#tagged")
    page.keyboard.press("Enter")
    rows = tracked.events(4, "form_submit", "newsletter", "sign_up")
    assert [(row.event_type, row.event_data) for row in rows] == [
        ("form_submit", {}),
        ("newsletter", {"list": "weekly"}),
        *[("sign_up", {"plan": "pro", "from-page": "home"})] * 2,
    ]
    assert "hunter2" not in str(tracked.server.events(tracked.site))


def test_clicks_are_cells_of_the_page_that_the_heatmap_shows_and_nothing_else_counts(
    page: Page, tracked: Tracked
) -> None:
    page.goto(tracked.put("/hot", FILLER + "<button id=named>buy</button>"))
    tracked.events(1)
    page.mouse.click(123, 456)
    page.mouse.click(128, 451)
    page.evaluate("scrollTo(0, 1000)")
    page.wait_for_function("scrollY === 1000")
    page.mouse.click(40, 9)
    page.focus("button")
    page.keyboard.press("Enter")  # nowhere
    page.evaluate("document.querySelector('button').click()")
    page.goto("about:blank")
    rows = tracked.events(3, "click")
    assert [row.event_data for row in rows] == [
        {"x": 120, "y": 450, "interactive": False},
        {"x": 120, "y": 450, "interactive": False},
        {"x": 40, "y": 1000, "interactive": False},
    ]
    heat = tracked.server.get("/api/v1/analytics/heatmap", site_id=str(tracked.site.id), page_url="/hot")["data"]
    assert [(cell["x"], cell["y"], cell["count"]) for cell in heat] == [(120, 450, 2), (40, 1000, 1)]
    assert tracked.figures("visits", "pageviews", "bounce_rate") == [1, 1, 100]


def test_a_page_that_there_is_not_says_so(page: Page, tracked: Tracked) -> None:
    page.goto(tracked.put("/missing", _404=""))
    page.evaluate("history.pushState({}, '', '/found')")
    view, missing, _ = tracked.events(3, "page_view", "not_found")
    assert (view.event_type, missing.event_type, missing.page_url) == (
        "page_view",
        "not_found",
        tracked.url("/missing"),
    )
    assert missing.event_data == {"interactive": False}


def test_what_is_off_is_not_sent(page: Page, tracked: Tracked) -> None:
    html = f"{STAY}<a href=http://elsewhere.test/>away</a><form><button>send</button></form>"
    page.goto(tracked.put("/", html, off="page_view click outbound_click"))
    page.click("a")
    page.click("button")
    assert [row.event_type for row in tracked.events(1)] == ["form_submit"]


def test_a_second_copy_does_nothing(page: Page, tracked: Tracked) -> None:
    page.goto(tracked.put("/", tracked.script()))
    page.evaluate("maicivy('once')")
    assert [row.event_type for row in tracked.events(2)] == ["page_view", "once"]


@pytest.mark.parametrize("attribute", ["site", "domain", "website_id"])
def test_a_site_has_three_names(attribute: str, page: Page, tracked: Tracked) -> None:
    site = tracked.site
    name = {"site": site.measurement_id, "domain": site.domain, "website_id": str(site.id)}[attribute]
    script = (
        f'<script defer src="{tracked.server.url}/js/maicivy.js" data-{attribute.replace("_", "-")}="{name}"></script>'
    )
    tracked.pages["/"] = f"<title>a</title>{script}"
    page.goto(tracked.url("/"))
    tracked.events(1)


@pytest.mark.parametrize(
    ("code", "api", "taken"),
    [
        ("/s/code.js", 'data-api="in"', "/s/in"),
        ("/s/code.js", 'data-api="/in"', "/in"),
        ("/stats/js/maicivy.js", "", "/stats/api/v1/analytics/event/batch"),
    ],
)
def test_the_pages_own_server_may_take_everything_under_another_name(
    code: str, api: str, taken: str, page: Page, tracked: Tracked
) -> None:
    tracked.pages[code] = (read(SCRIPT).body.decode(), "text/javascript", 200, {})
    tracked.pages[taken] = ("{}", "application/json", 202, {})
    tracked.pages["/own"] = f'<script defer src="{code}" data-site="MC-1" {api}></script>'
    page.context.add_cookies([{"name": "session", "value": "secret", "url": tracked.url("/")}])
    with page.expect_request(f"**{taken}") as request:
        page.goto(tracked.url("/own"))
    wait_until(lambda: tracked.pages.posted, 10, "the event")
    ((path, body),) = tracked.pages.posted
    assert path == taken
    assert json.loads(body)[0]["page_url"] == tracked.url("/own")
    assert "cookie" not in request.value.all_headers()


def test_no_preflight_is_needed(page: Page, tracked: Tracked) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.extend([request]))  # a method of a built-in type it does not take
    page.goto(tracked.put("/"))
    tracked.events(1)
    (posted,) = [request for request in asked if request.method != "GET"]
    assert posted.method == "POST"
    safe = {"accept", "accept-language", "content-type", "referer", "user-agent", "origin", "accept-encoding", "host"}
    own = {name for name in posted.all_headers() if not name.startswith(("sec-", ":", "content-length", "connection"))}
    assert own <= safe, own
    assert posted.headers["content-type"].startswith("text/plain")


def test_beside_the_hook_the_script_tells_of_the_same_visitor(page: Page, tracked: Tracked) -> None:
    """On the demo site, whose views are recorded by its server."""
    tracked.site = DEFAULT
    page.goto(f"{tracked.server.url}/")
    page.click("main a[href^='/cv']")
    page.wait_for_url("**/cv?theme=backend")
    views = tracked.events(2, "page_view")
    (button,) = tracked.events(1, "button_click")
    (click,) = tracked.events(1, "click")
    assert [view.page_url for view in views] == ["/", "/cv?theme=backend"]
    assert button.event_data == {"button": "open_cv"}
    assert click.event_data.keys() == {"x", "y", "interactive"}
    assert len({row.visitor_id for row in (*views, button, click)}) == 1


# ---- What happens on the way


def test_what_happens_offline_arrives_once_with_its_own_time(page: Page, tracked: Tracked) -> None:
    page.goto(tracked.put("/"))
    tracked.events(1)
    page.context.set_offline(True)
    page.evaluate("maicivy('first'); history.pushState({}, '', '/second'); maicivy('last')")
    assert len(tracked.server.events(tracked.site)) == 1
    page.context.set_offline(False)
    rows = tracked.events(4, "page_view", "first", "last")
    assert [row.event_type for row in rows] == ["page_view", "first", "page_view", "last"]
    assert tracked.figures("visits", "pageviews") == [1, 2]


def test_what_is_refused_for_now_is_sent_again_later_and_later(
    page: Page, tracked: Tracked, complaints: Complaints
) -> None:
    complaints.expect("status of (429|500|503)")
    bodies: list[list[dict[str, object]]] = []
    answers = [429, 500, 503]

    def refuse(route: Route) -> None:
        bodies.append(json.loads(route.request.post_data or ""))
        if answers:
            route.fulfill(status=answers.pop(), headers={"Access-Control-Allow-Origin": "*"})
        else:
            route.continue_()

    page.route(BATCH, refuse)
    page.add_init_script(
        "window.attempts = []; const own = fetch;"
        "window.fetch = (...given) => { attempts.push(Date.now()); return own(...given) }"
    )
    page.clock.install()
    page.goto(tracked.put("/"))
    wait_until(lambda: page.clock.fast_forward(200) or len(bodies) == 4, 30, "four attempts")
    first, *later = page.evaluate("attempts")
    for least_ms, before, after in zip((500, 1_000, 2_000), [first, *later], later, strict=False):
        assert after - before >= least_ms, "and up to three times that, by chance"
    tracked.page = page
    (view,) = tracked.events(1)
    assert [len(body) for body in bodies] == [1, 1, 1, 1]
    assert {body[0]["id"] for body in bodies} == {view.id.hex}
    assert ["timestamp" in body[0] for body in bodies] == [False, True, True, True]


def test_an_event_whose_answer_was_lost_is_no_second_event(
    page: Page, tracked: Tracked, complaints: Complaints
) -> None:
    complaints.expect("net::ERR_")
    lost: list[int] = []
    tried: list[int] = []

    def lose(route: Route) -> None:
        tried.append(1)
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch().status)
            route.abort("connectionreset")

    page.route(BATCH, lose)
    page.clock.install()
    tracked.page = page
    page.goto(tracked.put("/"))
    tracked.events(1)
    assert lost == [202]
    with page.expect_response(BATCH):
        wait_until(lambda: page.clock.fast_forward(100) or len(tried) > 1, 20, "it to be sent again")
    tracked.events(1)


def test_what_is_refused_for_good_is_not_sent_again(page: Page, tracked: Tracked, complaints: Complaints) -> None:
    complaints.expect("status of 400")
    attempts: list[int] = []

    def refuse(route: Route) -> None:
        attempts.append(1)
        route.fulfill(status=400, headers={"Access-Control-Allow-Origin": "*"})

    page.route(BATCH, refuse)
    page.clock.install()
    with page.expect_response(BATCH):
        page.goto(tracked.put("/"))
    page.clock.fast_forward(600_000)
    page.evaluate("maicivy('next')")
    wait_until(lambda: page.evaluate("1") and len(attempts) == 2, 10, "the next event")


def test_whoever_is_blocked_gives_up(page: Page, tracked: Tracked, complaints: Complaints) -> None:
    complaints.expect("net::ERR_BLOCKED_BY_CLIENT")
    attempts: list[int] = []

    def block(route: Route) -> None:
        attempts.append(1)
        route.abort("blockedbyclient")

    page.route(BATCH, block)
    page.clock.install()
    page.goto(tracked.put("/"))
    wait_until(lambda: page.clock.fast_forward(10_000) or len(attempts) == 9, 30, "nine attempts")
    page.clock.fast_forward(3_600_000)
    page.evaluate("maicivy('next')")
    wait_until(lambda: page.evaluate("1") and len(attempts) == 10, 10, "what happens next to be tried once")
    page.clock.fast_forward(3_600_000)
    page.evaluate("1")
    assert len(attempts) == 10


def test_much_at_once_goes_in_portions_that_may_outlive_the_page(page: Page, tracked: Tracked) -> None:
    sizes: list[int] = []
    page.on("request", lambda request: sizes.append(len(request.post_data_buffer or b"")))
    page.goto(tracked.put("/"))
    tracked.events(1)
    page.evaluate("for (let n = 0; n < 90; n++) maicivy('tick', {n, text: '\\u00e9'.repeat(50)})")
    page.goto("about:blank")
    rows = tracked.events(90, "tick")
    assert sorted(row.event_data["n"] for row in rows) == list(range(90))
    assert max(sizes) < 20_000
    assert sum(size for size in sizes if size) < 64 << 10


def test_a_storm_of_events_goes_out_one_request_after_the_other(page: Page, tracked: Tracked) -> None:
    """All at once they would be more than the 64 KB that may outlive a page: refused by the browser, and tried anew."""
    sent: list[int] = []

    def count(request: Request) -> None:
        if request.method == "POST":
            sent.append(len(json.loads(request.post_data or "[]")))

    page.goto(tracked.put("/"))
    tracked.events(1)
    page.on("request", count)
    page.evaluate("for (let i = 0; i < 400; i++) maicivy('e', {i})")
    tracked.page = page
    assert [row.event_data["i"] for row in tracked.events(400, "e")] == list(range(400))
    assert sent in ([1, *[20] * 19, 19], [20] * 20)  # the first goes alone, if the view of the page has its answer


def test_what_failed_amid_others_keeps_its_place(page: Page, tracked: Tracked, complaints: Complaints) -> None:
    """Its time is not that when it happened: it waited for its turn, and others have arrived meanwhile."""
    complaints.expect("ERR_FAILED")
    page.goto(tracked.put("/"))
    tracked.events(1)
    left = iter([False, False, True])  # the third request

    def fail_once(route: Route) -> None:
        if next(left, False):
            route.abort()
        else:
            route.continue_()

    page.route(BATCH, fail_once)
    page.evaluate("for (let i = 0; i < 100; i++) maicivy('e', {i})")
    tracked.page = page
    assert [row.event_data["i"] for row in tracked.events(100, "e")] == list(range(100))
    assert next(left, None) is None


@pytest.mark.parametrize("broken", ["() => { throw new Error() }", "() => undefined", "async () => undefined"])
def test_what_a_page_has_put_in_the_place_of_fetch_keeps_events_back_and_loses_none(
    broken: str, page: Page, tracked: Tracked
) -> None:
    page.clock.install()
    stub = f"<script>const original = fetch; let left = 2; window.fetch = (url, init) => left-- > 0 ? ({broken})() : "
    page.goto(tracked.put("/", f"{stub}original(url.toLowerCase(), init)</script>"))
    page.evaluate("maicivy('next')")
    tracked.page = page
    wait_until(lambda: page.clock.fast_forward(1_000) or len(tracked.server.events(tracked.site)) > 1, 20, "events")
    assert [row.event_type for row in tracked.events(2)] == ["page_view", "next"]


@pytest.mark.parametrize("broken", ["undefined", "() => { throw new Error() }", "() => undefined"])
def test_a_page_whose_fetch_never_works_is_as_it_was(broken: str, page: Page, tracked: Tracked) -> None:
    page.clock.install()
    page.goto(tracked.put("/", f"<script>window.fetch = {broken}</script>"))
    page.evaluate("for (let i = 0; i < 50; i++) maicivy('next')")
    page.clock.fast_forward(600_000)
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    page.goto(tracked.put("/next"))
    assert tracked.paths(1) == ["/next"]
