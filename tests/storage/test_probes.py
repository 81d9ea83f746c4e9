"""Probes name what is down, and neither a hanging server nor many askers hold them up."""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import redis
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from maicivy.errors import Unavailable
from maicivy.storage import probes
from maicivy.storage.probes import Part, Probes, code_revision
from maicivy.storage.scrape import Scraper

ROOT = Path(__file__).parents[2]
NOBODY = "postgresql://maicivy@/maicivy?host=/nonexistent"


class Answers(Scraper):
    """Redis as one test wants it."""

    def __init__(self, answer: Callable[[], Mapping[str, float]]) -> None:
        self._answer = answer

    def last_seen(self) -> Mapping[str, float]:
        return self._answer()


def refused() -> Mapping[str, float]:
    raise Unavailable("redis", "ConnectionError: secret-host:6379 refused")


def states(probe: Probes) -> dict[str, str]:
    return {name: part.state for name, part in probe.look().parts.items()}


def test_everything_is_up(database_url: str, engine: Engine, valkey_url: str, redis_client: redis.Redis) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE ledger SET seq = 41"))
    redis_client.hset("maicivy:heartbeats", "worker", "9")
    standing = Probes(database_url, Scraper(valkey_url)).look()
    assert standing.parts == {"redis": Part("up"), "postgres": Part("up"), "migrations": Part("up")}
    assert (standing.down, standing.ledger_seq, standing.last_seen) == ([], 41, {"worker": 9.0})


def test_a_redis_that_is_gone_is_named_without_telling_hosts(database_url: str) -> None:
    standing = Probes(database_url, Answers(refused)).look()
    assert standing.down == ["redis"]
    assert standing.parts["redis"] == Part("down", "does not answer")


def test_without_postgres_nobody_knows_of_migrations() -> None:
    standing = Probes(NOBODY, Answers(dict)).look()
    assert standing.down == ["postgres"]
    assert standing.parts["migrations"].state == "unknown"


def test_a_redis_that_hangs_counts_as_down(database_url: str) -> None:
    never = threading.Event()

    def hang() -> Mapping[str, float]:
        never.wait()
        return {}

    probe = Probes(database_url, Answers(hang))
    assert states(probe) == {"redis": "down", "postgres": "up", "migrations": "up"}
    never.set()


def test_a_server_that_hangs_is_not_asked_twice(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "FRESH_S", -1.0)
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.05)
    never, asked = threading.Event(), []

    def hang() -> Mapping[str, float]:
        asked.append(1)
        never.wait()
        return {}

    probe = Probes(NOBODY, Answers(hang))
    for _ in range(3):
        assert "redis" in probe.look().down
    never.set()
    assert len(asked) == 1


def test_an_unexpected_error_is_down_and_loud(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Mapping[str, float]:
        raise RuntimeError("of our own making")

    assert Probes(database_url, Answers(broken)).look().down == ["redis"]
    assert "of our own making" in caplog.text


def test_an_answer_serves_many_who_ask(database_url: str) -> None:
    asked = []

    def count() -> Mapping[str, float]:
        asked.append(1)
        return {}

    probe = Probes(database_url, Answers(count))
    threads = [threading.Thread(target=probe.look) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DROP TABLE alembic_version", "no migration has run"),
        ("DELETE FROM alembic_version", "no migration has run"),
        ("UPDATE alembic_version SET version_num = '9999'", "at revision 9999"),
    ],
)
def test_another_schema_than_the_code_needs_is_down(
    database_url: str, engine: Engine, statement: str, reason: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))
    standing = Probes(database_url, Answers(dict)).look()
    assert standing.down == ["migrations"]
    assert reason in standing.parts["migrations"].reason


def test_the_revision_read_from_the_files_is_the_head_that_alembic_sees() -> None:
    assert code_revision() == ScriptDirectory(str(ROOT / "migrations")).get_current_head()


def test_a_part_that_goes_and_comes_back_is_logged_once_each(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(probes, "FRESH_S", -1.0)
    caplog.set_level(logging.INFO)
    away = True

    def answer() -> Mapping[str, float]:
        return refused() if away else {}

    probe = Probes(database_url, Answers(answer))
    probe.look()
    probe.look()
    away = False
    probe.look()
    probe.look()
    told = [(r.__dict__["part"], r.__dict__["state"]) for r in caplog.records if r.message == "part_changed"]
    assert told == [("redis", "down"), ("redis", "up")]
