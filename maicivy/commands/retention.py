"""`maicivy retention`: drop what is older than MAICIVY_RETENTION_DAYS now, or say what that would be."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be dropped, and drop nothing")
    parser.epilog = "Beat does the same every day at 02:00 in MAICIVY_TIMEZONE. What the rows had counted is kept."


def run(arguments: argparse.Namespace) -> int:
    """Do it, and print a line per partition and a sum."""
    from maicivy import retention  # drivers take a third of a second to import
    from maicivy.bootstrap import build
    from maicivy.config import Settings

    parts = build(Settings.from_env())
    try:
        report = retention.run(parts.expiry, parts.now, parts.settings.retention_days, dry_run=arguments.dry_run)
    finally:
        parts.close()
    would = "would drop" if report.dry_run else "dropped"
    for item in report.dropped:
        print(f"{would} {item.table} of {item.day}: {item.rows} rows")
    print(
        f"{would} {len(report.dropped)} partitions with {report.events} events older than {report.kept_from} (UTC)"
        f" in {report.seconds:.1f} s"
    )
    return 0
