"""`maicivy simulate`: people who visit the demo at a gentle pace, so that a newcomer sees numbers move.

Real requests over loopback, to the site and to the API, as browsers would send them: nothing is written behind
maicivy's back. On Linux every visitor has an address of their own in 127.0.0.0/8; elsewhere only the user agents
differ. `--history`, which `maicivy up --demo` gives, first tells what they did before anybody looked, and sends nobody
into an installation that is not the demo's own (`claim.py`). With `MAICIVY_INGEST_TOKEN` set, what visitors click is
sent with it, and so is beyond the rate limit.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import heapq
import http.client
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from maicivy.config import Settings
from maicivy.demo.visitors import VIEWS_PER_VISIT, Person, Step, person, visit
from maicivy.errors import SettingsError

TIMEOUT_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 15.0
MAX_VISITORS: Final = 200


@dataclass(order=True, slots=True)
class _Due:
    at: float
    number: int
    person: Person = field(compare=False)
    step: Step = field(compare=False)
    rest: Iterator[Step] = field(compare=False)


class Crowd:
    """Visitors whose visits overlap, one request at a time.

    Attributes:
        views: page views that the site has answered.
    """

    def __init__(self, url: str, views_per_s: float, dice: random.Random, token: str | None) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._origin = f"http://{parts.netloc}"
        self._token = token
        self._dice = dice
        self._arrivals_per_s = views_per_s / VIEWS_PER_VISIT
        self._due: list[_Due] = []
        self._own_addresses = self._host == "localhost" or self._host.startswith("127.")
        self._numbers = iter(range(sys.maxsize))
        self.views = 0

    def walk(self, wait: Callable[[float], bool], now: Callable[[], float] = time.monotonic) -> None:
        """Visit until `wait`, which sleeps for the seconds it is given, returns true.

        A server that is away is waited for; whoever was there has left by then.

        Raises:
            SettingsError: the server has no demo site.
        """
        next_arrival = now()
        pause_s = FIRST_PAUSE_S
        while True:
            at = min(next_arrival, self._due[0].at) if self._due else next_arrival
            if wait(max(0.0, at - now())):
                return
            if at == next_arrival:
                next_arrival = at + self._dice.expovariate(self._arrivals_per_s)
                if len(self._due) < MAX_VISITORS:
                    who = person(self._dice)
                    self._go_on(who, visit(self._dice, self._origin, who), now())
                continue
            due = heapq.heappop(self._due)
            try:
                self._request(due.person, due.step)
            except (OSError, http.client.HTTPException) as error:
                if pause_s == FIRST_PAUSE_S:
                    print(f"maicivy simulate: {self._origin}: {error}; trying again", file=sys.stderr, flush=True)
                if wait(pause_s * self._dice.uniform(0.7, 1.0)):
                    return
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                self._due.clear()
                next_arrival = now()
                continue
            pause_s = FIRST_PAUSE_S
            self._go_on(due.person, due.rest, now())

    def _go_on(self, who: Person, rest: Iterator[Step], now: float) -> None:
        step = next(rest, None)
        if step is not None:
            heapq.heappush(self._due, _Due(now + step.wait_s, next(self._numbers), who, step, rest))

    def _request(self, who: Person, step: Step) -> None:
        """
        Raises:
            OSError, HTTPException: the server is away, or answers that it cannot.
            SettingsError: it is there, but without the demo.
        """
        source = (who.address, 0) if self._own_addresses else None
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S, source_address=source)
        with contextlib.closing(connection):
            try:
                connection.connect()
            except OSError as error:
                if source is None or error.errno != errno.EADDRNOTAVAIL:
                    raise
                self._own_addresses = False  # this system has 127.0.0.1 only
                self._request(who, step)
                return
            connection.request(step.method, step.path, step.body or None, self._headers(who, step))
            response = connection.getresponse()
            response.read()
        if response.status >= 500:
            raise http.client.HTTPException(f"status {response.status}")
        if response.status == 404:
            raise SettingsError([f"{self._origin} has no demo site: start it with `maicivy up --demo`"])
        self.views += step.is_view and response.status in (200, 202)

    def _headers(self, who: Person, step: Step) -> dict[str, str]:
        headers = {"User-Agent": who.user_agent, "Connection": "close"}
        if step.method == "GET":
            headers |= {"Accept": "text/html", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
        if who.language:
            headers["Accept-Language"] = who.language
        if step.referrer:
            headers["Referer"] = step.referrer
        if step.content_type:
            headers["Content-Type"] = step.content_type
        if self._token is not None and step.path.startswith("/api/"):
            headers["Authorization"] = f"Bearer {self._token}"
        return headers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--url", help="where the demo answers; default: this machine, at PORT")
    parser.add_argument(
        "--rate", type=_rate, default=1.0, metavar="N", help="page views a second, at most 20; default 1"
    )
    parser.add_argument("--seed", type=int, help="the same seed brings the same visitors")
    parser.add_argument(
        "--claim", action="store_true", help="make an empty installation the demo's, and do nothing else"
    )
    parser.add_argument(
        "--history", action="store_true", help="write one first, once; visit only an installation of the demo's"
    )
    parser.add_argument("--seconds", type=float, help="stop after so long; default: never")


def run(arguments: argparse.Namespace) -> int:
    """Visit until SIGINT or SIGTERM."""
    settings = Settings.from_env()
    if arguments.claim:
        from maicivy.demo import claim  # it brings everything that maicivy imports

        claim.claim(settings)
        return 0
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    url: str = arguments.url or f"http://{host}:{settings.port}"
    ended = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: ended.set())
    end = time.monotonic() + arguments.seconds if arguments.seconds is not None else None

    def wait(seconds: float) -> bool:
        if end is not None:
            seconds = min(seconds, max(0.0, end - time.monotonic()))
        return ended.wait(seconds) or (end is not None and time.monotonic() >= end)

    dice = random.Random(arguments.seed)
    if arguments.history and not _has_past(settings, dice, url, ended):
        return 0
    Crowd(url, arguments.rate, dice, settings.ingest_token).walk(wait)
    return 0


def _has_past(settings: Settings, dice: random.Random, url: str, ended: threading.Event) -> bool:
    """True when visitors may come. Where they may not, this says so, and waits until it is ended."""
    from maicivy.demo import claim  # it brings everything that maicivy imports

    if not claim.is_claimed(settings.data_dir):
        print(
            "maicivy simulate: this installation has visitors of its own, or had: nobody is simulated. For the demo, "
            "start in another MAICIVY_DATA_DIR",
            file=sys.stderr,
            flush=True,
        )
        ended.wait()
        return False
    claim.tell_history(settings, dice, url, ended.is_set)
    return True


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 20:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 20")
    return rate
