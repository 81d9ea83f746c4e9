"""`maicivy bots`: who is taken for a bot and why, and judging anew after the lists were changed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    subcommands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    subcommands.add_parser("list", help="count visits and their events by the reason for which they are a bot's")
    reclassify = subcommands.add_parser("reclassify", help="judge all that is stored by the lists of today")
    reclassify.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    parser.epilog = (
        "lists/bots.txt and lists/referrer_spam.txt in MAICIVY_DATA_DIR hold entries of your own, one a line;"
        " `-entry` takes one of ours away. Restart the workers when you have changed them, then reclassify."
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it, and print a line per reason."""
    from maicivy import bots  # drivers take a third of a second to import
    from maicivy.bootstrap import build
    from maicivy.config import Settings
    from maicivy.enrichment import lists
    from maicivy.storage.judgements import Judgements

    parts = build(Settings.from_env())
    judgements = Judgements(parts.engine, parts.store.partitions)
    try:
        if arguments.what == "list":
            _print_counts(judgements.counts())
            return 0
        report = bots.reclassify(judgements, dry_run=arguments.dry_run)
        if not report.dry_run:
            parts.aggregation.catch_up()  # or answers that are remembered stay until the next event
    finally:
        parts.close()
    _print_counts(report.after, report.before)
    would = "would change" if report.dry_run else "changed"
    print(
        f"{would} {report.clients} clients, {report.origins} origins"
        f"{'' if report.dry_run else f' and {report.visits} visits'} in {report.seconds:.1f} s ({lists.version()})"
    )
    return 0


def _print_counts(after: Mapping[str, tuple[int, int]], before: Mapping[str, tuple[int, int]] | None = None) -> None:
    for reason, (visits, events) in after.items():
        was = f" (before: {before[reason][0]} and {before[reason][1]})" if before else ""
        print(f"{reason or 'people':<15}{visits:>12} visits {events:>12} events{was}")
