"""How long retention takes over a million expired events, and what getting ready for it costs.

    python -m bench.retention [--events 1000000]

Servers of its own. The events lie once in one expired day and once in ten. Said are the seconds of the run itself, as
beat starts it at 02:00, when the upkeep of the hours before has prepared it, as it does; the seconds of that
preparation; the seconds of a run that nobody prepared; and how long the slowest of the transactions took that stored
one event at a time meanwhile. The target is the issue's: a run below 1 s.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from bench import history
from bench.store import Installation, days_ago, installation
from maicivy import retention
from maicivy.core.ports import Parcel

SPREADS = (1, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    for name, value in measure(parser.parse_args().events).items():
        print(f"{name:<50}{value:12.3f}")


def measure(events: int = 1_000_000) -> dict[str, float]:
    """`retention_s_in_N_days`: seconds of the run. `..._prepare_s_...`, `..._unprepared_s_...`: those of preparing,
    and of a run without. `..._slowest_store_ms_during_...`. About a minute for a million events."""
    figures: dict[str, float] = {}
    for spread in SPREADS:
        with installation() as installed:
            parts, kept_days = installed.parts, installed.settings.retention_days
            installed.fill(events, days_ago(parts.now().date(), kept_days + 1, spread))
            parts.aggregation.catch_up()
            with _storing(installed) as waits:
                began = perf_counter()
                assert retention.prepare(parts.expiry, parts.now, kept_days) == spread
                figures[f"retention_prepare_s_in_{spread}_days"] = perf_counter() - began
            figures[f"retention_slowest_store_ms_during_prepare_in_{spread}_days"] = max(waits) * 1000
            with _storing(installed) as waits:
                began = perf_counter()
                report = retention.run(parts.expiry, parts.now, kept_days)
                figures[f"retention_s_in_{spread}_days"] = perf_counter() - began
            figures[f"retention_slowest_store_ms_during_run_in_{spread}_days"] = max(waits) * 1000
            assert report.events == events // spread * spread, report
            installed.fill(events, days_ago(parts.now().date(), kept_days + 1, spread))
            began = perf_counter()
            retention.run(parts.expiry, parts.now, kept_days)
            figures[f"retention_unprepared_s_in_{spread}_days"] = perf_counter() - began
    return figures


@contextmanager
def _storing(installed: Installation) -> Iterator[list[float]]:
    """Stores one event after the other meanwhile; the seconds that each transaction took."""
    waits: list[float] = []
    over = threading.Event()

    def store() -> None:
        for number, event in enumerate(history.events(1_000_000, 0.001, history.now(), 0.1)):
            if over.is_set():
                return
            began = perf_counter()
            installed.parts.store.store([Parcel(f"{began}-{number}", 1, [event], [])])
            waits.append(perf_counter() - began)

    thread = threading.Thread(target=store)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
