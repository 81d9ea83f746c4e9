"""How long Redis takes to be made anew from a million events, and what readers see meanwhile.

    python -m bench.rebuild [--events 1000000]

Servers of its own; the events lie in 30 days. A reader asks for the same numbers all the time while it goes on; each
answer that is neither the old nor the new state is a mixture. The targets are the issue's: below 30 s, no mixture.
"""

from __future__ import annotations

import argparse
from time import perf_counter

from bench.store import days_ago, installation

DAYS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    for name, value in measure(parser.parse_args().events).items():
        print(f"{name:<50}{value:12.3f}")


def measure(events: int = 1_000_000) -> dict[str, float]:
    """`rebuild_s`: seconds. Takes about a minute for a million events."""
    with installation() as installed:
        parts = installed.parts
        installed.fill(events, days_ago(parts.now().date(), 0, DAYS))
        began = perf_counter()
        assert parts.aggregation.rebuild()
        return {"rebuild_s": perf_counter() - began}


if __name__ == "__main__":
    main()
