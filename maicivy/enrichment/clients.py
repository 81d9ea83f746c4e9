"""What somebody reads with: from user agent, language and size of the screen to a `Client`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from maicivy.core.dimensions import Client
from maicivy.core.events import Traits
from maicivy.core.identity import MAX_USER_AGENT_CHARS
from maicivy.enrichment.bots import reason_of_user_agent
from maicivy.enrichment.lists import forgets
from maicivy.enrichment.texts import clean
from maicivy.enrichment.user_agents import read

SCREENS: Final = ((576, "Mobile"), (992, "Tablet"), (1440, "Laptop"))
"""Widths in CSS pixels below which a screen is of the class, as Plausible has them; beyond the last it is `Desktop`."""
BOT: Final = "bot"
NOT_KEPT: Final = "(not kept)"
"""Stands for the user agent of an event of which none was kept, as an empty one stands for none sent: nothing follows
from it, and nobody is taken for a bot by it."""
MAX_PIXELS: Final = 100_000
REMEMBERED: Final = 20_000

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?![a-z])")
_RESOLUTION: Final = re.compile(r"([1-9][0-9]{0,5})x[1-9][0-9]{0,5}", re.ASCII)


def client_of(traits: Traits) -> Client:
    """What somebody reads with. 0.5 us when the same was asked lately, else some 60 us."""
    return _client(traits.user_agent, traits.language, traits.screen_width, traits.screen_height)


def judged_client(user_agent: str, language: str, resolution: str) -> Client:
    """The client of what was observed, with all that follows from it by today's lists."""
    is_kept = user_agent != NOT_KEPT
    reading = read(user_agent if is_kept else "")
    bot = reason_of_user_agent(user_agent) if is_kept else ""
    return Client(
        user_agent,
        language,
        resolution,
        screen_of(resolution),
        clean(reading.browser),
        clean(reading.browser_version),
        clean(reading.os),
        clean(reading.os_version),
        BOT if bot else reading.device,
        bot,
    )


def screen_of(resolution: str) -> str:
    """The class of a resolution's width: `Mobile`, `Tablet`, `Laptop`, `Desktop`; empty when it is not known."""
    match = _RESOLUTION.fullmatch(resolution)
    if match is None:
        return ""
    width = int(match[1])
    return next((name for end, name in SCREENS if width < end), "Desktop")


@lru_cache(maxsize=REMEMBERED)
def _client(user_agent: str, language: str, width: int, height: int) -> Client:
    known = 0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS
    match = _LANGUAGE.match(language.lower())
    return judged_client(
        clean(user_agent, MAX_USER_AGENT_CHARS), match[0] if match else "", f"{width}x{height}" if known else ""
    )


forgets(_client.cache_clear)
