"""Why a client or an origin is taken for a bot: the judgement, by lists and by a few marks.

The reasons are those of `core.visits.BOTS`. `declared` is not judged but said by the sender. Whatever a user agent
holds, the cost is linear in its length: patterns have no nested repetition, and the lists are plain texts.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from maicivy.enrichment.hosts import domains
from maicivy.enrichment.lists import entries, forgets

HEADLESS: Final = "headless"
USER_AGENT: Final = "user_agent"
REFERRER_SPAM: Final = "referrer_spam"

# Browsers that nobody looks at. Not Electron: people do look at that.
_HEADLESS: Final = (
    "headless",
    "phantomjs",
    "slimerjs",
    "casperjs",
    "puppeteer",
    "playwright",
    "selenium",
    "webdriver",
    "cypress/",
    "htmlunit",
    "jsdom",
    "happydom",
    "nightmare/",
    "zombie.js",
    "splash/",
    "browserless",
    "prerender",
    "rendertron",
)
# What says of itself what it is. `cubot` makes telephones; a person's browser gives no URL and no address.
_TELLING: Final = re.compile(
    r"(?<!cu)bots?(?![a-z])|crawl|spider|scrap(?:er|ing|y)|slurp|fetcher|archiver|harvest|grabber|indexer"
    r"|downloader|extractor|(?:site|link|page|url|feed|seo|uptime)[ _-]?(?:monitor|check|preview|analy|scan|pars)"
    r"|scanner|validator|https?://|www\.[a-z]|@[a-z0-9-]+\.[a-z]"
)
_KEY: Final = 3  # letters; no listed word is shorter
_BEGINNING: Final = re.compile(r"(?<![a-z0-9])(?=\S)")
# Names that stand alone where a browser has more to say.
_BARE: Final = frozenset(
    {
        "",
        "-",
        "mozilla",
        "mozilla/4.0",
        "mozilla/5.0",
        "mozilla/5.0 (compatible)",
        "null",
        "none",
        "undefined",
        "unknown",
    }
    | {"user-agent", "test", "nil", "browser", "chrome", "firefox", "safari", "opera"}
)


def reason_of_user_agent(user_agent: str) -> str:
    """Why who sends this is a bot: `headless`, `user_agent`, or empty. None at all is no browser's either.

    Costs some 20 us, so keep the answer.
    """
    text = user_agent.strip().lower()
    if any(mark in text for mark in _HEADLESS):
        return HEADLESS
    if text in _BARE or _TELLING.search(text) or _has_word(text):
        return USER_AGENT
    return ""


def reason_of_referrer(host: str) -> str:
    """`referrer_spam` for a host in the list or below one, else empty."""
    spam = entries("referrer_spam")
    return REFERRER_SPAM if any(domain in spam for domain in domains(host)) else ""


@cache
def _words() -> dict[str, tuple[str, ...]]:
    """The listed words by their first letters."""
    words: dict[str, list[str]] = {}
    for word in entries("bots"):
        words.setdefault(word[:_KEY], []).append(word)
    return {key: tuple(same) for key, same in words.items()}


def _has_word(text: str) -> bool:
    """Whether a listed word stands in `text` where a word begins: `go-http-client`, but not in `ergo-http-client`."""
    words = _words()
    for match in _BEGINNING.finditer(text):
        at = match.start()
        if (same := words.get(text[at : at + _KEY])) and text.startswith(same, at):
            return True
    return False


forgets(_words.cache_clear)
