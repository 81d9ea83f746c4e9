"""`maicivy import log FILE...`: the command line of the import."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from maicivy.core.access_log import Skip
from maicivy.core.events import DEFAULT_SITE, timestamp_text
from maicivy.errors import Refusal, Unavailable

if TYPE_CHECKING:  # imported in `run`, so that --help is instant
    from maicivy.bootstrap import Maicivy
    from maicivy.log_import.importer import Plan, Report
    from maicivy.log_import.source import Source

DEFAULT_TIMEOUT_S: Final = 300.0

_ABOUT = """\
Reads access logs of Apache, nginx or gunicorn, in common or combined format, plain or gzip, and records their page
views with their own times. Addresses are reduced to visitor ids on the way; they are not stored.

A page view is a GET that was answered 200 or 304. Left out, and counted by reason: files that a page contains or links
to (.css, .js, .png, .pdf, .txt and so on), feeds, /api/, /static/, /ws/, /.well-known/ and health checks, what is older
than MAICIVY_RETENTION_DAYS, and what lies in the future. Bots are recorded like everybody else.

The same lines may be imported again, also with another shift: each counts once. The ids that this rests on are
remembered for 7 to 14 days, and are made with SECRET_KEY: a repeat after that time, or under another key, counts twice.
"""
_EXIT_CODES = (
    "exit code: 0 when page views were handed in and all input could be read to its end; "
    "1 when there were none, a file broke off, or the inbox stayed full or away; run it again then, to finish."
)
REASONS: Final = {
    Skip.BLANK: "blank",
    Skip.NO_REQUEST: "no HTTP request (the client sent nothing, or TLS to a plain port)",
    Skip.METHOD: "not a GET",
    Skip.STATUS: "answered otherwise than 200 or 304",
    Skip.ASSET: "files that pages contain or link to",
    Skip.FEED: "feeds",
    Skip.NOT_A_PAGE: "API, static files, health checks",
    Skip.LONG_PATH: "paths of more than 500 characters",
    Skip.TOO_OLD: "older than MAICIVY_RETENTION_DAYS",
    Skip.IN_FUTURE: "in the future",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of input: so far `log`."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    log = kinds.add_parser(
        "log",
        help="access logs of a web server",
        description=_ABOUT,
        epilog=textwrap.fill(_EXIT_CODES, 118),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    log.add_argument("files", nargs="+", metavar="FILE", help="a log, plain or gzip; - is standard input")
    log.add_argument(
        "--shift-to-now",
        action="store_true",
        help="move all lines in time, so that the last one happens now and the gaps stay; reads the input twice",
    )
    log.add_argument(
        "--site", metavar="SITE", help="the site's number, measurement id or domain (default: the default site)"
    )
    log.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT_S,
        metavar="SECONDS",
        help="how long to wait for a full or unreachable inbox before giving up (default: %(default)g)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Import what `arguments` name; 0 or 1 as the help says.

    Raises:
        InputUnreadable: a file cannot be opened; then nothing was imported.
        Unavailable: Redis does not answer from the start.
    """
    from maicivy.bootstrap import build  # with celery, redis and sqlalchemy 0.6 s, which --help need not wait for
    from maicivy.config import Settings, runtime_dir
    from maicivy.log_import.source import STDIN, Source
    from maicivy.storage.reach import reach_redis

    names = list(arguments.files)
    if names.count(STDIN) > 1:
        print("maicivy import log: standard input (-) can be read only once", file=sys.stderr)
        return 2
    settings = Settings.from_env()
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(contextlib.closing(Source(name))) for name in names]
        if settings.embedded_redis and not (runtime_dir(settings.data_dir) / "valkey.sock").exists():
            raise Unavailable("redis", "it does not run")
        reach_redis(settings.redis_url)
        parts = build(settings)
        stack.callback(parts.close)
        if arguments.shift_to_now:
            for source in sources:
                source.spool(settings.data_dir)
        return _import(parts, sources, _plan(parts, arguments))


def _plan(parts: Maicivy, arguments: argparse.Namespace) -> Plan:
    from datetime import timedelta

    from maicivy.log_import.importer import Plan  # see `run`

    now = parts.now()
    site = parts.site_directory.book(now).named(DEFAULT_SITE if arguments.site is None else arguments.site)
    if site is None:
        raise Refusal("unknown_site", "there is no such site", "site")
    return Plan(
        now=now,
        retention=timedelta(days=parts.settings.retention_days),
        query_params=parts.settings.query_params,
        salts=parts.salts.current(now),
        secret_key=parts.settings.secret_key,
        site_id=site.id,
        shift_to_now=arguments.shift_to_now,
        timeout_s=arguments.timeout,
    )


