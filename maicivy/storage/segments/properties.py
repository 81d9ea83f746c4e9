"""Properties of the events of a block: looked up among the stored events, for visits do not keep them.

A stored event is found again in its visit as the store put it there: by whose it is, when it was, and by the digest of
its action. Where visits say something else than events do, which takes a hand in the tables, counts are those of
visits: an event without an element is left out, and so are more than its element has counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import psycopg
import sqlalchemy as sa

from maicivy.core.query_filters import MAX_PROPERTY_CHARS
from maicivy.enrichment import action_at
from maicivy.storage.connections import driver_connection
from maicivy.storage.schema import HAS_PROPERTIES_SQL
from maicivy.storage.segments.attributes import EPOCH, Stays, slots_of
from maicivy.storage.segments.block import OF_PROPERTIES, Block, Column, Property, coded

Listed: TypeAlias = tuple[str, str, bytes]
"""Two texts, and the numbers of the events that have them."""

_NUMBER: Final = np.dtype(">i4")
_EVENT: Final = np.dtype([("number", _NUMBER), ("visitor", ">u8"), ("at", ">i8")])
_NONE: Final = -1

_IDS: Final = "/* segments.properties.attach */ SELECT digest, id FROM actions WHERE digest = ANY (%s)"


def _lists(having: str, named: str) -> str:
    # Three lists in one statement, so that the events are read once and have the same numbers in all of them. Each text
    # comes once, however many events have it.
    return f"""/* segments.properties.attach */
        WITH told AS MATERIALIZED (
            SELECT int4send((row_number() OVER () - 1)::int) AS number, visitor_id, created_at, event_type,
                   split_part(page_url, '?', 1) AS page, event_data
            FROM analytics_events WHERE site_id = %(site_id)s AND created_at >= %(first)s AND created_at <= %(last)s
                AND {HAS_PROPERTIES_SQL}{having}
        )
        SELECT 0 AS list, '' AS one, '' AS other, string_agg(
            number || substring(uuid_send(visitor_id) FROM 9) || timestamptz_send(created_at), ''
        ) AS numbers FROM told
        UNION ALL
        SELECT 1, event_type, page, string_agg(number, '') FROM told GROUP BY event_type, page
        UNION ALL
        SELECT 2, p.key, p.value, string_agg(number, '') FROM told CROSS JOIN jsonb_each_text(event_data) AS p
        WHERE p.value <> '' AND {named} GROUP BY p.key, p.value"""


_ALL: Final = _lists("", f"length(p.key) BETWEEN 1 AND {MAX_PROPERTY_CHARS:d}")
_NAMED: Final = _lists(" AND event_data ?| %(names)s", "p.key = ANY (%(names)s)")


def attach(
    connection: sa.Connection, site_id: int, block: Block, stays: Stays, names: Collection[str] | None = None
) -> Block:
    """The block with the properties of its events; with `names` (without "event:props:") those alone.

    It has to have the columns begin, elements, action, at and count. Values are texts as `->>` gives them. Null and the
    empty text are left out, as are names that no question can name; with `names`, events that have none of these are
    not among those told: all of that reads the same. Reads the stored events with properties of the time of the visits,
    whosever they are: 30 ms for the 6,500 of a day with 35,000 visits (2 cores, PostgreSQL 18, everything in memory).
    """
    if not block.visits or (names is not None and not names):
        return _with(block, np.zeros(0, np.int64), {})
    with driver_connection(connection).cursor(binary=True) as cursor:
        events, actions, listed = _read(cursor, site_id, stays, names)
        action_ids = _action_ids(cursor, site_id, len(events), actions)
    visits = _visits_of(stays, events)
    elements = _elements_of(block, events, visits, action_ids)
    told, places = _with_room(block, elements)
    return _with(block, told, dict(_properties(sorted(listed), places)))


def _with(block: Block, told: Column, properties: dict[str, Property]) -> Block:
    columns = block.columns | {OF_PROPERTIES: told}
    return msgspec.structs.replace(block, columns=columns, properties=properties)


def _read(
    cursor: psycopg.Cursor[Any], site_id: int, stays: Stays, names: Collection[str] | None
) -> tuple[Column, list[Listed], list[Listed]]:
    """Whose the events are and when they were, by number; their types and pages; their properties."""
    values = {
        "site_id": site_id,
        "first": EPOCH + timedelta(microseconds=int(stays.started.min())),
        "last": EPOCH + timedelta(microseconds=int(stays.ended.max())),
        "names": list(names or ()),
    }
    cursor.execute(_ALL if names is None else _NAMED, values)
    lists: tuple[list[Listed], ...] = [], [], []
    for which, one, other, numbers in cursor:
        lists[which].append((one, other, numbers))
    ((_, _, records),) = lists[0]
    told = np.frombuffer(records or b"", _EVENT)
    events = np.empty_like(told)
    events[told["number"]] = told
    return events, lists[1], lists[2]


def _action_ids(cursor: psycopg.Cursor[Any], site_id: int, size: int, actions: Sequence[Listed]) -> Column:
    """The id of each event's action."""
    digests = [action_at(site_id, event_type, page).digest for event_type, page, _ in actions]
    cursor.execute(_IDS, (digests,))
    ids = dict(cursor.fetchall())
    numbers, places = _spread(actions)
    action_ids = np.full(size, _NONE, np.int64)
    action_ids[numbers] = np.array([ids.get(digest, _NONE) for digest in digests], np.int64)[places]
    return action_ids


