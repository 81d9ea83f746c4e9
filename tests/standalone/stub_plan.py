"""A supervisor over shell scripts, run by test_supervisor.py: `python stub_plan.py DIR NAME[:KIND][,NAME...]...`.

One argument is one stage. Each service writes "start NAME" and "stop NAME" into DIR/events and leaves a grandchild to
be swept. KIND changes it: deaf ignores the stop, stone for long, fails exits at once, loops soon, step is a step that
ends, broken a step that fails.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from maicivy.standalone.process import Command, StartRefused
from maicivy.standalone.supervisor import Service, Step, Supervisor, report_to_stderr

HOME = Path(sys.argv[1])
SERVICE = 'echo start {n} $$ >>events; trap "echo stop {n} >>events; exit 0" TERM; sleep 1000 & touch {n}.ready; wait'
SCRIPTS = {
    "": SERVICE,
    "deaf": 'trap "" TERM; echo start {n} $$ >>events; touch {n}.ready; sleep 1000 & wait; sleep 1000',
    "stone": 'trap "" TERM; echo start {n} $$ >>events; touch {n}.ready; sleep 1000 & wait; sleep 1000',
    "fails": "echo start {n} $$ >>events; echo no luck today; exit 3",
    "loops": "echo start {n} $$ >>events; touch {n}.ready; sleep 0.1; exit 1",
    "step": "echo step {n} >>events",
    "broken": "echo maicivy db: the disk is on fire >&2; exit 1",
}


def item(argument: str) -> Service | Step:
    name, _, kind = argument.partition(":")

    def command() -> Command:
        script = SCRIPTS[kind].format(n=name)
        env = {"PATH": os.defpath, "STUB_HOME": str(HOME)}
        return Command(("/bin/sh", "-c", script), env=env, cwd=HOME, log=HOME / f"{name}.log")

    if kind in ("step", "broken"):
        return Step(name, command)
    stop_by_s = {"deaf": 1, "stone": 60}.get(kind, 10)
    return Service(name, command, (HOME / f"{name}.ready").exists, stop_by_s=stop_by_s, ready_within_s=20)


try:
    Supervisor(
        [[item(name) for name in stage.split(",")] for stage in sys.argv[2:]],
        on_ready=(HOME / "all.ready").touch,
        chores=lambda: None,
        report=report_to_stderr,
    ).run()
except StartRefused as error:
    sys.exit(str(error))
