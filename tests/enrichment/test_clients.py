"""Browser, system, device and screen of what browsers really send, and of what nobody should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.dimensions import MAX_CHARS, Client
from maicivy.core.events import Traits
from maicivy.core.identity import MAX_USER_AGENT_CHARS
from maicivy.enrichment import client_of, lists
from maicivy.enrichment.clients import NOT_KEPT, judged_client, screen_of
from tests.naughty import STRINGS

SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko)"
BROWSER = f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Chrome/130.0.0.0 Safari/537.36"
DEVICES = {"", "desktop", "mobile", "tablet", "tv", "console", "bot"}

# user agent, browser and version, system and version, device
PEOPLE = [
    (f"{WINDOWS} {CHROME} Chrome/130.0.0.0 Safari/537.36", "Chrome 130.0", "Windows 10", "desktop"),
    (f"{WINDOWS} {CHROME} Chrome/130.0.0.0 Safari/537.36 Edg/130.0.2849.56", "Edge 130.0", "Windows 10", "desktop"),
    (
        f"Mozilla/5.0 (Windows NT 6.1; Win64; x64) {CHROME} Chrome/109.0.0.0 Safari/537.36 OPR/95.0.0.0",
        "Opera 95.0",
        "Windows 7",
        "desktop",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
        "Internet Explorer 11.0",
        "Windows 10",
        "desktop",
    ),
    (
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
        "Firefox 131.0",
        "Ubuntu",
        "desktop",
    ),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "Firefox 131.0", "Linux", "desktop"),
    (
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI} Version/18.0 Safari/605.1.15",
        "Safari 18.0",
        "macOS 10.15",
        "desktop",
    ),
    (
        f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Chrome/129.0.0.0 Safari/537.36",
        "Chrome 129.0",
        "ChromeOS 14541.0",
        "desktop",
    ),
    (
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) {SAFARI} Version/17.6 Mobile/15E148 Safari/604.1",
        "Safari 17.6",
        "iOS 17.6",
        "mobile",
    ),
    (f"{IPHONE} {SAFARI} CriOS/126.0.6478.35 Mobile/15E148 Safari/604.1", "Chrome 126.0", "iOS 17.5", "mobile"),
    (f"{IPHONE} {SAFARI} FxiOS/127.0 Mobile/15E148 Safari/605.1.15", "Firefox 127.0", "iOS 17.5", "mobile"),
    (f"{IPHONE} {SAFARI} Mobile/15E148", "Safari (in-app)", "iOS 17.5", "mobile"),
    (
        f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {SAFARI} Version/17.5 Mobile/15E148 Safari/604.1",
        "Safari 17.5",
        "iOS 17.5",
        "tablet",
    ),
    (
        f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Chrome/130.0.0.0 Mobile Safari/537.36",
        "Chrome 130.0",
        "Android 10",
        "mobile",
    ),
    (
        f"Mozilla/5.0 (Linux; Android 13; SM-T510) {CHROME} Chrome/112.0.0.0 Safari/537.36",
        "Chrome 112.0",
        "Android 13",
        "tablet",
    ),
    (
        f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
        "Samsung Internet 26.0",
        "Android 10",
        "mobile",
    ),
    ("Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0", "Firefox 131.0", "Android 14", "mobile"),
    (
        f"Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 20) {CHROME} Chrome/100.0.4896.127 Mobile Safari/537.36",
        "Chrome 100.0",
        "Android 12",
        "mobile",
    ),
    (
        "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10",
        "Opera Mini 7.1",
        "",
        "mobile",
    ),
    (
        f"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) {CHROME} 76.0.3809.146/6.0 TV Safari/537.36",
        "Safari",
        "Tizen 6.0",
        "tv",
    ),
    (f"Mozilla/5.0 (Web0S; Linux/SmartTV) {CHROME} Chrome/87.0.4280.88 Safari/537.36", "Chrome 87.0", "webOS", "tv"),
    (
        f"Mozilla/5.0 (Linux; Android 9; AFTSSS) {CHROME} Silk/98.5.10 like Chrome/98.0.4758.136 Safari/537.36",
        "Silk 98.5",
        "Android 9",
        "tv",
    ),
    (
        "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0; Media Center PC 6.0; Tablet PC 2.0)",
        "Internet Explorer 9.0",
        "Windows 7",
        "desktop",
    ),
    (
        f"Mozilla/5.0 (PlayStation; PlayStation 5/6.50) {SAFARI} Version/15.4 Safari/605.1.15",
        "Safari 15.4",
        "",
        "console",
    ),
    (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) {CHROME} Safari/537.36 Edg/109.0.1518.52",
        "Edge 109.0",
        "Windows 10",
        "console",
    ),
    (
        "Mozilla/5.0 (Nintendo Switch; WebApplet) AppleWebKit/606.4 (KHTML, like Gecko) NF/6.0 NintendoBrowser/5.1",
        "",
        "",
        "console",
    ),
]


@pytest.fixture
def no_own_lists() -> Iterator[None]:
    yield
    lists.adopt(Path("/nonexistent"))


@pytest.mark.parametrize(("user_agent", "browser", "system", "device"), PEOPLE)
def test_people_are_told_by_browser_system_and_device(user_agent: str, browser: str, system: str, device: str) -> None:
    client = client_of(Traits(user_agent=user_agent))
    said = (f"{client.browser} {client.browser_version}".strip(), f"{client.os} {client.os_version}".strip())
    assert (*said, client.device, client.bot) == (browser, system, device, "")


@pytest.mark.parametrize(
    ("user_agent", "browser", "reason"),
    [
        ("", "", "user_agent"),
        ("curl/8.5.0", "curl", "user_agent"),
        (
            f"Mozilla/5.0 {CHROME}; compatible; Googlebot/2.1; +http://www.google.com/bot.html",
            "Googlebot",
            "user_agent",
        ),
        (
            f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} HeadlessChrome/120.0.0.0 Safari/537.36",
            "HeadlessChrome",
            "headless",
        ),
    ],
)
def test_bots_are_a_device_of_their_own(user_agent: str, browser: str, reason: str) -> None:
    client = client_of(Traits(user_agent=user_agent))
    assert (client.browser, client.device, client.bot) == (browser, "bot", reason)


@pytest.mark.parametrize(
    ("width", "height", "resolution", "screen"),
    [
        (0, 0, "", ""),
        (0, 800, "", ""),
        (1, 1, "1x1", "Mobile"),
        (575, 900, "575x900", "Mobile"),
        (576, 900, "576x900", "Tablet"),
        (991, 900, "991x900", "Tablet"),
        (992, 900, "992x900", "Laptop"),
        (1439, 900, "1439x900", "Laptop"),
        (1440, 900, "1440x900", "Desktop"),
        (1920, 1080, "1920x1080", "Desktop"),
        (-1, 900, "", ""),
        (10**9, 900, "", ""),
    ],
)
def test_a_screen_has_a_resolution_and_a_class(width: int, height: int, resolution: str, screen: str) -> None:
    client = client_of(Traits(BROWSER, screen_width=width, screen_height=height))
    assert (client.resolution, client.screen) == (resolution, screen)


@pytest.mark.parametrize(
    ("given", "language"),
    [
        ("fr", "fr"),
        ("EN", "en"),
        ("pt-BR", "pt"),
        ("fil", "fil"),
        ("zh_Hant", "zh"),
        ("", ""),
        ("x", ""),
        ("*", ""),
        ("english", ""),
    ],
)
def test_a_language_is_a_primary_tag(given: str, language: str) -> None:
    assert client_of(Traits(BROWSER, given)).language == language


def test_a_user_agent_is_cut_before_anything_is_done_with_it() -> None:
    long = BROWSER + " " * MAX_USER_AGENT_CHARS + "Googlebot"
    client = client_of(Traits(long * 100))
    assert client.user_agent == long[:MAX_USER_AGENT_CHARS]
    assert client.bot == ""


@given(
    user_agent=st.text(max_size=2000)
    | st.sampled_from([*STRINGS.values()])
    | st.from_regex(r"(Mozilla/|bot|Android )+\(;.*"),
    language=st.text(max_size=20),
    width=st.integers(),
    height=st.integers(),
)
def test_whatever_comes_becomes_a_client_that_can_be_stored(
    user_agent: str, language: str, width: int, height: int
) -> None:
    client = client_of(Traits(user_agent, language, screen_width=width, screen_height=height))
    for field in Client.__struct_fields__:
        text = getattr(client, field)
        assert len(text) <= (MAX_USER_AGENT_CHARS if field == "user_agent" else MAX_CHARS)
        assert "\x00" not in text
        text.encode()
    assert client.device in DEVICES
    assert judged_client(client.user_agent, client.language, client.resolution) == client


def test_lone_surrogates_are_replaced() -> None:
    assert client_of(Traits("a\ud800b")).user_agent == "a\ufffdb"


@pytest.mark.parametrize(
    "resolution", ["x", "1920", "1920x", "x1080", "0x0", "1920x1080x", "١٩٢٠x١٠٨٠", "1920x1080\n", "9999999x1"]
)
def test_what_is_no_resolution_has_no_class(resolution: str) -> None:
    assert screen_of(resolution) == ""


def test_the_same_client_is_the_same_value(no_own_lists: None) -> None:
    traits = Traits(BROWSER, "en")
    assert client_of(traits) is client_of(Traits(BROWSER, "en"))


def test_other_lists_are_heeded_from_then_on(tmp_path: Path, no_own_lists: None) -> None:
    traits = Traits(BROWSER)
    assert client_of(traits).bot == ""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "bots.txt").write_text("Linux x86_64")
    lists.adopt(tmp_path)
    assert client_of(traits).bot == "user_agent"


def test_of_a_user_agent_that_was_not_kept_nothing_is_known_and_nobody_is_blamed_for_it() -> None:
    assert client_of(Traits(NOT_KEPT)) == Client(NOT_KEPT)
    assert client_of(Traits("")).bot == "user_agent"
