"""The environment that `maicivy up` starts its processes with, for what is measured within this one."""

from __future__ import annotations

import os
import sys

from maicivy.standalone.up import FOR_NUMPY


def run_as_started() -> None:
    """Start this program once more in place of itself, unless it was started in that environment."""
    if any(os.environ.get(name) != value for name, value in FOR_NUMPY.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **FOR_NUMPY})