def _visits_of(stays: Stays, events: Column) -> Column:
    """The number of the visit that each event lies in."""
    visitors, at = events["visitor"].astype(np.uint64), events["at"].astype(np.int64)
    visits = _last_until((stays.visitors, stays.started), (visitors, at))
    is_its = (stays.visitors[visits] == visitors) & (stays.started[visits] <= at) & (at <= stays.ended[visits])
    return np.where(is_its, visits, _NONE)


def _elements_of(block: Block, events: Column, visits: Column, action_ids: Column) -> Column:
    """The number of the element that each event belongs to, of those whose visit is known."""
    begin, action, at = (block.columns[name].astype(np.int64) for name in ("begin", "action", "at"))
    is_wanted = np.zeros(block.visits, bool)
    is_wanted[visits[visits != _NONE]] = True
    whose = np.repeat(np.arange(block.visits), block.columns["elements"].astype(np.int64))
    elements = np.flatnonzero(is_wanted[whose])
    if not len(elements):
        return np.full(len(events), _NONE)
    ids = block.ids["action"].astype(np.int64)
    keys = whose[elements], at[elements], ids[action[elements]]
    slots = slots_of(events["at"].astype(np.int64))
    wanted = visits, slots - block.base - begin[visits], action_ids
    places = _last_until(keys, wanted)
    is_its = np.logical_and.reduce([key[places] == each for key, each in zip(keys, wanted, strict=True)])
    return np.where(is_its, elements[places], _NONE)


def _with_room(block: Block, elements: Column) -> tuple[Column, Column]:
    """The elements of the events told, ascending, and which of these each event is."""
    known = np.flatnonzero(elements != _NONE)
    order = known[np.argsort(elements[known], kind="stable")]
    told = elements[order]
    has_room = np.arange(len(told)) - np.searchsorted(told, told) < block.columns["count"][told]
    places = np.full(len(elements), _NONE)
    places[order[has_room]] = np.arange(np.count_nonzero(has_room))
    return told[has_room], places


def _properties(listed: Sequence[Listed], places: Column) -> Iterator[tuple[str, Property]]:
    # All names at once, for there may be as many as there are events.
    numbers, codes = _spread(listed)
    events = places[numbers]
    names = {name: number for number, name in enumerate(dict.fromkeys(name for name, _, _ in listed))}
    whose = np.array([names[name] for name, _, _ in listed], np.int64)[codes]
    order = np.lexsort((events, whose))
    order = order[events[order] != _NONE]
    occurring, codes = coded(codes[order])
    values = [listed[place][1] for place in occurring.tolist()]
    events, whose = events[order], whose[order]
    bounds = np.searchsorted(whose, np.arange(len(names) + 1)).tolist()
    first_value = 0
    for name, start, end in zip(names, bounds, bounds[1:], strict=False):
        if start < end:
            code = codes[start:end] - first_value
            end_value = first_value + int(code.max()) + 1
            yield name, Property(events[start:end], code, tuple(values[first_value:end_value]))
            first_value = end_value


def _spread(listed: Sequence[Listed]) -> tuple[Column, Column]:
    """All numbers of a list, and for each its place in the list."""
    numbers = np.frombuffer(b"".join([each[2] for each in listed]), _NUMBER)
    sizes = [len(each[2]) // _NUMBER.itemsize for each in listed]
    return numbers, np.repeat(np.arange(len(listed)), sizes)


def _last_until(keys: Sequence[Column], wanted: Sequence[Column]) -> Column:
    """For each of `wanted` the place of the last of `keys` that does not come behind it; any where there is none.

    Both are columns, the weightiest first. There has to be a key; of equal keys the last one counts.
    """
    size = len(keys[0])
    order = np.lexsort([np.concatenate(pair) for pair in zip(keys, wanted, strict=True)][::-1])  # stable: keys first
    is_key = order < size
    last = np.maximum.accumulate(np.where(is_key, np.arange(len(order)), 0))
    before = order[last[~is_key]]
    places = np.empty(len(order) - size, np.int64)
    places[order[~is_key] - size] = np.where(before < size, before, 0)
    return places
