"""Segments in Postgres: a row for each site and hour or day, an attribute for each column of its block.

Attributes are `block.packed` and never compressed, so that reading a column of a day is copying it. Rows are read some
at a time: a million visits, of which a question wants five columns, take a few megabytes here, but those of years need
not be here at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy as sa

from maicivy.core.buckets import Grain
from maicivy.core.visits import slot_of
from maicivy.storage.connections import driver_connection
from maicivy.storage.segments.block import (
    COLUMNS,
    ELEMENTS,
    LISTS,
    OF_PROPERTIES,
    VISITS,
    Block,
    Column,
    Property,
    packed,
    unpacked,
)

AT_ONCE: Final = 300_000
"""Visits of which segments are read at once, or one segment with more."""

_SIZES: Final = ("visits", "alone_n", "elements_n", "told_n")
_IDS: Final = {name: f"{name}_ids" for name in LISTS}
_ATTRIBUTES: Final = (*COLUMNS, *_IDS.values())
_DELETE: Final = """/* segments.keep */
DELETE FROM {table} WHERE site_id = %s AND start = %s AND grain = %s
"""
_INSERT: Final = f"""/* segments.keep */
INSERT INTO segments (site_id, start, grain, {", ".join(_SIZES)}, {", ".join(f'"{name}"' for name in _ATTRIBUTES)})
VALUES ({", ".join(["%s"] * (3 + len(_SIZES)))}, {", ".join(["%b"] * len(_ATTRIBUTES))})
"""
_INSERT_PROPERTY: Final = """/* segments.keep */
INSERT INTO segment_properties (site_id, start, grain, name, events, code, "values")
VALUES (%s, %s, %s, %s, %b, %b, %s)
"""
_DROP: Final = """/* segments.drop */
DELETE FROM {table} WHERE (CAST(:site_id AS int) IS NULL OR site_id = :site_id)
    AND start >= :start AND start < :end AND grain = ANY (:grains)
