"""The command line: `maicivy NAME ...`, each command a module of its own, imported only when it is called.

To add a command, put one line into `COMMANDS`: its name, the module, what it is for. The module has
  add_arguments(parser)  declares options and, where wanted, subcommands on an `argparse.ArgumentParser`;
  run(arguments)         does it, with the parsed namespace; returns the exit code, or None for 0.
Whatever is slow to import (sqlalchemy, redis, flask, rich) is imported inside `run`, so that `--help` is instant and
`up`, which stays in memory, small. A `MaicivyError` that `run` raises becomes one line on stderr and exit code 1.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

from maicivy.errors import MaicivyError, Unavailable


class Command(NamedTuple):
    """One line of the table below."""

    module: str
    purpose: str


COMMANDS = {
    "up": Command("maicivy.standalone.up", "start everything on this machine, and stop it with Ctrl-C"),
    "db": Command("maicivy.migrate", "bring the database schema up to date, or look where it is"),
    "rebuild": Command("maicivy.commands.rebuild", "make the Redis aggregates anew from Postgres, or older visits"),
    "retention": Command("maicivy.commands.retention", "drop what is older than MAICIVY_RETENTION_DAYS"),
    "site": Command("maicivy.commands.site", "the sites that are measured: add, list, set, remove"),
    "geo": Command("maicivy.commands.geo", "fetch the database that tells visitors' countries, or say which is in use"),
    "bots": Command("maicivy.commands.bots", "count bots, or judge anew who is one after the lists were changed"),
    "import": Command("maicivy.log_import.command", "record the page views of a web server's access logs"),
    "doctor": Command("maicivy.doctor.command", "examine a running installation: what is wrong, and what to do"),
    "live": Command("maicivy.live_terminal", "watch what happens right now"),
    "simulate": Command("maicivy.demo.simulate", "send visitors to a running demo"),
}


_SERVERS = {"postgres": "DATABASE_URL", "redis": "REDIS_URL"}


class CommandModule(Protocol):
    """What a module named in `COMMANDS` offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def run(self, arguments: argparse.Namespace) -> int | None:
        """Do it; the exit code, None for 0."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. 1: refused by maicivy, 2: not understood, 130: interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = given[0] if given else ""
    if name not in COMMANDS:
        _overview().parse_args(given or ["--help"])  # exits: with the help, or refusing the name
    command = cast(CommandModule, importlib.import_module(COMMANDS[name].module))
    parser = argparse.ArgumentParser(prog=f"maicivy {name}", description=COMMANDS[name].purpose)
    command.add_arguments(parser)
    try:
        return command.run(parser.parse_args(given[1:])) or 0
    except MaicivyError as error:
        print(f"maicivy {name}: {error}{_hint(name, error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `maicivy ... | head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains on its way out
        return 1


def _hint(name: str, error: MaicivyError) -> str:
    # Whoever lets `maicivy up` start the servers does not know them by their sockets.
    variable = _SERVERS.get(error.part) if isinstance(error, Unavailable) else None
    if name == "up" or variable is None or os.environ.get(variable):
        return ""
    return f" - is maicivy running? bin/up starts it, or set {variable}"


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS)) + 2
    table = "\n".join(f"  {name:<{width}}{command.purpose}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="maicivy",
        description="Self-hosted, privacy-first, real-time web analytics.",
        epilog=f"commands:\n{table}\n\nmaicivy COMMAND --help tells more. Settings come from the environment.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=tuple(COMMANDS), metavar="COMMAND")
    return parser
