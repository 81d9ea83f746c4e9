"""Blocks made of `visits`: what segments are made of, and what is read where one is not up to date."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Final

import msgspec
import numpy as np
import sqlalchemy as sa

from maicivy.core.visits import SLOT_S, midnight_of, slot_of
from maicivy.storage.crossings import reach_of
from maicivy.storage.segments.attributes import Attributes, Stays
from maicivy.storage.segments.block import COLUMNS, OF_PROPERTIES, Block
from maicivy.storage.segments.properties import attach

_DURING: Final = "v.started >= %(start)s AND v.started < %(end)s"
_IN_HOURS: Final = " AND date_trunc('hour', v.started, 'UTC') = ANY (%(hours)s)"
_CROSSING: Final = """(v.site_id, v.visitor_id, v.started) IN (
    SELECT site_id, visitor_id, started FROM crossings WHERE site_id = %(site_id)s AND day = %(day)s
) AND v.started >= %(reach)s AND v.started < %(midnight)s"""

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_SLOTS_OF_DAY: Final = 86_400 // SLOT_S


def load(
    connection: sa.Connection,
    site_id: int,
    hours: Collection[datetime],
    columns: Collection[str],
    properties: Collection[str] = (),
) -> list[Block]:
    """Visits that began in these UTC hours, a block for each UTC day on which there are any, ascending; `begin` counts
    from midnight. Reads the whole day's partitions. `properties` without "event:props:"."""
    blocks = []
    for day, hours_of_day in groupby(sorted(hours), midnight_of):
        found = _load_hours(connection, site_id, list(hours_of_day), columns, stays=bool(properties))
        slots = slot_of(day)
        block = _block(connection, site_id, found, (slots, slots + _SLOTS_OF_DAY), columns, properties, slots)
        if block is not None:
            blocks.append(block)
    return blocks


def load_day(connection: sa.Connection, site_id: int, day: date) -> Block:
    """All visits that began on a UTC day, with all columns and all properties."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found = Attributes(connection, site_id, [_DURING], {"start": midnight, "end": midnight + _DAY}, COLUMNS, stays=True)
    block, stays = found.block(slot_of(midnight), COLUMNS, is_whole=True, with_stays=True)
    return _attached(connection, site_id, block, stays, COLUMNS, None)


def load_hours(
    connection: sa.Connection, site_id: int, hours: Collection[datetime]
) -> Iterator[tuple[datetime, Block]]:
    """Each of these hours of one UTC day, ascending, with the visits that began in it, with all columns and properties;
    `begin` counts from the hour."""
    wanted = sorted(hours)
    found = _load_hours(connection, site_id, wanted, COLUMNS, stays=True)
    for hour in wanted:
        block, stays = found.block(
            slot_of(hour), COLUMNS, slots=(slot_of(hour), slot_of(hour + _HOUR)), with_stays=True
        )
        yield hour, _attached(connection, site_id, block, stays, COLUMNS, None)


def load_crossing(
    connection: sa.Connection,
    site_id: int,
    midnight: datetime,
    columns: Collection[str],
    properties: Collection[str] = (),
) -> Block | None:
    """Visits that began before a UTC midnight and go on behind it; None when there are none."""
    reach = reach_of(connection, site_id, midnight)
    return None if reach >= midnight else load_reaching(connection, site_id, midnight, reach, columns, properties)


def load_reaching(
    connection: sa.Connection,
    site_id: int,
    midnight: datetime,
    reach: datetime,
    columns: Collection[str],
    properties: Collection[str] = (),
) -> Block | None:
    """The same where it is known that none of them began before `reach`."""
    found = Attributes(connection, site_id, [_CROSSING], _crossing(midnight, reach), columns, stays=bool(properties))
    return _block(connection, site_id, found, (0, slot_of(midnight)), columns, properties)


def load_with_reaching(
    connection: sa.Connection,
    site_id: int,
    hours: Collection[datetime],
    reach: datetime,
    columns: Collection[str],
    properties: Collection[str] = (),
) -> tuple[Block | None, Block | None]:
    """What `load_reaching` gives of the midnight of the UTC day that all these hours lie on, and what `load` gives of
    the hours, at once."""
    midnight = midnight_of(min(hours))
    conditions, values = _of_hours(sorted(hours))
    found = Attributes(
        connection,
        site_id,
        [*conditions, _CROSSING],
        values | _crossing(midnight, reach),
        columns,
        stays=bool(properties),
    )
    slots = slot_of(midnight)
    before = _block(connection, site_id, found, (0, slots), columns, properties)
    return before, _block(connection, site_id, found, (slots, slots + _SLOTS_OF_DAY), columns, properties, slots)


def _block(
    connection: sa.Connection,
    site_id: int,
    found: Attributes,
    slots: tuple[int, int],
    columns: Collection[str],
    properties: Collection[str],
    base: int | None = None,
) -> Block | None:
    """The visits found that began in some quarters of an hour; `begin` counts from `base`, or the first of them."""
    first, last = np.searchsorted(found.slots, slots)
    if first == last:
        return None
    start = int(found.slots[first]) if base is None else base
    block, stays = found.block(start, columns, slots=slots, with_stays=bool(properties))
    return _attached(connection, site_id, block, stays, columns, properties) if properties else block


def _crossing(midnight: datetime, reach: datetime) -> dict[str, object]:
    return {"reach": reach, "midnight": midnight, "day": midnight.astimezone(UTC).date()}


def _load_hours(
    connection: sa.Connection, site_id: int, hours: Sequence[datetime], columns: Collection[str], *, stays: bool
) -> Attributes:
    """Visits of some hours of one UTC day, ascending."""
    return Attributes(connection, site_id, *_of_hours(hours), columns, stays=stays)


def _of_hours(hours: Sequence[datetime]) -> tuple[list[str], dict[str, object]]:
    """The condition that visits began in some hours of one UTC day, ascending, and its values."""
    start, end = hours[0], hours[-1] + _HOUR
    values: dict[str, object] = {"start": start, "end": end}
    if end - start == len(hours) * _HOUR:
        return [_DURING], values
    return [_DURING + _IN_HOURS], values | {"hours": list(hours)}


def _attached(
    connection: sa.Connection,
    site_id: int,
    block: Block,
    stays: Stays | None,
    columns: Collection[str],
    names: Iterable[str] | None,
) -> Block:
    """The block with its properties, and without the columns that only they needed."""
    assert stays is not None
    full = attach(connection, site_id, block, stays, None if names is None else list(names))
    wanted = {*columns, OF_PROPERTIES}
    return msgspec.structs.replace(
        full,
        columns={name: column for name, column in full.columns.items() if name in wanted},
        ids={name: ids for name, ids in full.ids.items() if name in wanted},
    )
