"""Looking at real processes: who belongs to a directory, and waiting until something holds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def processes_of(directory: Path) -> dict[int, str]:
    """Running processes that name `directory` in their command line or environment, or work in it: pid -> command."""
    found = {}
    needle = os.fsencode(directory)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            belongs = needle in command or needle in (entry / "environ").read_bytes()
            belongs = belongs or needle in os.fsencode((entry / "cwd").readlink())
        except OSError:
            continue
        if belongs and state != "Z" and int(entry.name) != os.getpid():
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def wait_until(condition: Callable[[], object], within_s: float = 30.0, what: str = "") -> None:
    """Return once `condition` is true; fail after `within_s`: by default long enough for a machine that is busy."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what or condition}"
        time.sleep(0.02)
