"""Clients as they are in the field: each repeats what was not acknowledged, with the same ids, when it is told to."""

from __future__ import annotations

import http.client
import json
import random
import threading
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.standalone.processes import wait_until

CLIENTS = 4
DUPLICATES = 0.05
"""How often an acknowledged request is sent once more."""

REFUSED = 0.01
"""How often an event is sent that must be refused."""

PAUSE_S = 0.1
"""Between attempts, unless Retry-After asks for more."""

LONGEST_WAIT_S = 5
_TYPES = ("page_view", "click", "scroll", "cv_theme_change")
_THEMES = ("backend", "frontend", "devops", "data")
_LETTERS = ("motivation", "anti_motivation")


@dataclass
class Record:
    """What one client saw; ids as 16 bytes."""

    sent: set[bytes] = field(default_factory=set)
    acknowledged: set[bytes] = field(default_factory=set)
    unexpected: list[str] = field(default_factory=list)
    cut: int = 0
    """Answers that began and did not end."""


class Client(threading.Thread):
    """Sends one request after the other until told to pause or to stop."""

    def __init__(self, port: int, seed: str, batches: tuple[int, ...], path: str, pace_s: float) -> None:
        super().__init__(name=f"client-{seed}", daemon=True)
        self.record = Record()
        self.idle = threading.Event()
        self._port = port
        self._path = path
        self._batches = batches
        self._pace_s = pace_s
        self._random = random.Random(seed)
        self._go = threading.Event()
        self._stopping = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    def resume(self) -> None:
        self.idle.clear()
        self._go.set()

    def pause(self) -> None:
        """Send no further request once the one under way is acknowledged; `idle` is set then."""
        self._go.clear()

    def stop(self) -> None:
        self._stopping.set()
        self._go.set()

    def run(self) -> None:
        try:
            self._work()
        finally:
            self._hang_up()

    def _work(self) -> None:
        while not self._stopping.is_set():
            if not self._go.is_set():
                self.idle.set()
                self._go.wait()
                self.idle.clear()  # once more: it may have been set after whoever resumed had cleared it
                continue
            self._send([event_of(self._random) for _ in range(self._random.choice(self._batches))])
            if self._pace_s:
                self._stopping.wait(self._pace_s)
            if self._random.random() < REFUSED:
                self._ask([{"event_type": "no such type!", "event_data": {}}])

    def _send(self, events: list[dict[str, Any]]) -> None:
        ids = [UUID(event["id"]).bytes for event in events]
        self.record.sent.update(ids)
        agent = f"Mozilla/5.0 (visitor {self._random.randrange(400)})"
        again = 2 if self._random.random() < DUPLICATES else 1
        while again:
            wait_s = self._ask(events, agent)
            if wait_s is None:
                again -= 1
                self.record.acknowledged.update(ids)
            elif self._stopping.wait(wait_s):
                return

    def _ask(self, events: list[dict[str, Any]], agent: str = "chaos") -> float | None:
        """None when the server took responsibility, else seconds until the next attempt."""
        path, body = (self._path, events[0]) if len(events) == 1 else (f"{self._path}/batch", events)
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        answer = None
        try:
            self._connection.request("POST", path, json.dumps(body), {"User-Agent": agent})
            answer = self._connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            self.record.cut += answer is not None or not isinstance(error, OSError)
            self._hang_up()
            return PAUSE_S
        refused = events[0]["event_type"] == "no such type!"
        if answer.status == (400 if refused else 202):
            return None
        wait = answer.headers.get("Retry-After", "")
        if answer.status != 503 or '"code"' not in text or not wait.isdecimal():
            self.record.unexpected.append(f"{answer.status} {text[:200]}")
            return PAUSE_S
        return min(LONGEST_WAIT_S, max(PAUSE_S, int(wait)))

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Load:
    """Some clients, together."""

    def __init__(
        self,
        port: int,
        seed: int,
        *,
        clients: int = CLIENTS,
        batches: tuple[int, ...] = (1, 1, 1, 20),
        path: str = "/api/v1/analytics/event",
        pace_s: float = 0.0,
    ) -> None:
        """`pace_s`: between two requests of a client."""
        self.clients = [Client(port, f"{seed}-{number}", batches, path, pace_s) for number in range(clients)]

    def start(self) -> None:
        """Begin to send."""
        for client in self.clients:
            client.start()
        self.resume()

    def resume(self) -> None:
        """Go on sending."""
        for client in self.clients:
            client.resume()

    def pause(self, within_s: float = 60) -> None:
        """Return when everything sent is acknowledged and nothing is sent any more."""
        for client in self.clients:
            client.pause()
        wait_until(lambda: all(client.idle.is_set() for client in self.clients), within_s, "every request acknowledged")

    def stop(self) -> None:
        """End the clients, whatever they are waiting for."""
        for client in self.clients:
            client.stop()
        for client in self.clients:
            if client.ident is not None:
                client.join(20)

    def wait_acknowledged(self, more: int, within_s: float = 60) -> None:
        """Return when `more` events than now are acknowledged."""
        reached = self.count() + more
        wait_until(lambda: self.count() >= reached, within_s, f"{more} more events acknowledged")

    def count(self) -> int:
        """Events acknowledged so far."""
        return sum(len(client.record.acknowledged) for client in self.clients)

    def record(self) -> Record:
        """What all of them saw. To be asked while they pause."""
        total = Record()
        for client in self.clients:
            total.sent |= client.record.sent
            total.acknowledged |= client.record.acknowledged
            total.unexpected += client.record.unexpected
            total.cut += client.record.cut
        return total


def event_of(dice: random.Random) -> dict[str, Any]:
    """Some event, with an id of its own."""
    kind = dice.choice((*_TYPES, "letter_generated"))
    data: dict[str, Any] = {"n": dice.randrange(1000)}
    if kind == "letter_generated":
        data["type"] = dice.choice(_LETTERS)
    if kind == "cv_theme_change":
        data["theme"] = dice.choice(_THEMES)
    return {
        "id": str(UUID(int=dice.getrandbits(128), version=4)),
        "event_type": kind,
        "event_data": data,
        "page_url": f"/page/{dice.randrange(30)}",
    }


def post(port: int, event: dict[str, Any], timeout_s: float = 5) -> bool:
    """Send one event once; true when it was acknowledged."""
    return post_answer(port, event, timeout_s)[0] == 202


def post_answer(
    port: int, body: dict[str, Any] | list[dict[str, Any]], timeout_s: float = 15, agent: str = "chaos"
) -> tuple[int, str]:
    """Send an event, or several together, once; status and Retry-After of the answer, 0 when there was none."""
    path = "/api/v1/analytics/event" + ("/batch" if isinstance(body, list) else "")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("POST", path, json.dumps(body), {"User-Agent": agent})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Retry-After", "")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
