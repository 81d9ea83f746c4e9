"""Events into Postgres, and the outbox out of it: the truth from here on.

One transaction stores a batch: new ids, rows, visitors, quarantine, receipts, and last of all the ledger, whose row
lock makes outbox numbers gap-free and their order that of the commits. Batches travel by COPY into a temporary table
and from there by one statement (2.5 us per event in Python and 6 us in Postgres, measured with batches of 1,000).
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import sqlalchemy as sa

from maicivy import faults
from maicivy.core.events import Event, encode
from maicivy.core.identity import day_of
from maicivy.core.ports import OutboxRow, Parcel, Stored
from maicivy.core.tallies import SiteTally, Tally, tally
from maicivy.errors import RejectedByDatabase, Unavailable
from maicivy.metrics import DATABASE_DURATION, timed
from maicivy.storage.connections import driver_connection, postgres_errors
from maicivy.storage.labels import LabelBook
from maicivy.storage.partitions import GENERATION_LOCK, Partitions
from maicivy.storage.recount import Recount, snapshot
from maicivy.storage.visit_rows import Who
from maicivy.storage.visit_store import VisitBook

_INCOMING: Final = """/* event_store.store */
CREATE TEMP TABLE IF NOT EXISTS incoming (
    n integer, id uuid, visitor_id uuid, created_at timestamptz, site_id integer, session_duration integer,
    event_type varchar(50), page_url varchar(500), referrer varchar(500), event_data jsonb
) ON COMMIT DELETE ROWS
"""
_COPY: Final = "COPY incoming FROM STDIN (FORMAT BINARY)"
# bytea for jsonb: the wire form of jsonb is a version byte and the text, which `_row` writes itself
_TYPES: Final = ("int4", "uuid", "uuid", "timestamptz", "int4", "int4", "text", "text", "text", "bytea")

# The id must be new in both living generations. The look into the older one is a scalar subquery on purpose: as a
# join the planner may choose to hash millions of ids for a batch of a thousand.
_INSERT: Final = """/* event_store.store */
WITH fresh AS (
    INSERT INTO event_ids (generation, site_id, id)
    SELECT %(generation)s, i.site_id, i.id FROM incoming i
    WHERE (SELECT count(*) FROM event_ids e
           WHERE e.generation = %(generation)s - 1 AND e.site_id = i.site_id AND e.id = i.id) = 0
    ORDER BY i.site_id, i.id
    ON CONFLICT DO NOTHING
    RETURNING site_id, id
), new AS MATERIALIZED (
    SELECT i.* FROM incoming i JOIN fresh USING (site_id, id)
), stored AS (
    INSERT INTO analytics_events
        (id, visitor_id, created_at, site_id, session_duration, event_type, page_url, referrer, event_data)
    SELECT id, visitor_id, created_at, site_id, session_duration, event_type, page_url, referrer, event_data FROM new
), arrived AS (
    INSERT INTO visitors (id, site_id, first_seen)
    SELECT visitor_id, site_id, min(created_at) FROM new GROUP BY visitor_id, site_id ORDER BY visitor_id, site_id
    ON CONFLICT DO NOTHING
    RETURNING site_id, id
), newcomers AS (
    SELECT array_agg(site_id) AS site_ids, string_agg(uuid_send(id), '') AS ids FROM arrived
)
SELECT ARRAY(SELECT n FROM new), coalesce(site_ids, '{}'), coalesce(ids, '') FROM newcomers
"""
_RECEIPTS: Final = """/* event_store.store */
INSERT INTO receipts (entry, events) SELECT * FROM unnest(%s::text[], %s::int[]) ORDER BY 1
ON CONFLICT DO NOTHING RETURNING entry
"""
_QUARANTINE: Final = """/* event_store.store */
INSERT INTO quarantine (digest, reason, payload) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_LOCK_LEDGER: Final = """/* event_store.store */
SELECT seq, token, labels_version, dictionary_version FROM ledger FOR UPDATE
"""
_LEDGER: Final = """/* event_store.store */
UPDATE ledger SET seq = %(seq)s, token = %(token)s, stored = stored + %(stored)s,
    duplicate = duplicate + %(duplicate)s, quarantined = quarantined + %(quarantined)s
"""
_OUTBOX: Final = "/* event_store.store */ INSERT INTO outbox (seq, previous, token, tally) VALUES (%s, %s, %s, %s)"

_HALVES: Final = struct.Struct(">QQ")
_NO_PARTITION: Final = "23514: no partition of relation"

_json = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_tally_decoder = msgspec.msgpack.Decoder(Tally)

log = logging.getLogger(__name__)


