"""`maicivy import log` as an operator meets it, on real servers."""

from __future__ import annotations

import argparse
import gzip
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.events import decode
from maicivy.core.ports import Parcel
from maicivy.errors import MaicivyError, Unavailable
from maicivy.log_import import command
from maicivy.storage import keys
from tests.log_import.logs import a_day_of_lines, log_line, write_log

OLD = datetime(2015, 5, 20, 21, 5, 15, tzinfo=UTC)


@pytest.fixture
def environment(settings: Settings, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The process environment of an installation."""
    monkeypatch.setenv("MAICIVY_ENV", "test")
    monkeypatch.setenv("MAICIVY_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", valkey_url)
    monkeypatch.setenv("SECRET_KEY", settings.secret_key)
    return settings


@pytest.fixture
def parts(environment: Settings) -> Iterator[Maicivy]:
    parts = build(environment)
    yield parts
    parts.close()


def import_log(*arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="maicivy import")
    command.add_arguments(parser)
    return command.run(parser.parse_args(["log", *arguments]))


def store_all(parts: Maicivy) -> None:
    """What the worker does with the inbox."""
    while parts.inbox.status().events:
        entries = parts.inbox.read("test", 10_000, 0)
        parcels = [
            Parcel(entry.id, entry.events, [event for raw in entry.payloads for event in decode(raw)], [])
            for entry in entries
        ]
        parts.store.store(parcels)
        parts.inbox.remove(entries)


def stored(parts: Maicivy) -> tuple[int, int, int]:
    with parts.engine.connect() as connection:
        rows = connection.scalar(sa.text("SELECT count(*) FROM analytics_events"))
        ledger = connection.execute(sa.text("SELECT stored, duplicate FROM ledger")).one()
    return (rows, *ledger)


def test_a_log_is_imported_and_a_second_time_counts_nothing(
    parts: Maicivy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_log(tmp_path / "access.log", a_day_of_lines(OLD))
    assert import_log("--shift-to-now", str(path)) == 0
    store_all(parts)
    assert stored(parts) == (8, 8, 0)
    assert import_log("--shift-to-now", str(path)) == 0
    store_all(parts)
    assert stored(parts) == (8, 8, 8)
    output = capsys.readouterr()
    assert "19 lines in" in output.out
    assert "8 page views handed in, from " in output.out
    assert "3 left out: files that pages contain or link to" in output.out
    assert "Times were moved by +" in output.out
    assert f"{path}:15: neither common nor combined log format: (address) - - [" in output.err
    assert "192.0.2" not in output.err + output.out


def test_the_worker_is_told(parts: Maicivy, redis_client: redis.Redis, tmp_path: Path) -> None:
    import_log("--shift-to-now", str(write_log(tmp_path / "access.log", a_day_of_lines(OLD))))
    assert redis_client.exists(keys.BELL) == 1


def test_gzip_from_standard_input_is_imported_and_can_be_shifted(parts: Maicivy, tmp_path: Path) -> None:
    write_log(tmp_path / "access.log", a_day_of_lines(OLD))
    reading, writing = os.pipe()
    os.write(writing, gzip.compress((tmp_path / "access.log").read_bytes()))
    os.close(writing)
    kept = os.dup(0)
    os.dup2(reading, 0)
    try:
        assert import_log("-", "--shift-to-now") == 0
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reading)
    store_all(parts)
    assert stored(parts) == (8, 8, 0)


def test_when_nothing_is_recent_enough_the_hint_says_what_to_do(
    environment: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_log(str(write_log(tmp_path / "access.log", a_day_of_lines(OLD)))) == 1
    output = capsys.readouterr().out
    assert "8 left out: older than MAICIVY_RETENTION_DAYS" in output
    assert "raise MAICIVY_RETENTION_DAYS, or move them in time with --shift-to-now" in output


def test_lines_in_the_future_are_told(
    environment: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    assert import_log(str(write_log(tmp_path / "access.log", [log_line(later)]))) == 1
    assert "1 left out: in the future" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"no log\n", b"\n\n"])
def test_where_there_is_nothing_to_import_the_exit_code_is_1(
    environment: Settings, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "access.log").write_bytes(content)
    assert import_log(str(tmp_path / "access.log")) == 1


def test_a_file_that_breaks_off_is_told_and_the_exit_code_is_1(
    parts: Maicivy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_log(tmp_path / "a.log", a_day_of_lines(datetime.now(UTC)))
    (tmp_path / "b.gz").write_bytes(gzip.compress(good.read_bytes())[:-9])
    assert import_log(str(good), str(tmp_path / "b.gz")) == 1
    assert "b.gz: breaks off" in capsys.readouterr().err
    store_all(parts)
    assert stored(parts)[0] == 8


def test_nothing_is_imported_when_one_file_is_missing(parts: Maicivy, tmp_path: Path) -> None:
    good = write_log(tmp_path / "a.log", a_day_of_lines(datetime.now(UTC)))
    with pytest.raises(MaicivyError, match="No such file"):
        import_log(str(good), str(tmp_path / "b.log"))
    assert parts.inbox.status().events == 0


def test_without_redis_it_says_so_at_once(
    environment: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(Unavailable, match="REDIS_URL cannot be used"):
        import_log(str(write_log(tmp_path / "access.log", a_day_of_lines(OLD))))


def test_where_nothing_runs_it_says_how_to_start(
    environment: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL")
    with pytest.raises(Unavailable, match="it does not run"):
        import_log(str(write_log(tmp_path / "access.log", a_day_of_lines(OLD))))


def test_standard_input_twice_is_refused(environment: Settings) -> None:
    assert import_log("-", "-") == 2


@pytest.mark.parametrize("timeout", ["-1", "inf", "nan", "soon"])
def test_a_timeout_is_a_number_of_seconds(timeout: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        import_log("access.log", "--timeout", timeout)
    assert "timeout" in capsys.readouterr().err


def test_the_help_says_what_a_repeat_rests_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        import_log("--help")
    assert "7 to 14 days" in capsys.readouterr().out


def test_a_log_may_be_of_another_site(parts: Maicivy, tmp_path: Path) -> None:
    shop = parts.sites.add({"domain": "shop.example"})
    log = str(write_log(tmp_path / "a.log", [log_line(datetime.now(UTC))]))
    assert import_log(log, "--site", shop.measurement_id) == 0
    [(_, fields)] = parts.redis.xrange(keys.INBOX)
    [event] = [event for name, raw in fields.items() if name != b"n" for event in decode(raw)]
    assert event.site_id == shop.id
    with pytest.raises(MaicivyError, match="no such site"):
        import_log(log, "--site", "elsewhere.example")
