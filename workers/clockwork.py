"""Beat's scheduler: Celery's, which after the clock is set back would send nothing until the time comes round again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):  # type: ignore[misc]
    """Of what ran last in the future it believes that it ran now. A run may so come early, never an hour late."""

    _looked: datetime | None = None

    def setup_schedule(self) -> None:
        """Open the schedule; the clock may have been set back since it was closed."""
        super().setup_schedule()
        self._forget_the_future(self.app.now())

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; seconds until the next look, which are those of a stopwatch and not of a clock."""
        now = self.app.now()
        if self._looked is not None and now < self._looked:
            self._forget_the_future(now)
            self._heap = None  # made anew by the tick
        self._looked = now
        seconds: float = super().tick(*args, **kwargs)
        return seconds

    def _forget_the_future(self, now: datetime) -> None:
        for entry in self.schedule.values():
            entry.last_run_at = min(entry.last_run_at, now)
