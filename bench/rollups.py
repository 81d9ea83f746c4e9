"""How long the rollups of an hour with 100,000 events take, while its day goes on and when it is over.

    python -m bench.rollups [--events 100000]

Servers of its own; yesterday all visits begin in one hour; so many events are those of one site of ten. While the day
goes on the hours are made that are over; the next day the day itself, too. The target is the issue's: below 1 s.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import perf_counter

import sqlalchemy as sa

from bench.days import Span
from bench.population import population
from bench.store import Installation, installation
from bench.traffic import IN_HASTE, fill

HOUR = 12
_MARK = """/* bench.rollups */
INSERT INTO dirty_hours (site_id, hour, seq) SELECT 1, :hour, seq + 1 FROM ledger
ON CONFLICT (site_id, hour) DO UPDATE SET seq = dirty_hours.seq + 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    for name, value in measure(parser.parse_args().events).items():
        print(f"{name:<50}{value:12.3f}")


def measure(events: int = 100_000) -> dict[str, float]:
    """`rollup_s` of the hour, and `closing_s` when its day is over, too."""
    with installation(options=IN_HASTE) as installed:
        midnight = installed.parts.now().replace(hour=0, minute=0, second=0, microsecond=0)
        span = Span.until(midnight - timedelta(microseconds=1), events * 10 // 9, length=1)
        fill(installed, replace(span, hour=HOUR), population(), processes=1)
        hour = midnight - timedelta(hours=24 - HOUR)
        installed.parts.buckets.refresh(midnight - timedelta(days=1))  # the first marks all there is, of every site
        with installed.parts.engine.begin() as connection:
            connection.execute(sa.text("TRUNCATE dirty_hours"))
        return {
            "rollup_s": _refreshed_s(installed, hour, hour + timedelta(hours=1, minutes=1)),
            "closing_s": _refreshed_s(installed, hour, midnight + timedelta(minutes=1)),
        }


def _refreshed_s(installed: Installation, hour: datetime, now: datetime) -> float:
    with installed.parts.engine.begin() as connection:
        connection.execute(sa.text(_MARK), {"hour": hour})
    began = perf_counter()
    made = installed.parts.buckets.refresh(now.astimezone(UTC))
    assert made
    return perf_counter() - began


if __name__ == "__main__":
    main()
