"""User agents read: browser, operating system, their versions, and the kind of device.

Browsers and systems by ua-parser's patterns, matched in Rust (2 us each and linear; a tenth of a second and 20 MB
the first time). Its device patterns are left out: they are about makers and models, which nobody asks here, cost
15 MB, and take CUBOT's telephones and Silk for spiders. The category of the device comes from marks below.

Names are those that people know, as in Plausible and Google Analytics: `Mobile Safari` is Safari, `Chrome Mobile` and
`Chrome Mobile iOS` are Chrome, and so on; what shows a page inside an app is a browser of its own (`Android WebView`,
`Safari (in-app)`, `Facebook`). A version has two numbers, as Plausible's: `130.0`, `17.6`, and one if it has no more.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

from ua_parser import Domain
from ua_parser.loaders import load_builtins
from ua_parser.regex import Resolver

BROWSERS: Final = {
    "Chrome Mobile": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "Chrome Mobile WebView": "Android WebView",
    "Android": "Android Browser",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari (in-app)",
    "Apple Mail": "Safari (in-app)",  # what ua-parser makes of any app on a Mac that shows a page
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "Edge Mobile": "Edge",
    "Edge iOS": "Edge",
    "IE": "Internet Explorer",
    "IE Mobile": "Internet Explorer",
    "Opera Mobile": "Opera",
    "Opera Touch": "Opera",
    "Opera Neon": "Opera",
    "MiuiBrowser": "MIUI Browser",
    "HuaweiBrowser": "Huawei Browser",
    "YandexSearch": "Yandex Browser",
    "DuckDuckGo Mobile": "DuckDuckGo",
    "QQ Browser Mobile": "QQ Browser",
    "Brave Mobile": "Brave",
    "Whale": "Naver Whale",
    "BlackBerry WebKit": "BlackBerry",
    "Amazon Silk": "Silk",
    "Facebook Messenger": "Messenger",
}
SYSTEMS: Final = {
    "Mac OS X": "macOS",
    "Mac OS": "macOS",
    "Other": "",
    "ATV OS X": "tvOS",
    "Web0S": "webOS",
    "Chrome OS": "ChromeOS",
    "BlackBerry OS": "BlackBerry",
}

# In this order; the first that is found decides. All of it in lower case.
_DEVICES: Final = (
    (
        "tv",
        re.compile(
            r"smart-?tv|hbbtv|google ?tv|apple ?tv|android ?tv|tvos|netcast|web0s|webos\.tv|netrange|roku|crkey|bravia"
            r"|viera|aquos|\baft[a-z0-9]{1,6}\b|tizen [^)]{0,40}tv|nettv|dtv/|opera tv|philipstv|vidaa|mibox|\btv\b"
        ),
    ),
    ("console", re.compile(r"playstation|xbox|nintendo|steam deck|\bouya\b")),
    (
        "tablet",
        re.compile(
            r"ipad|tablet(?! pc)|kindle|playbook|\bkf[a-z]{2,5}\b|silk/(?!.{0,400}mobile)|nexus (?:7|9|10)\b"
            r"|android(?!.{0,500}mobile)|\bsm-t[0-9]{3}"
        ),
    ),
    (
        "mobile",
        re.compile(
            r"mobi|iphone|ipod|android|windows phone|iemobile|blackberry|\bbb10\b|opera mini|symbian|series[346]0|nokia"
            r"|kaios|maemo|meego|webos|palm|fennec|j2me|midp|ucweb|\bwap\b"
        ),
    ),
    (
        "desktop",
        re.compile(r"windows|macintosh|mac os x|mac_powerpc|x11|linux|\bcros\b|bsd\b|sunos|haiku|os/2|beos|amiga"),
    ),
)


class Reading(NamedTuple):
    """What a user agent says."""

    browser: str
    browser_version: str
    os: str
    os_version: str
    device: str


def read(user_agent: str) -> Reading:
    """What `user_agent` says; empty texts where it says nothing that is known. Does not look for bots: bots.py does."""
    if not user_agent:
        return Reading("", "", "", "", "")
    found = _resolver()(user_agent, Domain.USER_AGENT | Domain.OS)
    browser, browser_version, system, system_version = "", "", "", ""
    if found.user_agent is not None:
        browser = BROWSERS.get(found.user_agent.family, found.user_agent.family)
        browser_version = _version(found.user_agent.major, found.user_agent.minor)
    if found.os is not None:
        system = SYSTEMS.get(found.os.family, found.os.family)
        system_version = _version(found.os.major, found.os.minor)
    return Reading(browser, browser_version, system, system_version, device_of(user_agent))


def device_of(user_agent: str) -> str:
    """`desktop`, `mobile`, `tablet`, `tv`, `console`, or empty. An iPad that asks for desktop pages is a desktop."""
    text = user_agent.lower()
    return next((name for name, marks in _DEVICES if marks.search(text)), "")


def _version(major: str | None, minor: str | None) -> str:
    return f"{major}.{minor}" if major and minor else major or ""


@cache
def _resolver() -> Resolver:
    browsers, systems, _ = load_builtins()
    return Resolver((browsers, systems, []))
