"""Checks of the database: version, schema, durability, and whether its upkeep happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from maicivy.doctor.examine import Check, Installation
from maicivy.doctor.findings import Verdict, ok, problem, warning
from maicivy.storage.inspection import COUNTED_AT_MOST, Leftovers, Quarantined
from maicivy.storage.partitions import GENERATION
from maicivy.storage.probes import code_revision
from maicivy.upkeep import OUTBOX_KEPT_S, RECEIPTS_KEPT_S

REACH: Final = "postgres"
SCHEMA: Final = "migrations"
OLDEST_VERSION: Final = 150_000
MAX_SKEW_S: Final = 2.0
RETENTION_GRACE: Final = timedelta(days=2)
"""A day is dropped in the first run after its last hour has become too old: at 02:00, in whatever zone."""

OVERDUE_S: Final = 86_400
"""Upkeep runs every hour; a day late it is broken."""


def judge_version(number: int) -> Verdict:
    """`number` is `server_version_num`."""
    seen = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < OLDEST_VERSION:
        return problem(seen, "maicivy needs PostgreSQL 15 or later.")
    return ok(seen)


def judge_migrations(found: str | None, needed: str) -> Verdict:
    """Revisions of the schema: in the database, and in the code."""
    if found == needed:
        return ok(f"the schema is at revision {needed}")
    if found is None:
        return problem("the database has no schema yet", "Run: maicivy db upgrade")
    return problem(
        f"the schema is at revision {found}, and this maicivy needs {needed}",
        "Run: maicivy db upgrade. If that says that the database is from a later version, install that version.",
    )


def judge_partitions(events: Sequence[date], visitors: Sequence[date], today: date) -> Verdict:
    """Days that there are partitions for."""
    wanted = (today, today + timedelta(days=1))
    missing = sorted({day for days in (events, visitors) for day in wanted if day not in days})
    if missing:
        return warning(
            f"no partition is made yet for {' and '.join(map(str, missing))}",
            "The worker makes one when the first event of a day arrives, but beat should have done it: does beat run?",
        )
    return ok(f"partitions are there for today and tomorrow ({len(events)} days in all)")


def judge_retention(events: Sequence[date], today: date, retention_days: int) -> Verdict:
    """Days that there are partitions for; the oldest ones should be gone."""
    if not events:
        return ok("there is nothing to delete")
    overdue = today - timedelta(days=retention_days) - RETENTION_GRACE - events[0]
    if overdue > timedelta(0):
        return problem(
            f"events of {events[0]} are still there, although MAICIVY_RETENTION_DAYS is {retention_days}",
            "Does beat run? To do it now: maicivy retention",
        )
    return ok(f"the oldest events are of {events[0]} or later")


def judge_durability(settings: Mapping[str, str]) -> Verdict:
    """Without these a commit that was reported may be gone after a power cut."""
    off = [name for name in ("fsync", "synchronous_commit", "full_page_writes") if settings.get(name, "on") == "off"]
    if off:
        return problem(
            f"{' and '.join(off)} {'is' if len(off) == 1 else 'are'} off",
            "Turn it on in postgresql.conf and restart Postgres: as it is, stored events may be lost with the power.",
        )
    return ok("commits survive a power cut")


def judge_clock(skew_s: float, server: str) -> Verdict:
    """`skew_s`: how far the server is ahead."""
    if abs(skew_s) > MAX_SKEW_S:
        way = "ahead of" if skew_s > 0 else "behind"
        return problem(
            f"the clock of {server} is {abs(skew_s):.1f} s {way} this machine's",
            "Synchronise both with NTP: times of events and active visitors are wrong.",
        )
    return ok(f"{server} and this machine agree on the time")


def judge_quarantine(found: Quarantined) -> Verdict:
    """Events that were accepted and could not be stored."""
    if not found.events:
        return ok("no event is in quarantine")
    return warning(
        f"{found.events:,}{'' if found.events < COUNTED_AT_MOST else ' or more'} refused events are in quarantine, "
        f"the latest because of: {found.reason[:120]}",
        "Look at them: SELECT id, reason, created_at, encode(payload, 'escape') FROM quarantine ORDER BY id DESC; "
        "what is of no use can be deleted.",
    )


def judge_upkeep(found: Leftovers) -> Verdict:
    """What beat has the worker clear away."""
    late = [
        name
        for name, age_s, limit_s in (
            ("outbox", found.outbox_s, OUTBOX_KEPT_S),
            ("receipts", found.receipts_s, RECEIPTS_KEPT_S),
            ("event_ids", found.generation_s, GENERATION.total_seconds()),
        )
        if age_s > limit_s + OVERDUE_S
    ]
    if late:
        return warning(
            f"{', '.join(late)}: rows that should be gone are still there", "Does beat run? See the worker's log."
        )
    return ok("old rows are cleared away")


def judge_visits(without: datetime | None) -> Verdict:
    """`without`: when the oldest event happened, if it is in no visit."""
    if without is None:
        return ok("events are in visits")
    return warning(
        f"events since {without:%Y-%m-%d} are in no visit: questions about visits do not know them",
        "They are of a version before visits were kept. Run once: maicivy rebuild --visits",
    )


def _look_at_partitions(at: Installation) -> tuple[list[date], list[date], date]:
    partitions = at.parts.store.partitions
    return partitions.days("analytics_events"), partitions.days("visitors"), at.now.date()


def _look_at_retention(at: Installation) -> tuple[list[date], date, int]:
    return at.parts.store.partitions.days("analytics_events"), at.now.date(), at.settings.retention_days


CHECKS: Final = (
    Check(REACH, lambda at: (at.postgres.version(),), judge_version),
    Check("postgres durability", lambda at: (at.postgres.durability(),), judge_durability, (REACH,)),
    Check("postgres clock", lambda at: (at.postgres.clock_skew_s(), "Postgres"), judge_clock, (REACH,)),
    Check(SCHEMA, lambda at: (at.postgres.revision(), code_revision()), judge_migrations, (REACH,)),
    Check("partitions", _look_at_partitions, judge_partitions, (SCHEMA,)),
    Check("retention", _look_at_retention, judge_retention, (SCHEMA,)),
    Check("quarantine", lambda at: (at.postgres.quarantined(),), judge_quarantine, (SCHEMA,)),
    Check("visits", lambda at: (at.postgres.oldest_without_visit(),), judge_visits, (SCHEMA,)),
    Check("upkeep", lambda at: (at.postgres.leftovers(),), judge_upkeep, (SCHEMA,)),
)
