"""What the hook costs: microseconds per request and per delivered event, against the same site without it.

    python -m bench.hook

Both sites run in this process, without a server in front, one request after the other; the best of several rounds
counts, for the others measure the machine. Delivery is what the background thread does for one event, server apart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Flask
from werkzeug.test import EnvironBuilder

from maicivy.core.gate import Gate
from maicivy.tracking import Analytics, hits

REQUESTS, ROUNDS = 450, 40  # fewer requests than make a batch: then the thread would not wait
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0",
    "Referer": "https://www.example.org/a/page?with=query",
    "Accept": "text/html,application/xhtml+xml",
    "Sec-Fetch-Dest": "document",
}


def site(view: Callable[[], str]) -> Flask:
    app = Flask(__name__)
    app.get("/cv")(view)
    return app


def microseconds(app: Flask) -> float:
    environ = EnvironBuilder("/cv?theme=backend", headers=HEADERS).get_environ()

    def start_response(*_: Any) -> None:
        pass

    began = time.perf_counter()
    for _ in range(REQUESTS):
        list(app.wsgi_app(dict(environ), start_response))
    return (time.perf_counter() - began) / REQUESTS * 1e6


def hooked(view: Callable[[], str]) -> tuple[Flask, Analytics]:
    app = site(view)  # delivers nothing while it is measured, for the thread waits for others
    return app, Analytics(app, url="http://127.0.0.1:9", token="t" * 16, linger_s=60.0)


def main() -> None:
    logging.disable()  # nobody listens at port 9, and the hook says so
    rounds: dict[str, list[float]] = {"bare": [], "page": []}
    for _ in range(ROUNDS):
        rounds["bare"].append(microseconds(site(lambda: "<h1>page</h1>")))
        app, analytics = hooked(lambda: "<h1>page</h1>")
        rounds["page"].append(microseconds(app))
        analytics.close()
    best = {name: min(times) for name, times in rounds.items()}
    print(f"bare route            {best['bare']:6.1f} us per request")
    print(f"page view recorded    {best['page'] - best['bare']:+6.1f} us")
    print(f"checked by the thread {checked():6.1f} us per event")


def checked() -> float:
    now = time.time()
    environ = EnvironBuilder("/cv?theme=backend", headers=HEADERS).get_environ()
    gate = Gate(datetime.fromtimestamp(now, UTC), timedelta(days=90), frozenset({"theme"}))
    hit = hits.page_view(environ, "192.0.2.1", now)
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(REQUESTS):
            hits.draft(hit, UUID(int=1), gate, "theme")
        times.append((time.perf_counter() - began) / REQUESTS * 1e6)
    return min(times)


if __name__ == "__main__":
    main()
