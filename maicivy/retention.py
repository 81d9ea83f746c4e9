"""Forgetting: raw rows older than `MAICIVY_RETENTION_DAYS` go, and what they had counted stays.

Find, decide, act. A day's rollups are kept and its rows dropped in one transaction, so nothing is ever counted twice
or not at all; rebuilds add rollups and rows. What the rollups hold is worked out ahead, hour by hour during the day
before (`prepare`), so that the run itself only sees that nothing has come since. Dropping is done partition by
partition; row by row only where a partition has to stay because another site keeps its rows for longer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from time import monotonic, sleep
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.periods import RETENTION_AT
from maicivy.core.ports import Clock
from maicivy.core.sites import VISITS_KEPT_LONGER, Site, SiteBook
from maicivy.errors import Unavailable
from maicivy.storage.expiry import Dropped, Expiry, Hindrance
from maicivy.storage.site_rows import SiteRows

AHEAD: Final = timedelta(hours=26)
"""A day's rollup is made from so long before the day expires: a day, and the hours in which the upkeep may be late."""

_TRIES: Final = 10
_PAUSE_S: Final = 0.5
_OUTDATED: Final = 3
"""So often a rollup may turn out not to stand for its rows any more; then writers have to wait while it is made."""

log = logging.getLogger(__name__)


_TABLES: Final = (("analytics_events", 0), ("visits", VISITS_KEPT_LONGER), ("visitors", 1))
"""What goes, and how many days later. Ids live for two days, so a day's visitors may still occur in the rows of the day
after."""


class Cleared(msgspec.Struct, frozen=True):
    """Rows of one site that went, or would go, of one partition that stays."""

    site_id: int
    table: str
    day: date
    rows: int


class Report(msgspec.Struct, frozen=True):
    """What a run dropped, or would drop: one item per partition, and seconds it took."""

    dropped: list[Dropped]
    kept_from: date
    seconds: float
    dry_run: bool

    @property
    def events(self) -> int:
        """Events in all dropped partitions."""
        return sum(item.rows for item in self.dropped if item.table == "analytics_events")


def first_kept(now: datetime, retention_days: int) -> date:
    """The first UTC day whose rows are kept: a partition goes when its last moment is older than the retention."""
    return (now - timedelta(days=retention_days)).date()


def expired(days: Sequence[date], kept_from: date) -> list[date]:
    """The days to drop, oldest first."""
    return sorted(day for day in days if day < kept_from)


def prepare(expiry: Expiry, clock: Clock, retention_days: int) -> int:
    """Make the rollups of the days that expire within `AHEAD`, where rows have come since the last time; how many.

    Costs an index scan of each such day when nothing has come. No number anywhere changes by it.

    Raises:
        Unavailable: the rest waits for the next call, or for the run.
    """
    made = 0
    for day in expired(expiry.days("analytics_events"), first_kept(clock() + AHEAD, retention_days)):
        if not expiry.is_prepared(day):
            expiry.prepare(day)
            made += 1
            log.info("retention_prepared", extra={"day": str(day)})
    return made


def run(expiry: Expiry, clock: Clock, retention_days: int, *, dry_run: bool = False) -> Report:
    """Drop every expired partition; with `dry_run`, only say which. A repeat finds nothing more to do.

    Raises:
        Unavailable: some partitions may be dropped already; the rest wait for the next run.
    """
    started = monotonic()
    now = clock()
    # A clock that runs ahead must not cost anybody their data: two would have to.
    kept_from = first_kept(min(now, expiry.now()), retention_days)
    dropped = []
    for table, later in _TABLES:
        for day in expired(expiry.days(table), kept_from - timedelta(days=later)):
            item = expiry.look(table, day) if dry_run else _drop(expiry, table, day)
            if not isinstance(item, Dropped):
                continue
            dropped.append(item)
            log.info("retention_drop", extra={"table": table, "day": str(day), "rows": item.rows, "dry_run": dry_run})
    report = Report(dropped, kept_from, monotonic() - started, dry_run)
    if not dry_run:
        expiry.mark_run(now)
    log.info(
        "retention",
        extra={
            "partitions": len(dropped),
            "events": report.events,
            "seconds": round(report.seconds, 3),
            "dry_run": dry_run,
        },
    )
    return report


def horizon(sites: Sequence[Site], retention_days: int) -> int:
    """Days after which a whole partition may go: the longest that any site keeps its rows."""
    return SiteBook(sites).longest_retention(retention_days)


def run_sites(
    expiry: Expiry, rows: SiteRows, sites: Sequence[Site], clock: Clock, retention_days: int, *, dry_run: bool = False
) -> list[Cleared]:
    """Delete what sites keep for less time than the `horizon`, day by day, and keep what it had counted.

    A repeat finds nothing more to do. What is in somebody's way is left for the next run.

    Raises:
        Unavailable: some rows may be gone already; the rest wait for the next run.
    """
    now = min(clock(), expiry.now())
    limits = {site.id: first_kept(now, site.retention_days or retention_days) for site in sites}
    dropped_before = first_kept(now, horizon(sites, retention_days))
    cleared = []
    for table, later in _TABLES:
        for day in sorted(expiry.days(table)):
            due = [number for number, limit in limits.items() if dropped_before <= day + timedelta(days=later) < limit]
            for number in rows.present(table, day, due) if due else ():
                gone = rows.count(table, day, number) if dry_run else rows.expire(table, day, number)
                facts = {"table": table, "day": str(day), "site": number, "dry_run": dry_run}
                if isinstance(gone, Hindrance):
                    log.warning("retention_hindered", extra={**facts, "reason": gone})
                    continue
                cleared.append(Cleared(number, table, day, gone))
                log.info("retention_clear", extra={**facts, "rows": gone})
    return cleared


def _drop(expiry: Expiry, table: str, day: date) -> Dropped | None:
    """Drop one partition; None when another run did. When late events have come, they are counted first."""
    outdated = 0
    for _ in range(_TRIES):
        outcome = expiry.drop(table, day, insist=outdated >= _OUTDATED)
        match outcome:
            case Dropped():
                return outcome
            case Hindrance.GONE:
                return None
            case Hindrance.DIRTY:
                log.warning("retention_hindered", extra={"table": table, "day": str(day), "reason": outcome})
                return None
            case Hindrance.UNPREPARED:
                expiry.prepare(day)
                outdated += 1
            case Hindrance.BUSY:
                sleep(_PAUSE_S)
    raise Unavailable("postgres", f"{table} of {day}: {outcome}")


def is_due(expiry: Expiry, now: datetime, zone: ZoneInfo) -> bool:
    """True when no run has ended since the latest 02:00 of `zone`: it was missed, whatever the reason."""
    last = expiry.last_run()
    return last is None or last < latest_planned(now, zone)


def latest_planned(now: datetime, zone: ZoneInfo) -> datetime:
    """The latest 02:00 in `zone` that is not after `now`; where the clock skips it, the moment it is set forward."""
    local = now.astimezone(zone)
    today = local.date() if local.time() >= RETENTION_AT else local.date() - timedelta(days=1)
    return datetime.combine(today, RETENTION_AT, zone).astimezone(UTC)
