"""Whether what bench/traffic.py copies in is what the store would have made of the same events.

The events of the same seed are stored in an order of chance and in batches; then visits, crossings and visitors are
compared by value, with what their ids stand for in the place of the ids. Two things depend on the order of arrival,
and are left out: when a visitor was first seen, and whether a visit is known to be its visitor's only one.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from bench.days import Span, Stay, is_interactive, stays
from bench.packing import event_id
from bench.population import Population, population
from bench.store import Installation, installation
from bench.traffic import FILLED, fill
from maicivy.core.events import ENGAGEMENT, PAGE_VIEW, Event
from maicivy.core.ports import Parcel

BATCH: Final = 500
NOW: Final = datetime(2026, 10, 1, 15, 20, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# An action is found by its number alone, and 0 stands for none.
_VISITS: Final = """/* bench.check */
SELECT v.site_id::text, v.visitor_id::text, v.started::text, v.ended::text,
    encode(c.digest, 'hex'), encode(p.digest, 'hex'), encode(o.digest, 'hex'), encode(e.digest, 'hex'),
    (SELECT encode(digest, 'hex') FROM actions WHERE id = v.exit_id), v.pageviews, v.events, v.interactions, v.bot,
    v.shape & 2, v.first_at::text, v.first_tie, v.last_at::text, v.last_tie, v.declared,
    (SELECT array_agg(ROW(d.digest, s, n, m, r)::text ORDER BY s, d.digest)
     FROM unnest(v.actions, v.slots, v.counts, v.engaged, v.scrolls) AS u (a, s, n, m, r) JOIN actions d ON d.id = a)
FROM visits v JOIN clients c ON c.id = client_id JOIN places p ON p.id = place_id JOIN origins o ON o.id = origin_id
    JOIN actions e ON e.id = entry_id
ORDER BY 1, 2, 3
"""
_COMPARED: Final = {
    "visits": _VISITS,
    "crossings": "SELECT day, site_id, visitor_id, started FROM crossings ORDER BY 1, 2, 3, 4",
    "visitors": "SELECT id, site_id FROM visitors ORDER BY 1, 2",
    "events": "SELECT id, visitor_id, created_at, site_id, event_type, page_url, referrer, event_data::text"
    " FROM analytics_events ORDER BY 1",
    "clients": "SELECT digest, browser, bot FROM clients WHERE id IN (SELECT client_id FROM visits) ORDER BY 1",
    "origins": "SELECT digest, source, channel, bot FROM origins WHERE id IN (SELECT origin_id FROM visits) ORDER BY 1",
}


def differences(events: int, seed: int = 1, days: int = 3) -> list[str]:
    """What is in one and not in the other: nothing, if all is well. Some seconds for thousands of events."""
    people = population()
    with installation() as installed:
        span = Span.until(NOW, events, seed, days)
        fill(installed, span, people, processes=1)
        copied = _read(installed)
        with installed.parts.engine.begin() as connection:
            connection.execute(sa.text(f"TRUNCATE {', '.join(FILLED)}"))
        _store(installed, list(_events(people, span)), random.Random(seed))
        stored = _read(installed)
    found = []
    for name, rows in copied.items():
        mine, theirs = set(rows), set(stored[name])
        found += [f"{name}, copied: {row}" for row in sorted(mine - theirs, key=str)[:3]]
        found += [f"{name}, stored: {row}" for row in sorted(theirs - mine, key=str)[:3]]
        if not rows:
            found.append(f"{name}: there are none")
    return found


def _read(installed: Installation) -> dict[str, list[str]]:
    with installed.parts.engine.connect() as connection:
        return {
            name: [str(tuple(row)) for row in connection.execute(sa.text(statement))]
            for name, statement in _COMPARED.items()
        }


def _store(installed: Installation, events: list[Event], chance: random.Random) -> None:
    chance.shuffle(events)
    for start in range(0, len(events), BATCH):
        some = events[start : start + BATCH]
        installed.parts.store.store([Parcel(f"{start}-1", len(some), some, [])])


def _events(population: Population, span: Span) -> Iterator[Event]:
    for day, visits in span.visits(population).items():
        for stay in stays(population, span, day, visits):
            yield from events_of(population, stay)


def events_of(population: Population, stay: Stay) -> Iterator[Event]:
    """The events of a visit, as the worker finds them in the inbox."""
    site, coming = stay.site, population.comings[stay.origin]
    country, region, city = population.locations[stay.place]
    traits = msgspec.structs.replace(population.traits[stay.client], country=country, region=region, city=city)
    for at_us, tie, kind, page, engaged_ms, scroll, referrer, data in stay.happenings:
        yield Event(
            UUID(int=event_id(at_us, tie)),
            site.id,
            UUID(int=stay.visitor),
            None,
            (PAGE_VIEW, site.custom_type(page), ENGAGEMENT)[kind],
            json.loads(data),
            site.url(page) + (coming.query if referrer < 0 else ""),
            coming.referrer if referrer < 0 else site.url(referrer),
            0,
            _EPOCH + timedelta(microseconds=at_us),
            msgspec.structs.replace(
                traits,
                click_id=coming.click_id if referrer < 0 else "",
                interactive=kind != 1 or is_interactive(site, page),
                engagement_ms=engaged_ms,
                scroll_depth=max(0, scroll),
            ),
        )
