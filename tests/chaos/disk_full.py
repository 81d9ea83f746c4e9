"""A disk that is full, under one server or under all: a small file system of its own, filled while events arrive."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import redis

from maicivy.standalone.datadir import DataDir
from maicivy.standalone.postgres import Postgres
from maicivy.storage import keys
from tests.chaos.clients import Load, event_of, post_answer
from tests.chaos.fault import Arena, Fault
from tests.chaos.system import System
from tests.standalone.processes import wait_until

FULL_S = 30
"""Until the system has to say that it is full."""

STAY_S = 5
SHORT_STAY_S = 1
"""For how long it stays full after that."""

SIZES = {"valkey": "64m", "postgres": "512m", "everything": "512m"}
"""Enough for what they hold, and little enough to be filled at once."""


class DiskFull(Fault):
    """No room left: 503 or a growing inbox, nothing acknowledged is lost, and all goes on when there is room again."""

    rounds = 5

    def __init__(self, where: str) -> None:
        self.name = f"disk full:{where}"
        self.where = where
        self.in_suite = where == "everything"
        self.disk = Path()

    @property
    def missing(self) -> str | None:  # type: ignore[override]
        """Mounting takes root, and a machine that lets it."""
        return None if _can_mount() else "the right to mount a tmpfs"

    def start(self, home: Path) -> System:
        if self.where == "postgres":
            claimed = DataDir(home)
            claimed.claim()
            Postgres(claimed).command()  # makes the cluster, which is then moved to the small disk
            claimed.release()
        self.disk = home if self.where == "everything" else home / self.where
        made = self.disk.with_name("made")
        if self.where == "postgres":
            self.disk.rename(made)
        self.disk.mkdir(parents=True, mode=0o700)
        _mount(self.disk, SIZES[self.where])
        if self.where == "postgres":
            subprocess.run(["cp", "-a", f"{made}/.", self.disk], check=True)
            shutil.rmtree(made)
        return System(home)

    def load(self, system: System, seed: int) -> Load:
        return Load(system.port, seed, pace_s=0.01)  # it is the ballast that is to fill the disk

    def strike(self, arena: Arena) -> str:
        ballast = self.disk / "ballast"
        try:
            fill(ballast)
            seen = self._watch_full(arena)
            time.sleep(SHORT_STAY_S if self.is_short else STAY_S)  # it gets worse with time: a server gives up
        finally:
            ballast.unlink()
        return f"no room on the disk of {self.where}, {seen}"

    def close(self) -> None:
        if self.disk != Path():
            subprocess.run(["umount", "--lazy", str(self.disk)], check=False)

    def _watch_full(self, arena: Arena) -> str:
        """Wait until it shows, and see that it shows in the right way."""
        if self.where == "postgres":
            with arena.system.redis() as client:
                wait_until(lambda: _waiting(client) > 100, FULL_S, "a filling inbox")
                return f"{_waiting(client)} events wait"
        wait_until(lambda: _told_to_wait(arena), FULL_S, "503 with Retry-After")
        return "503"


def fill(ballast: Path) -> None:
    """Leave no byte of room where `ballast` lies."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def _told_to_wait(arena: Arena) -> bool:
    event = event_of(arena.dice)
    arena.sent(event)
    status, retry_after = post_answer(arena.system.port, event)
    return status == 503 and retry_after.isdecimal()


def _waiting(client: redis.Redis) -> int:
    return int(client.hget(keys.INBOX_SIZE, "events") or 0)


def _mount(where: Path, size: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "maicivy", str(where)], check=True)


@cache
def _can_mount() -> bool:
    """Whether a mount namespace of our own lets us, which changes nothing for anybody."""
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "maicivy", "/mnt"]
    try:
        return os.geteuid() == 0 and subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


FAULTS: list[Fault] = [DiskFull(where) for where in SIZES]
