"""`/metrics` of two web processes: whichever answers, it tells what both have done."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from maicivy.standalone.up import answers
from maicivy.storage import keys
from tests.standalone.processes import wait_until

ROOT = Path(__file__).parents[2]
PROBES = 60

pytestmark = pytest.mark.e2e


@dataclass
class Server:
    """gunicorn with two workers, and where it writes."""

    port: int
    data_dir: Path
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """Status and body, over a connection of its own: the kernel chooses the process."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def processes(self) -> set[str]:
        """The pids that have observed something."""
        return {path.stem.rpartition("_")[2] for path in (self.data_dir / "metrics").glob("histogram_*.db")}

    def count(self, endpoint: str) -> float:
        """How often a route was asked, as one scrape tells it."""
        status, text = self.get("/metrics")
        assert status == 200
        name = "maicivy_analytics_request_duration_seconds"
        (family,) = [found for found in text_string_to_metric_families(text) if found.name == name]
        wanted = [s.value for s in family.samples if s.name == f"{name}_count" and s.labels["endpoint"] == endpoint]
        return sum(wanted)


@pytest.fixture
def server(database_url: str, valkey_url: str, redis_client: redis.Redis, tmp_path: Path) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    log = tmp_path / "gunicorn.log"
    environ = os.environ | {
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
        "MAICIVY_DATA_DIR": str(tmp_path / "data"),
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"],
            cwd=ROOT,
            env=environ,
            stdout=output,
            stderr=output,
        )
    started = Server(port, tmp_path / "data", log)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                if started.get("/healthz")[0] == 200 and len(started.processes()) == 2:
                    break
            except OSError:
                pass
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def test_either_process_tells_the_counts_of_both(server: Server) -> None:
    before = server.count("/healthz")
    for _ in range(PROBES):
        assert server.get("/healthz")[0] == 200
    assert {server.count("/healthz") for _ in range(10)} == {before + PROBES}


def test_numbers_of_redis_are_not_doubled(server: Server, redis_client: redis.Redis) -> None:
    redis_client.hset(keys.totals(1), "visitors", 7)
    _, text = server.get("/metrics")
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    assert [s.value for s in samples if s.name == "maicivy_visitors_total"] == [7]
    series = [(s.name, tuple(sorted(s.labels.items()))) for s in samples]
    assert len(series) == len(set(series))


def test_probes_and_logs_work_in_the_real_process(server: Server) -> None:
    status, body = server.get("/readyz")
    assert (status, json.loads(body)["data"]["status"]) == (200, "ok")
    assert server.get("/nowhere")[0] == 404
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    request = next(line for line in lines if line["event"] == "request" and line["status"] == 404)
    assert request["endpoint"] == "unmatched"
    assert len(request["request_id"]) == 16
    assert "127.0.0.1" not in json.dumps(lines)


def test_a_full_disk_kills_no_process_over_its_counters(server: Server) -> None:
    """They are mapped into memory; one that lies on a disk without room is SIGBUS when it is written."""
    (files,) = {path.resolve().parent for path in (server.data_dir / "metrics").glob("*.db")}
    assert files.parent == Path("/dev/shm")
    assert files.stat().st_mode & 0o777 == 0o700


def test_nothing_stays_in_memory(tmp_path: Path) -> None:
    """Neither of a server that ends, nor, when another one starts, of one that was killed."""
    made = []
    for last_signal in (signal.SIGKILL, signal.SIGTERM):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        data_dir = tmp_path / str(port)
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"],
            cwd=ROOT,
            env=os.environ | {"PORT": str(port), "MAICIVY_DATA_DIR": str(data_dir)},
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda port=port: answers("127.0.0.1", port, "/healthz"), 30, "gunicorn to answer")
            made.append((data_dir / "metrics").resolve(strict=True))
        finally:
            process.send_signal(last_signal)
            process.wait(20)
    assert len(set(made)) == 2
    assert [path for path in made if path.exists()] == []
