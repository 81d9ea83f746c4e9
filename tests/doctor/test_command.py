"""`maicivy doctor` as an operator meets it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from maicivy.cli import main
from maicivy.config import Settings
from maicivy.doctor.command import print_json, print_lines
from maicivy.doctor.findings import Finding, State
from maicivy.storage import keys
from tests.live_server import Server

FINDINGS = [
    Finding("a", State.OK, "fine", ""),
    Finding("b", State.WARNING, "hm", "look"),
    Finding("c", State.PROBLEM, "bad \x1b[2J", "mend"),
    Finding("d", State.SKIPPED, "not examined", ""),
]


def test_lines_say_what_is_wrong_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_lines(FINDINGS) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok       a: fine",
        "warning  b: hm",
        "         -> look",
        "problem  c: bad ?[2J",
        "         -> mend",
        "not examined, for something that they need has a problem: d",
        "1 ok, 1 warning, 1 problem",
    ]


def test_warnings_are_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_lines(FINDINGS[:2]) == 0
    assert print_json(FINDINGS[:2]) == 0
    assert print_json(FINDINGS) == 1


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(FINDINGS)
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is False
    assert printed["checks"][2] == {"check": "c", "state": "problem", "seen": "bad \x1b[2J", "advice": "mend"}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that names nothing but a data directory."""
    for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY", "HOST", "PORT", "MAICIVY_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAICIVY_DATA_DIR", str(tmp_path / "data"))
    return monkeypatch


def test_where_nothing_runs_it_says_how_to_start(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        "problem  maicivy: it is not running",
        "         -> Start it with bin/up",
        "5 ok, 0 warnings, 1 problem",
    ]


def test_settings_that_are_wrong_are_all_told(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bare.setenv("PORT", "eighty")
    bare.setenv("MAICIVY_ENV", "production")
    bare.setenv("SECRET_KEY", "changeme")
    assert main(["doctor", "--json"]) == 1
    printed = capsys.readouterr().out
    assert [check["check"] for check in json.loads(printed)["checks"]] == ["settings", "settings"]
    assert "changeme" not in printed


@pytest.fixture
def server(
    bare: pytest.MonkeyPatch, settings: Settings, tmp_path: Path, valkey_url: str, database_url: str
) -> Iterator[Server]:
    """A web without worker and beat, and an environment that names its servers."""
    server = Server(tmp_path, valkey_url, database_url)
    for name, value in (
        ("DATABASE_URL", database_url),
        ("REDIS_URL", valkey_url),
        ("SECRET_KEY", settings.secret_key),
        ("PORT", str(server.port)),
    ):
        bare.setenv(name, value)
    yield server
    server.stop(signal.SIGTERM)


def problems(capsys: pytest.CaptureFixture[str], *arguments: str) -> set[str]:
    main(["doctor", "--json", *arguments])
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert len(checks) == 43
    return {check["check"] for check in checks if check["state"] == "problem"}


# The server of the tests does without fsync, which the doctor does not let pass.
ALWAYS = {"postgres durability"}


def test_it_finds_what_is_missing_and_nothing_else(
    server: Server, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds, _ = redis_client.time()
    redis_client.hset(keys.HEARTBEATS, mapping={"beat": seconds, "worker": seconds})
    assert problems(capsys) == ALWAYS
    redis_client.hset(keys.HEARTBEATS, "worker", seconds - 3600)
    redis_client.set(keys.BELL, b"1")
    found = problems(capsys)
    assert found - {"worker"} == ALWAYS | {"bell"}  # the worker may count as just started
    server.process.kill()
    server.process.wait()
    assert problems(capsys) - {"worker"} == ALWAYS | {"bell", "web"}


def test_a_database_and_a_redis_that_are_away_are_one_problem_each(
    server: Server, bare: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare.setenv("DATABASE_URL", f"postgresql://maicivy@/maicivy?host={tmp_path}")
    bare.setenv("REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    assert problems(capsys, "--url", f"http://127.0.0.1:{server.port}/") == {"postgres", "redis"}
