"""Everything restarted as an operator does it, under clients and viewers: politely, at once, and nobody is cut off."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from pathlib import Path

import websocket

from tests.chaos import oracle
from tests.chaos.fault import Arena, Fault
from tests.chaos.oracle import Verdict
from tests.standalone.processes import wait_until

EXIT_S = 10
VIEWERS = 5
GOODBYES = (1001, 1012)
"""Close codes: going away, service restart."""

ALL = "everything"


class Restart(Fault):
    """A signal to stop or to reload: gone within ten seconds, no answer broken off, viewers told goodbye."""

    rounds = 5

    def __init__(self, name: str, kind: str, signum: int, ending: str, *, parts_from_viewers: bool) -> None:
        self.name = f"restart:{name}"
        self.kind = kind
        self.signum = signum
        self.ending = ending
        self.parts_from_viewers = parts_from_viewers
        self.in_suite = kind in _IN_SUITE
        self._cut = 0

    def strike(self, arena: Arena) -> str:
        self._cut = arena.record().cut
        viewers = [Viewer(arena.system.port) for _ in range(VIEWERS)]
        try:
            arena.load.wait_acknowledged(20)
            exit_s = self._restart(arena)
            if self.parts_from_viewers:
                wait_until(lambda: not any(viewer.is_alive() for viewer in viewers), 10, "viewers to be told goodbye")
                codes = [viewer.closed_with for viewer in viewers]
                assert all(code in GOODBYES for code in codes), f"viewers were left with {codes}"
            else:
                assert all(viewer.is_alive() for viewer in viewers), "a viewer was sent away"
        finally:
            for viewer in viewers:
                viewer.close()
        return f"{signal.Signals(self.signum).name} to {self.kind}, gone after {exit_s:.1f} s"

    def check(self, arena: Arena) -> Verdict:
        """The law; and no client had an answer that began and did not end."""
        record = arena.record()
        verdict = oracle.check(arena.system, record)
        if record.cut > self._cut:
            verdict.breaches.append(f"{record.cut - self._cut} answers were broken off")
        return verdict

    def _restart(self, arena: Arena) -> float:
        """Send the signal; seconds until what has to end has ended. Returns when its successors run."""
        system = arena.system
        started = time.monotonic()
        if self.kind == ALL:
            wrong = system.stop()
            exit_s = time.monotonic() - started
            assert not wrong, "; ".join(wrong)
            system.start_again()
        else:
            ending = system.pids(self.ending)
            os.kill(system.pid(self.kind), self.signum)
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ending), 30, f"{self.ending} to end")
            exit_s = time.monotonic() - started
            system.pid(self.ending)
        assert exit_s < EXIT_S, f"{self.kind} took {exit_s:.1f} s to end"
        return exit_s


class Viewer(threading.Thread):
    """One live viewer that reads until it is closed."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.closed_with: int | str = "nothing"
        self._socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}/ws/analytics", timeout=20, suppress_origin=True
        )
        self.start()

    def run(self) -> None:
        try:
            while True:
                opcode, data = self._socket.recv_data(control_frame=True)
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    self.closed_with = struct.unpack("!H", data[:2])[0] if data else "no code"
                    return
        except (OSError, websocket.WebSocketException) as error:
            self.closed_with = type(error).__name__

    def close(self) -> None:
        """Leave."""
        self._socket.close(timeout=1)
        self.join(10)
        self._socket.shutdown()  # closed by the other side, it would stay open here


_IN_SUITE = (ALL,)

FAULTS: list[Fault] = [
    Restart("web reload", "gunicorn master", signal.SIGHUP, "web worker", parts_from_viewers=True),
    Restart("web worker", "web worker", signal.SIGTERM, "web worker", parts_from_viewers=True),
    Restart("web", "gunicorn master", signal.SIGTERM, "gunicorn master", parts_from_viewers=True),
    Restart("worker", "celery main", signal.SIGTERM, "celery main", parts_from_viewers=False),
    Restart("beat", "beat", signal.SIGTERM, "beat", parts_from_viewers=False),
    Restart(ALL, ALL, signal.SIGTERM, ALL, parts_from_viewers=True),
]