"""
_LISTED: Final = """/* segments.ids */
SELECT start, grain, visits{lists} FROM segments
WHERE site_id = %s AND start >= %s AND start < %s ORDER BY start, grain
"""
_STORED: Final = """/* segments.stored */
SELECT start, grain, {attributes} FROM segments
WHERE site_id = %s AND (start, grain) IN (SELECT * FROM unnest(%s::timestamptz[], %s::text[])) ORDER BY start, grain
"""
_STORED_OF_DAYS: Final = """/* segments.stored */
SELECT start, grain, {attributes}, (SELECT min(started) FROM crossings WHERE site_id = %s AND day = %s) FROM segments
WHERE site_id = %s AND start >= %s AND start < %s AND (grain = 'day' OR start < %s AND start <> ALL (%s))
ORDER BY start, grain
"""
_STORED_PROPERTIES: Final = """/* segments.stored */
SELECT start, grain, name, events, code, "values" FROM segment_properties
WHERE site_id = %s AND start = ANY (%s) AND name = ANY (%s)
"""
_DAY: Final = timedelta(days=1)
_LENGTHS: Final = (
    dict.fromkeys(VISITS, "visits")
    | dict.fromkeys(ELEMENTS, "elements_n")
    | {"alone": "alone_n", OF_PROPERTIES: "told_n"}
)
"""Column -> the size that tells how long it is; of `several` two do."""


class Listed(msgspec.Struct, frozen=True):
    """A segment without its columns: when it starts, whether it is of an hour or a day, how many visits it has, and
    lists of ids."""

    start: datetime
    grain: Grain
    visits: int
    ids: dict[str, Column]


def keep(connection: sa.Connection, site_id: int, start: datetime, grain: Grain, block: Block) -> None:
    """Put the segment of an hour or a day, with all columns and properties, in place of what there was. One without
    visits has no row."""
    key = (site_id, start, str(grain))
    with driver_connection(connection).cursor() as cursor:
        for table in ("segments", "segment_properties"):
            cursor.execute(_DELETE.format(table=table).encode(), key)
        if not block.visits:
            return
        columns = block.columns
        sizes = (block.visits, len(columns["alone"]), len(columns["action"]), len(columns[OF_PROPERTIES]))
        data = [packed(columns[name]) for name in COLUMNS] + [packed(block.ids[name]) for name in LISTS]
        cursor.execute(_INSERT.encode(), (*key, *sizes, *data))
        rows = [
            (*key, name, packed(found.events), packed(found.code), list(found.values))
            for name, found in block.properties.items()
        ]
        if rows:
            cursor.executemany(_INSERT_PROPERTY.encode(), rows)


def drop_day(connection: sa.Connection, day: date, site_id: int | None = None, grain: Grain | None = None) -> None:
    """Delete the segments of a UTC day, of one site or all, of one grain or both."""
    for table in ("segments", "segment_properties"):
        _drop(connection, table, day, site_id, grain)


def drop_properties(connection: sa.Connection, day: date, site_id: int | None = None) -> None:
    """Delete what segments of a UTC day hold of the properties of events, of one site or all: no longer than those
    events. Questions then find that none had any."""
    _drop(connection, "segment_properties", day, site_id, None)


def stored_ids(
    connection: sa.Connection, site_id: int, first_day: date, last_day: date, lists: Collection[str]
) -> list[Listed]:
    """What segments there are of these UTC days, by start, and which ids they name in these of `block.LISTS`."""
    names = list(lists)
    query = _LISTED.format(lists="".join(f", {_IDS[name]}" for name in names))
    with driver_connection(connection).cursor(binary=True) as cursor:
        cursor.execute(query.encode(), (site_id, _midnight(first_day), _midnight(last_day) + _DAY))
        return [
            Listed(start.astimezone(UTC), Grain(grain), visits, dict(zip(names, map(_ids, data), strict=True)))
            for start, grain, visits, *data in cursor
        ]


def stored(
    connection: sa.Connection,
    site_id: int,
    chosen: Sequence[Listed],
    columns: Collection[str],
    properties: Collection[str] = (),
) -> Iterator[Block]:
    """The blocks of some of the segments that `stored_ids` tells, with these columns and the lists of ids of those;
    `begin` counts from `base`, their start. Reads some of them at a time. `properties` without "event:props:".

    Of hours that have changed since, they say what was."""
    names, ids, attributes = _selected(columns)
    query = _STORED.format(attributes=attributes).encode()
    with driver_connection(connection).cursor(binary=True) as cursor:
        for portion in _portions(chosen):
            starts = [each.start for each in portion]
            found = _properties(cursor, site_id, starts, properties) if properties else {}
            cursor.execute(query, (site_id, starts, [str(each.grain) for each in portion]))
            for row in cursor:
                yield _block(row, names, ids, found.get((row[0], row[1]), {}))


def stored_of_days(
    connection: sa.Connection,
    site_id: int,
    days: tuple[date, date],
    end: datetime,
    but: Collection[datetime],
    columns: Collection[str],
    properties: Collection[str] = (),
) -> tuple[list[Block], datetime | None]:
    """The blocks of all segments of a few UTC days, from one to the other, by start: of days, and of hours before `end`
    but for some. With when the first visit began that goes on on the first day; None where no segment is found."""
    first, last = days
    names, ids, attributes = _selected(columns)
    query = _STORED_OF_DAYS.format(attributes=attributes).encode()
    with driver_connection(connection).cursor(binary=True) as cursor:
        cursor.execute(query, (site_id, first, site_id, _midnight(first), _midnight(last) + _DAY, end, list(but)))
        rows = cursor.fetchall()
        found = _properties(cursor, site_id, [row[0] for row in rows], properties) if rows and properties else {}
    blocks = [_block(row[:-1], names, ids, found.get((row[0], row[1]), {})) for row in rows]
    return blocks, rows[0][-1] if rows else None


def _selected(columns: Collection[str]) -> tuple[list[str], list[str], str]:
    """Which columns are read, which lists, and SQL for those and the sizes."""
    names = [name for name in COLUMNS if name in columns]
    ids = [name for name in LISTS if name in columns]
    return names, ids, ", ".join([*_SIZES, *(f'"{name}"' for name in names), *(_IDS[name] for name in ids)])


def _block(row: Sequence[Any], names: Sequence[str], ids: Sequence[str], properties: dict[str, Property]) -> Block:
    start, grain, *rest = row
    sizes = dict(zip(_SIZES, rest, strict=False))
    data = rest[len(_SIZES) :]
    columns = {
        name: unpacked(data[n], sizes[_LENGTHS[name]] if name in _LENGTHS else sizes["visits"] - sizes["alone_n"])
        for n, name in enumerate(names)
    }
    lists = {name: _ids(data[len(names) + n]) for n, name in enumerate(ids)}
    return Block(slot_of(start), sizes["visits"], columns, lists, properties, grain == Grain.DAY)


def _properties(
    cursor: psycopg.Cursor[Any], site_id: int, starts: list[datetime], names: Collection[str]
) -> dict[tuple[datetime, str], dict[str, Property]]:
    cursor.execute(_STORED_PROPERTIES.encode(), (site_id, starts, list(names)))
    found: dict[tuple[datetime, str], dict[str, Property]] = {}
    for start, grain, name, events, code, values in cursor:
        numbers = _ids(events)
        of_segment = found.setdefault((start, grain), {})
        of_segment[name] = Property(numbers, unpacked(code, len(numbers)), tuple(values))
    return found


def _portions(chosen: Sequence[Listed]) -> Iterator[list[Listed]]:
    """Some segments after the other."""
    portion: list[Listed] = []
    visits = 0
    for each in chosen:
        if portion and visits + each.visits > AT_ONCE:
            yield portion
            portion, visits = [], 0
        portion.append(each)
        visits += each.visits
    if portion:
        yield portion


def _ids(data: bytes) -> Column:
    """Packed numbers none of which occurs twice: where only one is told, there is one."""
    if not data:
        return unpacked(data, 0)
    return unpacked(data, 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _drop(connection: sa.Connection, table: str, day: date, site_id: int | None, grain: Grain | None) -> None:
    start = _midnight(day)
    grains = [str(grain)] if grain else [str(Grain.HOUR), str(Grain.DAY)]
    values = {"site_id": site_id, "start": start, "end": start + _DAY, "grains": grains}
    connection.execute(sa.text(_DROP.format(table=table)), values)
