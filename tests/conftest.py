"""Real servers for the tests: one embedded PostgreSQL and one embedded Valkey per session, clean for every test.

`engine` and `redis_client` are what most tests want; `settings` is a whole configuration that points at both.

MAICIVY_TEST_DATABASE_URL and MAICIVY_TEST_REDIS_URL have the tests use other servers, to see that an older PostgreSQL
or a Redis works too. Databases are made on the one, and the other is EMPTIED.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from sqlalchemy import Engine, create_engine

from maicivy.config import Settings, sqlalchemy_url
from maicivy.migrate import upgrade
from maicivy.standalone.datadir import DataDir
from maicivy.standalone.postgres import Postgres
from maicivy.standalone.process import start_ready
from maicivy.standalone.valkey import Valkey
from tests.shares import Shares

_TEMPLATE = "migrated"
# A lost test database costs nothing, so nothing waits for the disk.
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "autovacuum": "off",
}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's own, which share out files in the order of the collection
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares | None:
    """Of `bin/test`; any other distribution is as somebody asked for it."""
    return Shares(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def server_home() -> Iterator[DataDir]:
    """A claimed data directory whose path is short enough for unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="mv-", dir="/tmp"))
    home = DataDir(path)
    home.claim()
    yield home
    home.release()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(server_home: DataDir) -> Iterator[str]:
    """URL of an empty database on a running PostgreSQL 18, as `DATABASE_URL` wants it."""
    if given := os.environ.get("MAICIVY_TEST_DATABASE_URL"):
        yield given
        return
    server = Postgres(server_home, _FAST)
    process = start_ready(server.command(), server.is_ready, "postgres")
    yield f"postgresql://maicivy@/maicivy?host={server_home.run}"
    process.stop(5.0)


@pytest.fixture(scope="session")
def valkey_url(server_home: DataDir) -> Iterator[str]:
    """URL of a running Valkey, as `REDIS_URL` wants it, with the settings of `maicivy up`."""
    if given := os.environ.get("MAICIVY_TEST_REDIS_URL"):
        yield given
        return
    server = Valkey(server_home)
    process = start_ready(server.command(), server.is_ready, "valkey")
    yield f"unix://{server.socket}"
    process.stop(5.0)


@pytest.fixture(scope="session")
def database_template(postgres_url: str) -> str:
    """Name of a database that all migrations have run on; never connected to again, so that it can be copied."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {_TEMPLATE}")
        connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    upgrade(sqlalchemy_url(_beside(postgres_url, _TEMPLATE)))
    return _TEMPLATE


_numbers = count()


@pytest.fixture
def database_url(postgres_url: str, database_template: str) -> Iterator[str]:
    """URL of a migrated database of this test's own."""
    with _copied(postgres_url, database_template) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """SQLAlchemy engine on a migrated database of this test's own."""
    engine = create_engine(sqlalchemy_url(database_url))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def engine_of_file(postgres_url: str, database_template: str) -> Iterator[Engine]:
    """The same on a database that the tests of a file share: sites of their own tell them apart, or it is emptied."""
    with _copied(postgres_url, database_template) as url:
        engine = create_engine(sqlalchemy_url(url))
        yield engine
        engine.dispose()


@pytest.fixture
def redis_client(valkey_url: str) -> Iterator[redis.Redis]:
    """A client of an empty Valkey. Answers are bytes."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
        client.script_flush()
        yield client


@pytest.fixture(scope="session")
def careless_valkey() -> Iterator[str]:
    """URL of a Valkey as somebody might have set it up for a cache."""
    home = DataDir(Path(tempfile.mkdtemp(prefix="mv-", dir="/tmp")))
    home.claim()
    wrong = {"appendonly": "no", "appendfsync": "everysec", "maxmemory-policy": "allkeys-lru", "maxmemory": "3mb"}
    server = Valkey(home, wrong)
    process = start_ready(server.command(), server.is_ready, "valkey")
    yield f"unix://{server.socket}"
    process.stop(5.0)
    home.release()
    shutil.rmtree(home.path)


@pytest.fixture
def restricted_url(careless_valkey: str) -> Iterator[str]:
    """URL of the same server for an account like those of hosted servers: no INFO, no CONFIG."""
    with redis.Redis.from_url(careless_valkey) as client:
        client.execute_command("ACL", "SETUSER", "guest", "on", ">secret", "~*", "&*", "+@all", "-config", "-info")
        yield careless_valkey.replace("unix://", "unix://guest:secret@")
        client.execute_command("ACL", "DELUSER", "guest")


@pytest.fixture
def settings(database_url: str, valkey_url: str, redis_client: redis.Redis, tmp_path: Path) -> Settings:
    """A configuration of its own database and an empty Valkey, everything else at its default."""
    return Settings.from_env(_environ(tmp_path, database_url, valkey_url))


@pytest.fixture(scope="module")
def shared_environ(
    postgres_url: str, database_template: str, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The same, as environment variables, for an installation that the tests of a file share."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    with _copied(postgres_url, database_template) as database_url:
        yield _environ(tmp_path_factory.mktemp("shared"), database_url, valkey_url)


def _environ(data_dir: Path, database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "MAICIVY_ENV": "test",
        "MAICIVY_DATA_DIR": str(data_dir),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    }


@contextmanager
def _copied(postgres_url: str, template: str) -> Iterator[str]:
    """URL of a new database like `template`, which is gone afterwards."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield _beside(postgres_url, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _beside(url: str, database: str) -> str:
    """`url` with another database of the same server."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()
