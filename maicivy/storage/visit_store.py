"""Visits in Postgres, kept up to date in the transaction that stores their events.

Everything here happens under the lock of the ledger row: no other transaction changes visits meanwhile. The events of
a batch make visits of their own, which are joined with those that their visitors have already (`core.visits.joined`);
what comes out differently is written, and the hours that it touches are marked for the rollups.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec
import psycopg

from maicivy.core.events import ENGAGEMENT, PAGE_VIEW, Event
from maicivy.core.visits import BOTS, NO_SCROLL, SLOT_S, Happening, Shape, Visit, joined, of_events
from maicivy.enrichment import action_of, client_of, origin_of, place_of
from maicivy.storage.dimensions import DimensionBook
from maicivy.storage.visit_rows import BEGIN, COLUMNS, END, READ, Kept, Who, kept, packed

Visitor: TypeAlias = tuple[int, UUID]  # site and visitor id

_CHANGED: Final = """/* visit_store.record */
CREATE TEMP TABLE IF NOT EXISTS changed_visits (LIKE visits) ON COMMIT DELETE ROWS
"""
_COPY: Final = f"COPY changed_visits ({COLUMNS}) FROM STDIN (FORMAT BINARY)"
_KEY: Final = ("site_id", "visitor_id", "started")
_WRITE: Final = f"""/* visit_store.record */
INSERT INTO visits ({COLUMNS}) SELECT {COLUMNS} FROM changed_visits ORDER BY site_id, visitor_id, started
ON CONFLICT (site_id, visitor_id, started) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in COLUMNS.split(", ") if name not in _KEY)}
"""
_KNOWN: Final = f"""/* visit_store.record */
WITH wanted AS (
    SELECT * FROM unnest(%(sites)s::int[], %(visitors)s::uuid[]) WITH ORDINALITY AS w (site_id, visitor_id, n)
)
SELECT n, {READ} FROM visits JOIN wanted USING (site_id, visitor_id)
WHERE started >= %(since)s AND started < %(until)s
UNION ALL
SELECT n, {READ} FROM (
    SELECT DISTINCT n, site_id, visitor_id, started FROM crossings JOIN wanted USING (site_id, visitor_id)
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
_SLOTS_OF_HOUR: Final = 3600 // SLOT_S
_HOURS_OF_DAY: Final = 24
_SLOTS_OF_DAY: Final = _HOURS_OF_DAY * _SLOTS_OF_HOUR
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)
_TIE: Final = 2**63 - 1
_PLACES: Final = {reason: place for place, reason in enumerate(BOTS)}
_DECLARED: Final = _PLACES["declared"]
_SINGLE, _SHORT, _PLAIN = int(Shape.SINGLE), int(Shape.SHORT), int(Shape.PLAIN)  # flags are added ten times as slowly


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
        self, cursor: psycopg.Cursor[Any], seq: int, version: int, events: Sequence[Event], newcomers: Container[Who]
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
        for who, visits in fragments.items():
            batch.add(who, visits)
        batch.write()
        return Recorded(batch.days(), {(site_id, UUID(int=number)) for site_id, number in batch.bots})

    def _fragments(
        self,
        cursor: psycopg.Cursor[Any],
        version: int,
        events: Sequence[Event],
        judged: dict[tuple[int, int], int],
    ) -> dict[Who, list[Visit]]:
        """The visits that the events make by themselves."""
        clients = [client_of(event.traits) for event in events]
        places = [place_of(event.traits) for event in events]
        origins = [origin_of(event, self._hosts.get(event.site_id, _NO_HOSTS)) for event in events]
        actions = [action_of(event if event.event_type != ENGAGEMENT else _of_its_page(event)) for event in events]
        ids = self._dimensions.ids
        client_ids = ids(cursor, version, "clients", set(clients))
        place_ids = ids(cursor, version, "places", set(places))
        origin_ids = ids(cursor, version, "origins", set(origins))
        action_ids = ids(cursor, version, "actions", set(actions))
        self._pages.learn({entry.id: action.page for action, entry in action_ids.items()})
        happenings: dict[Who, list[Happening]] = {}
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
            who = (event.site_id, event.visitor_id.int)
            known = happenings.get(who)
            if known is None:
                happenings[who] = [happening]
            else:
                known.append(happening)
        return {who: of_events(all_of) for who, all_of in happenings.items()}


class _Pages:
    """Which page an action is on, of those met last. An id is never given twice, so a rollback leaves no harm here."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def learn(self, pages: Mapping[int, str]) -> None:
        """Remember those of a batch, in place of others if there are too many."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        self._known |= pages

    def ask(self, cursor: psycopg.Cursor[Any], actions: set[int]) -> None:
        """Have all of these known besides those of the batch, none of which is forgotten for them."""
        missing = sorted(actions - self._known.keys())
        if missing:
            cursor.execute(_PAGES, (missing,))
            self._known |= dict(cursor.fetchall())

    def are_plain(self, visit: Visit) -> bool:
        """Whether no page occurs in two elements of a visit, for certain."""
        elements = visit.elements
        if len(elements) == 1:
            return True
        pages = {self._known.get(action) for _, action in elements}
        return len(pages) == len(elements) and None not in pages


