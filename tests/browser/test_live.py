"""The connection of a page, against servers that answer, keep silent, refuse or vanish. The pages are made here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.browser.chromium import Complaints
from tests.browser.serving import Service
from tests.standalone.processes import wait_until

STATES = ("connecting", "on", "off", "full", "gap")
PATH = "/made/by/the/test"
HTML = f"""<!doctype html>
<html lang="de">
<link rel=icon href=data:,>
<body data-page="wall" data-socket="/ws/analytics?site=1" data-version="1">
<p role=status data-live-state {" ".join(f'data-live-{state}="it is {state}"' for state in STATES)}></p>
<p><b data-current="0">0</b> <span data-one="Mensch" data-other="Menschen">Menschen</span></p>
<p data-part="figures"><b data-count="1">1</b></p>
<ol data-ticker="5" data-types='{{"page_view": "Seite"}}'></ol>
<time data-clock></time><button data-fullscreen hidden></button>
<script type=module src="/assets/x/dashboard/wall.js"></script>
"""


class Sockets:
    """The server's ends of a page's connections, as the test answers them."""

    def __init__(self, page: Page, *, greets: bool = True) -> None:
        self.ends: list[WebSocketRoute] = []
        self.greets = greets
        page.route_web_socket("**/ws/analytics*", self._open)

    def _open(self, end: WebSocketRoute) -> None:
        self.ends.append(end)
        if self.greets:
            self.say("initial_stats", data={"current_visitors": 1})

    def say(self, kind: str, **members: Any) -> None:
        self.ends[-1].send(json.dumps({"type": kind, **members}))


@pytest.fixture
def asked(page: Page, server: Service) -> list[str]:
    """What was asked for of the page, which has a new figure each time."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        _, _, parts = route.request.url.partition("parts=")
        if parts:
            asked.append(parts)
        number = len(asked) + 1
        part = f'<p data-part="figures"><b data-count="{number}">{number}</b></p>'
        route.fulfill(body=part if parts else HTML, content_type="text/html; charset=utf-8")

    page.route(f"**{PATH}*", answer)
    return asked


def state(page: Page) -> Any:
    return page.locator("[data-live-state]")


def test_it_is_on_with_the_first_message_and_shows_who_is_there(page: Page, server: Service, asked: list[str]) -> None:
    sockets = Sockets(page)
    page.goto(server.url + PATH)
    expect(state(page)).to_have_text("it is on")
    expect(page.locator("[data-current]")).to_have_text("1")
    expect(page.locator("[data-one]")).to_have_text("Mensch")
    sockets.say("heartbeat", data={"current_visitors": 1234})
    expect(page.locator("[data-current]")).to_have_text("1.234")
    expect(page.locator("[data-one]")).to_have_text("Menschen")
    assert asked == []


def test_a_gap_is_said_for_a_while_and_everything_is_asked_for(page: Page, server: Service, asked: list[str]) -> None:
    page.clock.install()
    sockets = Sockets(page)
    page.goto(server.url + PATH)
    expect(state(page)).to_have_text("it is on")
    sockets.say("gap", dropped=17)
    expect(state(page)).to_have_text("it is gap")
    page.clock.run_for(7000)
    expect(state(page)).to_have_text("it is on")
    wait_until(lambda: page.evaluate("true") and asked == ["figures"], 15, "everything to be asked for once")


def test_what_comes_together_is_asked_for_together(page: Page, server: Service, asked: list[str]) -> None:
    page.clock.install()
    sockets = Sockets(page)
    page.goto(server.url + PATH)
    expect(state(page)).to_have_text("it is on")
    for number in range(100):
        sockets.say("page_view", page_url=f"/{number}", timestamp="2026-11-20T12:00:00Z", data={})
    page.clock.run_for(300)
    expect(page.locator("[data-ticker] li")).to_have_count(5)
    expect(page.locator("[data-ticker] li").first).to_contain_text("/99")
    expect(page.locator("[data-part]")).to_have_text("2")
    sockets.say("page_view", page_url="/", timestamp="2026-11-20T12:00:00Z", data={})
    page.clock.run_for(1500)
    assert asked == ["figures"], "not yet again"
    page.clock.run_for(3000)
    expect(page.locator("[data-part]")).to_have_text("3")
    assert asked == ["figures", "figures"]


