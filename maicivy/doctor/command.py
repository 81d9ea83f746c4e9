"""`maicivy doctor`: the command line of the examination."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from maicivy.errors import SettingsError

if TYPE_CHECKING:  # imported in `run`, so that --help is instant
    from maicivy.config import Settings
    from maicivy.doctor.findings import Finding

_ABOUT: Final = (
    "Examine a running maicivy: settings, every URL, the WebSocket, Postgres, Redis, worker and beat. Run it with the "
    "environment that maicivy runs with, on one of its machines. It changes nothing and records nothing."
)
_EXIT_CODES: Final = "exit code: 0 when there is no problem (warnings are none), 1 otherwise"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = _ABOUT
    parser.epilog = _EXIT_CODES
    parser.add_argument("--url", help="where the web answers (default: the address that HOST and PORT stand for)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Examine, print a line for each check, and return 0 when there is no problem."""
    from maicivy.config import Settings
    from maicivy.doctor.findings import Finding, State

    try:
        settings = Settings.from_env()
    except SettingsError as error:
        found: Iterable[Finding] = [
            Finding("settings", State.PROBLEM, wrong, "Correct it; maicivy does not start with it.")
            for wrong in error.problems
        ]
    else:
        found = _examined(settings, arguments.url)
    return print_json(found) if arguments.json else print_lines(found)


def print_json(found: Iterable[Finding]) -> int:
    """One object: `ok`, and `checks` with check, state, seen and advice of each. The exit code."""
    from maicivy.doctor.findings import State  # see `run`

    checks = [{"check": f.check, "state": f.state.value, "seen": f.seen, "advice": f.advice} for f in found]
    healthy = not any(check["state"] == State.PROBLEM for check in checks)
    print(json.dumps({"ok": healthy, "checks": checks}, indent=2))
    return 0 if healthy else 1


def print_lines(found: Iterable[Finding]) -> int:
    """A line for each check as it is made, the advice below it, and a summary. The exit code."""
    from rich.console import Console  # see `run`
    from rich.text import Text

    from maicivy.doctor.findings import State

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    styles = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "bold red", State.SKIPPED: "dim"}
    counts = dict.fromkeys(State, 0)
    skipped: list[str] = []
    for finding in found:
        counts[finding.state] += 1
        if finding.state is State.SKIPPED:
            skipped.append(finding.check)
            continue
        line = Text(f"{finding.state.value:<9}", styles[finding.state])
        console.print(line.append(f"{finding.check}: {_printable(finding.seen)}", "default"))
        if finding.advice:
            console.print(Text(f"{'':<9}-> {finding.advice}"))
    if skipped:
        console.print(Text(f"not examined, for something that they need has a problem: {', '.join(skipped)}", "dim"))
    told = [f"{counts[State.OK]} ok", _counted(counts[State.WARNING], "warning")]
    console.print(Text(", ".join([*told, _counted(counts[State.PROBLEM], "problem")])))
    return 1 if counts[State.PROBLEM] else 0


def _examined(settings: Settings, url: str | None) -> Iterator[Finding]:
    from maicivy.bootstrap import build  # see `run`
    from maicivy.doctor import postgres, redis, setup, web
    from maicivy.doctor.examine import Installation, examine, is_running
    from maicivy.doctor.findings import Finding, State
    from maicivy.live_terminal import own_url
    from maicivy.storage.inspection import PostgresInspection, RedisInspection

    parts = build(settings)
    try:
        installation = Installation(
            parts=parts,
            url=(url or own_url()).rstrip("/"),
            now=parts.now(),
            postgres=PostgresInspection(parts.engine),
            redis=RedisInspection(parts.redis),
        )
        yield from examine(installation, setup.CHECKS)
        if url is None and settings.embedded_postgres and settings.embedded_redis and not is_running(settings):
            yield Finding("maicivy", State.PROBLEM, "it is not running", "Start it with bin/up")
            return
        yield from examine(installation, (*postgres.CHECKS, *redis.CHECKS, *web.CHECKS))
    finally:
        parts.close()


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _printable(text: str) -> str:
    # Part of it may come from a server, and must not steer the terminal.
    return "".join(character if character.isprintable() else "?" for character in text)
