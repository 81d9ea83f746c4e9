"""How long retention takes over a million expired events, and what getting ready for it costs.

    python -m bench.retention [--events 1000000]

Servers of its own. The events lie once in one expired day and once in ten. Said are seconds of the run itself, as
beat starts it at 02:00. The target is the issue's: below 1 s.
"""

from __future__ import annotations

import argparse
from time import perf_counter

from bench.store import days_ago, installation
from maicivy import retention

SPREADS = (1, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    for name, value in measure(parser.parse_args().events).items():
        print(f"{name:<50}{value:12.3f}")


def measure(events: int = 1_000_000) -> dict[str, float]:
    """`retention_s_in_N_days`: seconds of the run. Takes about a minute for a million events."""
    figures: dict[str, float] = {}
    for spread in SPREADS:
        with installation() as installed:
            parts = installed.parts
            today = parts.now().date()
            installed.fill(events, days_ago(today, installed.settings.retention_days + 1, spread))
            parts.aggregation.catch_up()
            began = perf_counter()
            report = retention.run(parts.expiry, parts.now, installed.settings.retention_days)
            figures[f"retention_s_in_{spread}_days"] = perf_counter() - began
            assert report.events == events // spread * spread, report
    return figures


if __name__ == "__main__":
    main()
