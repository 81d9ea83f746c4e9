"""The law, with real processes killed at random under load: nothing acknowledged is lost, nothing counts twice."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from maicivy.config import runtime_dir
from maicivy.standalone.up import answers
from maicivy.storage import keys
from tests.e2e.running import Up
from tests.standalone.processes import processes_of, wait_until

KILLS = 20
CLIENTS = 4
SEED = 20251208

pytestmark = pytest.mark.e2e


class Client(threading.Thread):
    """Sends events one after the other, and in batches, and repeats each with the same ids until it is answered."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._port = port
        self._random = random.Random(SEED + number)
        self._stopping = threading.Event()
        self.sent: set[uuid.UUID] = set()
        self.acknowledged: set[uuid.UUID] = set()
        self.unexpected: list[tuple[int, str]] = []

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            events = [self._event() for _ in range(self._random.choice((1, 1, 1, 20)))]
            ids = [uuid.UUID(event["id"]) for event in events]
            self.sent.update(ids)
            repeats = 2 if self._random.random() < 0.05 else 1  # a deliberate duplicate
            for _ in range(repeats):
                while not self._post(events):
                    if self._stopping.wait(0.1):
                        return
            self.acknowledged.update(ids)

    def _event(self) -> dict[str, Any]:
        kind = self._random.choice(("page_view", "click", "letter_generated"))
        return {
            "id": str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            "event_type": kind,
            "event_data": {"type": self._random.choice(("motivation", "anti_motivation"))},
            "page_url": f"/page/{self._random.randrange(20)}",
        }

    def _post(self, events: list[dict[str, Any]]) -> bool:
        """True when the server took responsibility."""
        path, body = ("/event", events[0]) if len(events) == 1 else ("/event/batch", events)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("POST", "/api/v1/analytics" + path, json.dumps(body))
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if response.status not in {202, 503}:
            self.unexpected.append((response.status, text))
        return response.status == 202


@pytest.fixture
def home() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="mv-", dir="/tmp"))
    yield parent / "data"
    shutil.rmtree(parent, ignore_errors=True)


def test_twenty_random_kills_lose_nothing_and_double_nothing(home: Path) -> None:
    up = Up(home, MAICIVY_EVENT_RATE_LIMIT="0")
    clients = [Client(up.port, number) for number in range(CLIENTS)]
    dice = random.Random(SEED)
    try:
        up.wait_ready()
        for client in clients:
            client.start()
        for _ in range(KILLS):
            reached = acknowledged(clients) + 200
            wait_until(lambda reached=reached: acknowledged(clients) >= reached, 60, f"{reached} acknowledged")
            kill_one(up, dice)
        reached = acknowledged(clients) + 200
        wait_until(lambda: acknowledged(clients) >= reached, 60, f"{reached} acknowledged")
        for client in clients:
            client.stop()
        for client in clients:
            client.join(30)
        wait_until(lambda: answers("127.0.0.1", up.port, "/readyz"), 60, "all parts back")
        check_the_law(home, clients)
    finally:
        for client in clients:
            client.stop()
        up.process.send_signal(signal.SIGTERM)
        if up.process.wait(15) != 0 or processes_of(home):
            up.process.kill()
    assert up.process.returncode == 0
    assert processes_of(home) == {}


def acknowledged(clients: list[Client]) -> int:
    return sum(len(client.acknowledged) for client in clients)


def kill_one(up: Up, dice: random.Random) -> None:
    """SIGKILL to any process but the supervisor and its keeper."""
    running = {
        pid: command
        for pid, command in processes_of(up.home).items()
        if "maicivy up" not in command and "maicivy-keeper" not in command
    }
    victim = dice.choice(sorted(running))
    print(f"kill -9 {running[victim][-60:]}")
    with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile, as Celery's children may
        os.kill(victim, signal.SIGKILL)


def check_the_law(home: Path, clients: list[Client]) -> None:
    run = runtime_dir(home)
    sent = set().union(*(client.sent for client in clients))
    acked = set().union(*(client.acknowledged for client in clients))
    assert [client.unexpected for client in clients] == [[]] * CLIENTS
    with (
        redis.Redis(unix_socket_path=str(run / "valkey.sock")) as client,
        psycopg.connect(f"postgresql://maicivy@/maicivy?host={run}", autocommit=True) as database,
    ):

        def seq() -> int:
            row = database.execute("SELECT seq FROM ledger").fetchone()
            assert row is not None
            return int(row[0])

        wait_until(lambda: client.xlen(keys.INBOX) == 0, 60, "an empty inbox")
        wait_until(lambda: int(client.hget(keys.CURSOR, "seq") or -1) == seq(), 60, "aggregates level with the outbox")
        rows = database.execute("SELECT id FROM analytics_events").fetchall()
        stored = {row[0] for row in rows}
        assert len(rows) == len(stored), "each once"
        assert acked <= stored <= sent
        assert client.hget(keys.INBOX_SIZE, "events") == b"0"
        compare_counters(client, database)
        ledger = {name.decode(): int(n) for name, n in client.hgetall(keys.LEDGER).items()}
        assert ledger.pop("received") == sum(ledger.values()), ledger
        assert ledger["stored"] == len(rows)
        assert ledger["quarantined"] == 0
        print(f"{len(sent)} sent, {len(acked)} acknowledged, {len(rows)} stored, ledger {ledger}")


def compare_counters(client: redis.Redis, database: psycopg.Connection[Any]) -> None:
    """Redis by day, month, type and letter type, against GROUP BY in Postgres."""
    expected: dict[str, int] = {}
    rows = database.execute(
        "SELECT to_char(at, 'YYYY-MM-DD'), to_char(at, 'YYYY-MM'), to_char(at, 'IYYY-\"W\"IW'),"
        " event_type, letter, count(*)"
        " FROM (SELECT created_at AT TIME ZONE 'UTC' AS at, event_type, event_data ->> 'type' AS letter"
        " FROM analytics_events) events GROUP BY 1, 2, 3, 4, 5"
    )
    for day, month, week, event_type, letter, n in rows:
        names = ["total_events", f"events:{event_type}"]
        if event_type == "letter_generated":
            names += ["letters_generated", f"letters_generated:{letter}"]
        for period in (f"day:{day}", f"week:{week}", f"month:{month}"):
            for name in names:
                key = f"analytics:stats:{period}:{name}"
                expected[key] = expected.get(key, 0) + n
    found = {key.decode(): int(client.get(key) or 0) for key in client.keys("analytics:stats:*")}
    assert found == expected
