"""`maicivy rebuild`: make the Redis aggregates anew from Postgres, and switch them in in one step."""

from __future__ import annotations

import argparse
import sys
from time import monotonic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""
    parser.epilog = "Readers see the old numbers until the new ones are complete. Safe at any time, and to repeat."


def run(_: argparse.Namespace) -> int:
    """Rebuild and catch up. 1 when another rebuild is under way."""
    from maicivy.bootstrap import build  # drivers take a third of a second to import
    from maicivy.config import Settings

    started = monotonic()
    parts = build(Settings.from_env())
    try:
        if not parts.aggregation.rebuild():
            print("maicivy rebuild: another rebuild is under way", file=sys.stderr)
            return 1
        parts.aggregation.catch_up()
        seq, _token = parts.store.head()
    finally:
        parts.close()
    print(f"rebuilt from Postgres up to outbox row {seq} in {monotonic() - started:.1f} s")
    return 0
