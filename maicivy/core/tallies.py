"""Which numbers one stored event moves: the only list of them.

A tally is a sum over events. It is written to the outbox in the transaction that stores them, applied to Redis from
there, kept per day as a rollup when raw rows are dropped, and recounted from raw rows by a rebuild or a check. All
of these use the names below, so they cannot disagree about what is counted:

    total_events                 every event
    events:TYPE                  by event type
    letters_generated            letters
    letters_generated:KIND       letters, by `event_data.type`, motivation or anti_motivation
    theme:THEME                  events with a string `event_data.theme`
    path:PATH                    page views, by path

Types, themes and paths come from outside, so each kind has a cap: the first ones of a site are admitted as labels,
the rest count under `other` (types and paths) or under no name (themes). `storage/labels.py` keeps what is admitted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.events import LETTER, LETTER_TYPES, PAGE_VIEW, Event
from maicivy.core.periods import local_day
from maicivy.core.urls import path_of

TOTAL: Final = "total_events"
LETTERS: Final = "letters_generated"
OTHER: Final = "other"

EVENT_TYPES: Final = "event"
THEMES: Final = "theme"
PATHS: Final = "path"
LABEL_CAPS: Final[Mapping[str, int]] = {EVENT_TYPES: 100, PATHS: 100, THEMES: 1000}
MAX_LABEL_CHARS: Final = 200

MINUTES: Final = 66
"""How many minutes before that of a site's latest event are told apart: the hour for which they are counted, and what
a sender's clock may be ahead (core/gate.py)."""

# (site, kind) -> admitted names
Labels = Mapping[tuple[int, str], frozenset[str]]

# site, minute since 1970, event type, the URL of a page view, theme, kind of letter
_Alike: TypeAlias = tuple[int, int, str, str, str | None, str | None]


class DayTally(msgspec.Struct):
    """One site, one day: counter name -> how many, and the visitor ids seen (16 bytes each, no order, no repeats)."""

    counts: dict[str, int] = msgspec.field(default_factory=dict)
    visitors: list[bytes] = msgspec.field(default_factory=list)


class SiteTally(msgspec.Struct):
    """One site.

    Attributes:
        days: ISO date in the installation's time zone -> what happened then.
        seen: visitor id (16 bytes) -> Unix second of its latest event.
        bots: those of them who are taken for bots.
        minutes: minute since 1970 -> events, of the latest `MINUTES`.
        new_visitors: visitors that had never been stored before.
        changed_days: ISO dates (UTC) on which visits are others now.
    """

    days: dict[str, DayTally] = msgspec.field(default_factory=dict)
    seen: dict[bytes, int] = msgspec.field(default_factory=dict)
    bots: list[bytes] = msgspec.field(default_factory=list)
    minutes: dict[int, int] = msgspec.field(default_factory=dict)
    new_visitors: int = 0
    changed_days: list[str] = msgspec.field(default_factory=list)


class Tally(msgspec.Struct):
    """What one transaction moves: per site, and for the ledger of all sites together."""

    sites: dict[int, SiteTally] = msgspec.field(default_factory=dict)
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0


def theme_of(event: Event) -> str | None:
    """The theme that an event views, if any: any event with a non-empty string `event_data.theme`."""
    theme = event.event_data.get("theme")
    return theme if isinstance(theme, str) and theme else None


def letter_kind_of(event: Event) -> str | None:
    """`motivation` or `anti_motivation` for a letter that names its kind."""
    kind = event.event_data.get("type") if event.event_type == LETTER else None
    return kind if kind in LETTER_TYPES else None


def wanted_labels(events: Iterable[Event]) -> dict[tuple[int, str], dict[str, None]]:
    """The names that the events would like to be counted under: (site, kind) -> names in order of appearance."""
    wanted: dict[tuple[int, str], dict[str, None]] = {}
    seen: set[tuple[int, str, str, str | None]] = set()
    for event in events:
        page_url = event.page_url if event.event_type == PAGE_VIEW else ""
        theme = theme_of(event)
        alike = (event.site_id, event.event_type, page_url, theme)
        if alike in seen:
            continue
        seen.add(alike)
        for kind, name in (
            (EVENT_TYPES, event.event_type),
            (PATHS, path_of(page_url) if event.event_type == PAGE_VIEW else None),
            (THEMES, theme),
        ):
            if name is not None and len(name) <= MAX_LABEL_CHARS:
                wanted.setdefault((event.site_id, kind), {})[name] = None
    return wanted


def tally(
    events: Iterable[Event], zone: ZoneInfo, labels: Labels, bots: Collection[tuple[int, UUID]] = frozenset()
) -> Tally:
    """The sum of what `events`, each new to the store, move. ``bots` are (site, visitor) who are taken for bots: they
    are counted like everybody, and noted in `SiteTally.bots`."""
    total = Tally()
    # Events that are alike in all that names counters are counted together: of those of a minute, half are.
    counted: dict[_Alike, int] = {}
    visitors: defaultdict[tuple[int, int], set[bytes]] = defaultdict(set)
    for event in events:
        total.stored += 1
        site_id = event.site_id
        at = int(event.created_at.timestamp())
        minute = at // 60
        event_type = event.event_type
        page_url = event.page_url if event_type == PAGE_VIEW else ""
        alike = (site_id, minute, event_type, page_url, theme_of(event), letter_kind_of(event))
        counted[alike] = counted.get(alike, 0) + 1
        site = total.sites.get(site_id)
        if site is None:
            site = total.sites[site_id] = SiteTally()
        visitor = event.visitor_id.bytes
        before = site.seen.get(visitor)
        if before is None:
            site.seen[visitor] = at
            if bots and (site_id, event.visitor_id) in bots:
                site.bots.append(visitor)
        elif at > before:
            site.seen[visitor] = at
        visitors[site_id, minute].add(visitor)
    days = {minute: _iso_day(minute, zone) for _, minute in visitors}
    unique: defaultdict[tuple[int, str], set[bytes]] = defaultdict(set)
    for (site_id, minute), some in visitors.items():
        unique[site_id, days[minute]].update(some)
    for (site_id, iso_day), all_of in unique.items():
        total.sites[site_id].days[iso_day] = DayTally(visitors=list(all_of))
    for alike, n in counted.items():
        site_id, minute, *_ = alike
        site = total.sites[site_id]
        site.minutes[minute] = site.minutes.get(minute, 0) + n
        counts = site.days[days[minute]].counts
        for name in _names(alike, labels):
            counts[name] = counts.get(name, 0) + n
    for site in total.sites.values():
        first = max(site.minutes) - MINUTES
        site.minutes = {minute: n for minute, n in site.minutes.items() if minute > first}
    return total


def _iso_day(minute: int, zone: ZoneInfo) -> str:
    return local_day(datetime.fromtimestamp(minute * 60, UTC), zone).isoformat()


def _names(alike: _Alike, labels: Labels) -> list[str]:
    site_id, _, event_type, page_url, theme, kind = alike
    names = [TOTAL, f"events:{_admitted(site_id, EVENT_TYPES, event_type, labels)}"]
    if event_type == LETTER:
        names.append(LETTERS)
        if kind is not None:
            names.append(f"{LETTERS}:{kind}")
    elif event_type == PAGE_VIEW:
        names.append(f"path:{_admitted(site_id, PATHS, path_of(page_url), labels)}")
    if theme is not None and theme in labels.get((site_id, THEMES), ()):
        names.append(f"theme:{theme}")
    return names


def _admitted(site_id: int, kind: str, name: str, labels: Labels) -> str:
    return name if name in labels.get((site_id, kind), ()) else OTHER
