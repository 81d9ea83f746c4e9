"""`maicivy rebuild`: make the Redis aggregates anew from Postgres, and switch them in in one step.

With `--visits` it leaves them alone, and puts events that lie in no visit into one.
"""

from __future__ import annotations

import argparse
import sys
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported in `run`, so that --help is instant
    from maicivy.bootstrap import Maicivy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--visits",
        action="store_true",
        help="leave the aggregates alone, and make visits of events that were stored before there were visits",
    )
    parser.add_argument("--dry-run", action="store_true", help="with --visits: count such events, and change nothing")
    parser.epilog = (
        "Readers see the old numbers until the new ones are complete. Safe at any time, and to repeat; --visits may be"
        " interrupted too."
    )


def run(arguments: argparse.Namespace) -> int:
    """Rebuild and catch up. 1 when another rebuild is under way, 2 for a dry run of what has none."""
    if arguments.dry_run and not arguments.visits:
        print("maicivy rebuild: --dry-run goes with --visits", file=sys.stderr)
        return 2
    from maicivy.bootstrap import build  # drivers take a third of a second to import
    from maicivy.config import Settings

    parts = build(Settings.from_env())
    try:
        return _visits(parts, dry_run=arguments.dry_run) if arguments.visits else _aggregates(parts)
    finally:
        parts.close()


def _aggregates(parts: Maicivy) -> int:
    started = monotonic()
    if not parts.aggregation.rebuild():
        print("maicivy rebuild: another rebuild is under way", file=sys.stderr)
        return 1
    parts.aggregation.catch_up()
    seq, _token = parts.store.head()
    print(f"rebuilt from Postgres up to outbox row {seq} in {monotonic() - started:.1f} s")
    return 0


def _visits(parts: Maicivy, *, dry_run: bool) -> int:
    from maicivy.backfill import backfill
    from maicivy.storage.backfill import Backfill

    started = monotonic()
    total = 0
    for day, events in backfill(Backfill(parts.engine, parts.store.partitions), dry_run=dry_run):
        print(f"{day} {events:>12} events", flush=True)
        total += events
        if not dry_run:
            parts.aggregation.catch_up()  # or answers that are remembered stay until the next event
    done = "would be put into visits" if dry_run else "were put into visits"
    print(f"{total} events {done} in {monotonic() - started:.1f} s")
    return 0
