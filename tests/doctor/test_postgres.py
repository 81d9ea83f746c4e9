"""What the doctor says of a database, each check brought to fail where a test can bring it about."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from maicivy.core.ports import Parcel
from maicivy.doctor.findings import State
from maicivy.doctor.postgres import (
    CHECKS,
    judge_clock,
    judge_durability,
    judge_migrations,
    judge_partitions,
    judge_quarantine,
    judge_retention,
    judge_upkeep,
    judge_version,
)
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.inspection import COUNTED_AT_MOST, Leftovers, Quarantined
from maicivy.storage.partitions import Partitions
from tests.doctor.conftest import Examined, verdict
from tests.events import NOON, event

TODAY = NOON.date()
DAY = timedelta(days=1)


def execute(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def test_a_working_database_is_healthy(examined: Examined, engine: sa.Engine) -> None:
    Partitions(engine).ensure([TODAY, TODAY + DAY], [TODAY, TODAY + DAY])
    installation = examined()
    for name in ("postgres", "postgres clock", "migrations", "partitions", "retention", "quarantine", "upkeep"):
        assert verdict(installation, CHECKS, name).state is State.OK, name


def test_a_server_that_may_lose_commits_is_a_problem(examined: Examined) -> None:
    found = verdict(examined(), CHECKS, "postgres durability")  # the server of the tests saves time
    assert found.state is State.PROBLEM
    assert found.seen == "fsync and synchronous_commit and full_page_writes are off"


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        ({"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}, State.OK),
        ({"fsync": "on", "synchronous_commit": "remote_apply", "full_page_writes": "on"}, State.OK),
        ({"fsync": "on", "synchronous_commit": "local", "full_page_writes": "on"}, State.OK),
        ({"fsync": "on", "synchronous_commit": "off", "full_page_writes": "on"}, State.PROBLEM),
    ],
)
def test_every_kind_of_synchronous_commit_is_known(settings: dict[str, str], state: State) -> None:
    assert judge_durability(settings).state is state


@pytest.mark.parametrize(
    ("number", "state", "seen"),
    [
        (140_099, State.PROBLEM, "PostgreSQL 14.99"),
        (150_000, State.OK, "PostgreSQL 15.0"),
        (180_001, State.OK, "PostgreSQL 18.1"),
    ],
)
def test_an_old_server_is_a_problem(number: int, state: State, seen: str) -> None:
    assert (judge_version(number).state, judge_version(number).seen) == (state, seen)


def test_a_database_of_another_version_of_maicivy_is_a_problem(examined: Examined, engine: sa.Engine) -> None:
    execute(engine, "UPDATE alembic_version SET version_num = '9999'")
    found = verdict(examined(), CHECKS, "migrations")
    assert found.state is State.PROBLEM
    assert "revision 9999" in found.seen
    assert "maicivy db upgrade" in found.advice


@pytest.mark.parametrize("statement", ["DROP TABLE alembic_version", "DELETE FROM alembic_version"])
def test_a_database_without_a_schema_is_a_problem(examined: Examined, engine: sa.Engine, statement: str) -> None:
    execute(engine, statement)
    assert verdict(examined(), CHECKS, "migrations").seen == "the database has no schema yet"


def test_a_half_migrated_database_is_a_problem() -> None:
    assert judge_migrations("0001, 0002", "0002").state is State.PROBLEM


def test_days_without_a_partition_are_told(examined: Examined, engine: sa.Engine) -> None:
    Partitions(engine).ensure([TODAY, TODAY + DAY], [TODAY])
    found = verdict(examined(), CHECKS, "partitions")
    assert found.state is State.WARNING
    assert found.seen == f"no partition is made yet for {TODAY + DAY}"
    assert judge_partitions([], [], TODAY).state is State.WARNING


def test_events_that_should_be_gone_are_a_problem(examined: Examined, engine: sa.Engine) -> None:
    last = TODAY - timedelta(days=92)
    Partitions(engine).ensure([last], [])
    assert verdict(examined(), CHECKS, "retention").state is State.OK
    Partitions(engine).ensure([last - DAY], [])
    found = verdict(examined(), CHECKS, "retention")
    assert found.state is State.PROBLEM
    assert found.seen.startswith(f"events of {last - DAY} are still there")


def test_an_empty_database_has_nothing_to_delete() -> None:
    assert judge_retention([], date(2025, 12, 8), 90).state is State.OK


def test_quarantine_is_told_with_its_latest_reason(examined: Examined, engine: sa.Engine) -> None:
    execute(
        engine,
        "INSERT INTO quarantine (digest, reason, payload) VALUES ('1', 'older', ''), ('2', '22P05: no such thing', '')",
    )
    found = verdict(examined(), CHECKS, "quarantine")
    assert found.state is State.WARNING
    assert found.seen == "2 refused events are in quarantine, the latest because of: 22P05: no such thing"


def test_quarantine_is_not_counted_without_end() -> None:
    assert "1,000 or more refused events" in judge_quarantine(Quarantined(COUNTED_AT_MOST, "x")).seen


def test_rows_that_nobody_clears_away_are_told(examined: Examined, engine: sa.Engine) -> None:
    execute(
        engine,
        "INSERT INTO outbox (seq, previous, token, tally, created_at)"
        " VALUES (1, 'origin', 'a', '', now() - interval '3 days')",
        "INSERT INTO receipts (entry, events, created_at) VALUES"
        " ('1733683200000-0', 1, now() - interval '9 days'), ('1733683200001-0', 1, now())",
        "UPDATE ledger SET generation_since = now() - interval '9 days'",
    )
    found = verdict(examined(), CHECKS, "upkeep")
    assert found.state is State.WARNING
    assert found.seen.startswith("outbox, receipts, event_ids:")


def test_an_upkeep_that_is_a_day_late_is_not_yet_told() -> None:
    assert judge_upkeep(Leftovers(2 * 86_400, 8 * 86_400, 8 * 86_400)).state is State.OK


@pytest.mark.parametrize(
    ("skew_s", "seen"),
    [
        (2.5, "the clock of Redis is 2.5 s ahead of this machine's"),
        (-3600.0, "the clock of Redis is 3600.0 s behind this machine's"),
        (2.0, "Redis and this machine agree on the time"),
        (0.0, "Redis and this machine agree on the time"),
    ],
)
def test_a_clock_that_is_wrong_is_a_problem(skew_s: float, seen: str) -> None:
    found = judge_clock(skew_s, "Redis")
    assert (found.seen, found.state is State.OK) == (seen, abs(skew_s) <= 2)


def test_events_of_a_version_without_visits_are_told(examined: Examined, engine: sa.Engine) -> None:
    assert verdict(examined(), CHECKS, "visits").state is State.OK
    PostgresEventStore(engine, ZoneInfo("UTC")).store([Parcel("1-0", 1, [event()], [])])
    assert verdict(examined(), CHECKS, "visits").state is State.OK
    execute(engine, "DELETE FROM visits")
    found = verdict(examined(), CHECKS, "visits")
    assert (found.state, found.seen.split(":")[0]) == (State.WARNING, "events since 2025-12-08 are in no visit")
    assert "maicivy rebuild --visits" in found.advice
