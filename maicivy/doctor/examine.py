"""Runs checks: one after another, each for a bounded time, none of them able to stop the others."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from maicivy.bootstrap import Maicivy
from maicivy.config import Settings, runtime_dir
from maicivy.doctor.findings import Finding, State, Verdict, problem
from maicivy.errors import MaicivyError, Unavailable
from maicivy.storage.inspection import PostgresInspection, RedisInspection

CHECK_S: Final = 3.0
"""How long a check may take. Its connections give up a little earlier, with a better message."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is examined: the wired parts, the web at `url`, and the servers below. `now` is aware and UTC."""

    parts: Maicivy
    url: str
    now: datetime
    postgres: PostgresInspection
    redis: RedisInspection

    @property
    def settings(self) -> Settings:
        return self.parts.settings


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a table.

    Attributes:
        name: for people; unique.
        look: returns the arguments of `judge`, as a tuple.
        judge: pure.
        needs: names of checks above it, without whose success this one makes no sense.
    """

    name: str
    look: Callable[[Installation], tuple[Any, ...]]
    judge: Callable[..., Verdict]
    needs: tuple[str, ...] = ()


@dataclass(slots=True)
class _Answer:
    verdict: Verdict | None = None
    done: threading.Event = field(default_factory=threading.Event)


def examine(installation: Installation, checks: Iterable[Check]) -> Iterator[Finding]:
    """The finding of each check, in their order, as it is made. Never raises for what a check does."""
    states: dict[str, State] = {}
    for check in checks:
        missing = [name for name in check.needs if states[name] in (State.PROBLEM, State.SKIPPED)]
        if missing:
            verdict = Verdict(State.SKIPPED, f"not examined, for that needs: {', '.join(missing)}")
        else:
            verdict = _bounded(installation, check)
        states[check.name] = verdict.state
        yield Finding(check.name, verdict.state, verdict.seen, verdict.advice)


def is_running(settings: Settings) -> bool:
    """Whether one of the embedded servers accepts connections; a socket file that a dead one left does not."""
    run = runtime_dir(settings.data_dir)
    return any(_accepts(path) for path in (run / "valkey.sock", *run.glob(".s.PGSQL.*[0-9]")))


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _bounded(installation: Installation, check: Check) -> Verdict:
    # A thread that hangs is left behind: it is a daemon, and the process is about to end.
    answer = _Answer()
    threading.Thread(target=_run, args=(installation, check, answer), name=check.name, daemon=True).start()
    answer.done.wait(CHECK_S)
    return answer.verdict or problem(
        f"no answer within {CHECK_S:g} s", "See whether the server hangs or is overloaded."
    )


def _run(installation: Installation, check: Check, answer: _Answer) -> None:
    try:
        answer.verdict = check.judge(*check.look(installation))
    except Unavailable as error:
        answer.verdict = problem(error.reason, f"See whether {error.part} runs, and what its log says.")
    except MaicivyError as error:
        answer.verdict = problem(str(error), "See docs/operations.md.")
    except Exception as error:  # noqa: BLE001 - an edge: whatever it is becomes a line, not a traceback
        answer.verdict = problem(f"{type(error).__name__}: {_one_line(error)}", "This check itself failed.")
    finally:
        answer.done.set()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
