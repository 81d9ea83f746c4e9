"""The people whom the simulator sends: who they are, and what one of them does in a visit.

All chance comes from a `random.Random` that is given, so the same seed brings the same people.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

VIEWS_PER_VISIT: Final = 3.65
"""The mean of page views over 2,000 visits of `visit`; tests/demo/test_visitors.py counts again."""

THEMES: Final = {"backend": 9, "fullstack": 6, "devops": 4, "data": 4, "frontend": 3}
REFERRERS: Final = {
    "": 5,
    "https://www.google.com/": 4,
    "https://duckduckgo.com/": 2,
    "https://news.ycombinator.com/item?id=40000000": 2,
    "https://github.com/": 2,
    "https://www.linkedin.com/feed/": 3,
    "https://lobste.rs/": 1,
    "https://fosstodon.org/@somebody/112233": 1,
}
COMPANIES: Final = (
    *("Example Works", "Acme", "Globex", "Initech", "Umbrella & Daughters", "Norrvik Harbour", "Paper Street"),
    *("Tyrell Bakery", "Bluth Bananas", "Stark Lighting", "Hooli", "Vandelay Imports", "Wernham Hogg"),
)
_SYSTEMS: Final = (
    *("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"),
    *("Linux; Android 14; Pixel 8", "Linux; Android 13; SM-A536B", "iPhone; CPU iPhone OS 17_5 like Mac OS X"),
)


class Step(NamedTuple):
    """One request of a visit, and the seconds that the visitor waits before it."""

    wait_s: float
    method: str
    path: str
    body: bytes = b""
    referrer: str = ""
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Who visits: what maicivy tells visitors apart by."""

    address: str
    user_agent: str


def person(dice: random.Random) -> Person:
    """Somebody new, with one of some 300 user agents and an address of the loopback network."""
    system, version = dice.choice(_SYSTEMS), dice.randint(110, 134)
    if "iPhone" in system:
        browser = (
            f"AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version // 7}.{version % 6} Mobile/15E148 Safari/604.1"
        )
    elif dice.random() < 0.25 and "Android" not in system:
        browser = f"Gecko/20100101 Firefox/{version}.0"
    else:
        mobile = "Mobile " if "Android" in system else ""
        browser = f"AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 {mobile}Safari/537.36"
    address = f"127.{dice.randint(1, 254)}.{dice.randint(0, 255)}.{dice.randint(1, 254)}"
    return Person(address, f"Mozilla/5.0 ({system}) {browser}")


def visit(dice: random.Random, origin: str) -> Iterator[Step]:
    """What one visitor does, from arriving to leaving; `origin` is the site's, for referrers of its own pages."""
    referrer = _weighted(dice, REFERRERS)
    campaign = "&utm_source=newsletter" if not referrer and dice.random() < 0.3 else ""
    wait_s = 0.0
    if dice.random() < 0.2:
        yield Step(wait_s, "GET", "/", referrer=referrer)
        yield _click(dice, "/", "open_cv")
        wait_s, referrer, campaign = 0.2, origin + "/", ""
    theme = _weighted(dice, THEMES)
    while True:
        page = f"/cv?theme={theme}{campaign}"
        yield Step(wait_s, "GET", page, referrer=referrer)
        wait_s, referrer, campaign = _reading_s(dice), origin + page, ""
        if dice.random() < 0.35:
            yield _click(dice, page, dice.choice(("pdf", "letter", "theme_data")))
        if dice.random() < 0.45:
            break
        theme = _weighted(dice, {key: weight for key, weight in THEMES.items() if key != theme})
    if dice.random() < 0.5:
        yield Step(wait_s, "GET", "/letters", referrer=referrer)
        referrer = origin + "/letters"
        while dice.random() < 0.6:
            form = {
                "kind": "motivation" if dice.random() < 0.65 else "anti_motivation",
                "company": dice.choice(COMPANIES),
                "role": theme,
            }
            body = urlencode(form).encode()
            yield Step(_reading_s(dice), "POST", "/letters", body, referrer, "application/x-www-form-urlencoded")
            written = f"/letters?{urlencode(form, quote_via=quote)}"
            yield Step(0.2, "GET", written, referrer=referrer)
            referrer = origin + written


def _click(dice: random.Random, page: str, button: str) -> Step:
    """A click somewhere around where the pages have their buttons."""
    x, y = dice.choice(((820, 205), (1070, 205), (260, 285), (430, 285), (240, 350)))
    data = {"button": button, "x": x + 5 * dice.randint(-8, 8), "y": y + 5 * dice.randint(-2, 2)}
    body = json.dumps({"event_type": "button_click", "event_data": data, "page_url": page}).encode()
    return Step(dice.uniform(1, 6), "POST", "/api/v1/analytics/event", body, "", "application/json")


def _reading_s(dice: random.Random) -> float:
    """Seconds on a page: log-normal, as reading times are, with a median of 8."""
    return min(90.0, dice.lognormvariate(2.1, 0.7))


def _weighted(dice: random.Random, weights: Mapping[str, int]) -> str:
    return dice.choices(list(weights), list(weights.values()))[0]
