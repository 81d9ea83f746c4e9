"""`maicivy import log` and `maicivy doctor` beside a whole maicivy that runs."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maicivy.config import runtime_dir
from tests.e2e.running import ROOT, Up
from tests.log_import.logs import a_day_of_lines, log_line, write_log
from tests.standalone.processes import processes_of, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """A maicivy that has just become ready."""
    with tempfile.TemporaryDirectory(prefix="mv-", dir="/tmp") as parent:
        up = Up(Path(parent) / "data")
        up.wait_ready()
        yield up
        up.process.kill()
        up.process.wait()
        wait_until(lambda: not processes_of(up.home), what="no process left")


def maicivy(up: Up, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    environ = os.environ | {"PYTHONPATH": str(ROOT), "MAICIVY_DATA_DIR": str(up.home), "PORT": str(up.port)}
    command = [sys.executable, "-m", "maicivy", *arguments]
    return subprocess.run(command, cwd="/", env=environ, input=stdin, capture_output=True, check=False, timeout=60)


def get(up: Up, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}{path}", timeout=10) as response:
        return str(response.read().decode())


def stats(up: Up, period: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(get(up, f"/api/v1/analytics/stats?period={period}"))["data"]
    return data


def one(up: Up, query: str) -> tuple[int, ...]:
    with psycopg.connect(f"postgresql://maicivy@/maicivy?host={runtime_dir(up.home)}") as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return tuple(row)


def ledger(up: Up) -> tuple[int, ...]:
    return one(up, "SELECT (SELECT count(*) FROM analytics_events), stored, duplicate, quarantined FROM ledger")


def stored_in(up: Up, period: str) -> int:
    """Events of the current day, week or month; the database's own calendar is UTC."""
    return one(up, f"SELECT count(*) FROM analytics_events WHERE created_at >= date_trunc('{period}', now())")[0]


def test_a_log_imported_three_ways_counts_once_everywhere(up: Up, tmp_path: Path) -> None:
    lines = [*a_day_of_lines(datetime.now(UTC)), *(log_line(datetime.now(UTC), f"/page/{n}") for n in range(1_200))]
    log = write_log(tmp_path / "access.log", lines)
    first = maicivy(up, "import", "log", str(log))
    assert (first.returncode, b"1,208 page views handed in" in first.stdout) == (0, True), first
    wait_until(lambda: ledger(up) == (1_208, 1_208, 0, 0), 30, "all stored")
    assert maicivy(up, "import", "log", "--shift-to-now", str(log)).returncode == 0
    assert maicivy(up, "import", "log", "-", stdin=gzip.compress(log.read_bytes())).returncode == 0
    wait_until(lambda: ledger(up) == (1_208, 1_208, 2_416, 0), 30, "all duplicates")
    for period in ("day", "week", "month"):
        wait_until(lambda period=period: stats(up, period)["total_events"] == stored_in(up, period), 10, period)
    wait_until(lambda: 'maicivy_events_total{event_type="page_view"} 1208.0' in get(up, "/metrics"), 10, "metrics")
    assert 'maicivy_page_views_total{path="/letters"} 3.0' in get(up, "/metrics")


def test_the_doctor_finds_no_problem_and_one_where_there_is_one(up: Up) -> None:
    def state(check: str) -> str:
        checks = json.loads(maicivy(up, "doctor", "--json").stdout)["checks"]
        return str({found["check"]: found["state"] for found in checks}[check])

    wait_until(lambda: (state("worker"), state("beat")) == ("ok", "ok"), 40, "worker and beat show themselves")
    healthy = maicivy(up, "doctor")
    assert healthy.returncode == 0, healthy.stdout.decode()
    assert b" 0 problems" in healthy.stdout
    with psycopg.connect(f"postgresql://maicivy@/maicivy?host={runtime_dir(up.home)}") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'future'")
    sick = maicivy(up, "doctor")
    assert sick.returncode == 1
    assert b"problem  migrations: the schema is at revision future" in sick.stdout
