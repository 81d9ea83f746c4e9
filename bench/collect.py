"""Single events and batches, accepted, stored and counted, beside a bare Flask route under the same gunicorn.

    python -m bench.collect [--seconds 4] [--rounds 5] [--connections 64] [--batch 100]

Starts a whole maicivy and the bare route, lets them take turns, and prints medians: requests per second, p99, the
ratio to the bare route, and processor microseconds per event over all server processes (the inbox is drained within
each turn, so storing and counting are paid for). Also the memory of everything, idle, before any load. Nothing is
asserted here; `python -m bench` has the targets.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from bench.closed_loop import run
from bench.servers import Served, Servers

EVENT = {"event_type": "button_click", "event_data": {"button": "cta", "x": 450, "y": 200}, "page_url": "/cv"}
SINGLE = json.dumps(EVENT).encode()
CONNECTIONS = 64
IDLE_S = 5.0


class Turn(NamedTuple):
    """What one participant did in one turn; processor time is per event, until all were counted."""

    accepted_per_s: float
    counted_per_s: float
    p99_ms: float
    cpu_us: dict[str, float]

    @property
    def all_cpu_us(self) -> float:
        return sum(self.cpu_us.values())


def take_turn(
    served: Served,
    seconds: float,
    body: bytes | Iterator[bytes] = SINGLE,
    events: int = 1,
    connections: int = CONNECTIONS,
    headers: str = "",
) -> Turn:
    """Post `body`, which holds so many `events`, for so many `seconds`, and wait until all of them are counted."""
    path = served.events_path if events == 1 else served.batches_path
    already, before, began = served.counted(), served.cpu_s(), time.perf_counter()
    samples = run(served.port, path, connections, seconds, headers, body)
    if set(samples.statuses) != {202}:
        print(f"other answers than 202: {samples.statuses}", file=sys.stderr)
    count = samples.statuses.get(202, 0) * events
    served.settle(already + count)
    counted_s = time.perf_counter() - began
    used = {name: (after - before.get(name, 0.0)) / count * 1e6 for name, after in served.cpu_s().items()}
    return Turn(count / samples.took_s, count / counted_s, samples.percentile_ms(99), used)


def batch_of(events: int) -> bytes:
    """The body of a batch."""
    return json.dumps([EVENT] * events).encode()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--batch", type=int, default=100)
    arguments = parser.parse_args()
    with Servers() as servers:
        maicivy, bare = servers.maicivy(), servers.gunicorn("bench.bare:application")
        time.sleep(IDLE_S)
        for name, size in maicivy.memory_mib().items():
            print(f"idle memory  {name:<13}{size:8.1f} MiB")
        rows: dict[str, tuple[Served, bytes, int]] = {
            "bare route": (bare, SINGLE, 1),
            "single events": (maicivy, SINGLE, 1),
            f"batches of {arguments.batch}": (maicivy, batch_of(arguments.batch), arguments.batch),
        }
        results: dict[str, list[Turn]] = {name: [] for name in rows}
        for _ in range(arguments.rounds):
            for name, (served, body, events) in rows.items():
                results[name].append(take_turn(served, arguments.seconds, body, events, arguments.connections))
        _table(results)


def _table(results: dict[str, list[Turn]]) -> None:
    reference = statistics.median(turn.accepted_per_s for turn in results["bare route"])
    print(f"{'':<20}{'events/s':>10}{'to bare':>9}{'counted/s':>11}{'p99 ms':>9}{'cpu us':>8}  of which")
    for name, turns in results.items():
        rate = statistics.median(turn.accepted_per_s for turn in turns)
        counted = statistics.median(turn.counted_per_s for turn in turns)
        p99 = statistics.median(turn.p99_ms for turn in turns)
        used = {part: statistics.median(turn.cpu_us.get(part, 0.0) for turn in turns) for part in turns[0].cpu_us}
        parts = ", ".join(f"{part} {us:.0f}" for part, us in used.items() if us >= 0.5)
        print(
            f"{name:<20}{rate:10.0f}{rate / reference:9.2f}{counted:11.0f}{p99:9.1f}{sum(used.values()):8.0f}  {parts}"
        )


if __name__ == "__main__":
    main()
