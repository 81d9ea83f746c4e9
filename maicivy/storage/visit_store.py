"""Visits in Postgres, kept up to date in the transaction that stores their events.

Everything here happens under the lock of the ledger row: no other transaction changes visits meanwhile. The events of
a batch make visits of their own, which are joined with those that their visitors have already (`core.visits.joined`);
what comes out differently is written, and the hours that it touches are marked for the rollups.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec
import psycopg

from maicivy.core.dimensions import Action
from maicivy.core.events import ENGAGEMENT, PAGE_VIEW, Event
from maicivy.core.visits import (
    BOTS,
    NO_SCROLL,
    Element,
    Entry,
    Exit,
    Happening,
    Shape,
    Visit,
    joined,
    of_events,
    slot_of,
)
from maicivy.enrichment import action_of, client_of, origin_of, place_of
from maicivy.storage.dimensions import DimensionBook

Visitor: TypeAlias = tuple[int, UUID]  # site and visitor id

_COLUMNS: Final = (
    "site_id, visitor_id, started, ended, client_id, place_id, origin_id, entry_id, exit_id, pageviews, events,"
    " interactions, bot, shape, first_at, first_tie, last_at, last_tie, declared,"
    " actions, slots, counts, engaged, scrolls"
)
# bytea for arrays: `_array` makes their wire form, as event_store.py does that of jsonb
_TYPES: Final = (
    *("int4", "uuid", "timestamptz", "timestamptz", "int4", "int4", "int4", "int4", "int4", "int4", "int4"),
    *("int4", "int2", "int2", "timestamptz", "int8", "timestamptz", "int8", "bool"),
    *("bytea", "bytea", "bytea", "bytea", "bytea"),
)
_CHANGED: Final = """/* visit_store.record */
CREATE TEMP TABLE IF NOT EXISTS changed_visits (LIKE visits) ON COMMIT DELETE ROWS
"""
_COPY: Final = f"COPY changed_visits ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_KEY: Final = ("site_id", "visitor_id", "started")
_WRITE: Final = f"""/* visit_store.record */
INSERT INTO visits ({_COLUMNS}) SELECT {_COLUMNS} FROM changed_visits ORDER BY site_id, visitor_id, started
ON CONFLICT (site_id, visitor_id, started) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ") if name not in _KEY)}
"""
_KNOWN: Final = f"""/* visit_store.record */
WITH wanted AS (SELECT * FROM unnest(%(sites)s::int[], %(visitors)s::uuid[]) AS w (site_id, visitor_id))
SELECT {_COLUMNS} FROM visits JOIN wanted USING (site_id, visitor_id)
WHERE started >= %(since)s AND started < %(until)s
UNION ALL
SELECT {_COLUMNS} FROM (
    SELECT DISTINCT site_id, visitor_id, started FROM crossings JOIN wanted USING (site_id, visitor_id)
    WHERE day >= %(first)s AND day < %(end)s AND started < %(since)s
) AS earlier JOIN visits USING (site_id, visitor_id, started)
"""
_DELETE: Final = """/* visit_store.record */
DELETE FROM {table} WHERE (site_id, visitor_id, started)
    IN (SELECT * FROM unnest(%s::int[], %s::uuid[], %s::timestamptz[]))
"""
_CROSS: Final = """/* visit_store.record */
INSERT INTO crossings (day, site_id, visitor_id, started)
SELECT * FROM unnest(%s::date[], %s::int[], %s::uuid[], %s::timestamptz[]) ON CONFLICT DO NOTHING
"""
_MARK: Final = """/* visit_store.record */
INSERT INTO dirty_hours (site_id, hour, seq)
SELECT site_id, hour, %s FROM unnest(%s::int[], %s::timestamptz[]) AS h (site_id, hour) ORDER BY 1, 2
ON CONFLICT (site_id, hour) DO UPDATE SET seq = excluded.seq
"""
_HOSTS: Final = "/* visit_store.record */ SELECT id, domain, allowed_hosts FROM sites"
_PAGES: Final = "/* visit_store.record */ SELECT id, page FROM actions WHERE id = ANY (%s)"
REMEMBERED: Final = 100_000
"""Actions whose page a process remembers."""

_NO_HOSTS: Final[frozenset[str]] = frozenset()
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_TIE: Final = 2**63 - 1
_PLACES: Final = {reason: place for place, reason in enumerate(BOTS)}


class Kept(msgspec.Struct, frozen=True):
    """A visit as its row has it."""

    visit: Visit
    bot: int
    shape: int


class Recorded(msgspec.Struct, frozen=True):
    """What a batch did to visits: site -> UTC days on which some visit of it is another now, and the visitors of the
    batch whose latest visit is a bot's."""

    days: dict[int, set[date]]
    bots: set[Visitor]


