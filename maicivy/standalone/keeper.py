"""A shell that outlives the supervisor by a second, to end what the kernel's parent-death signal does not reach.

That signal goes to direct children only, and only Linux has it. The workers that a killed gunicorn or Celery leaves
behind stay in its process group; the keeper knows all groups, and sees through a closing pipe that the supervisor died.
"""

from __future__ import annotations

import contextlib
import os
import subprocess

# One line per event: "+ GROUP" or "- GROUP". The end of input with groups left means that nobody else will stop them.
_SCRIPT = """
trap '' HUP INT TERM
while read -r sign group; do
    case $sign in
        +) set -- "$@" "$group" ;;
        -) for other; do shift; [ "$other" = "$group" ] || set -- "$@" "$other"; done ;;
    esac
done
[ $# -gt 0 ] || exit 0
for group; do kill -s TERM -- "-$group"; done
sleep 1
for group; do kill -s KILL -- "-$group"; done
"""


class Keeper:
    """The shell and what it knows."""

    def __init__(self) -> None:
        self._groups: list[int] = []
        self._shell = self._started()

    def watch(self, group: int) -> None:
        """End the process group `group` when this process dies."""
        self._groups.append(group)
        self._tell(f"+ {group}")

    def forget(self, group: int) -> None:
        """`group` is empty: its number may soon be somebody else's."""
        self._groups.remove(group)
        self._tell(f"- {group}")

    def check(self) -> None:
        """Replace the shell if somebody killed it."""
        if self._shell.poll() is not None:
            self._shell = self._started()
            for group in self._groups:
                self._tell(f"+ {group}")

    def close(self) -> None:
        """End it. Nothing is watched any more."""
        for group in list(self._groups):
            self.forget(group)
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._shell.wait()

    @property
    def pid(self) -> int:
        return self._shell.pid

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError):  # it died; `check` tells its successor everything
            self._pipe.write(line.encode() + b"\n")

    def _started(self) -> subprocess.Popen[bytes]:
        shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "maicivy-keeper"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={"PATH": os.defpath},
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        assert shell.stdin is not None
        self._pipe = shell.stdin
        return shell
