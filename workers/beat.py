"""The Celery application that beat runs: `python -m workers.beat`. It knows the schedule and no task.

Apart from `workers.app`, for beat needs neither the tasks nor what they import: half of its memory. Nor does it need
Celery's command line, which loads a shell to type in: a third of the rest.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import lru_cache
from typing import Any

from celery import Celery, signals

from maicivy import logs, queue
from maicivy.config import Settings, runtime_dir
from maicivy.errors import Unavailable
from maicivy.storage.heartbeats import Heartbeats
from maicivy.storage.redis_clients import fast_redis
from workers.schedule import schedule

settings = Settings.from_env()
app: Celery = queue.celery_app(settings)
app.conf.beat_schedule = schedule()
app.conf.beat_scheduler = "workers.clockwork:Scheduler"


@lru_cache(maxsize=1)
def _heartbeats() -> Heartbeats:
    return Heartbeats(fast_redis(settings.redis_url))


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _configure_logging(**_: Any) -> None:
    logs.configure(settings.log_level)


@signals.before_task_publish.connect  # type: ignore[untyped-decorator]
def _show_life(sender: str = "", **_: Any) -> None:
    """Publishing the heartbeat shows that beat lives, whether or not a worker takes it."""
    if sender == queue.HEARTBEAT:
        _beat()


@signals.beat_init.connect  # type: ignore[untyped-decorator]
def _show_life_at_once(**_: Any) -> None:
    """Runs when the schedule is open and beat knows how to stop, right before its first tick."""
    _beat()
    with suppress(OSError):  # only `maicivy up` waits for it
        (runtime_dir(settings.data_dir) / "beat.ready").touch()


def _beat() -> None:
    with suppress(Unavailable):
        _heartbeats().beat("beat", time.time())


if __name__ == "__main__":
    app.Beat(loglevel=settings.log_level, quiet=True).run()
