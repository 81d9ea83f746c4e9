"""What the use cases ask of the outside, and what each answer promises: written here, once.

The adapters in `storage/` and `queue.py` implement these; so does every fake in `tests/`, and one contract suite runs
over both. Every method may raise `Unavailable` when its server does not answer in time; nothing here retries without
end. Times are aware and UTC unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.events import Event
from maicivy.core.identity import Salts
from maicivy.core.periods import Period
from maicivy.core.query import Query, Rows
from maicivy.core.tallies import Tally

Clock = Callable[[], datetime]
"""The time, aware and UTC."""


class Sender(msgspec.Struct, frozen=True):
    """Who pays for an append: `key` stands for the client, `limit` is its events per minute (0: no limit)."""

    key: bytes
    limit: int


class Entry(msgspec.Struct, frozen=True):
    """One element of the inbox: payloads of `core.events.encode` that were appended together, holding `events` events
    and `size` bytes in all."""

    id: str
    payloads: list[bytes]
    events: int
    size: int


class Inbox(Protocol):
    """The durable stream between whoever collects and the worker."""

    def append(self, events: Sequence[Event], sender: Sender | None = None) -> None:
        """Make `events` durable, all or none; on return they survive a kill -9 of every process and of Redis.

        Callers that arrive together share one append. Appending the same events again is harmless.

        Raises:
            RateLimited: the sender is over its limit; nothing was appended.
            InboxFull: the inbox holds `MAICIVY_INBOX_MAX_BYTES`; nothing was appended.
            Unavailable: no answer in time; the events may or may not have been appended.
        """

    def read(self, consumer: str, max_events: int, block_s: float) -> list[Entry]:
        """Entries that nobody else is working on, oldest first: what dead consumers left, then new ones.

        Waits up to `block_s` for the first. Each stays with `consumer` until `remove`, or until it has been idle for
        `CLAIM_AFTER_S`; then another consumer gets it, so an entry may be read more than once.
        """

    def remove(self, entries: Iterable[Entry]) -> None:
        """Take entries out for good; those that are gone already are passed over."""

    def release(self, consumer: str, entries: Iterable[Entry]) -> None:
        """Give entries back that `consumer` could not finish: whoever reads next gets them, without waiting."""

    def status(self) -> InboxStatus:
        """How full the inbox is."""


class InboxStatus(msgspec.Struct, frozen=True):
    """Events and bytes in the inbox, and the age in seconds of its oldest entry (0 when empty)."""

    events: int
    size: int
    max_size: int
    oldest_s: float


class Parcel(msgspec.Struct, frozen=True):
    """The content of one inbox entry: `receipt` is its id, `expected` how many events it was appended with,
    `unreadable` the payloads that hold no events."""

    receipt: str
    expected: int
    events: list[Event]
    unreadable: list[bytes]


class OutboxRow(msgspec.Struct, frozen=True):
    """One step of the aggregates. `token` names this very row, `previous` the one before it: a chain that breaks when
    the database is replaced by an older copy of itself."""

    seq: int
    previous: str
    token: str
    tally: Tally


class Stored(msgspec.Struct, frozen=True):
    """What a transaction did: the events that were new, and the outbox row it wrote, if it moved anything."""

    new: list[Event]
    row: OutboxRow | None


class EventStore(Protocol):
    """Events in and out of Postgres, which is the truth for everything that was ever counted."""

    def store(self, parcels: Sequence[Parcel]) -> Stored:
        """Store the events that are new, in one transaction with visitors, quarantine, receipts, ledger and outbox.

        An id that was stored in the last seven days is a duplicate and changes nothing but the ledger. Events that
        the database refuses for their data go to quarantine, the others are stored. Safe to repeat: an entry whose
        receipt is known is not counted again.
        """

    def outbox_after(self, seq: int, limit: int) -> list[OutboxRow]:
        """Outbox rows with a higher number, ascending, without gaps from the first one returned."""


class StoredEvent(msgspec.Struct, frozen=True):
    """One row of `analytics_events` as readers see it. `event_data` is the text of a JSON object: a stored number may
    have more digits than any Python or JSON library likes, so it is handed on and never parsed."""

    id: UUID
    visitor_id: UUID
    event_type: str
    event_data: str
    page_url: str
    referrer: str
    session_duration: int
    created_at: datetime


class EventQueries(Protocol):
    """Questions that are answered from stored events; everything else comes from counters."""

    def timeline(
        self, site_id: int, limit: int, offset: int, before: tuple[datetime, UUID] | None, now: datetime
    ) -> list[StoredEvent]:
        """Latest events first, by (created_at, id); `before` starts after that event.

        `now` bounds nothing: it is where looking begins.
        """

    def heatmap(
        self, site_id: int, page: str | None, since: datetime, until: datetime, limit: int
    ) -> list[tuple[int, int, int]]:
        """(x, y, count) of events with numeric `event_data.x` and `.y`, most frequent first, then by x and y.

        Positions are rounded to whole numbers; one beyond a million, in either direction, is no position of a page
        and left out. A `page` without query string matches whatever query the stored URL has, and a `page` without
        host whatever host.
        """

    def themes(self, site_id: int, first: date, end: date, zone: ZoneInfo, limit: int) -> list[tuple[str, int]]:
        """Themes viewed from day `first` up to, not including, `end` of `zone`, most viewed first, then by name."""


class VisitQueries(Protocol):
    """Questions of the query engine, answered from visits and their rollups."""

    def ask(self, query: Query) -> Rows:
        """The rows of `query`, in its order; without dimensions there is exactly one, also when nothing happened.

        Figures are exact and unrounded: `bounce_rate` in percent, times in seconds, `scroll_depth` from 0 to 100; None
        where there is nothing to divide by. `percentage` and `conversion_rate`, which are made of two answers, are
        never asked for. Buckets of time are told by their start in the query's zone, which may lie before
        `query.start`; of each that holds nothing there is no row. `Rows.seq` is the ledger number of the snapshot
        that was read: whatever was stored up to it is in the answer.

        Raises:
            Refusal: `query_too_slow`, `too_many_rows`, or `not_kept` where no tier can tell that any more.
        """

    def first_moment(self, site_id: int) -> datetime | None:
        """When the first visit that is still known of began, or the bucket that it has gone into; None: never yet.

        It is where the range `all` begins, so a day too early does no harm.
        """


class QueryCache(Protocol):
    """Answers to questions that were asked before. Forgets whatever it likes, and is never wrong."""

    def get(self, site_id: int, key: bytes, days: Sequence[Days]) -> tuple[bytes | None, str]:
        """The answer put under `key`, unless a visit of `days` has changed since; and the epoch, for `put`.

        Raises:
            Unavailable: it does not answer; ask the store.
        """

    def put(self, key: bytes, answer: bytes, seq: int, epoch: str) -> None:
        """Keep an answer that is true for ledger number `seq`. `epoch` is what `get` said before it was computed.

        Raises:
            Unavailable: it was not kept.
        """


Days = tuple[date, date]
"""The first and the last of some UTC days."""


class Snapshot(msgspec.Struct, frozen=True):
    """What `realtime` shows. `timestamp` is Unix seconds."""

    current_visitors: int
    unique_today: int
    total_events: int
    letters_today: int
    timestamp: int


class Counters(Protocol):
    """Aggregates and presence in Redis: read by every request, derived from Postgres."""

    def realtime(self, site_id: int, day: date, now: float) -> Snapshot:
        """One pipeline; `day` is today in the installation's zone."""

    def period(self, site_id: int, period: Period, day: date, names: Sequence[str]) -> tuple[list[int], int]:
        """Counters of the period that `day` lies in, in the order of `names`, and its unique visitors. One pipeline."""

    def days(self, site_id: int, days: Sequence[date], names: Sequence[str]) -> list[tuple[list[int], int]]:
        """The same for many days, in their order. One pipeline."""

    def periods(
        self, site_id: int, periods: Sequence[tuple[Period, date]], names: Sequence[str]
    ) -> list[tuple[list[int], int]]:
        """The same for any mixture of periods, in their order. One pipeline."""

    def themes(self, site_id: int, limit: int) -> list[tuple[str, int]]:
        """Most viewed first, then by name."""

    def last_seen(self, visitors: Iterable[tuple[int, UUID]]) -> dict[tuple[int, UUID], float]:
        """Unix second of the latest event of each visitor that was seen in the last half hour."""


