"""kill -9: of any process at any moment, and at each named point of an event's path."""

from __future__ import annotations

from maicivy import faults
from tests.chaos.fault import Arena, Fault
from tests.chaos.system import KINDS
from tests.standalone.processes import wait_until


class RandomKill(Fault):
    """Any one process but the supervisor, whose death is the end of all by design."""

    name = "kill"
    rounds = 200

    def strike(self, arena: Arena) -> str:
        kind = arena.dice.choice(sorted(KINDS))
        arena.system.kill(kind)
        return f"kill -9 {kind}"


class KillAt(Fault):
    """The process that comes by a named point first, once."""

    rounds = 20

    def __init__(self, point: str) -> None:
        self.name = f"kill:{point}"
        self.point = point

    def strike(self, arena: Arena) -> str:
        trap = arena.system.faults / self.point
        trap.touch()
        if self.point == "before_switch":
            with arena.system.redis() as client:
                client.delete("maicivy:cursor")
        wait_until(lambda: not trap.exists(), 30, f"a process at {self.point}")
        return f"kill -9 at {self.point}"


FAULTS: list[Fault] = [RandomKill(), *(KillAt(point) for point in faults.POINTS)]
