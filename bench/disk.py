"""Bytes of Postgres's disk that an event takes, indexes included.

    python -m bench.disk [--events 100000]

Servers of its own; events are stored by the worker's code, in transactions of 500 as under load. Two kinds of traffic:
`clicks` is the event of bench/collect.py over and over, `site` a site's day (bench/history.py: page views, one in ten
a click, 3 % letters). Each comes once as single events, one per entry of the inbox, with ids that the server makes
(ordered by time), and once as batches of 100 with ids that the senders make (random). They come at the rate of a
million a day (the index on time shares its key among the events of one second), and a visitor has ten.

`fresh` is what an event takes when it has just been stored. Part of that is there for a time only: the id 7 to 14 days,
the receipt a week, the outbox row a day, the event and its visitor 90. `kept` is the mean over these 90 days: what the
disk of an installation with even traffic holds, divided by its events. The target is the issue's: below 180 bytes.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import sqlalchemy as sa

from bench import history
from bench.collect import EVENT
from bench.store import EVENTS_PER_VISITOR, Installation, installation
from maicivy.core.events import Event
from maicivy.core.identity import first_id_of
from maicivy.core.ports import Parcel
from maicivy.storage.partitions import GENERATION
from maicivy.upkeep import OUTBOX_KEPT_S, RECEIPTS_KEPT_S

TRANSACTION = 500
BATCH = 100
A_DAY = 1_000_000
SHAPES = ("clicks", "site")

# Table -> days that its rows live where events live `events`: ids one and a half generations on the average.
_LIVES = {
    "analytics_events": None,
    "visitors": None,
    "event_ids": GENERATION / timedelta(days=1) * 1.5,
    "receipts": RECEIPTS_KEPT_S / 86_400,
    "outbox": OUTBOX_KEPT_S / 86_400,
}
_SIZE = sa.text("""/* bench.disk */
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname ~ ('^' || :table || '(_[0-9]+)?$')
""")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    for name, value in measure(parser.parse_args().events).items():
        print(f"{name:<50}{value:12.1f}")


def measure(events: int = 100_000) -> dict[str, float]:
    """`SHAPE_TRANSPORT_bytes_per_event_kept`, `..._fresh`, and each table's part of the latter; `bytes_per_event` is
    `site_single_bytes_per_event_kept`. Under a minute."""
    figures: dict[str, float] = {}
    for shape in SHAPES:
        for transport, batch in (("single", 1), ("batch", BATCH)):
            with installation() as installed:
                name = f"{shape}_{transport}_bytes_per_event"
                figures |= _figures(name, _per_event(installed, shape, batch, events), installed)
    return {"bytes_per_event": figures["site_single_bytes_per_event_kept"], **figures}


def _figures(name: str, parts: dict[str, float], installed: Installation) -> dict[str, float]:
    kept_days = installed.settings.retention_days
    lives = {table: min(days or kept_days, kept_days) / kept_days for table, days in _LIVES.items()}
    return {
        f"{name}_kept": sum(size * lives[table] for table, size in parts.items()),
        f"{name}_fresh": sum(parts.values()),
        **{f"{name}_fresh_{table}": size for table, size in parts.items()},
    }


def _per_event(installed: Installation, shape: str, batch: int, events: int) -> dict[str, float]:
    parts = installed.parts
    now = parts.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    parts.store.partitions.ensure([now.date() - timedelta(days=1)], [now.date() - timedelta(days=1)])
    before = {table: _size(parts.engine, table) for table in _LIVES}
    made = _events(shape, events, now, random_ids=batch > 1)
    number = 0
    while some := [event for _, event in zip(range(TRANSACTION), made, strict=False)]:
        parcels = []
        for start in range(0, len(some), batch):
            number += 1
            at = some[start].created_at.timestamp() * 1000
            parcels.append(
                Parcel(f"{at:.0f}-{number}", len(some[start : start + batch]), some[start : start + batch], [])
            )
        parts.store.store(parcels)
    return {table: (_size(parts.engine, table) - size) / events for table, size in before.items()}


def _events(shape: str, events: int, now: datetime, *, random_ids: bool) -> Iterator[Event]:
    chance = random.Random(2)
    first = first_id_of(now.date() - timedelta(days=1)).int | 0x8000 << 64 | 0x8000 << 48
    visitors = [
        UUID(int=first | chance.getrandbits(100) & ~(0xF << 76 | 3 << 62)) for _ in range(events // EVENTS_PER_VISITOR)
    ]
    shown = EVENT | {"referrer": "", "session_duration": 0} if shape == "clicks" else {}
    for event in history.events(events, events / A_DAY, now, 0.1):
        event_id = UUID(int=chance.getrandbits(128), version=4) if random_ids else event.id
        yield msgspec.structs.replace(event, id=event_id, visitor_id=chance.choice(visitors), **shown)


def _size(engine: sa.Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(_SIZE, {"table": table}).scalar_one())


if __name__ == "__main__":
    main()