class Presence(Protocol):
    """Who is here now."""

    def active(self, site_ids: Sequence[int], now: float) -> dict[int, int]:
        """Site -> visitors seen in the last 300 s, without bots. One pipeline."""


class EventSamples(Protocol):
    """What single events of a type look like."""

    def latest(
        self,
        site_id: int,
        event_types: Sequence[str],
        start: datetime,
        end: datetime,
        conditions: Mapping[str, str],
        limit: int,
    ) -> list[tuple[str, str]]:
        """(type, event_data as JSON text) of up to `limit` of the latest events of each type, latest first.

        `conditions` are on the visit (`country`, `device`, `browser`, `os`, `utm_source`, `utm_medium`,
        `utm_campaign`) and on the event (`page_path`). Only people's events with a short object that is not empty, and
        only those among the latest of the site: of a type that is rare there may be none.
        """


class LiveFeed(Protocol):
    """The live channel. Nothing on it is durable: whoever is not listening misses it."""

    def publish(self, events: Sequence[Event]) -> None:
        """Announce events, in order, on the channel of their site. Costs one call when nobody listens."""


class SaltBox(Protocol):
    """Where the daily salts live and die."""

    def current(self, now: datetime) -> Salts:
        """Salts for the UTC day of `now`; made on first use, the same for every process."""


class Doorbell(Protocol):
    """Tells the worker that the inbox is not empty."""

    def ring(self) -> None:
        """Returns at once and never raises: a ring that is lost costs seconds, for the sweeper rings too."""
