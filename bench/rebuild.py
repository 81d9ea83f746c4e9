"""How long Redis takes to be made anew from a million events, and what readers see meanwhile.

    python -m bench.rebuild [--events 1000000]

Servers of its own; the events lie in 30 days. First the counters are made; then each is falsified, so that old and new
differ everywhere, and they are made anew while a reader asks for all 30 days over and over. An answer that is neither
all old nor all new is a mixture. The targets are the issue's: below 30 s, no mixture.
"""

from __future__ import annotations

import argparse
import threading
from time import perf_counter

from bench.store import days_ago, installation
from maicivy.core.events import DEFAULT_SITE
from maicivy.core.periods import Period
from maicivy.core.tallies import TOTAL
from maicivy.storage import keys

DAYS = 30
FALSE = 1_000_000_000
NAMES = (TOTAL, "events:page_view", "events:button_click", "letters_generated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    for name, value in measure(parser.parse_args().events).items():
        print(f"{name:<50}{value:12.3f}")


def measure(events: int = 1_000_000) -> dict[str, float]:
    """`rebuild_s`, and of the reader meanwhile: `..._mixed_answers`, `..._answers`, `..._slowest_read_ms`, and
    `..._slowest_read_ms_before` for comparison. Half a minute for a million events."""
    with installation() as installed:
        parts = installed.parts
        days = days_ago(parts.now().date(), 1, DAYS)
        installed.fill(events, days)
        began = perf_counter()
        assert parts.aggregation.rebuild()
        first_s = perf_counter() - began
        for day in days:
            for name in NAMES:
                parts.redis.incrby(keys.stat(DEFAULT_SITE, Period.DAY, day, name), FALSE)
        over = threading.Event()
        answers: list[tuple[float, int]] = []

        def read() -> None:
            while not over.is_set():
                asked = perf_counter()
                counts = parts.counters.days(DEFAULT_SITE, days, NAMES)
                answers.append((perf_counter() - asked, sum(n >= FALSE for values, _ in counts for n in values)))

        reader = threading.Thread(target=read)
        reader.start()
        while len(answers) < 200:
            over.wait(0.01)
        before = len(answers)
        began = perf_counter()
        assert parts.aggregation.rebuild()
        took_s = perf_counter() - began
        rebuilt = len(answers)
        while len(answers) < rebuilt + 2:  # the first of them may have been under way
            over.wait(0.001)
        over.set()
        reader.join()
        assert answers[0][1] == len(NAMES) * DAYS
        assert answers[-1][1] == 0
        return {
            "rebuild_s": max(first_s, took_s),
            "rebuild_mixed_answers": sum(0 < false < len(NAMES) * DAYS for _, false in answers),
            "rebuild_answers": len(answers) - before,
            "rebuild_slowest_read_ms": max(seconds for seconds, _ in answers[before:]) * 1000,
            "rebuild_slowest_read_ms_before": max(seconds for seconds, _ in answers[:before]) * 1000,
        }


if __name__ == "__main__":
    main()