class PostgresEventStore:
    """See `core.ports.EventStore`. Safe for threads; make a new one after a fork."""

    def __init__(self, engine: sa.Engine, zone: ZoneInfo) -> None:
        self._engine = engine
        self.zone = zone
        self._labels = LabelBook()
        self._visits = VisitBook()
        self.partitions = Partitions(engine)

    def store(self, parcels: Sequence[Parcel]) -> Stored:
        """See `core.ports.EventStore.store`."""
        events = _without_repeats(parcels)
        self.partitions.ensure(
            {event.created_at.astimezone(UTC).date() for event in events},
            {day_of(event.visitor_id) for event in events},
        )
        try:
            with postgres_errors(), timed(DATABASE_DURATION, "store_events"), self._engine.begin() as connection:
                stored = _Transaction(connection, self.zone, self._labels, self._visits).run(parcels, events)
                faults.point("before_commit")
        except Unavailable:
            self._forget()
            raise
        except RejectedByDatabase as refusal:
            if refusal.reason.startswith(_NO_PARTITION):
                self._forget()
                raise Unavailable("postgres", "a partition was dropped meanwhile") from refusal
            raise
        faults.point("after_commit")
        return stored

    def _forget(self) -> None:
        self.partitions.forget()  # one of them may be why
        self._labels = LabelBook()  # the server that comes back may hold an older copy
        self._visits = VisitBook()

    def outbox_after(self, seq: int, limit: int) -> list[OutboxRow]:
        """See `core.ports.EventStore.outbox_after`."""
        with postgres_errors(), self._engine.connect() as connection:
            rows = connection.execute(
                sa.text(
                    "/* event_store.outbox_after */ SELECT seq, previous, token, tally FROM outbox"
                    " WHERE seq > :seq ORDER BY seq LIMIT :limit"
                ),
                {"seq": seq, "limit": limit},
            )
            return [OutboxRow(row.seq, row.previous, row.token, _tally_decoder.decode(row.tally)) for row in rows]

    def head(self) -> tuple[int, str]:
        """Number and token of the latest outbox row."""
        with postgres_errors(), self._engine.connect() as connection:
            row = connection.execute(sa.text("/* event_store.head */ SELECT seq, token FROM ledger")).one()
            return row.seq, row.token

    @contextmanager
    def snapshot(self) -> Iterator[Recount]:
        """A recount over one moment of the database, undisturbed by what is stored meanwhile."""
        with snapshot(self._engine, self.zone) as recount:
            yield recount

    def remove_labels(self, labels: Sequence[tuple[int, str, str]]) -> None:
        """Count these (site, kind, name) as `other` from now on; the aggregates have to be rebuilt afterwards."""
        with postgres_errors(), self._engine.begin() as connection:
            connection.execute(
                sa.text("/* event_store.remove_labels */ UPDATE ledger SET labels_version = labels_version + 1")
            )
            connection.execute(
                sa.text(
                    "/* event_store.remove_labels */ DELETE FROM labels"
                    " WHERE site_id = :site_id AND kind = :kind AND name = :name"
                ),
                [{"site_id": site_id, "kind": kind, "name": name} for site_id, kind, name in labels],
            )

    def prune(self, applied_seq: int, keep_s: int, receipts_s: int) -> int:
        """Delete outbox rows up to `applied_seq` older than `keep_s`, and receipts older than `receipts_s`.

        Returns how many rows went. At most 10,000 of each per call, so that no call takes long.
        """
        with postgres_errors(), self._engine.begin() as connection:
            outbox = connection.execute(
                sa.text(
                    "/* event_store.prune */ DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox"
                    " WHERE seq <= :seq AND created_at < now() - make_interval(secs => :age) ORDER BY seq LIMIT 10000)"
                ),
                {"seq": applied_seq, "age": keep_s},
            ).rowcount
            receipts = connection.execute(
                sa.text(
                    "/* event_store.prune */ DELETE FROM receipts WHERE entry IN (SELECT entry FROM receipts"
                    " WHERE created_at < now() - make_interval(secs => :age) LIMIT 10000)"
                ),
                {"age": receipts_s},
            ).rowcount
            return outbox + receipts


