"""The system under attack: a whole maicivy, its processes by what they are, its servers to look into."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import redis

from maicivy import faults
from maicivy.config import runtime_dir
from tests.e2e.running import Up
from tests.standalone.processes import processes_of, wait_until

STOP_S = 15


class System:
    """`maicivy up` in `home`, with kill points and a clock to shift in `faults`."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.home = home
        self.faults = home.parent / "faults"
        self.faults.mkdir(parents=True, exist_ok=True)
        run = runtime_dir(home)
        self.redis_url = environ.get("REDIS_URL", f"unix://{quote(str(run / 'valkey.sock'))}")
        self.database_url = environ.get("DATABASE_URL", f"postgresql://maicivy@/maicivy?host={quote(str(run))}")
        self.zone = environ.get("MAICIVY_TIMEZONE", "UTC")
        self._environ = {"MAICIVY_EVENT_RATE_LIMIT": "0", "MAICIVY_FAULTS_DIR": str(self.faults)} | environ
        self.up = Up(home, **self._environ)
        self.port = self.up.port

    def now(self) -> datetime:
        """The time by its clock, which may be shifted."""
        shift_s = 0.0
        with suppress(FileNotFoundError):
            shift_s = float((self.faults / faults.CLOCK).read_text())
        return datetime.now(UTC) + timedelta(seconds=shift_s)

    def set_clock(self, now: datetime) -> None:
        """Have it take this moment for the present one."""
        aside = self.faults / "clock.new"  # nobody must read half a number
        aside.write_text(str((now - datetime.now(UTC)).total_seconds()))
        aside.replace(self.faults / faults.CLOCK)

    def redis(self) -> redis.Redis:
        """A client of its Redis, past any proxy in between. To be closed."""
        return redis.Redis.from_url(self.redis_url, socket_timeout=10)

    def database(self) -> psycopg.Connection[Any]:
        """A connection to its Postgres, past any proxy in between. To be closed."""
        return psycopg.connect(self.database_url, autocommit=True, connect_timeout=10)

    def pids(self, kind: str) -> list[int]:
        """Process ids of a kind of `KINDS`, those that run now."""
        return sorted(KINDS[kind](self.up))

    def pid(self, kind: str, within_s: float = 30) -> int:
        """One of them, waited for."""
        found: list[int] = []
        wait_until(lambda: found.extend(self.pids(kind)) or found, within_s, f"a running {kind}")
        return found[0]

    def kill(self, kind: str, how: int = signal.SIGKILL) -> None:
        """Send a signal to one process of a kind; it may have ended meanwhile."""
        with suppress(ProcessLookupError):
            os.kill(self.pid(kind), how)

    def start_again(self) -> None:
        """A new `maicivy up` on the same data and port, once the last one has ended. Returns when it is ready."""
        self.up = Up(self.home, **self._environ | {"PORT": str(self.port)})
        self.up.port = self.port
        self.up.wait_ready()

    def stop(self) -> list[str]:
        """SIGTERM, as an operator would. What was wrong with its end: nothing, if all is well."""
        self.up.process.send_signal(signal.SIGTERM)
        try:
            status = self.up.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            status = None
        except Exception:
            self.up.process.kill()
            raise
        left = processes_of(self.home)
        wrong = [] if status == 0 else [f"maicivy up ended with {status}"]
        return wrong + [f"left behind: {command}" for command in left.values()]

    def abandon(self) -> None:
        """SIGKILL, when nothing else helped: everything below it dies with it."""
        if self.up.process.poll() is None:
            self.up.process.kill()
            self.up.process.wait()


def _child(*words: str) -> Callable[[Up], list[int]]:
    return lambda up: [pid for pid in (up.child(*words),) if pid is not None]


def _children_of(*words: str, holding: str = "") -> Callable[[Up], list[int]]:
    def find(up: Up) -> list[int]:
        parent = up.child(*words)
        if parent is None:
            return []
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            return []
        return [int(pid) for pid in children if holding in _command(int(pid))]

    return find


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


KINDS: dict[str, Callable[[Up], list[int]]] = {
    "gunicorn master": _child("gunicorn"),
    "web worker": _children_of("gunicorn"),
    "celery main": _child("workers.app"),
    "celery child": _children_of("workers.app"),
    "beat": _child("workers.beat"),
    "valkey": _child("valkey-server"),
    "postgres backend": _children_of("postgres", "-D", holding="postgres: maicivy maicivy"),
    "postmaster": _child("postgres", "-D"),
}
