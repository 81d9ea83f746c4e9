"""The people whom the simulator sends: who they are, and what one of them does in a visit.

All chance comes from a `random.Random` that is given, so the same seed brings the same people. A visit is a list of
requests, as a browser would send them: pages, forms, and what a script in the page tells of clicks and of reading. For
some people the script tells of the pages, too, as it would on a site without the hook: it alone knows the screen.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from maicivy.demo.places import HOMES, Home, prefix_of

VIEWS_PER_VISIT: Final = 2.55
"""The mean of page views over 2,000 visits of `visit`; tests/demo/test_visitors.py counts again."""

EVENT_PATH: Final = "/api/v1/analytics/event"
THEMES: Final = {"backend": 9, "fullstack": 6, "devops": 4, "data": 4, "frontend": 3}
PROJECTS: Final = {"tidetable": 4, "honest-axis": 3, "paperclip.css": 2}
COMPANIES: Final = (
    *("Example Works", "Acme", "Globex", "Initech", "Umbrella & Daughters", "Norrvik Harbour", "Paper Street"),
    *("Tyrell Bakery", "Bluth Bananas", "Stark Lighting", "Hooli", "Vandelay Imports", "Wernham Hogg"),
)
ARRIVALS: Final = {
    ("", ""): 24,
    ("https://www.google.com/", ""): 20,
    ("https://www.bing.com/", ""): 4,
    ("https://duckduckgo.com/", ""): 6,
    ("https://www.ecosia.org/search?q=cv", ""): 2,
    ("https://search.brave.com/", ""): 1,
    ("https://news.ycombinator.com/item?id=40000000", ""): 7,
    ("https://lobste.rs/s/abcdef", ""): 2,
    ("https://www.reddit.com/r/flask/", ""): 3,
    ("https://fosstodon.org/@somebody/112233", ""): 3,
    ("https://bsky.app/profile/somebody.example", ""): 2,
    ("https://github.com/maia/tidetable", ""): 8,
    ("https://www.linkedin.com/feed/", ""): 9,
    ("https://www.youtube.com/watch?v=aaaaaaaaaaa", ""): 2,
    ("https://chatgpt.com/", ""): 4,
    ("https://www.perplexity.ai/", ""): 1,
    ("https://planet-python.example/weekly", ""): 3,
    ("https://norrvik-meetup.example/speakers", ""): 2,
    ("", "utm_source=newsletter&utm_medium=email&utm_campaign=autumn-letter"): 5,
    ("", "utm_source=newsletter&utm_medium=email&utm_campaign=conference"): 3,
    (
        "https://www.google.com/",
        "utm_source=google&utm_medium=cpc&utm_campaign=open-to-work&utm_term=flask+engineer",
    ): 3,
    ("https://www.linkedin.com/", "utm_source=linkedin&utm_medium=paid-social&utm_campaign=open-to-work"): 2,
    ("", "utm_source=badge&utm_medium=print&utm_campaign=conference&utm_content=qr"): 2,
}
"""(referrer, what the address of the first page says of a campaign), and how many of a hundred or so come like that."""

_DESKTOPS: Final = (
    ("Windows NT 10.0; Win64; x64", ((1920, 1080), (1536, 864), (1366, 768), (2560, 1440))),
    ("Macintosh; Intel Mac OS X 10_15_7", ((1440, 900), (1512, 982), (1728, 1117), (2560, 1440))),
    ("X11; Linux x86_64", ((1920, 1080), (2560, 1440), (1440, 900))),
)
_PHONES: Final = (
    ("Linux; Android 14; Pixel 8", ((412, 915),)),
    ("Linux; Android 13; SM-A536B", ((384, 854),)),
    ("iPhone; CPU iPhone OS 17_5 like Mac OS X", ((390, 844), (430, 932))),
    ("iPad; CPU OS 17_5 like Mac OS X", ((820, 1180),)),
)
_BUTTONS: Final = {
    "/": (
        ("open_dashboard", 323, 379),
        ("open_dashboard", 323, 379),
        ("open_cv", 513, 379),
        ("open_letters", 675, 379),
    ),
    "/cv": (
        *(("letter", 985, 218), ("letter", 985, 218), ("pdf", 1152, 218)),
        *(("theme_fullstack", 267, 287), ("theme_backend", 372, 287), ("theme_frontend", 476, 287)),
        *(("theme_devops", 577, 287), ("theme_data", 662, 287), ("work", 380, 530), ("skills", 930, 540)),
        *(("project_tidetable", 904, 1185), ("project_honest-axis", 913, 1409)),
    ),
    "/projects": (
        ("project_tidetable", 280, 303),
        ("project_paperclip.css", 653, 303),
        ("project_honest-axis", 995, 303),
    ),
    "/letters": (("company", 405, 399), ("role", 405, 490), ("write_letter", 291, 670)),
}
"""Where pages have them in a window of 1,440 pixels."""


class Step(NamedTuple):
    """One request of a visit, and the seconds that the visitor waits before it; `is_view`: it tells of a page view."""

    wait_s: float
    method: str
    path: str
    body: bytes = b""
    referrer: str = ""
    content_type: str = ""
    is_view: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """Who visits. Address and user agent are what maicivy tells visitors apart by; `has_script` says whether a script
    tells of the pages, instead of the hook."""

    address: str
    user_agent: str
    language: str = ""
    screen: tuple[int, int] = (0, 0)
    has_script: bool = False


def person(dice: random.Random) -> Person:
    """Somebody new, somewhere in the world, with one of some hundred user agents."""
    home: Home = dice.choices(HOMES, [home.weight for home in HOMES])[0]
    is_mobile = dice.random() < 0.38
    system, screens = dice.choice(_PHONES if is_mobile else _DESKTOPS)
    address = f"{prefix_of(home)}.{dice.randint(0, 255)}.{dice.randint(1, 254)}"
    language = dice.choice(home.languages)
    return Person(
        address, f"Mozilla/5.0 ({system}) {_browser(dice, system)}", language, dice.choice(screens), dice.random() < 0.6
    )


def visit(dice: random.Random, origin: str, who: Person) -> Iterator[Step]:
    """What one visitor does, from arriving to leaving; `origin` is the site's, for referrers of its own pages."""
    browser = _Browser(dice, origin, who)
    arrival: tuple[str, str] = dice.choices(list(ARRIVALS), list(ARRIVALS.values()))[0]
    browser.referrer, campaign = arrival
    theme = _weighted(dice, THEMES)
    chance = dice.random()
    if chance < 0.2:
        yield from browser.open("/", campaign)
    elif chance < 0.34 or "github.com" in browser.referrer:
        yield from browser.open(f"/projects/{_weighted(dice, PROJECTS)}", campaign)
    else:
        yield from browser.open(f"/cv?theme={theme}", campaign)
    while dice.random() < 0.55:
        turn = dice.random()
        if turn < 0.62:
            theme = _weighted(dice, {key: weight for key, weight in THEMES.items() if key != theme})
            yield from browser.open(f"/cv?theme={theme}")
        elif turn < 0.72:
            yield from browser.open("/projects")
        elif turn < 0.84:
            yield from browser.open(f"/projects/{_weighted(dice, PROJECTS)}")
            if dice.random() < 0.4:
                yield browser.tell("outbound_click", {"url": "https://github.com/maia", "host": "github.com"})
        else:
            yield from _letters(dice, browser, theme)
        if turn < 0.62 and dice.random() < 0.08:
            yield browser.tell("pdf_download", {"theme": theme, "format": dice.choice(("A4", "A4", "Letter"))})


