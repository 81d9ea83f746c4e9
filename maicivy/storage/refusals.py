"""The ledger's other side: events that were turned away at the door.

They are counted in the process and written to Redis about once a second, received and outcome together, so that the
accounts balance at every moment and a refusal costs no call. A kill -9 loses at most the last second, on both sides
alike. While Redis is away the counts wait.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from contextlib import suppress
from typing import Final

import redis

from maicivy.errors import Unavailable
from maicivy.storage import keys
from maicivy.storage.redis_clients import redis_errors

FLUSH_S: Final = 1.0

log = logging.getLogger(__name__)


class Refusals:
    """Counts refused and shed events; a thread of its own writes them. Safe for threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def rejected(self, reason: str, events: int = 1) -> None:
        """Count events that were refused for good; `reason` is one of `core.gate.REASONS`."""
        self._count(f"rejected:{reason}", events)

    def shed(self, events: int) -> None:
        """Count events that were answered 503."""
        self._count("shed", events)

    def flush(self) -> None:
        """Write what was counted so far.

        Raises:
            Unavailable: then nothing is lost, the next flush writes it.
        """
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with redis_errors():
                pipe = self._client.pipeline(transaction=True)
                pipe.hincrby(keys.LEDGER, "received", counts.total())
                for field, events in counts.items():
                    pipe.hincrby(keys.LEDGER, field, events)
                pipe.execute()
        except Unavailable:
            with self._lock:
                self._counts.update(counts)
            raise

    def close(self) -> None:
        """Write what is left, if Redis answers, and end the thread. To be called before the process ends."""
        self._closed.set()
        self._wanted.set()
        with suppress(Unavailable):
            self.flush()

    def _count(self, field: str, events: int) -> None:
        with self._lock:
            self._counts[field] += events
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
                self._thread.start()
        self._wanted.set()

    def _run(self) -> None:
        while self._wanted.wait() and not self._closed.wait(FLUSH_S):
            self._wanted.clear()
            try:
                self.flush()
            except Unavailable as error:
                log.warning("refusals_not_written", extra={"reason": error.reason})
                self._wanted.set()
