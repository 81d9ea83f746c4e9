"""A whole maicivy, started as a user would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.standalone.processes import processes_of, wait_until

ROOT = Path(__file__).parents[2]


class Up:
    """One `maicivy up` in a data directory of its own, run from a directory that is not the project's."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.home = home
        self.port = free_port()
        given = {"PYTHONPATH": str(ROOT), "MAICIVY_DATA_DIR": str(home), "PORT": str(self.port), "LOG_LEVEL": "warning"}
        with (home.parent / "out").open("wb") as out, (home.parent / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "maicivy", "up"],
                cwd="/",
                env=os.environ | given | environ,
                stdout=out,
                stderr=err,
            )

    def output(self) -> str:
        """Everything that it and its children have said."""
        return (self.home.parent / "out").read_text() + (self.home.parent / "err").read_text()

    def wait_ready(self) -> None:
        wait_until(lambda: "maicivy is ready" in self.output() or self.process.poll() is not None, 60, "ready")
        assert self.process.poll() is None, self.output()

    def child(self, *words: str) -> int | None:
        """Process id of the supervisor's child whose command line holds all `words`."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        running = processes_of(self.home)
        found = [int(pid) for pid in children if all(word in running.get(int(pid), "") for word in words)]
        return found[0] if found else None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
