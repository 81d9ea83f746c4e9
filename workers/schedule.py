"""What beat sends, and when: the only table of it. Times of day are those of `MAICIVY_TIMEZONE`.

Every message expires before its successor is sent, so nothing piles up while no worker is there.
"""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

from maicivy import queue
from maicivy.core.periods import RETENTION_AT

_EVERY_S = {
    queue.SWEEP: 2,  # finds what a lost doorbell or a dead worker left; half of the time that a recovery takes
    queue.HEARTBEAT: 15,
    queue.ROLL_UP: 30,
    queue.RECONCILE: 600,
    queue.UPKEEP: 3600,
}


def schedule() -> dict[str, dict[str, Any]]:
    """Celery's `beat_schedule`."""
    table: dict[str, dict[str, Any]] = {
        task: {"task": task, "schedule": seconds, "options": {"expires": seconds}} for task, seconds in _EVERY_S.items()
    }
    table[queue.RETENTION] = {
        "task": queue.RETENTION,
        "schedule": crontab(hour=RETENTION_AT.hour, minute=RETENTION_AT.minute),
        "options": {"expires": 3600},
    }
    return table
