"""A disk under Valkey that is slow to make things durable, and a power cut while it does.

kill -9 alone proves little: what a process has written survives it in the page cache. So an fsync that takes long is
shown to Valkey, and after the kill its files are cut to what the last fsync that had ended found in them.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

from maicivy.standalone.datadir import DataDir
from maicivy.standalone.process import Process, start_ready
from maicivy.standalone.valkey import Valkey
from tests.chaos.fault import Arena, Fault
from tests.chaos.hangs import family, standing_still
from tests.chaos.system import System
from tests.standalone.processes import wait_until

DELAY_MS = 300
ACKNOWLEDGED = 20
SOURCE = Path(__file__).with_suffix(".c")
COMPILER = shutil.which("cc") or shutil.which("gcc")


class SlowDiskSystem(System):
    """A maicivy on a Valkey of the harness, whose disk is slow when told to be."""

    def __init__(self, home: Path, **options: str) -> None:
        self._home = DataDir(home.with_name("valkey"))
        self._home.claim()
        self._valkey = Valkey(self._home, options)
        self._delay = self._home.path / "delay"
        self._record = self._home.path / "record"
        self._shim = self._home.path / "slow_fsync.so"
        assert COMPILER is not None
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", str(self._shim), str(SOURCE), "-ldl"], check=True)
        self._process = self._start()
        try:
            super().__init__(home, REDIS_URL=f"unix://{self._valkey.socket}")
        except BaseException:
            self._process.stop(10)
            raise

    def slow_down(self) -> None:
        """From now on an fsync takes long."""
        self._delay.write_text(str(DELAY_MS))

    def cut_power(self) -> int:
        """In the middle of an fsync Valkey and all that is not durable go, and it starts again; bytes that went."""
        wait_until(lambda: self._record.read_text().split("\n")[-2].startswith("begin"), 30, "an fsync under way")
        self._process.sweep()
        self._delay.unlink()
        lost = self._forget()
        self._process = self._start()
        return lost

    def abandon(self) -> None:
        super().abandon()
        self._process.stop(10)
        self._home.release()

    def _start(self) -> Process:
        command = self._valkey.command()
        environ = {
            "LD_PRELOAD": str(self._shim),
            "FSYNC_DELAY": str(self._delay),
            "FSYNC_RECORD": str(self._record),
        }
        command = dataclasses.replace(command, env={**command.env, **environ})
        return start_ready(command, self._valkey.is_ready, "valkey")

    def _forget(self) -> int:
        safe: dict[int, int] = {}
        for line in self._record.read_text().splitlines():
            what, inode, size = line.split()
            if what == "end":
                safe[int(inode)] = int(size)
        lost = 0
        for file in (self._valkey.data / "appendonlydir").iterdir():
            status = file.stat()
            kept = safe.get(status.st_ino, 0)
            if kept < status.st_size:
                with file.open("r+b") as opened:
                    opened.truncate(kept)
                lost += status.st_size - kept
        return lost


class PowerCut(Fault):
    """Power fails while an fsync of Valkey takes long; every second time with the worker behind, so that only Valkey
    has the events."""

    name = "power cut"
    rounds = 20
    missing = None if COMPILER else "a C compiler"

    def __init__(self, **options: str) -> None:
        self._options = options
        self._is_behind = False

    def start(self, home: Path) -> System:
        return SlowDiskSystem(home, **self._options)

    def strike(self, arena: Arena) -> str:
        system = arena.system
        assert isinstance(system, SlowDiskSystem)
        self._is_behind = not self._is_behind
        system.slow_down()
        with standing_still(family(system.pid("celery main")) if self._is_behind else []):
            arena.load.wait_acknowledged(ACKNOWLEDGED)
            lost = system.cut_power()
        return f"{lost} bytes were not durable" + (", the worker was behind" if self._is_behind else "")


FAULTS: list[Fault] = [PowerCut()]