def test_a_server_that_keeps_silent_is_given_up(page: Page, server: Service, asked: list[str]) -> None:
    page.clock.install()
    sockets = Sockets(page)
    page.goto(server.url + PATH)
    expect(state(page)).to_have_text("it is on")
    page.clock.run_for(11_000)
    expect(state(page)).to_have_text("it is on")
    sockets.greets = False
    page.clock.run_for(1_500)
    expect(state(page)).to_have_text("it is off")
    page.clock.run_for(600)
    assert len(sockets.ends) == 2
    sockets.greets = True
    sockets.say("initial_stats", data={})
    expect(state(page)).to_have_text("it is on")
    page.clock.run_for(200)
    expect(page.locator("[data-part]")).to_have_text("2")


def test_a_server_that_is_there_and_refuses_is_full_and_asked_seldom(
    page: Page, server: Service, asked: list[str]
) -> None:
    page.clock.install(time=0)
    page.clock.pause_at(1000)  # else it goes on by itself, too, as long as a busy machine takes
    tries: list[WebSocketRoute] = []

    def refuse(end: WebSocketRoute) -> None:
        tries.append(end)
        end.close()

    page.route_web_socket("**/ws/analytics*", refuse)
    page.goto(server.url + PATH)
    expect(state(page)).to_have_text("it is full")
    page.clock.run_for(1_900)
    assert len(tries) == 1, "not before two seconds"
    page.clock.run_for(2_200)
    wait_until(lambda: page.evaluate("true") and len(tries) == 2, 5, "another try")
    expect(state(page)).to_have_text("it is full")
    page.clock.run_for(3_800)
    assert len(tries) == 2, "not before twice as long"
    page.clock.run_for(26_000)
    page.clock.resume()
    expect(page.locator("[data-part]")).to_have_text("2")
    assert asked[0] == "figures", "figures come without a socket, too"


def test_a_server_that_refuses_once_while_it_goes_down_is_not_full(
    page: Page, server: Service, asked: list[str]
) -> None:
    page.clock.install()
    tries: list[WebSocketRoute] = []

    def refuse_later(end: WebSocketRoute) -> None:
        tries.append(end)
        if len(tries) == 1:
            end.send(json.dumps({"type": "initial_stats", "data": {}}))
        else:
            end.close()

    page.route_web_socket("**/ws/analytics*", refuse_later)
    page.goto(server.url + PATH)
    expect(state(page)).to_have_text("it is on")
    tries[0].close()
    expect(state(page)).to_have_text("it is off")
    with page.expect_response("**/readyz"):
        page.clock.run_for(600)
    expect(state(page)).to_have_text("it is off")
    with page.expect_response("**/readyz"):
        page.clock.run_for(1_100)
    expect(state(page)).to_have_text("it is full")
    assert len(tries) == 3


@pytest.mark.parametrize("status", [0, 503])
def test_a_server_that_is_away_or_whose_redis_is_away_is_off_and_not_full(
    status: int, page: Page, server: Service, asked: list[str], complaints: Complaints
) -> None:
    complaints.expect("ERR_FAILED|status of 503")
    page.route("**/readyz", lambda route: route.fulfill(status=status) if status else route.abort())
    page.route_web_socket("**/ws/analytics*", lambda end: end.close())
    page.goto(server.url + PATH)
    expect(state(page)).to_have_text("it is off")


def test_a_page_that_nobody_sees_sleeps_and_wakes(page: Page, server: Service, asked: list[str]) -> None:
    page.clock.install()
    sockets = Sockets(page)
    page.goto(server.url + PATH)
    expect(state(page)).to_have_text("it is on")
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    sockets.say("page_view", page_url="/", timestamp="2026-11-20T12:00:00Z", data={})
    page.clock.run_for(10_000)
    sockets.say("heartbeat", data={})
    page.clock.run_for(9_000)
    expect(state(page)).to_have_attribute("data-live-state", "on")
    page.clock.run_for(2_000)
    expect(state(page)).to_have_attribute("data-live-state", "asleep")
    page.clock.run_for(120_000)
    assert (len(sockets.ends), asked) == (1, []), "nobody looks: nothing is asked"
    page.evaluate(hide, False)
    expect(state(page)).to_have_text("it is on")
    page.clock.run_for(200)
    expect(page.locator("[data-part]")).to_have_text("2")
    assert len(sockets.ends) == 2


def test_what_it_does_not_understand_it_passes_over(page: Page, server: Service, asked: list[str]) -> None:
    sockets = Sockets(page)
    page.goto(server.url + PATH)
    expect(state(page)).to_have_text("it is on")
    for text in ("{", "null", "[]", '"page_view"', "{}", '{"type": "pong"}', '{"type": "heartbeat"}'):
        sockets.ends[-1].send(text)
    sockets.say("error", error={"code": "unknown_message", "message": "?"})
    sockets.say("strange", timestamp="yesterday", page_url=None, data=None)
    expect(page.locator("[data-ticker] li")).to_have_text("strange")
