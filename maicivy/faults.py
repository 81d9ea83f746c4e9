"""Places where a survival test may kill this process, and the clock that it may shift (`bin/chaos` in the repository).

Inert unless `MAICIVY_FAULTS_DIR` names a directory, which `MAICIVY_ENV=production` refuses. A file there with the name
of a point kills the first process that comes by, once; a file `clock` holds the seconds that the clock is off by.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

POINTS: Final = (
    "after_append",
    "after_insert",
    "before_commit",
    "after_commit",
    "after_apply",
    "before_acknowledge",
    "before_switch",
)
"""In the order of the path: web (the first), worker, and last a rebuild before it switches its aggregates in."""

CLOCK: Final = "clock"

_directory: Path | None = None


def arm(directory: Path | None) -> None:
    """Have this process look into `directory` from now on; None: at nothing."""
    global _directory
    _directory = directory


def point(name: str) -> None:
    """Die here by SIGKILL, if asked to. Of several processes one dies: the one that could remove the file."""
    if _directory is not None:
        with suppress(FileNotFoundError):
            (_directory / name).unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def clock_shift_s() -> float:
    """Seconds to add to the time of this machine; 0 unless a test said otherwise."""
    if _directory is not None:
        with suppress(FileNotFoundError, ValueError):
            return float((_directory / CLOCK).read_text())
    return 0.0
