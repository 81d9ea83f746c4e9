"""Origins."""

from __future__ import annotations

from maicivy.core.dimensions import Origin
from maicivy.core.events import Event


def origin_of(event: Event, own_hosts: frozenset[str]) -> Origin:
    """What brought somebody here; `own_hosts` are other host names of the site, in lower case."""
    return Origin(referrer="" if event.referrer in own_hosts else "", channel="Direct")
