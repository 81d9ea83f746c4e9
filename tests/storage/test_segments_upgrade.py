"""An installation that has visits and rollups gets segments, and goes on to answer meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Engine

from maicivy.core.events import Event, Traits
from maicivy.core.query import And, Match, Query
from maicivy.storage import buckets as module
from maicivy.storage import visit_plan
from maicivy.storage.bucket_zones import forget
from maicivy.storage.buckets import Buckets
from maicivy.storage.visit_queries import PostgresVisitQueries
from tests.events import event
from tests.oracle.store import send, store_of
from tests.storage.segments_read import check

ZONE = ZoneInfo("UTC")
DAY = datetime(2025, 12, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = DAY + 50 * HOUR
REVISIONS = [import_module(f"migrations.versions.{name}") for name in ("0006_segments", "0007_marks")]
FRENCH = (Match("is", "visit:country", ("FR",)), Match("is", "visit:language", ("fr",)))
DAYS = ("day",), ("day",), ("raw",)
"""What is known of days, of a value of one dimension, and of values of two."""


def view(hours: float, visitor: int) -> Event:
    traits = Traits(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0", country="FR", language="fr")
    return msgspec.structs.replace(event(at=DAY + hours * HOUR, visitor=visitor), traits=traits)


def answers(engine: Engine) -> list[tuple[int, tuple[str, ...]]]:
    """Visits of the first two days, and of the French among them, with the tiers that they were read from."""
    found = []
    for condition in (None, FRENCH[0], And(FRENCH)):
        query = Query(1, ZONE, DAY, DAY + 48 * HOUR, ("visits",), (), filter=condition)
        rows = PostgresVisitQueries(engine, ZONE).ask(query)
        found.append((int(rows.rows[0].metrics[0] or 0), rows.how["visits"].tiers))
    return found


def made(engine: Engine) -> list[tuple[str, float]]:
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT grain, start FROM segments ORDER BY start"))
        return [(row.grain, (row.start - DAY) / HOUR) for row in rows]


def dirty(engine: Engine) -> list[float]:
    with engine.connect() as connection:
        hours = connection.scalars(sa.text("SELECT hour FROM dirty_hours ORDER BY hour"))
        return [(hour - DAY) / HOUR for hour in hours]


def weeks(engine: Engine) -> list[float]:
    with engine.connect() as connection:
        starts = connection.scalars(sa.text("SELECT start FROM buckets WHERE grain = 'week' AND dimension = 'all'"))
        return [(start - DAY) / HOUR for start in starts]


@pytest.fixture
def upgraded(engine: Engine) -> Engine:
    """Two days that are over and one that goes on, without segments."""
    send(store_of(engine), [[view(1, 1), view(23.9, 2), view(24.1, 2), view(30, 3), view(48.5, 4), view(50.1, 5)]])
    Buckets(engine, ZONE).refresh(NOW + HOUR / 2)
    assert dirty(engine) == [48, 50]
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        for revision in reversed(REVISIONS):
            revision.downgrade()
        for revision in REVISIONS:
            revision.upgrade()
    assert (made(engine), check(engine)) == ([], 0)
    return engine


def test_segments_of_all_visits_are_made_after_an_upgrade_and_no_rollups(
    upgraded: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = []
    monkeypatch.setattr(module, "fill", lambda _, site_id, grain, part: filled.append((grain, part.start)))
    assert dirty(upgraded) == [1, 23, 24, 30, 48, 50]
    Buckets(upgraded, ZONE).refresh(NOW)
    assert filled == [("hour", DAY + 48 * HOUR)]  # of the day that goes on
    assert made(upgraded) == [("day", 0), ("day", 24), ("hour", 48)]
    assert (dirty(upgraded), check(upgraded)) == ([48, 50], 5)


@pytest.mark.parametrize("most", [visit_plan.MAX_STALE, 1])
def test_questions_are_answered_before_and_after(upgraded: Engine, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(visit_plan, "MAX_STALE", most)
    before = answers(upgraded)
    assert before == [(4, tiers) for tiers in DAYS]
    Buckets(upgraded, ZONE).refresh(NOW)
    assert answers(upgraded) == before


def test_what_changes_before_segments_are_made_is_made_anew(upgraded: Engine) -> None:
    send(store_of(upgraded), [[view(2, 6), view(24.2, 2)]])
    assert [visits for visits, _ in answers(upgraded)] == [5, 5, 5]
    Buckets(upgraded, ZONE).refresh(NOW)
    assert (answers(upgraded), dirty(upgraded), check(upgraded)) == ([(5, tiers) for tiers in DAYS], [48, 50], 6)


def test_rollups_that_are_forgotten_before_that_are_made_with_them(upgraded: Engine) -> None:
    with upgraded.begin() as connection:
        forget(connection, 1)
    assert answers(upgraded) == [(4, ("raw",))] * 3
    Buckets(upgraded, ZONE).refresh(NOW)
    assert (answers(upgraded), dirty(upgraded), check(upgraded)) == ([(4, tiers) for tiers in DAYS], [48, 50], 5)


def test_weeks_are_gone_after_a_downgrade(engine: Engine) -> None:
    send(store_of(engine), [[view(1, 1)]])
    Buckets(engine, ZONE).refresh(DAY + 14 * 24 * HOUR)
    assert weeks(engine) == [0]
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        for revision in reversed(REVISIONS):
            revision.downgrade()
    assert weeks(engine) == []


def test_a_worker_that_knows_no_segments_takes_no_marks(upgraded: Engine) -> None:
    """One of a version before, which runs until it is replaced, with the statements that it had."""
    hours = "unnest(CAST(:hours AS timestamptz[]), CAST(:seqs AS bigint[])) AS made (hour, seq)"
    same = "d.site_id = 1 AND d.hour = made.hour AND d.seq = made.seq"
    send(store_of(upgraded), [[view(2, 6)]])
    for statement in (
        f"DELETE FROM dirty_hours d USING {hours} WHERE {same}",
        f"UPDATE dirty_hours d SET rolled = made.seq FROM {hours} WHERE {same}",
    ):
        with upgraded.connect() as connection:
            found = connection.execute(sa.text("SELECT hour, seq FROM dirty_hours")).all()
            values = {"hours": [row.hour for row in found], "seqs": [row.seq for row in found]}
            with pytest.raises(sa.exc.DBAPIError, match="taken by versions of maicivy that make segments"):
                connection.execute(sa.text(statement), values)
    Buckets(upgraded, ZONE).refresh(NOW)
    assert (dirty(upgraded), check(upgraded)) == ([48, 50], 6)


def test_marks_that_such_a_worker_has_taken_since_are_made_anew(upgraded: Engine) -> None:
    send(store_of(upgraded), [[view(2, 6)]])
    Buckets(upgraded, ZONE).refresh(NOW)
    with upgraded.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        REVISIONS[1].downgrade()
        connection.execute(sa.text("TRUNCATE segments"))  # as if that refresh had been the other's
        REVISIONS[1].upgrade()
    assert dirty(upgraded) == [1, 2, 23, 24, 30, 48, 50]
    assert [visits for visits, _ in answers(upgraded)] == [5, 5, 5]
    Buckets(upgraded, ZONE).refresh(NOW)
    assert (answers(upgraded), dirty(upgraded), check(upgraded)) == ([(5, tiers) for tiers in DAYS], [48, 50], 6)
