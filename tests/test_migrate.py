"""`maicivy db`: repeatable, one at a time, and never against a database from the future."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import Engine, text

from maicivy.core.ports import Parcel
from maicivy.storage.event_queries import PostgresEventQueries
from maicivy.storage.event_store import PostgresEventStore
from tests.events import event

ROOT = Path(__file__).parents[1]
Maicivy = Callable[..., "subprocess.CompletedProcess[str]"]


def start(arguments: tuple[str, ...], home: Path, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "maicivy", *arguments],
        cwd=ROOT,
        env=os.environ | {"MAICIVY_DATA_DIR": str(home)} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[str]:
    """URL of a database without any table."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE nothing_yet")
        yield urlsplit(postgres_url)._replace(path="/nothing_yet").geturl()
        connection.execute("DROP DATABASE nothing_yet WITH (FORCE)")


def revision(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchall()


def test_two_at_once_migrate_once_and_a_third_does_nothing(empty_database: str, tmp_path: Path) -> None:
    both = [start(("db", "upgrade"), tmp_path, DATABASE_URL=empty_database) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    [newest] = revision(empty_database)
    third = start(("db", "upgrade"), tmp_path, DATABASE_URL=empty_database)
    assert third.communicate(timeout=60) == ("", "")
    assert third.returncode == 0
    assert revision(empty_database) == [newest]


def test_the_migrations_make_the_schema_that_the_code_declares(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with engine.begin() as connection:  # a partition, as the program makes it: no reason to drop it
        connection.execute(
            text(
                "CREATE TABLE analytics_events_old PARTITION OF analytics_events"
                " FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')"
            )
        )
    check = start(("db", "check"), tmp_path, DATABASE_URL=database_url)
    said = check.communicate(timeout=60)
    assert check.returncode == 0, said


def test_down_and_up_again(database_url: str, tmp_path: Path) -> None:
    before = revision(database_url)
    for arguments in (("db", "downgrade", "base"), ("db", "upgrade")):
        process = start(arguments, tmp_path, DATABASE_URL=database_url)
        said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert revision(database_url) == before


def test_events_of_the_first_version_are_still_there_and_found(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    def migrate(*arguments: str) -> None:
        process = start(("db", *arguments), tmp_path, DATABASE_URL=database_url)
        said = process.communicate(timeout=60)
        assert process.returncode == 0, said

    at = datetime.now(UTC)
    clicks = [event("button_click", {"x": n, "y": n}, at=at, page_url="/cv") for n in range(3)]
    PostgresEventStore(engine, ZoneInfo("UTC")).store([Parcel("1-0", 3, clicks, [])])
    migrate("downgrade", "0001")
    migrate("upgrade")
    PostgresEventStore(engine, ZoneInfo("UTC")).store(
        [Parcel("2-0", 1, [event("button_click", {"x": 0, "y": 0}, at=at, page_url="/cv")], [])]
    )
    queries = PostgresEventQueries(engine)
    assert len(queries.timeline(1, 10, 0, None, at)) == 4
    spots = queries.heatmap(1, "/cv", at - timedelta(hours=1), at + timedelta(hours=1), 10)
    assert spots == [(0, 0, 2), (1, 1, 1), (2, 2, 1)]
    with engine.connect() as connection:
        definitions = "\n".join(
            connection.scalars(text("SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'analytics_events%'"))
        )
    assert definitions.count("(site_id, date_bin(") == 2  # of the table and of its partition
    assert "created_at, id" not in definitions


def test_refuses_a_database_from_the_future(engine: Engine, database_url: str, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    process = start(("db", "upgrade"), tmp_path, DATABASE_URL=database_url)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert said.startswith("maicivy db: the database is at revision 9999, which this version of maicivy does not know")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"DATABASE_URL": "postgresql://u:sekret@127.0.0.1:1/d"}, "DATABASE_URL"),
        ({"REDIS_URL": "redis://:sekret@127.0.0.1:1"}, "REDIS_URL"),
        ({"CELERY_BROKER_URL": "amqp://u:sekret@127.0.0.1:1"}, "CELERY_BROKER_URL"),
    ],
)
def test_a_server_that_does_not_answer_is_one_line(
    database_url: str, valkey_url: str, tmp_path: Path, environ: dict[str, str], named: str
) -> None:
    urls = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url} | environ
    process = start(("db", "prepare"), tmp_path, **urls)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert f"{named} cannot be used" in said
    assert "sekret" not in said
    assert said.count("\n") == 1
