"""One child process: started in a session of its own, bound to its parent's life, stopped together with its offspring.

A child does not share the terminal's foreground group, so Ctrl-C reaches only the supervisor, which then decides the
order of the stop. On Linux the kernel signals a child whose parent died; `keeper` covers the rest.

Start children from the main thread only: the kernel's parent-death signal fires when the *thread* that forked ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from maicivy.errors import MaicivyError

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
# Loaded here, before any fork: dlopen between fork and exec could deadlock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


class StartRefused(MaicivyError):
    """Something cannot be started. `reason` is one line that tells the operator what is wrong and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute, and how it wants to be stopped. `log` None: it writes to the parent's stdout and stderr."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    log: Path | None = None
    user: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL  # ends it at once; the kernel sends it when the parent dies


class Process:
    """A running child, the leader of its own process group."""

    def __init__(self, command: Command) -> None:
        """Start `command`.

        Raises:
            StartRefused: the executable is missing or may not be run.
        """
        self.command = command
        parent = os.getpid()

        def before_exec() -> None:
            die_with_parent(command.kill_signal, parent)

        try:
            with contextlib.ExitStack() as stack:
                output = stack.enter_context(_append_to(command.log)) if command.log else None
                self._popen = subprocess.Popen(
                    command.argv,
                    env=dict(command.env),
                    cwd=command.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    user=command.user,
                    group=command.user,
                    extra_groups=None if command.user is None else [],
                    start_new_session=True,
                    preexec_fn=before_exec,  # noqa: PLW1509 - the parent has one thread
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise StartRefused(f"cannot start {command.argv[0]}: {error}") from error
        self.started_at = time.monotonic()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._popen.poll()

    def signal(self, signum: signal.Signals) -> None:
        """Send `signum` to the process itself, not to its group. No effect on a dead one."""
        if self.exit_code() is None:
            self._popen.send_signal(signum)

    def sweep(self) -> None:
        """Kill whatever is left in its process group, and reap the process. Safe to repeat."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def stop(self, timeout_s: float) -> bool:
        """Ask it to stop, kill its group after `timeout_s`. True when the process ended by itself."""
        self.signal(self.command.stop_signal)
        gone = self.wait(timeout_s)
        self.sweep()
        return gone

    def wait(self, timeout_s: float) -> bool:
        """True as soon as it has ended; False when it still runs after `timeout_s`."""
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def start_ready(command: Command, is_ready: Callable[[], bool], name: str, timeout_s: float = 60.0) -> Process:
    """A process for which `is_ready` has held once.

    Raises:
        StartRefused: it ended or was not ready in time; nothing of it is left.
    """
    process = Process(command)
    deadline = time.monotonic() + timeout_s
    while not is_ready():
        code = process.exit_code()
        if code is None and time.monotonic() < deadline:
            time.sleep(0.02)
            continue
        process.stop(1.0)
        what = f"is not ready after {timeout_s:g} s" if code is None else f"ended with {describe_exit(code)}"
        raise StartRefused(f"{name} {what}{see_log(process)}")
    return process


def die_with_parent(signum: signal.Signals, parent: int) -> None:
    """Have the kernel send `signum` to the calling process once `parent`, its parent, dies. Linux only; else nothing.

    Survives exec, but not fork and not a change of user: call it in each child, after such a change.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if os.getppid() != parent:  # it died before the call
        os.kill(os.getpid(), signum)


def describe_exit(code: int) -> str:
    """`code` of `Process.exit_code` in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def see_log(process: Process) -> str:
    """Where to read on, as the end of a sentence: the last line of its log, and the path."""
    log = process.command.log
    if log is None:
        return ""
    line = last_line(log)
    return f": {line} (more in {log})" if line else f" (log: {log})"


def last_line(log: Path) -> str | None:
    """The last line of `log` that is not blank, at most 300 characters; None when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return None
    return lines[-1][:300] if lines else None


@contextlib.contextmanager
def _append_to(path: Path) -> Iterator[int]:
    # O_APPEND: `datadir.trim_log` may cut the file while a child writes to it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
