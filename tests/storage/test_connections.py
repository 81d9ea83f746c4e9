"""The engine on a real Postgres: connections that died while they rested are made anew, busy ones cost nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from maicivy.config import sqlalchemy_url
from maicivy.storage import connections
from maicivy.storage.connections import postgres_engine


@pytest.fixture
def pooled(postgres_url: str) -> Iterator[sa.Engine]:
    engine = postgres_engine(sqlalchemy_url(postgres_url), 2)
    yield engine
    engine.dispose()


@pytest.fixture
def pings(pooled: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every connection that is tried."""
    tried: list[object] = []
    ping = pooled.dialect.do_ping

    def do_ping(connection: sa.engine.interfaces.DBAPIConnection) -> bool:
        tried.append(connection)
        return ping(connection)

    monkeypatch.setattr(pooled.dialect, "do_ping", do_ping)
    return tried


def backend(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())


def test_a_connection_that_has_not_rested_is_not_tried(pooled: sa.Engine, pings: list[object]) -> None:
    assert len({backend(pooled) for _ in range(5)}) == 1
    assert not pings


def test_a_connection_that_has_rested_is_tried_and_used_again(
    pooled: sa.Engine, pings: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REST_S", -1.0)
    assert len({backend(pooled) for _ in range(3)}) == 1
    assert len(pings) == 2


def test_connections_that_died_while_they_rested_are_made_anew(
    pooled: sa.Engine, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REST_S", -1.0)
    with pooled.connect() as one, pooled.connect() as other:
        died = [int(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()) for connection in (one, other)]
    with engine.connect() as killer:
        for pid in died:
            killer.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    assert backend(pooled) not in died
    with pooled.connect() as one, pooled.connect() as other:
        for connection in (one, other):
            assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1


def test_every_advisory_lock_has_a_number_of_its_own() -> None:
    sources = Path(connections.__file__).parent.rglob("*.py")
    numbers = re.findall(r"LOCK: Final = (0x[0-9A-F_]+)", "\n".join(path.read_text() for path in sources))
    assert len(numbers) >= 6
    assert len(numbers) == len(set(numbers))
