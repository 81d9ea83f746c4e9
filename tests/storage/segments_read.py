"""What segments hold, spelled out visit by visit, and what `visits` holds, spelled out the same way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.visits import SLOT_S
from maicivy.storage.segments.block import BOT, BOUNCED, CODED, COLUMNS, PLAIN, SINGLE, Block
from maicivy.storage.segments.keeping import stored, stored_ids

Spelled: TypeAlias = tuple[Any, ...]
"""The quarters of an hour that a visit began and ended in, whose it is, its flags, and the rest."""

_LOW = 2**64 - 1
_EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_VISITS = """
SELECT v.*, (SELECT array_agg(ARRAY[e.action, coalesce(e.at, 0), coalesce(e.n, 1), coalesce(e.ms, 0),
                                    coalesce(e.scroll, -1) + 1] ORDER BY o)
             FROM unnest(v.actions, v.slots, v.counts, v.engaged, v.scrolls) WITH ORDINALITY
                  AS e (action, at, n, ms, scroll, o)) AS elements
FROM visits v WHERE v.events > 0 AND v.site_id = :site_id AND v.started >= :start AND v.started < :end
"""


def spelled_out(block: Block) -> list[Spelled]:
    """The visits of a block with all columns, sorted."""
    columns = {name: column.tolist() for name, column in block.columns.items()}
    assert columns["begin"] == sorted(columns["begin"])
    who = {True: iter(columns["alone"]), False: iter(columns["several"])}
    found = []
    first = 0
    for n in range(block.visits):
        flags = columns["flags"][n]
        end = first + columns["elements"][n]
        elements = [
            (
                int(block.ids["action"][columns["action"][i]]),
                *(columns[name][i] for name in ("at", "count", "engaged", "scroll")),
            )
            for i in range(first, end)
        ]
        first = end
        begin = block.base + columns["begin"][n]
        found.append(
            (
                begin,
                begin + columns["span"][n],
                next(who[bool(flags & SINGLE)]),
                flags,
                *(columns[name][n] for name in ("duration", "pageviews", "events")),
                *(int(block.ids[name][columns[name][n]]) for name in CODED),
                sorted(elements),
            )
        )
    assert first == len(columns["action"])
    assert [list(each) for each in who.values()] == [[], []]
    return sorted(found)


def of_visits(connection: sa.Connection, start: datetime, end: datetime, site_id: int = 1) -> list[Spelled]:
    """The visits that began in a range, sorted."""
    rows = connection.execute(sa.text(_VISITS), {"site_id": site_id, "start": start, "end": end})
    return sorted(
        (
            _slot(row.started),
            _slot(row.ended),
            row.visitor_id.int & _LOW,
            row.shape & (SINGLE | PLAIN)
            | (BOUNCED if row.pageviews <= 1 and row.interactions == 0 else 0)
            | (BOT if row.bot else 0),
            round((row.ended - row.started).total_seconds() * 1_000_000),
            row.pageviews,
            row.events,
            *(row.client_id, row.place_id, row.origin_id, row.entry_id, row.exit_id),
            sorted(tuple(element) for element in row.elements),
        )
        for row in rows
    )


def check(engine: Engine, site_id: int = 1) -> int:
    """Whether segments say of every hour that has not changed since what `visits` says, once; how many visits that
    were."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        stale = {
            _slot(hour) // 4
            for hour in connection.scalars(
                sa.text("SELECT hour FROM dirty_hours WHERE rolled <> seq AND site_id = :site_id"), {"site_id": site_id}
            )
        }
        listed = stored_ids(connection, site_id, *(moment.date() for moment in _EVER), ())
        segments = list(stored(connection, site_id, listed, COLUMNS))
        visits = of_visits(connection, *_EVER, site_id)
    found = sorted(visit for block in segments for visit in spelled_out(block) if visit[0] // 4 not in stale)
    expected = [visit for visit in visits if visit[0] // 4 not in stale]
    # Who has no other visit is told by whole days only.
    apart = {hour // 24 for hour in stale} | {block.base // 96 for block in segments if not block.is_whole}
    assert _believed(found, apart) == _believed(expected, apart)
    return len(expected)


def _believed(visits: list[Spelled], apart: set[int]) -> list[Spelled]:
    return sorted(
        (*visit[:3], visit[3] & ~SINGLE if visit[0] // 96 in apart else visit[3], *visit[4:]) for visit in visits
    )


def _slot(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp()) // SLOT_S
