"""Equal questions that are asked at the same time, answered together.

Nobody gets an answer that is older than the question: a caller joins a computation that has not begun, never one that
is on its way, for that may have read already what has changed since. While one is on its way the next waits for it, so
that a crowd is two computations, not many; but not for long, for it may hang. Nothing is cached here, and a question
that nobody else asks is answered as if this were not there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")

PATIENCE_S: Final = 0.1


@dataclass(slots=True)
class _Round(Generic[Value]):
    """Those who wait for one computation. It is held by who leads it until it is over."""

    over: threading.Lock = field(default_factory=threading.Lock)
    values: list[Value] = field(default_factory=list)
    error: Exception | None = None


class Joint(Generic[Value]):
    """Safe for threads. Holds nothing but the computations that are about to begin or on their way."""

    def __init__(self) -> None:
        self._open: dict[Hashable, _Round[Value]] = {}
        self._begun: dict[Hashable, _Round[Value]] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """What `compute` returns, called by this caller or by one that asks for `key` at the same time.

        Raises:
            Exception: what `compute` raises, to all who joined.
        """
        with self._lock:
            joined = self._open.get(key)
            if joined is None:
                led = self._open[key] = _Round()
                led.over.acquire()
        if joined is None:
            return self._lead(key, led, compute)
        with joined.over:
            pass
        if joined.error is not None:
            raise joined.error
        # Whoever led was killed before there was an answer: each of the others asks for itself.
        return joined.values[0] if joined.values else compute()

    def _lead(self, key: Hashable, led: _Round[Value], compute: Callable[[], Value]) -> Value:
        try:
            self._let_join(key, led)
            value = compute()
            led.values.append(value)
            return value
        except Exception as error:
            led.error = error
            raise
        finally:
            with self._lock:
                if self._begun.get(key) is led:
                    del self._begun[key]
            led.over.release()

    def _let_join(self, key: Hashable, led: _Round[Value]) -> None:
        try:
            before = self._begun.get(key)
            if before is None:
                # Under gevent: a turn for all whose requests have arrived. Without it an answer that waits for nothing
                # would be given to one connection over and over, while the rest queue.
                time.sleep(0)
            elif before.over.acquire(timeout=PATIENCE_S):
                before.over.release()
        finally:
            with self._lock:
                del self._open[key]
                self._begun[key] = led
