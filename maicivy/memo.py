"""Answers that may be a few seconds old: the shield between many equal questions and one expensive query.

One process, one memo. Of callers who find an answer too old, one computes the next while the others get the old one;
only the first callers ever, and those after a long silence, wait. The clock is the caller's.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(slots=True)
class _Slot(Generic[Value]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Value | None = None
    at: float = float("-inf")


class Memo(Generic[Value]):
    """Safe for threads. Keeps `max_entries` answers, dropping what was asked for longest ago: questions come from
    outside, and their number has no bound."""

    def __init__(self, fresh_s: float, stale_s: float, max_entries: int) -> None:
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._max_entries = max_entries
        self._slots: OrderedDict[Hashable, _Slot[Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, now: float, compute: Callable[[], Value]) -> Value:
        """The answer to `key`: younger than `fresh_s`, or than `stale_s` while somebody computes a newer one.

        Raises:
            Exception: what `compute` raises; nothing is kept of it.
        """
        slot = self._slot(key)
        age = now - slot.at
        if slot.value is not None and 0 <= age < self._fresh_s:
            return slot.value
        may_wait = slot.value is None or not 0 <= age < self._stale_s
        if not slot.lock.acquire(blocking=may_wait):
            assert slot.value is not None
            return slot.value
        try:
            if slot.value is None or not 0 <= now - slot.at < self._fresh_s:
                slot.value = compute()
                slot.at = now
            return slot.value
        finally:
            slot.lock.release()

    def _slot(self, key: Hashable) -> _Slot[Value]:
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                slot = self._slots[key] = _Slot()
                if len(self._slots) > self._max_entries:
                    self._slots.popitem(last=False)
            else:
                self._slots.move_to_end(key)
            return slot
