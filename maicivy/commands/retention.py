"""`maicivy retention`: drop what is older than it is kept, or say what that would be."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be dropped, and drop nothing")
    parser.epilog = (
        "Beat does the same every day at 02:00 in MAICIVY_TIMEZONE. What the rows had counted is kept. A site may have"
        " its own number of days: maicivy site."
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it, and print a line per partition and a sum."""
    from maicivy import retention  # drivers take a third of a second to import
    from maicivy.bootstrap import build
    from maicivy.config import Settings

    parts = build(Settings.from_env())
    try:
        sites, days = parts.sites.all(), parts.settings.retention_days
        cleared = retention.run_sites(parts.expiry, parts.site_rows, sites, parts.now, days, dry_run=arguments.dry_run)
        report = retention.run(parts.expiry, parts.now, retention.horizon(sites, days), dry_run=arguments.dry_run)
    finally:
        parts.close()
    would = "would drop" if report.dry_run else "dropped"
    would_clear = "would delete" if report.dry_run else "deleted"
    for row in cleared:
        print(f"{would_clear} {row.rows} rows of site {row.site_id} in {row.table} of {row.day}")
    for item in report.dropped:
        print(f"{would} {item.table} of {item.day}: {item.rows} rows")
    print(
        f"{would} {len(report.dropped)} partitions with {report.events} events older than {report.kept_from} (UTC)"
        f" in {report.seconds:.1f} s"
    )
    return 0