class _Batch:
    """One transaction's work on visits."""

    def __init__(self, cursor: psycopg.Cursor[Any], seq: int, pages: _Pages) -> None:
        self._cursor = cursor
        self._seq = seq
        self._pages = pages
        self._known: dict[Who, list[Kept]] = {}
        self._changed: list[tuple[Who, Kept]] = []
        self._gone: list[tuple[int, UUID, datetime]] = []
        self._hours: dict[int, set[int]] = {}  # site -> UTC hours since 1970
        self.judged: dict[tuple[int, int], int] = {}
        self.bots: set[Who] = set()

    def load(self, fragments: Mapping[Who, Sequence[Visit]], newcomers: Container[Who]) -> None:
        """Read what visits the visitors have on the days of the fragments and on those before and after."""
        wanted = [who for who in fragments if who not in newcomers]
        if not wanted:
            return
        visits = [visit for who in wanted for visit in fragments[who]]
        first = min(visit.started for visit in visits).astimezone(UTC).date() - _DAY
        end = max(visit.ended for visit in visits).astimezone(UTC).date() + 2 * _DAY
        self._cursor.execute(
            _KNOWN,
            {  # lists as texts: the driver asks of each value what it is
                "sites": f"{{{','.join([str(site_id) for site_id, _ in wanted])}}}",
                "visitors": f"{{{','.join([f'{number:032x}' for _, number in wanted])}}}",
                "first": first,
                "end": end,
                "since": datetime(first.year, first.month, first.day, tzinfo=UTC),
                "until": datetime(end.year, end.month, end.day, tzinfo=UTC),
            },
            binary=True,
        )
        for n, *row in self._cursor.fetchall():
            known = kept(row)
            entry = known.visit.entry
            if not known.visit.declared:
                self.judged.setdefault((entry.client_id, entry.origin_id), known.bot)
            self._known.setdefault(wanted[n - 1], []).append(known)
        actions = {action for all_of in self._known.values() for known in all_of for _, action in known.visit.elements}
        self._pages.ask(self._cursor, actions)

    def add(self, who: Who, fragments: Sequence[Visit]) -> None:
        """Join the fragments with what is known of their visitor."""
        known = self._known.get(who)
        if known is None:
            for visit in fragments:
                self._change(who, visit, None, fragments)
            return
        visits = joined([*(each.visit for each in known), *fragments])
        before = {each.visit.started: each for each in known}
        for visit in visits:
            self._change(who, visit, before.pop(visit.started, None), visits)
        for gone in before.values():
            self._gone.append((who[0], UUID(int=who[1]), gone.visit.started))
            self._touch(who[0], *gone.visit.slots)

    def _change(self, who: Who, visit: Visit, old: Kept | None, visits: Sequence[Visit]) -> None:
        """Note one of the visits of a visitor, if it is another than the `old` one that began when it does."""
        is_same, alone = False, len(visits) == 1
        if old is not None and old.visit == visit:
            if alone or not old.shape & _SINGLE:
                return
            is_same = True
        begin, end = visit.slots
        shape = _SHORT if begin == end else 0
        # Alone for certain: of a visit that was known as one of several, the others may lie where nobody looked.
        if alone and (old is None or old.shape & _SINGLE) and begin // _SLOTS_OF_DAY == end // _SLOTS_OF_DAY:
            shape |= _SINGLE
        if self._pages.are_plain(visit):
            shape |= _PLAIN
        bot = _DECLARED if visit.declared else self.judged[visit.entry.client_id, visit.entry.origin_id]
        if bot:
            self.bots.add(who)
        self._changed.append((who, Kept(visit, bot, shape)))
        # That it is the only one of its visitor is believed of whole days: it has to be known where no other visit of
        # its day tells it.
        if not is_same or not _are_on_day(begin // _SLOTS_OF_DAY, [other for other in visits if other is not visit]):
            self._touch(who[0], begin, end)

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
            copy.write(b"".join([BEGIN, *[packed(who, changed) for who, changed in self._changed], END]))
        cursor.execute(_WRITE)
        crossings = [
            (day, who[0], UUID(int=who[1]), changed.visit.started)
            for who, changed in self._changed
            if not changed.shape & _SHORT
            for day in _days_after(changed.visit)
        ]
        if crossings:
            cursor.execute(_CROSS, [list(column) for column in zip(*crossings, strict=True)])
        marked = [(site_id, _EPOCH + hour * _HOUR) for site_id, hours in self._hours.items() for hour in hours]
        if marked:
            cursor.execute(_MARK, (self._seq, *(list(column) for column in zip(*marked, strict=True))))

    def days(self) -> dict[int, set[date]]:
        """Site -> UTC days on which some visit of it is another now."""
        return {
            site_id: {(_EPOCH + day * _DAY).date() for day in {hour // _HOURS_OF_DAY for hour in hours}}
            for site_id, hours in self._hours.items()
        }

    def _touch(self, site_id: int, begin: int, end: int) -> None:
        """Note the hours from that of one quarter of an hour to that of another."""
        hours = self._hours.setdefault(site_id, set())
        hours.update(range(begin // _SLOTS_OF_HOUR, end // _SLOTS_OF_HOUR + 1))


def _hosts(cursor: psycopg.Cursor[Any]) -> dict[int, frozenset[str]]:
    """Site -> hosts of its own: coming from one of them is coming from nowhere else."""
    cursor.execute(_HOSTS)
    return {
        site_id: frozenset(host for host in (domain, *allowed) if host)
        for site_id, domain, allowed in cursor.fetchall()
    }


def _of_its_page(event: Event) -> Event:
    """The event that engagement is kept under in its visit: the view of its page."""
    return msgspec.structs.replace(event, event_type=PAGE_VIEW)


def _are_on_day(day: int, visits: Sequence[Visit]) -> bool:
    """Whether any of the visits touches a UTC day, counted from 1970."""
    slots = [visit.slots for visit in visits]
    return any(begin // _SLOTS_OF_DAY <= day <= end // _SLOTS_OF_DAY for begin, end in slots)


def _days_after(visit: Visit) -> Iterator[date]:
    """The UTC days that a visit goes on on after that of its start."""
    day, last = _utc_day(visit.started), _utc_day(visit.ended)
    while day < last:
        day += _DAY
        yield day


def _utc_day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
