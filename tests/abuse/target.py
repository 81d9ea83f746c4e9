"""The maicivy that is abused, and what must be true of it afterwards."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis

from maicivy.config import runtime_dir
from maicivy.storage import keys
from tests.abuse.scenario import Finding
from tests.e2e.running import Up
from tests.standalone.processes import processes_of, wait_until

SETTLE_S = 60.0
TOKEN = "the token of the abused maicivy"
SECRET = "qzsecretqz"
"""Put into addresses, user agents and query strings: no log may ever show it."""


class Target:
    """One running `maicivy up` with its servers, to be looked into."""

    def __init__(self, up: Up) -> None:
        run = runtime_dir(up.home)
        self.up = up
        self.port = up.port
        self.redis = redis.Redis(unix_socket_path=str(run / "valkey.sock"))
        self._database_url = f"postgresql://maicivy@/maicivy?host={run}"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload,no-any-return]

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a well-behaved request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def data(self, path: str) -> Any:
        status, text = self.get("/api/v1/analytics" + path)
        assert status == 200, (path, text)
        return json.loads(text)["data"]

    def ledger(self) -> dict[str, int]:
        return {name.decode(): int(n) for name, n in self.redis.hgetall(keys.LEDGER).items()}  # type: ignore[union-attr]

    def processes(self) -> dict[str, list[int]]:
        """Process ids by what they are: web (workers, without their master), worker, valkey."""
        found: dict[str, list[int]] = {"web": [], "worker": [], "valkey": []}
        for pid, command in sorted(processes_of(self.up.home).items()):
            for kind, word in (("web", "gunicorn"), ("worker", "celery"), ("valkey", "valkey-server")):
                if word in command and not (kind == "worker" and " beat " in command):
                    found[kind].append(pid)
        found["web"] = [pid for pid in found["web"] if _parent(pid) in found["web"]]
        return found

    def pss_mb(self, kind: str) -> float:
        """Memory of the processes of a kind, shared pages divided among those who share them."""
        return sum(_pss_kb(pid) for pid in self.processes()[kind]) / 1024

    def cpu_s(self, kind: str) -> float:
        """CPU seconds that the processes of a kind have used."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.processes()[kind]]
        return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")

    def settle(self, finding: Finding) -> None:
        """Wait until everything accepted is stored and counted, and check the accounts."""
        try:
            wait_until(lambda: self.redis.xlen(keys.INBOX) == 0, SETTLE_S, "an empty inbox: a batch is stuck")
            wait_until(self._is_level, SETTLE_S, "aggregates level with the outbox")
            wait_until(lambda: self._balance() == 0, 5.0, "accounts that balance")
        except AssertionError as error:
            finding.breaches.append(f"{error}: ledger {self.ledger()}")
            return
        ledger = self.ledger()
        ((stored,),) = self.rows("SELECT count(*) FROM analytics_events")
        finding.must(ledger.get("stored", 0) == stored, f"{ledger.get('stored')} counted as stored, {stored} rows")
        finding.must(self.redis.hget(keys.INBOX_SIZE, "events") in (None, b"0"), "the size of an empty inbox is not 0")
        counted = sum(int(self.redis.get(key) or 0) for key in self.redis.keys("analytics:stats:day:*:total_events"))  # type: ignore[arg-type,union-attr]
        finding.must(counted == stored, f"{counted} events counted in Redis, {stored} rows")

    def check_logs(self, finding: Finding) -> None:
        """No traceback, no error, and nothing that could tell who somebody is."""
        said = self.up.output()
        for sign in ("Traceback", "unexpected_error", '"level":"error"', '"level":"critical"'):
            if sign in said:
                at = said.index(sign)
                finding.breaches.append(f"in the log: {said[max(0, at - 300) : at + 1500]}")
                break
        for private in (SECRET, "127.0.0.1:"):
            for line in said.splitlines():
                finding.must(private not in line or "://" in line, f"in the log: {line[:300]}")

    def _is_level(self) -> bool:
        ((seq,),) = self.rows("SELECT seq FROM ledger")
        return int(self.redis.hget(keys.CURSOR, "seq") or -1) == seq  # type: ignore[arg-type]

    def _balance(self) -> int:
        ledger = self.ledger()
        return ledger.pop("received", 0) - sum(ledger.values())


@contextmanager
def abused(finding: Finding, **environ: str) -> Iterator[Target]:
    """A maicivy of its own, and at the end: settled accounts, clean logs, a clean stop.

    No rate limit, no demo and info logs, unless `environ` says otherwise.
    """
    parent = Path(tempfile.mkdtemp(prefix="mv-", dir="/tmp"))
    given = {"MAICIVY_EVENT_RATE_LIMIT": "0", "MAICIVY_INGEST_TOKEN": TOKEN, "LOG_LEVEL": "info"}
    up = Up(parent / "data", **(given | environ))
    try:
        up.wait_ready()
        target = Target(up)
        before = target.processes()
        yield target
        target.settle(finding)
        finding.must(target.processes() == before, f"processes before {before}, after {target.processes()}")
    finally:
        up.process.send_signal(signal.SIGTERM)
        try:
            finding.must(up.process.wait(30) == 0, f"maicivy up ended with {up.process.returncode}")
        except Exception:
            up.process.kill()
            raise
        finding.must(not processes_of(parent), "processes left behind")
        Target(up).check_logs(finding)
        shutil.rmtree(parent, ignore_errors=True)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _pss_kb(pid: int) -> int:
    match = re.search(r"^Pss: *(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1])
