"""Visits counted anew from all raw events, slowly and in the plainest way: sort, cut at the gaps, look at each run.

Nothing here comes from `core/visits.py` or from any SQL. Only what an event's circumstances mean (its client, place,
origin and action) is asked of `maicivy.enrichment`, for that is judged, not counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from maicivy.core.events import Event
from maicivy.enrichment import action_of, client_of, origin_of, place_of

GAP = timedelta(minutes=30)


@dataclass(frozen=True)
class Deed:
    """An event, and what follows from it alone."""

    event: Event
    page: str
    hostname: str

    @property
    def at(self) -> datetime:
        return self.event.created_at

    @property
    def order(self) -> tuple[datetime, int]:
        """Time, then the low 63 bits of the id."""
        return self.event.created_at, self.event.id.int & (2**63 - 1)

    @property
    def is_engagement(self) -> bool:
        return self.event.event_type == "engagement"

    @property
    def is_page_view(self) -> bool:
        return self.event.event_type == "page_view"

    def value(self, dimension: str) -> str:
        """Of a dimension of events. Engagement belongs to the view of its page."""
        if dimension.startswith("event:props:"):
            return property_text(self.event.event_data.get(dimension.removeprefix("event:props:")))
        if dimension == "event:name":
            return "page_view" if self.is_engagement else self.event.event_type
        return {"event:page": self.page, "event:hostname": self.hostname}[dimension]


@dataclass(frozen=True)
class Run:
    """A visit: a maximal run of one visitor's events, in order."""

    visitor_id: UUID
    deeds: tuple[Deed, ...]
    own_hosts: frozenset[str]

    @cached_property
    def counted(self) -> tuple[Deed, ...]:
        return tuple(deed for deed in self.deeds if not deed.is_engagement)

    @cached_property
    def page_views(self) -> tuple[Deed, ...]:
        return tuple(deed for deed in self.deeds if deed.is_page_view)

    @property
    def started(self) -> datetime:
        return self.deeds[0].at

    @property
    def ended(self) -> datetime:
        return self.deeds[-1].at

    @property
    def duration_s(self) -> float:
        return (self.ended - self.started).total_seconds()

    @cached_property
    def bounced(self) -> bool:
        clicks = [d for d in self.counted if d.event.traits.interactive and not d.is_page_view]
        return len(self.page_views) <= 1 and not clicks

    @cached_property
    def is_bot(self) -> bool:
        return bool(
            self.values["client.bot"] or self.values["origin.bot"] or any(deed.event.traits.bot for deed in self.deeds)
        )

    @cached_property
    def values(self) -> dict[str, str]:
        """Of every dimension of visits, and why its first event's client or origin is taken for a bot's."""
        first = self.counted[0]
        client, place = client_of(first.event.traits), place_of(first.event.traits)
        origin = origin_of(first.event, self.own_hosts)
        return {
            **{f"visit:{name}": getattr(place, name) for name in ("country", "region", "city")},
            **{
                f"visit:{name}": getattr(client, name)
                for name in (
                    *("device", "browser", "browser_version", "os", "os_version"),
                    *("screen", "resolution", "language"),
                )
            },
            **{
                f"visit:{name}": getattr(origin, name)
                for name in (
                    *("source", "channel", "referrer"),
                    *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
                )
            },
            "visit:entry_page": first.page,
            "visit:exit_page": self.page_views[-1].page if self.page_views else "",
            "client.bot": client.bot,
            "origin.bot": origin.bot,
        }

    def touches(self, start: datetime, end: datetime) -> bool:
        return self.started < end and start <= self.ended


def recounted(events: Iterable[Event], site_id: int, own_hosts: frozenset[str] = frozenset()) -> list[Run]:
    """The visits of a site that count: those with an event that is no engagement."""
    by_visitor: dict[UUID, dict[UUID, Deed]] = {}
    for event in events:
        if event.site_id == site_id:
            action = action_of(event)
            by_visitor.setdefault(event.visitor_id, {})[event.id] = Deed(event, action.page, action.hostname)
    runs = []
    for visitor_id, deeds in by_visitor.items():
        run: list[Deed] = []
        for deed in sorted(deeds.values(), key=lambda deed: deed.order):
            if run and deed.at - run[-1].at > GAP:
                runs.append(Run(visitor_id, tuple(run), own_hosts))
                run = []
            run.append(deed)
        runs.append(Run(visitor_id, tuple(run), own_hosts))
    return [run for run in runs if run.counted]


def property_text(value: Any) -> str:
    """A property as a dimension shows it: texts as they are, everything else as JSON; absent and null are empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