class _Transaction:
    """One storing transaction, in the order that the module's docstring gives."""

    def __init__(self, connection: sa.Connection, zone: ZoneInfo, labels: LabelBook, visits: VisitBook) -> None:
        self._connection = connection
        self._cursor = driver_connection(connection).cursor()
        self._zone = zone
        self._labels = labels
        self._visits = visits
        self._generation = 0
        self._new: list[Event] = []
        self._newcomers: set[Who] = set()
        self._quarantined = 0
        self._halving = False

    def run(self, parcels: Sequence[Parcel], events: Sequence[Event]) -> Stored:
        cursor = self._cursor
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", (GENERATION_LOCK,))
        # a statement of its own: its snapshot must be taken after the lock
        cursor.execute("/* event_store.store */ SELECT generation FROM ledger")
        self._generation = _one(cursor)[0]
        cursor.execute(_INCOMING)
        self._insert(events)
        faults.point("after_insert")
        for parcel in parcels:
            for payload in parcel.unreadable:
                self._quarantine(payload, "unreadable")
        duplicate, quarantined = self._accounts(parcels)
        if not self._new and not duplicate and not quarantined:
            return Stored([], None)
        return Stored(self._new, self._outbox(duplicate, quarantined))

    def _insert(self, events: Sequence[Event]) -> None:
        """Insert what is new; halve what the database refuses until the culprits stand alone."""
        if not events:
            return
        try:
            with postgres_errors(), self._connection.begin_nested():
                if self._halving:
                    self._cursor.execute("DELETE FROM incoming")
                with self._cursor.copy(_COPY) as copy:
                    copy.set_types(_TYPES)
                    for n, event in enumerate(events):
                        copy.write_row(_row(n, event))
                self._cursor.execute(_INSERT, {"generation": self._generation}, binary=True)
                numbers, site_ids, visitor_ids = _one(self._cursor)
        except RejectedByDatabase as refusal:
            if refusal.reason.startswith(_NO_PARTITION):
                raise Unavailable("postgres", "a partition was dropped meanwhile") from refusal
            self._halving = True
            if len(events) == 1:
                self._quarantined += self._quarantine(encode(events), refusal.reason)
                return
            middle = len(events) // 2
            self._insert(events[:middle])
            self._insert(events[middle:])
            return
        self._new += [events[n] for n in sorted(numbers)]
        self._newcomers.update(zip(site_ids, _numbers(visitor_ids), strict=True))

    def _quarantine(self, payload: bytes, reason: str) -> int:
        """Put a payload aside; 1, or 0 when it lies there already."""
        log.error("quarantined", extra={"reason": reason, "bytes": len(payload)})
        self._cursor.execute(_QUARANTINE, (hashlib.blake2b(payload, digest_size=16).digest(), reason, payload))
        return self._cursor.rowcount

    def _accounts(self, parcels: Sequence[Parcel]) -> tuple[int, int]:
        """Events to count as duplicate and as quarantined: of entries without a receipt yet, which is given now."""
        self._cursor.execute(_RECEIPTS, ([p.receipt for p in parcels], [p.expected for p in parcels]))
        entries = {row[0] for row in self._cursor.fetchall()}
        unseen = [parcel for parcel in parcels if parcel.receipt in entries]
        expected = sum(parcel.expected for parcel in unseen)
        quarantined = self._quarantined + sum(p.expected - len(p.events) for p in unseen)
        return max(0, expected - len(self._new) - quarantined), quarantined

    def _outbox(self, duplicate: int, quarantined: int) -> OutboxRow:
        token = secrets.token_hex(8)
        self._cursor.execute(_LOCK_LEDGER)
        seq, previous, labels_version, dictionary_version = _one(self._cursor)
        seq += 1
        recorded = self._visits.record(self._cursor, seq, dictionary_version, self._new, self._newcomers)
        labels = self._labels.admit(self._cursor, labels_version, self._new)
        moved = tally(self._new, self._zone, labels, recorded.bots)
        moved.duplicate, moved.quarantined = duplicate, quarantined
        for site_id, _ in self._newcomers:
            moved.sites.setdefault(site_id, SiteTally()).new_visitors += 1
        for site_id, days in recorded.days.items():
            moved.sites.setdefault(site_id, SiteTally()).changed_days = sorted(day.isoformat() for day in days)
        self._cursor.execute(
            _LEDGER,
            {"seq": seq, "token": token, "stored": moved.stored, "duplicate": duplicate, "quarantined": quarantined},
        )
        self._cursor.execute(_OUTBOX, (seq, previous, token, _pack(moved)))
        return OutboxRow(seq, previous, token, moved)


def _without_repeats(parcels: Iterable[Parcel]) -> list[Event]:
    first: dict[tuple[int, int], Event] = {}  # by number: a UUID takes three times as long (measured)
    for parcel in parcels:
        for event in parcel.events:
            first.setdefault((event.site_id, event.id.int), event)
    return list(first.values())


def _numbers(ids: bytes) -> list[int]:
    """The numbers that UUIDs are, which follow each other in binary."""
    return [high << 64 | low for high, low in _HALVES.iter_unpack(ids)]


def _row(n: int, event: Event) -> tuple[Any, ...]:
    return (
        n,
        event.id,
        event.visitor_id,
        event.created_at,
        event.site_id,
        event.session_duration,
        event.event_type,
        event.page_url,
        event.referrer,
        b"\x01" + _json(event.event_data),
    )


def _one(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row
