"""A month of made-up history, loaded straight into Postgres and Redis: what the benchmarks of reads read.

Events go in by COPY and counters as one pipeline, so that 100,000 events take seconds; what ends up in both is what
the worker would have put there, for the counters are `core.tallies.tally` of the same events.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import redis
import sqlalchemy as sa

from maicivy.core.events import DEFAULT_SITE, LETTER, LETTER_TYPES, PAGE_VIEW, Event, uuid7
from maicivy.core.identity import first_id_of
from maicivy.core.periods import Period
from maicivy.core.tallies import EVENT_TYPES, PATHS, THEMES, tally, wanted_labels
from maicivy.storage import keys
from maicivy.storage.schema import day_partition

THEME_NAMES = ("backend", "fullstack", "devops", "data", "ai", "frontend", "security", "cloud")
PAGES = ("/", "/cv", "/letters", "/projects", "/contact", "/blog")
VISITORS_A_DAY = 400


def events(count: int, days: float, now: datetime, clicks: float, seed: int = 1) -> Iterator[Event]:
    """`count` events spread evenly over the `days` before `now`, oldest first; `clicks` of them, a share, with x, y."""
    chance = random.Random(seed)
    span_s = days * 86_400
    for number in range(count):
        at = now - timedelta(seconds=span_s * (count - number) / count)
        first = first_id_of(at.date()).int | 0x8000 << 64 | 0x8000 << 48
        page = chance.choice(PAGES)
        event_type, data = _happening(chance, page, clicks)
        yield Event(
            uuid7(int(at.timestamp() * 1000), chance.randbytes(10)),
            DEFAULT_SITE,
            UUID(int=first + chance.randrange(VISITORS_A_DAY)),
            None,
            event_type,
            data,
            f"{page}?theme={data['theme']}" if "theme" in data else page,
            "https://duckduckgo.com/" if chance.random() < 0.3 else "",
            chance.randrange(600),
            at,
        )


def _happening(chance: random.Random, page: str, clicks: float) -> tuple[str, dict[str, object]]:
    roll = chance.random()
    if roll < clicks:
        spot = (chance.randrange(1280), chance.randrange(3000)) if chance.random() < 0.5 else chance.choice(_BUTTONS)
        return "button_click", {"button": "cta", "x": spot[0], "y": spot[1]}
    if roll < clicks + 0.03:
        return LETTER, {"type": chance.choice(LETTER_TYPES), "company": "Acme"}
    if page == "/cv":
        return PAGE_VIEW, {"path": page, "theme": chance.choice(THEME_NAMES)}
    return PAGE_VIEW, {"path": page}


_BUTTONS = tuple((x, y) for x in range(100, 1200, 110) for y in range(80, 2000, 240))


def load(engine: sa.Engine, client: redis.Redis, history: list[Event], premade: range = range(-90, 8)) -> None:
    """Put `history` into an empty database and an empty Redis; `premade` are the days, around now, with partitions."""
    today = history[-1].created_at.date()
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        for ahead in premade:
            day = today + timedelta(days=ahead)
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {day_partition('analytics_events', day)} PARTITION OF analytics_events"
                f" FOR VALUES FROM ('{day}T00:00:00Z') TO ('{day + timedelta(days=1)}T00:00:00Z')"
            )
        with cursor.copy(
            "COPY analytics_events (id, visitor_id, created_at, site_id, session_duration, event_type, page_url,"
            " referrer, event_data) FROM STDIN"
        ) as copy:
            for event in history:
                copy.write_row(
                    (
                        event.id,
                        event.visitor_id,
                        event.created_at,
                        event.site_id,
                        event.session_duration,
                        event.event_type,
                        event.page_url,
                        event.referrer,
                        json.dumps(event.event_data),
                    )
                )
        raw.commit()
    finally:
        raw.close()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE analytics_events"))
    _count(client, history)


def _count(client: redis.Redis, history: list[Event]) -> None:
    wanted = wanted_labels(history)
    admitted = {key: frozenset(names) for key, names in wanted.items() if key[1] in (EVENT_TYPES, PATHS, THEMES)}
    site = tally(history, ZoneInfo("UTC"), admitted).sites[DEFAULT_SITE]
    pipe = client.pipeline(transaction=False)
    for iso_day, counted in site.days.items():
        day = date.fromisoformat(iso_day)
        for period in Period:
            pipe.pfadd(keys.unique_visitors(DEFAULT_SITE, period, day), *counted.visitors)
            for name, value in counted.counts.items():
                if not name.startswith(("theme:", "path:")):
                    pipe.incrby(keys.stat(DEFAULT_SITE, period, day, name), value)
        for name, value in counted.counts.items():
            if name.startswith("theme:"):
                pipe.zincrby(keys.themes(DEFAULT_SITE), value, name.removeprefix("theme:"))
    newest = max(site.seen.values())
    pipe.zadd(
        keys.presence(DEFAULT_SITE),
        {str(UUID(bytes=visitor)): at for visitor, at in site.seen.items() if at > newest - 1800},
    )
    pipe.execute()


def now() -> datetime:
    """The clock of the benchmarks."""
    return datetime.now(UTC)