def _letters(dice: random.Random, browser: _Browser, theme: str) -> Iterator[Step]:
    yield from browser.open("/letters")
    while dice.random() < 0.55:
        form = {
            "kind": "motivation" if dice.random() < 0.65 else "anti_motivation",
            "company": dice.choice(COMPANIES),
            "role": theme,
        }
        yield browser.send(form)
        yield from browser.open(f"/letters?{urlencode(form, quote_via=quote)}")


class _Browser:
    """What somebody has open: it knows the page, and makes the requests that leave it."""

    def __init__(self, dice: random.Random, origin: str, who: Person) -> None:
        self.referrer = ""
        self._dice = dice
        self._origin = origin
        self._who = who
        self._page = ""

    def open(self, page: str, campaign: str = "") -> Iterator[Step]:
        """The page, a click on it perhaps, and what the script tells of how it was read."""
        self._page = page
        address = page if not campaign else f"{page}{'&' if '?' in page else '?'}{campaign}"
        if self._who.has_script and not page.startswith("/letters?"):
            width, height = self._who.screen
            told = {"page_url": address, "referrer": self.referrer, "screen_width": width, "screen_height": height}
            theme = page.partition("theme=")[2]
            yield self._event("page_view", {"theme": theme} if theme else {}, 0.2, told)
        else:
            yield Step(0.2, "GET", address, referrer=self.referrer, is_view=True)
        self.referrer = self._origin + address
        reading_s = _reading_s(self._dice)
        buttons = _BUTTONS.get(page.partition("?")[0])
        if buttons is not None and self._dice.random() < 0.45:
            yield self._click(buttons, reading_s * 0.3)
            reading_s *= 0.7
        depth = min(100, int(self._dice.triangular(15, 115, 85)))
        yield self._event("engagement", {}, reading_s, {"engagement_ms": int(reading_s * 900), "scroll_depth": depth})

    def send(self, form: Mapping[str, str]) -> Step:
        """The form on the letters page, filled in."""
        body = urlencode(form).encode()
        referrer = self._origin + "/letters"
        return Step(_reading_s(self._dice), "POST", "/letters", body, referrer, "application/x-www-form-urlencoded")

    def tell(self, event_type: str, data: Mapping[str, Any]) -> Step:
        """An event of the site's own."""
        return self._event(event_type, data, self._dice.uniform(0.5, 3), {})

    def _click(self, buttons: tuple[tuple[str, int, int], ...], wait_s: float) -> Step:
        """A click somewhere around where the page has its buttons."""
        button, x, y = self._dice.choice(buttons)
        if self._who.screen[0] < 600:
            x = x * 390 // 1440
        data = {"button": button, "x": x + int(self._dice.gauss(0, 14)), "y": y + int(self._dice.gauss(0, 9))}
        return self._event("button_click", data, wait_s, {})

    def _event(self, event_type: str, data: Mapping[str, Any], wait_s: float, told: Mapping[str, Any]) -> Step:
        said = {"event_type": event_type, "event_data": data, "page_url": self._page, **told}
        body = json.dumps(said).encode()
        return Step(wait_s, "POST", EVENT_PATH, body, "", "application/json", is_view=event_type == "page_view")


def _browser(dice: random.Random, system: str) -> str:
    version = dice.randint(126, 142)
    if "iPhone" in system or "iPad" in system:
        return (
            f"AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version // 8}.{version % 6} Mobile/15E148 Safari/604.1"
        )
    chance = dice.random()
    if chance < 0.25 and "Android" not in system:
        return f"Gecko/20100101 Firefox/{version}.0"
    if chance < 0.5 and "Macintosh" in system:
        return f"AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version // 8}.{version % 6} Safari/605.1.15"
    mobile = "Mobile " if "Android" in system else ""
    edge = f" Edg/{version}.0.0.0" if "Windows" in system and chance > 0.8 else ""
    return f"AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 {mobile}Safari/537.36{edge}"


def _reading_s(dice: random.Random) -> float:
    """Seconds on a page: log-normal, as reading times are, with a median of 14."""
    return min(120.0, dice.lognormvariate(2.65, 0.8))


def _weighted(dice: random.Random, weights: Mapping[str, int]) -> str:
    return dice.choices(list(weights), list(weights.values()))[0]
