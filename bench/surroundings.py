"""The environment that `maicivy up` starts its processes with, for what is measured within this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from maicivy.standalone.up import FOR_NUMPY


def run_as_started(module: str, arguments: Sequence[str]) -> None:
    """Run `python -m module` in place of this process, unless it was started in that environment."""
    if any(os.environ.get(name) != value for name, value in FOR_NUMPY.items()):
        os.execve(sys.executable, [sys.executable, "-m", module, *arguments], {**os.environ, **FOR_NUMPY})
