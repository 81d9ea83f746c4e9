"""How long a page of the dashboard takes in the server, and how large what it loads is.

    python -m bench.dashboard [--at DIR] [--as-it-is] [--events 1000000] [--times 5]

Each view is asked for cold (no answer of the query engine is kept, connections are known) and warm (all are), whole and
the first figures alone. The application runs in this process; `python` is its processor time, `postgres` that of all
server processes together. `--at` takes what `bench.traffic --keep` left.
"""

from __future__ import annotations

import argparse
import gc
import re
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil
from flask.testing import FlaskClient

from bench.queries import roll_up, traffic
from bench.store import Installation
from maicivy.storage.query_cache import RedisQueryCache
from maicivy.web import assets, create_app

BROWSER: Final = {"Accept-Language": "en", "Accept-Encoding": "gzip"}
VIEWS: Final = {
    "28 days": "",
    "today": "period=today",
    "7 days": "period=7d",
    "91 days": "period=91d",
    "12 months": "period=12mo",
    "28 days, one country": "f=is,visit:country,DE",
    "28 days, one page": "f=is,event:page,/",
    "28 days, other tabs": "show=sources&show=countries&show=browsers&show=entry_pages",
}
FIRST: Final = "current,figures,series"
_LOADED: Final = re.compile(r'(?:href|src)="(/assets/[^"]+\.(?:css|js))"')
_IMPORTED: Final = re.compile(r'from\s*"(\./[^"]+)"|import\s*"(\./[^"]+)"')


def main(argv: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", type=Path, metavar="DIR")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--as-it-is", action="store_true", help="make no rollups")
    arguments = parser.parse_args(argv)
    with traffic(arguments.at, arguments.events) as installed:
        if not arguments.as_it_is:
            print(f"rolled up in {roll_up(installed):.1f} s", flush=True)
        client = create_app(installed.parts).test_client()
        measure(installed, client, arguments.times)
    return 0


def measure(installed: Installation, client: FlaskClient, times: int) -> None:
    """Print a row for each view, and what a page loads."""
    cache = RedisQueryCache(installed.parts.redis)
    servers = _servers(installed)
    page = client.get("/dashboard/1", headers=BROWSER, follow_redirects=True)
    print(f"{'':<28}{'first cold':>12}{'cold':>9}{'warm':>9}{'python':>9}{'postgres':>10}{'KB':>7}")
    gc.freeze()
    for name, query in VIEWS.items():
        first, cold, warm, python, postgres, size = [], [], [], [], [], 0
        for _ in range(times):
            cache.forget()
            first.append(_get(client, f"{query}&parts={FIRST}")[0])
            cache.forget()
            before = time.process_time(), _cpu_s(servers)
            took, size = _get(client, query)
            cold.append(took)
            python.append((time.process_time() - before[0]) * 1000)
            postgres.append((_cpu_s(servers) - before[1]) * 1000)
            warm.append(_get(client, query)[0])
        medians = (statistics.median(each) for each in (first, cold, warm, python, postgres))
        told = [f"{each:9.1f}" for each in medians]
        print(f"{name:<28}   {''.join(told)} {size / 1000:7.1f}", flush=True)
    print("JS and CSS of a page, compressed: " + ", ".join(_loaded(client, page.text)))


def _get(client: FlaskClient, query: str) -> tuple[float, int]:
    began = time.perf_counter()
    response = client.get(f"/dashboard/1?{query.removeprefix('&')}", headers=BROWSER)
    took = (time.perf_counter() - began) * 1000
    if response.status_code != 200:
        raise RuntimeError(f"{response.status_code} to {query}: {response.text[:300]}")
    return took, len(response.data)


def _servers(installed: Installation) -> list[psutil.Process]:
    """Postgres's own process; those that it starts are its children."""
    pid = int((installed.settings.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
    return [psutil.Process(pid)]


def _cpu_s(servers: list[psutil.Process]) -> float:
    total = 0.0
    for server in servers:
        for process in (server, *server.children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _loaded(client: FlaskClient, html: str) -> list[str]:
    """The bytes of each kind that a page loads, the modules that its modules import among them."""
    wanted = list(dict.fromkeys(_LOADED.findall(html)))
    sizes = {"css": 0, "js": 0}
    for url in wanted:
        name = url.split("/", 3)[3]
        found = assets.read(name)
        sizes[url.rpartition(".")[2]] += len(found.gzipped or found.body)
        for one, other in _IMPORTED.findall(found.body.decode()):
            following = url.rpartition("/")[0] + "/" + (one or other).removeprefix("./")
            if following not in wanted:
                wanted.append(following)
    _ = client
    return [f"{kind} {size / 1000:.1f} KB" for kind, size in sizes.items()]


if __name__ == "__main__":
    sys.exit(main())