class VisitBook:
    """Records events as visits. One per process; what it remembers are ids of dimensions."""

    def __init__(self) -> None:
        self._dimensions = DimensionBook()
        self._version = 0
        self._hosts: dict[int, frozenset[str]] = {}
        self._pages = _Pages()

    def record(
        self, cursor: psycopg.Cursor[Any], seq: int, version: int, events: Sequence[Event], newcomers: set[Visitor]
    ) -> Recorded:
        """Add `events`, each new to the store, to the visits of their visitors.

        To be called with the ledger row locked. `version` is its `dictionary_version`, which is raised when
        dimensions are judged anew and when sites change; `seq` is the number that this transaction gives it.
        `newcomers` are visitors who have no visits yet, for certain.
        """
        if version != self._version:
            self._hosts = _hosts(cursor)
            self._version = version
        batch = _Batch(cursor, seq, self._pages)
        fragments = self._fragments(cursor, version, events, batch.judged)
        batch.load(fragments, newcomers)
        for visitor, visits in fragments.items():
            batch.add(visitor, visits)
        batch.write()
        return Recorded(batch.days, batch.bots)

    def _fragments(
        self,
        cursor: psycopg.Cursor[Any],
        version: int,
        events: Sequence[Event],
        judged: dict[tuple[int, int], int],
    ) -> dict[Visitor, list[Visit]]:
        """The visits that the events make by themselves."""
        clients = [client_of(event.traits) for event in events]
        places = [place_of(event.traits) for event in events]
        origins = [origin_of(event, self._hosts.get(event.site_id, _NO_HOSTS)) for event in events]
        actions = [_action(event) for event in events]
        ids = self._dimensions.ids
        client_ids = ids(cursor, version, "clients", set(clients))
        place_ids = ids(cursor, version, "places", set(places))
        origin_ids = ids(cursor, version, "origins", set(origins))
        action_ids = ids(cursor, version, "actions", set(actions))
        self._pages.learn({entry.id: action.page for action, entry in action_ids.items()})
        happenings: dict[Visitor, list[Happening]] = {}
        for event, client, place, origin, action in zip(events, clients, places, origins, actions, strict=True):
            client_id, client_bot = client_ids[client]
            origin_id, origin_bot = origin_ids[origin]
            judged[client_id, origin_id] = _PLACES[client_bot or origin_bot]
            traits = event.traits
            is_engagement = event.event_type == ENGAGEMENT
            happening = Happening(
                event.created_at,
                event.id.int & _TIE,
                is_engagement,
                event.event_type == PAGE_VIEW,
                traits.interactive,
                traits.bot,
                traits.engagement_ms if is_engagement else 0,
                (traits.scroll_depth or NO_SCROLL) if is_engagement else NO_SCROLL,
                client_id,
                place_ids[place].id,
                origin_id,
                action_ids[action].id,
            )
            visitor = (event.site_id, event.visitor_id)
            known = happenings.get(visitor)
            if known is None:
                happenings[visitor] = [happening]
            else:
                known.append(happening)
        return {visitor: of_events(all_of) for visitor, all_of in happenings.items()}


class _Pages:
    """Which page an action is on, of those met last. An id is never given twice, so a rollback leaves no harm here."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def learn(self, pages: Mapping[int, str]) -> None:
        """Remember some."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        self._known |= pages

    def ask(self, cursor: psycopg.Cursor[Any], actions: set[int]) -> None:
        """Have all of these known."""
        missing = sorted(actions - self._known.keys())
        if missing:
            cursor.execute(_PAGES, (missing,))
            self.learn(dict(cursor.fetchall()))

    def are_plain(self, visit: Visit) -> bool:
        """Whether no page occurs in two elements of a visit."""
        elements = visit.elements
        return len(elements) == 1 or len({self._known.get(action) for _, action in elements}) == len(elements)


