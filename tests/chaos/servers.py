"""Servers that the harness runs itself, so that nobody starts them again before it has done its harm."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from maicivy.standalone.datadir import DataDir
from maicivy.standalone.postgres import Postgres
from maicivy.standalone.process import Process, start_ready
from maicivy.standalone.valkey import Valkey

STOP_S = 10


class OwnServer:
    """A Valkey or a Postgres as `maicivy up` would run it, in a directory below `parent`."""

    def __init__(self, kind: type[Valkey | Postgres], parent: Path) -> None:
        self._home = DataDir(parent / kind.__name__.lower())
        self._home.claim()
        self._server = kind(self._home)
        self._process: Process | None = None
        self.start()

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self._server.data

    @property
    def url(self) -> str:
        """As `REDIS_URL` or `DATABASE_URL` wants it."""
        run = quote(str(self._home.run))
        if isinstance(self._server, Valkey):
            return f"unix://{run}/valkey.sock"
        return f"postgresql://maicivy@/maicivy?host={run}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._process = start_ready(self._server.command(), self._server.is_ready, type(self._server).__name__)

    def stop(self) -> None:
        """As its supervisor would."""
        if self._process is not None:
            self._process.stop(STOP_S)
            self._process = None

    def kill(self) -> None:
        """kill -9, all its processes."""
        if self._process is not None:
            self._process.sweep()
            self._process = None

    def close(self) -> None:
        """Stop it for good. Safe to repeat."""
        self.stop()
        self._home.release()
