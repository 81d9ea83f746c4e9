"""Keeping Redis equal to Postgres: catching up, rebuilding, comparing.

The aggregates hold what the outbox says up to their cursor, and nothing else. Whatever breaks that (Redis emptied or
older than the outbox remembers, Postgres replaced by an older copy, another time zone) is noticed by the cursor and
mended by a rebuild.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from maicivy import faults
from maicivy.core.events import DEFAULT_SITE
from maicivy.core.periods import Period
from maicivy.core.ports import Clock, OutboxRow
from maicivy.core.tallies import EVENT_TYPES, PATHS, THEMES, TOTAL, DayTally, SiteTally, Tally
from maicivy.metrics import DRIFT
from maicivy.storage.aggregates import MINUTE_LIFE_S, PRESENCE_S, Cursor, RedisAggregates
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.recount import Head, Recount
from maicivy.storage.worker_metrics import WorkerMetrics

ROWS_AT_ONCE: Final = 100
COMPARED: Final = ("total_events", "letters_generated", "events:")

_EMPTY: Final = "redis holds no aggregates"
_FAMILIES: Final = {EVENT_TYPES: "events", PATHS: "path", THEMES: "theme"}

log = logging.getLogger(__name__)


class Standing(StrEnum):
    """How a catch-up ended."""

    LEVEL = "level"
    REBUILT = "rebuilt"
    BUSY = "busy"


class Drift(msgspec.Struct, frozen=True):
    """Difference of Redis and Postgres at one outbox number: counters compared, and the sum of their differences."""

    seq: int
    compared: int
    difference: int


class Aggregation:
    """The use case. Everything here may be repeated and run side by side; each outbox row still counts once."""

    def __init__(self, store: PostgresEventStore, aggregates: RedisAggregates, clock: Clock) -> None:
        self._store = store
        self._aggregates = aggregates
        self._clock = clock

    def apply(self, row: OutboxRow) -> None:
        """Bring the aggregates to `row` at least, the short way when they stand right before it."""
        if not self._aggregates.apply(row, self._clock().timestamp()):
            self.catch_up()

    def catch_up(self) -> Standing:
        """Apply whatever the outbox holds beyond the cursor; rebuild where it does not follow on.

        `BUSY` when somebody else is rebuilding: they will catch up when done.
        """
        rebuilt = False
        while True:
            reason = self._advance()
            if reason is None:
                return Standing.REBUILT if rebuilt else Standing.LEVEL
            # A new installation begins without aggregates, and nothing is wrong with that.
            new = reason == _EMPTY and self._store.head()[0] <= 1
            log.log(logging.INFO if new else logging.WARNING, "aggregates_not_to_be_trusted", extra={"reason": reason})
            if not self.rebuild():
                return Standing.BUSY
            rebuilt = True

    def rebuild(self) -> bool:
        """Make the aggregates anew beside the old ones and switch; readers see the old or the new, never a mixture.

        What was stored while the rows were read is added aside too, so that no number goes back when they are
        switched in; what little comes after that is left to a catch-up. False when somebody else is at it, or Redis
        was emptied meanwhile.
        """
        token = secrets.token_hex(8)
        since = self._aggregates.ledger_since()
        with self._store.snapshot() as recount:
            if not recount.try_rebuild_lock():
                return False
            self._aggregates.begin_rebuild(token)
            head = recount.head()
            self._load(token, recount, self._clock().timestamp())
            settled = recount.settled_before(since)
            head = self._follow(token, head)
            faults.point("before_switch")
            done = self._aggregates.switch(token, head, since, settled)
        log.info("aggregates_rebuilt", extra={"seq": head.seq, "events": head.stored, "done": done})
        return done

    def reconcile(self, today: date) -> Drift | None:
        """Compare the counters of yesterday and today with a recount, at the same outbox number, without a lock.

        The recount stands at the number S of its snapshot, Redis at its cursor C; what the outbox moved between the
        two is added or taken away. None when the two cannot be brought together: a rebuild goes on, or the outbox
        was pruned in between.
        """
        since = today - timedelta(days=1)
        with self._store.snapshot() as recount:
            head = recount.head()
            expected = {(DEFAULT_SITE, day.isoformat(), TOTAL): 0 for day in (since, today)}
            expected |= _day_counts(recount.counts(since), since)
        names = [(site, Period.DAY, date.fromisoformat(day), name) for site, day, name in expected]
        cursor, found = self._aggregates.read(names)
        if cursor is None:
            return None
        between = self._between(head.seq, cursor)
        if between is None:
            return None
        sign = 1 if cursor.seq >= head.seq else -1
        for row in between:
            for key, n in _day_counts(row.tally, since).items():
                if key in expected:
                    expected[key] += sign * n
        difference = sum(abs(n - m) for n, m in zip(expected.values(), found, strict=True))
        return Drift(cursor.seq, len(found), difference)

    def check(self, metrics: WorkerMetrics) -> None:
        """Reconcile, tell the difference as a metric, and rebuild when there is one."""
        now = self._clock()
        drift = self.reconcile(now.astimezone(self._store.zone).date())
        if drift is None:
            log.warning("reconcile_impossible")
            return
        metrics.gauge(DRIFT, drift.difference)
        log.info("reconciled", extra={"seq": drift.seq, "compared": drift.compared, "difference": drift.difference})
        if drift.difference and self.rebuild():
            self.catch_up()

    def elect_labels(self) -> int:
        """Where a kind of label has no room left, let the less used half go, and rebuild; how many went.

        So a flood of made-up names takes the places for a day at the most.
        """
        with self._store.snapshot() as recount:
            full = recount.full_labels()
            if not full:
                return 0
            used = _totals(recount.counts()) + _totals(recount.rollups())
        gone = []
        for (site_id, kind), names in full.items():
            ranked = sorted(names, key=lambda name: (-used[site_id, f"{_FAMILIES[kind]}:{name}"], name))
            gone += [(site_id, kind, name) for name in ranked[len(ranked) // 2 :]]
        self._store.remove_labels(gone)
        log.info("labels_elected", extra={"gone": len(gone)})
        if self.rebuild():
            self.catch_up()
        return len(gone)

    def _advance(self) -> str | None:
        """Apply until level with the outbox; else say why that is impossible."""
        while True:
            cursor = self._aggregates.cursor()
            if cursor is None:
                return _EMPTY
            if cursor.timezone != str(self._store.zone):
                return "the time zone was changed"
            rows = self._store.outbox_after(cursor.seq, ROWS_AT_ONCE)
            if not rows:
                seq, token = self._store.head()
                if (seq, token) == (cursor.seq, cursor.token):
                    return None
                if seq > cursor.seq and self._store.outbox_after(cursor.seq, 1):
                    continue  # stored between the two looks
                return "redis is older than the outbox" if seq > cursor.seq else "postgres is older than redis"
            if rows[0].seq != cursor.seq + 1:
                return "redis is older than the outbox"
            if rows[0].previous != cursor.token:
                return "postgres was replaced by another copy"
            now = self._clock().timestamp()
            for row in rows:
                if not self._aggregates.apply(row, now):
                    break  # somebody else is applying: look again

    def _load(self, token: str, recount: Recount, now: float) -> None:
        aggregates = self._aggregates
        for tally in (recount.counts(), recount.rollups(), recount.new_visitors()):
            aggregates.load(token, tally, now)
        for site_id, day, visitors in recount.visitors():
            aggregates.load(token, _visitors(site_id, day, visitors), now)
        for site_id, day, hll in recount.rollup_visitors():
            aggregates.load_hll(token, site_id, day, hll, now)
        aggregates.load(token, recount.seen_since(self._clock() - timedelta(seconds=PRESENCE_S)), now)
        first_minute = self._clock().replace(second=0, microsecond=0) - timedelta(seconds=MINUTE_LIFE_S)
        aggregates.load(token, recount.minutes_since(first_minute), now)

    def _follow(self, token: str, head: Head) -> Head:
        """Add aside what the outbox holds beyond `head`; where that has brought them."""
        while rows := self._store.outbox_after(head.seq, ROWS_AT_ONCE):
            if (rows[0].seq, rows[0].previous) != (head.seq + 1, head.token):
                break  # not what follows on: the catch-up will say so
            for row in rows:
                self._aggregates.load(token, row.tally, self._clock().timestamp())
            moved = [row.tally for row in rows]
            head = Head(
                rows[-1].seq,
                rows[-1].token,
                head.stored + sum(tally.stored for tally in moved),
                head.duplicate + sum(tally.duplicate for tally in moved),
                head.quarantined + sum(tally.quarantined for tally in moved),
            )
            if len(rows) < ROWS_AT_ONCE:
                break
        return head

    def _between(self, seq: int, cursor: Cursor) -> list[OutboxRow] | None:
        low, high = sorted((seq, cursor.seq))
        rows = self._store.outbox_after(low, high - low) if high > low else []
        return rows if len(rows) == high - low else None


def _visitors(site_id: int, day: date, visitors: list[bytes]) -> Tally:
    return Tally({site_id: SiteTally({day.isoformat(): DayTally(visitors=visitors)})})


def _totals(tally: Tally) -> Counter[tuple[int, str]]:
    counts: Counter[tuple[int, str]] = Counter()
    for site_id, site in tally.sites.items():
        for day in site.days.values():
            for name, n in day.counts.items():
                counts[site_id, name] += n
    return counts


def _day_counts(tally: Tally, since: date) -> dict[tuple[int, str, str], int]:
    return {
        (site_id, iso_day, name): n
        for site_id, site in tally.sites.items()
        for iso_day, day in site.days.items()
        if iso_day >= since.isoformat()
        for name, n in day.counts.items()
        if name.startswith(COMPARED)
    }
