"""How long a page of the dashboard takes in the server, and how large what it loads is.

    python -m bench.dashboard [--at DIR] [--as-it-is] [--events 1000000] [--times 5]

Each view is asked for with nothing known (no answer of the query engine is kept; connections are there) and again: the
first figures (`current`, `figures`, `series`) alone, then the whole page. The application runs in this process:
`python` is its processor time, `postgres` that of all server processes together. `--at` takes what
`bench.traffic --keep` left.
"""

from __future__ import annotations

import argparse
import gc
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flask.testing import FlaskClient

from bench.processes import cpu_s
from bench.queries import roll_up, traffic
from bench.store import Installation
from maicivy.storage.query_cache import RedisQueryCache
from maicivy.web import assets, create_app

EVENTS: Final = 1_000_000
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
_BROWSER: Final = {"Accept-Language": "en", "Accept-Encoding": "gzip"}
_LOADED: Final = re.compile(r'(?:href|src)="(/assets/[^"]+\.(?:css|js))"')
_IMPORTED: Final = re.compile(r'from\s*"(\./[^"]+)"|import\s*"(\./[^"]+)"')


@dataclass(slots=True)
class Drawn:
    """A view and what it took, in milliseconds, each time; `size` is that of the page, compressed, in bytes."""

    view: str
    first: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    python: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)
    size: int = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", type=Path, metavar="DIR")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--as-it-is", action="store_true", help="make no rollups")
    arguments = parser.parse_args(argv)
    with traffic(arguments.at, arguments.events) as installed:
        if not arguments.as_it_is:
            print(f"rolled up in {roll_up(installed):.1f} s", flush=True)
        print(f"{'':<24}{'first cold':>12}{'cold':>9}{'warm':>9}{'python':>9}{'postgres':>10}{'KB':>8}")
        for drawn in pages(installed, arguments.times):
            parts = (drawn.first, drawn.cold, drawn.warm, drawn.python, drawn.postgres)
            widths = (12, 9, 9, 9, 10)
            told = [f"{statistics.median(each):{width}.1f}" for each, width in zip(parts, widths, strict=True)]
            print(f"{drawn.view:<24}{''.join(told)}{drawn.size / 1000:8.1f}", flush=True)
        told = [f"{kind} {size / 1000:.1f} KB" for kind, size in loaded(installed).items()]
        print(f"what a page loads, compressed: {', '.join(told)}")
    return 0


def pages(installed: Installation, times: int) -> Iterator[Drawn]:
    """Every view, so many times."""
    client = create_app(installed.parts).test_client()
    cache = RedisQueryCache(installed.parts.redis)
    postmaster = int((installed.settings.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
    _get(client, "")
    gc.freeze()  # what is here to stay is not looked through while somebody waits
    for view, query in VIEWS.items():
        drawn = Drawn(view)
        for _ in range(times):
            cache.forget()
            drawn.first.append(_get(client, f"{query}&parts={FIRST}")[0])
            cache.forget()
            python, postgres = time.process_time(), sum(cpu_s(postmaster).values())
            took, drawn.size = _get(client, query)
            drawn.cold.append(took)
            drawn.python.append((time.process_time() - python) * 1000)
            drawn.postgres.append((sum(cpu_s(postmaster).values()) - postgres) * 1000)
            drawn.warm.append(_get(client, query)[0])
        yield drawn


def loaded(installed: Installation) -> dict[str, int]:
    """The bytes of each kind that a page loads, compressed; the modules that its modules import among them."""
    html = create_app(installed.parts).test_client().get("/dashboard/1").text
    wanted = list(dict.fromkeys(_LOADED.findall(html)))
    sizes = {"CSS": 0, "JS": 0}
    for url in wanted:
        found = assets.read(url.split("/", 3)[3])
        sizes[url.rpartition(".")[2].upper()] += len(found.gzipped or found.body)
        for one, other in _IMPORTED.findall(found.body.decode()):
            following = f"{url.rpartition('/')[0]}/{(one or other).removeprefix('./')}"
            if following not in wanted:
                wanted.append(following)
    return sizes


def _get(client: FlaskClient, query: str) -> tuple[float, int]:
    """Milliseconds and bytes."""
    began = time.perf_counter()
    response = client.get(f"/dashboard/1?{query.removeprefix('&')}", headers=_BROWSER)
    took_ms = (time.perf_counter() - began) * 1000
    if response.status_code != 200:
        raise RuntimeError(f"{response.status_code} to {query}: {response.get_data()[:300]!r}")
    return took_ms, len(response.data)


if __name__ == "__main__":
    sys.exit(main())
