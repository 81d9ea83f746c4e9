"""Single events and batches, accepted, stored and counted, beside a bare Flask route under the same gunicorn.

    python -m bench.collect [--seconds 4] [--rounds 5] [--connections 64]

Starts a whole maicivy and the bare route, lets them take turns, and prints medians: requests per second, p99, the
ratio to the bare route, and processor microseconds per event over all server processes (the inbox is drained within
each turn, so storing and counting are paid for). Also the memory of everything, idle, before any load. Nothing is
asserted here; the targets are the issue's: ratio 0.6, memory 400 MB.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench.closed_loop import run
from bench.processes import cpu_s, memory_mib

ROOT = Path(__file__).parents[1]
GUNICORN = ("-k", "gevent", "-w", "1", "--log-level", "warning", "--no-control-socket")  # as gunicorn.conf.py has it
EVENT = {"event_type": "button_click", "event_data": {"button": "cta", "x": 450, "y": 200}, "page_url": "/cv"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--batch", type=int, default=100)
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="mvb-", dir="/tmp"))
    running: list[subprocess.Popen[bytes]] = []
    try:
        port, bare_port = _free_port(), _free_port()
        running.append(_start(["-m", "maicivy", "up"], home / "data", port))
        _wait(port, "/readyz", 60)
        running.append(
            _start(
                ["-m", "gunicorn", *GUNICORN, "-b", f"127.0.0.1:{bare_port}", "bare:application"],
                home,
                bare_port,
                ROOT / "bench",
            )
        )
        _wait(bare_port, "/", 30)
        time.sleep(5)
        for name, size in memory_mib(running[0].pid).items():
            print(f"idle memory  {name:<13}{size:8.1f} MiB")
        single = json.dumps(EVENT).encode()
        many = json.dumps([EVENT] * arguments.batch).encode()
        rows = {
            "bare route": (bare_port, "/event", single, 1, running[1].pid),
            "single events": (port, "/api/v1/analytics/event", single, 1, running[0].pid),
            f"batches of {arguments.batch}": (port, "/api/v1/analytics/batch", many, arguments.batch, running[0].pid),
        }
        results: dict[str, list[Turn]] = {name: [] for name in rows}
        for _ in range(arguments.rounds):
            for name, row in rows.items():
                results[name].append(_turn(row, arguments.connections, arguments.seconds, port))
        _table(results)
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        shutil.rmtree(home, ignore_errors=True)


class Turn(NamedTuple):
    """Events per second accepted, p99 in ms, and processor microseconds per event until all were counted."""

    rate: float
    p99_ms: float
    cpu_us: dict[str, float]


def _turn(row: tuple[int, str, bytes, int, int], connections: int, seconds: float, port: int) -> Turn:
    target, path, body, events, root = row
    before = cpu_s(root)
    samples = run(target, path, connections, seconds, body=body)
    if set(samples.statuses) != {202}:
        print(f"unexpected answers: {samples.statuses}", file=sys.stderr)
    while target == port and _inbox_events(port):
        time.sleep(0.05)
    count = len(samples.seconds) * events
    used = {name: (after - before.get(name, 0.0)) / count * 1e6 for name, after in cpu_s(root).items()}
    return Turn(count / samples.took_s, samples.percentile_ms(99), used)


def _table(results: dict[str, list[Turn]]) -> None:
    reference = statistics.median(turn.rate for turn in results["bare route"])
    print(f"{'':<20}{'events/s':>10}{'to bare':>9}{'p99 ms':>9}{'cpu us':>8}  of which")
    for name, turns in results.items():
        rate = statistics.median(turn.rate for turn in turns)
        p99 = statistics.median(turn.p99_ms for turn in turns)
        used = {part: statistics.median(turn.cpu_us.get(part, 0.0) for turn in turns) for part in turns[0].cpu_us}
        parts = ", ".join(f"{part} {us:.0f}" for part, us in used.items() if us >= 0.5)
        print(f"{name:<20}{rate:10.0f}{rate / reference:9.2f}{p99:9.1f}{sum(used.values()):8.0f}  {parts}")


def _inbox_events(port: int) -> float:
    found = re.search(rb"^maicivy_inbox_events (\S+)", _get(port, "/metrics"), re.M)
    return float(found[1]) if found else -1.0


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def _start(command: list[str], home: Path, port: int, cwd: Path = ROOT) -> subprocess.Popen[bytes]:
    environ = {
        "PORT": str(port),
        "MAICIVY_DATA_DIR": str(home),
        "MAICIVY_EVENT_RATE_LIMIT": "0",
        "LOG_LEVEL": "warning",
    }
    return subprocess.Popen([sys.executable, *command], cwd=cwd, env=os.environ | environ)


def _wait(port: int, path: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            _get(port, path)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing answers on port {port}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


if __name__ == "__main__":
    main()