class _Batch:
    """One transaction's work on visits."""

    def __init__(self, cursor: psycopg.Cursor[Any], seq: int, pages: _Pages) -> None:
        self._cursor = cursor
        self._seq = seq
        self._pages = pages
        self._known: dict[Visitor, list[Kept]] = {}
        self._changed: list[tuple[Visitor, Kept]] = []
        self._gone: list[tuple[int, UUID, datetime]] = []
        self._hours: set[tuple[int, datetime]] = set()
        self.judged: dict[tuple[int, int], int] = {}
        self.days: dict[int, set[date]] = {}
        self.bots: set[Visitor] = set()

    def load(self, fragments: Mapping[Visitor, Sequence[Visit]], newcomers: set[Visitor]) -> None:
        """Read what visits the visitors have on the days of the fragments and on those before and after."""
        wanted = [visitor for visitor in fragments if visitor not in newcomers]
        if not wanted:
            return
        visits = [visit for visitor in wanted for visit in fragments[visitor]]
        first = min(visit.started for visit in visits).astimezone(UTC).date() - _DAY
        end = max(visit.ended for visit in visits).astimezone(UTC).date() + 2 * _DAY
        self._cursor.execute(
            _KNOWN,
            {
                "sites": [site_id for site_id, _ in wanted],
                "visitors": [visitor_id for _, visitor_id in wanted],
                "first": first,
                "end": end,
                "since": datetime(first.year, first.month, first.day, tzinfo=UTC),
                "until": datetime(end.year, end.month, end.day, tzinfo=UTC),
            },
            binary=True,
        )
        for row in self._cursor.fetchall():
            kept = _kept(row)
            entry = kept.visit.entry
            if not kept.visit.declared:
                self.judged.setdefault((entry.client_id, entry.origin_id), kept.bot)
            self._known.setdefault((row[0], row[1]), []).append(kept)
        actions = {action for all_of in self._known.values() for kept in all_of for _, action in kept.visit.elements}
        self._pages.ask(self._cursor, actions)

    def add(self, visitor: Visitor, fragments: Sequence[Visit]) -> None:
        """Join the fragments with what is known of their visitor."""
        known = self._known.get(visitor, [])
        visits = joined([*(kept.visit for kept in known), *fragments]) if known else fragments
        before = {kept.visit.started: kept for kept in known}
        alone = len(visits) == 1
        for visit in visits:
            old = before.pop(visit.started, None)
            if old is not None and old.visit == visit and (alone or not old.shape & Shape.SINGLE):
                continue
            shape = Shape.SHORT if visit.is_short else Shape(0)
            # Alone for certain: of a visit that was known as one of several, the others may lie where nobody looked.
            if alone and (old is None or old.shape & Shape.SINGLE) and _utc_day(visit.started) == _utc_day(visit.ended):
                shape |= Shape.SINGLE
            if self._pages.are_plain(visit):
                shape |= Shape.PLAIN
            kept = Kept(visit, self._bot(visit), int(shape))
            if kept.bot:
                self.bots.add(visitor)
            self._changed.append((visitor, kept))
            if old is None or old.visit != visit:
                self._touch(visitor[0], visit)
        for gone in before.values():
            self._gone.append((*visitor, gone.visit.started))
            self._touch(visitor[0], gone.visit)

    def write(self) -> None:
        """Put it all into the tables."""
        cursor = self._cursor
        if self._gone:
            lost = [list(column) for column in zip(*self._gone, strict=True)]
            cursor.execute(_DELETE.format(table="visits"), lost)
            cursor.execute(_DELETE.format(table="crossings"), lost)
        if not self._changed:
            return
        cursor.execute(_CHANGED)
        with cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for visitor, kept in self._changed:
                copy.write_row(_row(visitor, kept))
        cursor.execute(_WRITE)
        crossings = [
            (day, *visitor, kept.visit.started) for visitor, kept in self._changed for day in _days_after(kept.visit)
        ]
        if crossings:
            cursor.execute(_CROSS, [list(column) for column in zip(*crossings, strict=True)])
        if self._hours:
            cursor.execute(_MARK, (self._seq, *(list(column) for column in zip(*self._hours, strict=True))))

    def _bot(self, visit: Visit) -> int:
        """The place in `BOTS` of why this visit is taken for a bot's."""
        if visit.declared:
            return BOTS.index("declared")
        return self.judged[visit.entry.client_id, visit.entry.origin_id]

    def _touch(self, site_id: int, visit: Visit) -> None:
        hour = visit.started.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        days = self.days.setdefault(site_id, set())
        while hour <= visit.ended:
            self._hours.add((site_id, hour))
            days.add(hour.date())
            hour += _HOUR


