"""What a visitor of somebody's site waits longer because the site has the tracking hook; the sites take turns.

Requests are paced, for a site whose every millisecond is used would measure the queue before it.
"""

from __future__ import annotations

import http.client
import time

from bench.figures import Effort, Figure, Figures, Scene, Target
from bench.servers import SECRET_KEY, Servers

PER_S = 100.0
TURN_S = 1.0
GUNICORN = ("-k", "gthread", "-w", "1", "--threads", "4", "--log-level", "warning", "--no-control-socket")
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0",
    "Accept": "text/html,application/xhtml+xml",
    "Sec-Fetch-Dest": "document",
}


def measure(wanted: frozenset[str], effort: Effort, servers: Servers) -> Figures:  # noqa: ARG001 - there is one row
    """A site without the hook, one with it, and one whose hook cannot reach its Redis."""
    maicivy = servers.maicivy()
    nowhere = f"unix://{servers.home / 'nothing.sock'}"

    def site(**environ: str) -> int:
        return servers.gunicorn("bench.host:application", *GUNICORN, **environ).port

    ports = {
        "without": site(),
        "with": site(BENCH_REDIS_URL=maicivy.redis_url, BENCH_SECRET_KEY=SECRET_KEY),
        "dead": site(BENCH_REDIS_URL=nowhere, BENCH_SECRET_KEY=SECRET_KEY),
    }
    recorded = maicivy.counted()
    rounds: dict[str, list[list[float]]] = {name: [] for name in ports}
    for port in ports.values():
        _paced(port, 0.3)
    for _ in range(effort.rounds):
        seconds: dict[str, list[float]] = {name: [] for name in ports}
        for _ in range(max(1, round(effort.seconds / TURN_S))):
            for name, port in ports.items():
                seconds[name] += _paced(port, min(TURN_S, effort.seconds))
        for name, times in seconds.items():
            rounds[name].append(sorted(times))
    maicivy.settle(recorded + sum(map(len, rounds["with"])))

    def at(name: str, share: float) -> list[float]:
        return [times[int(len(times) * share)] * 1000 for times in rounds[name]]

    def figure(name: str, variant: str, share: float, allowed: float | None) -> Figure:
        target = None if allowed is None else Target("<=", allowed, "difference")
        return Figure(name, "ms", at(variant, share), target, "the page without it", at("without", share))

    return {
        "hook": [
            figure("p99 with the hook", "with", 0.99, 0.2),
            figure("p99, its Redis dead", "dead", 0.99, 0.5),
            figure("p50 with the hook", "with", 0.5, None),
        ]
    }


def _paced(port: int, seconds: float) -> list[float]:
    """Seconds per request, over one connection that asks `PER_S` times a second."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    times = []
    began = time.perf_counter()
    for number in range(max(1, int(seconds * PER_S))):
        time.sleep(max(0.0, began + number / PER_S - time.perf_counter()))
        asked = time.perf_counter()
        connection.request("GET", "/cv", headers=HEADERS)
        connection.getresponse().read()
        times.append(time.perf_counter() - asked)
    connection.close()
    return times


SCENE = Scene({"hook": "the tracking hook on a host page, 100 requests a second"}, measure)
