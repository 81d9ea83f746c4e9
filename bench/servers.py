"""What benchmarks are run against: a whole maicivy, another application under the same gunicorn, the usual design.

Each is started in a directory of its own, on a free port of the loopback interface, and is gone when `Servers` is
left, whatever happened; when the benchmark itself is killed the kernel ends its servers.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import psycopg
import redis

from bench.processes import cpu_s, memory_mib
from maicivy.core.events import DEFAULT_SITE
from maicivy.core.periods import Period
from maicivy.standalone.datadir import DataDir
from maicivy.standalone.postgres import Postgres
from maicivy.standalone.process import Command, Process, start_ready
from maicivy.standalone.up import answers
from maicivy.standalone.valkey import Valkey
from maicivy.storage import keys
from maicivy.storage.inbox import RedisInbox

ROOT = Path(__file__).parents[1]
GUNICORN = ("-k", "gevent", "-w", "1", "--log-level", "warning", "--no-control-socket")  # as gunicorn.conf.py has it
SECRET_KEY = "a key that only benchmarks use, of some length"
INGEST_TOKEN = "a token that only benchmarks use, of some length"
DRAINED_WITHIN_S = 120.0
MOST_VIEWERS = 500

S = TypeVar("S", bound="Served")


class Served:
    """An application that answers on `port`, and the processes that it takes."""

    events_path = "/event"
    batches_path = ""

    def __init__(self, port: int, *processes: Process) -> None:
        self.port = port
        self.processes = processes

    def cpu_s(self) -> dict[str, float]:
        """Seconds of processor time used until now, by kind of process."""
        return _sum(cpu_s(process.pid) for process in self.processes)

    def memory_mib(self) -> dict[str, float]:
        """Proportional set size by kind of process, and of `all`."""
        return _sum(memory_mib(process.pid) for process in self.processes)

    def counted(self) -> int:
        """Events that the counters hold; 0 for an application that counts none."""
        return 0

    def settle(self, expected: int) -> None:
        """Return once `expected` events are counted. Nothing to wait for where none are."""

    def close(self) -> None:
        """Let go of connections."""


class Maicivy(Served):
    """A whole `maicivy up`, with the connections to look into its servers."""

    events_path = "/api/v1/analytics/event"
    batches_path = "/api/v1/analytics/batch"

    def __init__(self, port: int, process: Process, data_dir: Path) -> None:
        super().__init__(port, process)
        run = DataDir(data_dir).run
        self.redis_url = f"unix://{run / 'valkey.sock'}"
        self.database_url = f"postgresql://maicivy@/maicivy?host={run}"
        self.redis = redis.Redis.from_url(self.redis_url)
        self.postgres = psycopg.connect(self.database_url, autocommit=True)
        self.inbox = RedisInbox(self.redis, self.redis, 1 << 28)

    def counted(self) -> int:
        """What the counter of events of all days in Redis says."""
        found = self.redis.scan_iter(f"{keys.prefix(DEFAULT_SITE)}stats:{Period.DAY}:*:total_events", count=1000)
        return sum(int(value or 0) for value in self.redis.mget(list(found)))

    def stored(self) -> int:
        """Rows that Postgres says it has stored."""
        row = self.postgres.execute("SELECT stored FROM ledger").fetchone()
        assert row is not None
        return int(row[0])

    def settle(self, expected: int) -> None:
        """Until the inbox is empty and as many are counted: an entry leaves the inbox when its events are counted."""
        deadline = time.monotonic() + DRAINED_WITHIN_S
        while not self.inbox.is_empty() or self.counted() < expected:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.counted()} of {expected} events counted, inbox: {self.inbox.status()}")
            time.sleep(0.01)

    def close(self) -> None:
        self.redis.close()
        self.postgres.close()


class UsualDesign(Served):
    """bench/usual_design: gunicorn, a Celery worker with one process, Postgres and Valkey of its own."""

    events_path = Maicivy.events_path
    batches_path = Maicivy.batches_path

    def __init__(self, port: int, redis_url: str, database_url: str, servers: dict[str, Process]) -> None:
        super().__init__(port, *servers.values())
        self.servers = servers
        self.redis = redis.Redis.from_url(redis_url)
        self.postgres = psycopg.connect(database_url, autocommit=True)

    def counted(self) -> int:
        return int(self.redis.get("events:total") or 0)

    def stored(self) -> int:
        row = self.postgres.execute("SELECT count(*) FROM events").fetchone()
        assert row is not None
        return int(row[0])

    def settle(self, expected: int) -> None:
        deadline = time.monotonic() + DRAINED_WITHIN_S
        while (counted := self.counted()) < expected:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the usual design counted {counted} of {expected} events")
            time.sleep(0.01)

    def restart(self, name: str, ready: Callable[[], bool]) -> None:
        """Start a server that was killed once more, as whoever supervises it would."""
        self.servers[name].sweep()
        self.servers[name] = start_ready(self.servers[name].command, ready, name)

    def close(self) -> None:
        self.redis.close()
        self.postgres.close()
        for process in reversed(self.servers.values()):  # for those that were started again nobody else knows
            process.stop(30.0)


class Servers:
    """Starts them; on leaving stops them, the last first, and removes what they wrote."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mvb-", dir="/tmp"))
        self._maicivy: Maicivy | None = None
        self._stack = contextlib.ExitStack()
        self._stack.callback(shutil.rmtree, self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def maicivy(self) -> Maicivy:
        """`maicivy up` with one web process and one worker, without a limit of events per client; always the same."""
        if self._maicivy is None:
            self._maicivy = self.another_maicivy("maicivy")
        return self._maicivy

    def another_maicivy(self, name: str, **environ: str) -> Maicivy:
        """One more, under a name of its own, with some settings that are different."""
        data_dir, port = self.home / name, free_port()
        given = {
            "PORT": str(port),
            "MAICIVY_DATA_DIR": str(data_dir),
            "MAICIVY_EVENT_RATE_LIMIT": "0",
            "MAICIVY_WS_MAX_CLIENTS": str(MOST_VIEWERS),
            "SECRET_KEY": SECRET_KEY,
            "MAICIVY_INGEST_TOKEN": INGEST_TOKEN,
            "LOG_LEVEL": "warning",
        } | environ
        up = self._python(("-m", "maicivy", "up"), given, lambda: answers("127.0.0.1", port, "/readyz"), f"{name}.up")
        return self._opened(Maicivy(port, up, data_dir))

    def gunicorn(self, application: str, *options: str, **environ: str) -> Served:
        """`application`, such as `bench.bare:application`, in one process; it answers anything at all when ready."""
        port = free_port()
        arguments = ("-m", "gunicorn", *(options or GUNICORN), "-b", f"127.0.0.1:{port}", application)
        return Served(port, self._python(arguments, environ, lambda: listens(port), application))

    def usual_design(self, **environ: str) -> UsualDesign:
        """All of it, with the durability that Redis's documentation suggests: append-only, an fsync each second."""
        home = DataDir(self.home / "usual")
        home.claim()
        self._stack.callback(home.release)
        postgres, valkey = Postgres(home), Valkey(home, {"appendfsync": "everysec"})
        running = {
            "postgres": self._started(postgres.command(), postgres.is_ready, "postgres"),
            "valkey": self._started(valkey.command(), valkey.is_ready, "valkey"),
        }
        redis_url = f"unix://{valkey.socket}"
        database_url = f"postgresql://maicivy@/maicivy?host={home.run}"
        given = {"REDIS_URL": redis_url, "DATABASE_URL": database_url} | environ
        self._python(("-m", "bench.usual_design.tasks"), given, lambda: True, "tables").wait(30)
        worker = (
            "-W",
            "ignore:::celery.platforms",
            "-m",
            "celery",
            "--quiet",
            "-A",
            "bench.usual_design.tasks",
            "worker",
        )
        lean = ("--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "warning")
        running["celery"] = self._python((*worker, *lean), given, lambda: True, "celery")
        web = self.gunicorn("bench.usual_design.app:application", **given)
        running["gunicorn"] = web.processes[0]
        return self._opened(UsualDesign(web.port, redis_url, database_url, running))

    def _opened(self, served: S) -> S:
        self._stack.callback(served.close)
        return served

    def _python(
        self, arguments: tuple[str, ...], environ: dict[str, str], ready: Callable[[], bool], name: str
    ) -> Process:
        # Not from the project's directory: gunicorn would find maicivy's configuration there.
        given = os.environ | {"PYTHONPATH": str(ROOT)} | environ
        log = self.home / f"{name.partition(':')[0]}.log"
        return self._started(Command((sys.executable, *arguments), given, self.home, log), ready, name)

    def _started(self, command: Command, ready: Callable[[], bool], name: str) -> Process:
        process = start_ready(command, ready, name)
        self._stack.callback(process.stop, 30.0)
        return process


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something answers HTTP there, whatever it says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        return connection.getresponse().status > 0
    return False


def _sum(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total