def _import(parts: Maicivy, sources: Sequence[Source], plan: Plan) -> int:
    from maicivy.log_import.importer import LogImport, Surroundings  # see `run`

    began = time.monotonic()
    with _progress(sources, passes=2 if plan.shift_to_now else 1) as (step, say):
        work = LogImport(
            plan,
            Surroundings(
                inbox=parts.inbox,
                ring=lambda: _ring(parts),
                step=step,
                say=say,
                sleep=time.sleep,
                monotonic=time.monotonic,
                locate=parts.atlas.locate,
            ),
        )
        interrupted = True
        try:
            work.run(sources)
            interrupted = False
        finally:
            if interrupted:
                say("interrupted: run it again to finish, nothing will be counted twice")
    print_report(work.report, time.monotonic() - began)
    return exit_code(work.report)


def exit_code(report: Report) -> int:
    """0 when page views were handed in and everything was read."""
    return 0 if report.handed_in and not report.broken and not report.gave_up else 1


def print_report(report: Report, seconds: float) -> None:
    """What became of the lines on stdout, what went wrong on stderr."""
    for line in report.shown:
        print(f"{line.source}:{line.number}: {line.reason}: {line.excerpt}", file=sys.stderr)
    if report.unreadable > len(report.shown):
        print(f"... and {report.unreadable - len(report.shown):,} more lines that cannot be read", file=sys.stderr)
    for broken in report.broken:
        print(f"maicivy import log: {broken}", file=sys.stderr)
    if report.gave_up:
        print(f"maicivy import log: gave up, {report.gave_up}; run it again to finish", file=sys.stderr)
    rate = report.lines / seconds if seconds > 0 else 0.0
    print(f"{report.lines:,} lines in {seconds:.1f} s ({rate:,.0f} lines/s)")
    for count, meaning in _lines_of(report):
        print(f"{count:>12,} {meaning}")
    for hint in _hints(report):
        print(hint)


def _lines_of(report: Report) -> Iterator[tuple[int, str]]:
    span = ""
    if report.first is not None and report.last is not None:
        span = f", from {timestamp_text(report.first)} to {timestamp_text(report.last)}"
    yield report.handed_in, f"page views handed in{span}"
    for skip, meaning in REASONS.items():
        if report.skipped[skip]:
            yield report.skipped[skip], f"left out: {meaning}"
    if report.unreadable:
        yield report.unreadable, "could not be read"


def _hints(report: Report) -> Iterator[str]:
    if report.shift:
        yield f"Times were moved by {report.shift.total_seconds() / 86_400:+,.1f} days."
    if report.skipped[Skip.TOO_OLD]:
        yield "To record old lines, raise MAICIVY_RETENTION_DAYS, or move them in time with --shift-to-now."
    if report.skipped[Skip.IN_FUTURE]:
        yield "Lines in the future: is the clock of one machine wrong? --shift-to-now moves the last line to now."
    if report.handed_in:
        yield "The worker counts them within seconds; those that had been imported before are not counted again."


def _ring(parts: Maicivy) -> None:
    # Not `ring`: its thread would die with this process before the message is out.
    try:
        parts.doorbell.ring_now()
    except Exception as error:  # noqa: BLE001 - an edge: the events are safe, and the sweeper rings too
        logging.getLogger(__name__).warning("doorbell_failed", extra={"error": type(error).__name__})


@contextlib.contextmanager
def _progress(
    sources: Sequence[Source], passes: int
) -> Iterator[tuple[Callable[[Source], None], Callable[[str], None]]]:
    """A bar on stderr when that is a terminal: how to move it, and how to print a line above it."""
    from rich.console import Console  # 0.1 s, only for an import that runs
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    sizes = [source.size for source in sources]
    total = None if None in sizes else passes * sum(size or 0 for size in sizes)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("reading", total=total)
    seen: dict[Source, int] = {}

    def step(source: Source) -> None:
        before = seen.get(source, 0)
        at = source.position
        bar.advance(task, at - before if at >= before else at)  # it falls when a second pass begins
        seen[source] = at
        bar.update(task, description=source.name[-40:])

    def say(line: str) -> None:
        console.print(f"maicivy import log: {line}", markup=False, highlight=False, soft_wrap=True)

    with bar:
        yield step, say


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return seconds
