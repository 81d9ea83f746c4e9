"""Where an event's client is, and what it did: the two dimensions that need no list to be judged by."""

from __future__ import annotations

from functools import lru_cache

from maicivy.core.dimensions import Action, Place
from maicivy.core.events import Event, Traits
from maicivy.core.urls import path_of
from maicivy.enrichment.texts import clean


def place_of(traits: Traits) -> Place:
    """The place, as the web process found it."""
    return _place(traits.country, traits.region, traits.city)


def action_of(event: Event) -> Action:
    """What happened, and on which page of which host."""
    return _action(event.site_id, event.event_type, event.page_url.partition("?")[0])


@lru_cache(maxsize=20_000)
def _place(country: str, region: str, city: str) -> Place:
    return Place(clean(country), clean(region), clean(city))


@lru_cache(maxsize=50_000)
def _action(site_id: int, name: str, page_url: str) -> Action:
    return Action(site_id, clean(name), host_of(page_url), clean(path_of(page_url)))


def host_of(url: str) -> str:
    """The host of a stored URL in lower case, without the port; empty for a path."""
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
    if url.startswith("/") or not authority:
        return ""
    host = authority.rpartition("@")[2]
    host = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return clean(host.lower())
