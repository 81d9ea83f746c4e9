"""Keeps services running: starts them stage by stage, revives what dies, stops them one by one in reverse.

One thread, which sleeps until a signal arrives, a child ends or a restart is due. It knows nothing of what the
services are; `up` makes the list.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType

from maicivy.standalone.keeper import Keeper
from maicivy.standalone.process import Command, Process, StartRefused, describe_exit, last_line, see_log

_BACKOFF_S = 0.25  # before the first restart; doubled by each further one
_BACKOFF_MAX_S = 4.0  # what waits for a disk with room again, or for its port, should be back within ten seconds
_STABLE_S = 20.0  # whoever ran this long starts with a clean slate
_PROBE_EVERY_S = 0.03
_CHORES_EVERY_S = 60.0
_KILL_GRACE_S = 0.5

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Service:
    """Something that runs until it is stopped.

    `command` is asked anew for each start and may do what a start needs first. `stop_by_s`: seconds after the stop of
    the whole began by which this one is killed; the later ones use what the earlier ones left.
    """

    name: str
    command: Callable[[], Command]
    is_ready: Callable[[], bool]
    stop_by_s: float
    ready_within_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """Something that must have run to its end before the next stage is started."""

    name: str
    command: Callable[[], Command]


@dataclass(slots=True)
class _Slot:
    """One service, its current process and what is known of its failures."""

    service: Service
    process: Process | None = None
    is_starting: bool = False
    failures: int = 0
    restart_at: float = 0.0


@dataclass(slots=True)
class _Signals:
    """What has been asked of us."""

    stops: int = 0
    by: str = ""
    wake: socket.socket = field(default_factory=socket.socket)


class _Stopped(Exception):
    """Not an error: leaves whatever is being done when a stop is asked for."""


Stage = Sequence[Service | Step]
"""What is started together, once everything of the stage before is ready."""


class Supervisor:
    """Runs `stages` until it is told to stop. Use once, from the main thread."""

    def __init__(
        self,
        stages: Sequence[Stage],
        on_ready: Callable[[], None],
        chores: Callable[[], None],
        report: Callable[[str], None],
    ) -> None:
        """`on_ready` is called once when everything runs, `chores` about once a minute, `report` with each event."""
        self._stages = stages
        self._on_ready = on_ready
        self._chores = chores
        self._report = report
        self._slots: list[_Slot] = []
        self._signals = _Signals()

    def run(self) -> None:
        """Start, watch and stop. Returns after SIGINT, SIGTERM or SIGHUP, with no child left.

        Raises:
            StartRefused: something could not be started; what had been is stopped again.
        """
        with self._handling_signals(), contextlib.closing(Keeper()) as self._keeper:
            try:
                for stage in self._stages:
                    self._start(stage)
                self._on_ready()
                self._watch()
            except _Stopped:
                self._report(f"{self._signals.by}: stopping")
            finally:
                self._stop_all()

    def _start(self, stage: Stage) -> None:
        waiting: list[_Slot] = []
        for item in stage:
            process = self._spawn(item)
            if isinstance(item, Step):
                self._finish(item, process)
            else:
                waiting.append(_Slot(item, process, is_starting=True))
                self._slots.append(waiting[-1])
        while waiting := [slot for slot in waiting if not self._has_started(slot)]:
            self._tend(_PROBE_EVERY_S)

    def _has_started(self, slot: _Slot) -> bool:
        service, process = slot.service, slot.process
        assert process is not None
        if service.is_ready():
            slot.is_starting = False
            return True
        code = process.exit_code()
        if code is not None:
            raise StartRefused(f"{service.name} ended with {describe_exit(code)} while it started{see_log(process)}")
        if time.monotonic() > process.started_at + service.ready_within_s:
            raise StartRefused(f"{service.name} is not ready after {service.ready_within_s:g} s{see_log(process)}")
        return False

    def _finish(self, step: Step, process: Process) -> None:
        try:
            while (code := process.exit_code()) is None:
                self._tend(1.0)
        finally:
            self._discard(process)
        if code != 0:
            said = last_line(process.command.log) if process.command.log else None
            # A command of ours that refuses says why in one line, which begins with its own name.
            raise StartRefused(re.sub(r"^maicivy \w+: ", "", said or f"{step.name} ended with {describe_exit(code)}"))

    def _watch(self) -> None:
        chores_at = time.monotonic() + _CHORES_EVERY_S
        while True:
            due = [slot.restart_at for slot in self._slots if slot.process is None]
            self._tend(max(0.0, min([chores_at, *due]) - time.monotonic()))
            if time.monotonic() >= chores_at:
                self._chores()
                chores_at = time.monotonic() + _CHORES_EVERY_S

    def _tend(self, seconds: float) -> None:
        """Sleep until something happens, at most `seconds`; then bury the dead and revive whoever is due."""
        self._sleep(seconds)
        if self._signals.stops:
            raise _Stopped
        self._keeper.check()
        for slot in self._slots:
            if slot.process is not None:
                code = slot.process.exit_code()
                if code is not None and not slot.is_starting:
                    self._bury(slot, slot.process, code)
            elif time.monotonic() >= slot.restart_at:
                self._revive(slot)

    def _bury(self, slot: _Slot, process: Process, code: int) -> None:
        if time.monotonic() - process.started_at >= _STABLE_S:
            slot.failures = 0
        self._discard(process)
        slot.process = None
        self._postpone(slot, f"{slot.service.name} ended with {describe_exit(code)}{see_log(process)}")

    def _revive(self, slot: _Slot) -> None:
        try:
            slot.process = self._spawn(slot.service)
        except StartRefused as error:
            self._postpone(slot, f"{slot.service.name} cannot be started again: {error}")

    def _postpone(self, slot: _Slot, why: str) -> None:
        delay = min(_BACKOFF_S * 2**slot.failures, _BACKOFF_MAX_S)
        slot.failures += 1
        slot.restart_at = time.monotonic() + delay
        self._report(f"{why}; starting it again in {delay:g} s")

    def _stop_all(self) -> None:
        begin = time.monotonic()
        for slot in reversed(self._slots):
            if slot.process is not None:
                if not self._stop(slot.process, begin + slot.service.stop_by_s):
                    self._report(f"{slot.service.name} did not stop in time and was killed")
                self._discard(slot.process)
                slot.process = None

    def _stop(self, process: Process, deadline: float) -> bool:
        """True when it ended by itself before `deadline`, and before an impatient second Ctrl-C."""
        process.signal(process.command.stop_signal)
        while process.exit_code() is None:
            if self._signals.stops > 1 or time.monotonic() >= deadline:
                process.signal(process.command.kill_signal)
                process.wait(_KILL_GRACE_S)
                return False
            self._sleep(max(0.0, deadline - time.monotonic()))
        return True

    def _spawn(self, item: Service | Step) -> Process:
        process = Process(item.command())
        self._keeper.watch(process.pid)
        return process

    def _discard(self, process: Process) -> None:
        process.sweep()
        self._keeper.forget(process.pid)

    def _sleep(self, seconds: float) -> None:
        if select.select([self._signals.wake], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                self._signals.wake.recv(4096)

    @contextlib.contextmanager
    def _handling_signals(self) -> Iterator[None]:
        # Every signal writes a byte into a socket that `_sleep` selects on, so that none is slept through.
        state = self._signals
        state.wake.close()
        state.wake, ring = socket.socketpair()
        state.wake.setblocking(False)
        ring.setblocking(False)

        def ask_to_stop(signum: int, _frame: FrameType | None) -> None:
            state.stops += 1
            state.by = signal.Signals(signum).name

        # Under nohup a terminal that closes is no reason to stop.
        ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
        old = {signum: signal.signal(signum, ask_to_stop) for signum in _STOP_SIGNALS if signum not in ignored}
        old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        old_wakeup = signal.set_wakeup_fd(ring.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_wakeup)
            for signum, handler in old.items():
                signal.signal(signum, handler)
            state.wake.close()
            ring.close()


def report_to_stderr(event: str) -> None:
    """One line of the supervisor's own. A terminal that went away must not stop it from stopping the others."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"maicivy up: {event}\n".encode())
