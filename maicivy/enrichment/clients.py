"""Clients."""

from __future__ import annotations

from functools import lru_cache

from maicivy.core.dimensions import Client
from maicivy.core.events import Traits
from maicivy.core.identity import MAX_USER_AGENT_CHARS
from maicivy.enrichment.texts import clean


def client_of(traits: Traits) -> Client:
    """What somebody reads with."""
    return _client(traits.user_agent[:MAX_USER_AGENT_CHARS], traits.language, traits.screen_width, traits.screen_height)


@lru_cache(maxsize=50_000)
def _client(user_agent: str, language: str, width: int, height: int) -> Client:
    resolution = f"{width}x{height}" if width > 0 and height > 0 else ""
    return Client(clean(user_agent, MAX_USER_AGENT_CHARS), clean(language), resolution)
