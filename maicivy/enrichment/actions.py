"""What an event did, and where: its type on a page of a host."""

from __future__ import annotations

from functools import lru_cache

from maicivy.core.dimensions import Action
from maicivy.core.events import Event
from maicivy.core.urls import path_of
from maicivy.enrichment.hosts import host_of
from maicivy.enrichment.texts import clean


def action_of(event: Event) -> Action:
    """What happened, and on which page of which host."""
    return action_at(event.site_id, event.event_type, event.page_url.partition("?")[0])


@lru_cache(maxsize=20_000)
def action_at(site_id: int, name: str, page_url: str) -> Action:
    """The same of a site's event of a type, at a URL without its query."""
    return Action(site_id, clean(name), host_of(page_url), clean(path_of(page_url)))