def _hosts(cursor: psycopg.Cursor[Any]) -> dict[int, frozenset[str]]:
    """Site -> hosts of its own: coming from one of them is coming from nowhere else."""
    cursor.execute(_HOSTS)
    return {
        site_id: frozenset(host for host in (domain, *allowed) if host)
        for site_id, domain, allowed in cursor.fetchall()
    }


def _action(event: Event) -> Action:
    """What an event is kept under in its visit: engagement is added to the view of its page."""
    if event.event_type == ENGAGEMENT:
        event = msgspec.structs.replace(event, event_type=PAGE_VIEW)
    return action_of(event)


def _days_after(visit: Visit) -> Iterator[date]:
    """The UTC days that a visit goes on on after that of its start."""
    day, last = _utc_day(visit.started), _utc_day(visit.ended)
    while day < last:
        day += _DAY
        yield day


def _utc_day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _kept(row: Sequence[Any]) -> Kept:
    """The inverse of `_row`, but for the arrays, which the driver has read."""
    _, _, started, ended, client_id, place_id, origin_id, entry_id, exit_id, pageviews, events, interactions = row[:12]
    bot, shape, first_at, first_tie, last_at, last_tie, declared = row[12:19]
    actions, slots, counts, engaged, scrolls = row[19:]
    base = slot_of(started)
    size = len(actions)
    places = slots or [0] * size
    elements = {
        (base + slot, action): Element(count, engaged_ms, scroll)
        for action, slot, count, engaged_ms, scroll in zip(
            actions, places, counts or [1] * size, engaged or [0] * size, scrolls or [NO_SCROLL] * size, strict=True
        )
    }
    visit = Visit(
        started,
        ended,
        Entry(not events, first_at, first_tie, client_id, place_id, origin_id, entry_id),
        Exit(last_at, last_tie, exit_id) if exit_id else None,
        pageviews,
        events,
        interactions,
        declared,
        elements,
    )
    return Kept(visit, bot, shape)


def _row(visitor: Visitor, kept: Kept) -> tuple[Any, ...]:
    visit = kept.visit
    entry, last = visit.entry, visit.exit
    base = slot_of(visit.started)
    keys = sorted(visit.elements)
    elements = [visit.elements[key] for key in keys]
    return (
        *visitor,
        visit.started,
        visit.ended,
        entry.client_id,
        entry.place_id,
        entry.origin_id,
        entry.action_id,
        last.action_id if last else 0,
        visit.pageviews,
        visit.events,
        visit.interactions,
        kept.bot,
        kept.shape,
        entry.at,
        entry.tie,
        last.at if last else entry.at,
        last.tie if last else 0,
        visit.declared,
        _array([action for _, action in keys]),
        _array([slot - base for slot, _ in keys], unless_all=0),
        _array([element.count for element in elements], unless_all=1),
        _array([element.engaged_ms for element in elements], unless_all=0),
        _array([element.scroll for element in elements], unless_all=NO_SCROLL, wide=False),
    )


def _array(values: list[int], unless_all: int | None = None, *, wide: bool = True) -> bytes | None:
    """An int4[] or int2[] as Postgres takes it; None when all values are the one that goes without saying."""
    if unless_all is not None and values.count(unless_all) == len(values):
        return None
    size, code, type_id = (4, "i", 23) if wide else (2, "h", 21)
    if len(values) == 1:
        return _ONE[wide].pack(1, 0, type_id, 1, 1, size, values[0])
    flat = [size] * (2 * len(values))
    flat[1::2] = values
    # dimensions, no nulls, type, how many, from 1; then the size of each and it
    return struct.pack(f">iiiii{f'i{code}' * len(values)}", 1, 0, type_id, len(values), 1, *flat)


_ONE: Final = {True: struct.Struct(">iiiiiii"), False: struct.Struct(">iiiiiih")}
