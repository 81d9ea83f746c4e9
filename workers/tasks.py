"""The tasks: each one call into a use case."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from celery import Task

from maicivy import queue, retention, upkeep
from maicivy.errors import Unavailable
from maicivy.metrics import counted_task
from workers.app import app, consumer, parts

INGEST_BUDGET_S = 2.0
"""A task of ingest makes room for others, and for a shutdown, after about so long; it rings for its successor."""

log = logging.getLogger(__name__)


class Counted(Task):  # type: ignore[misc]
    """A task whose runs are counted and logged. A server that is away ends it with one line, and the next one looks."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with counted_task(self.name):
                return self.run(*args, **kwargs)
        except Unavailable as error:
            log.error(  # noqa: TRY400 - one line, no traceback: nothing of ours is wrong
                "task_unavailable", extra={"task": self.name, "part": error.part, "reason": error.reason}
            )
            return None
        finally:
            with suppress(Unavailable):
                parts().worker_metrics.flush()


def _task(name: str) -> Callable[[Callable[[], None]], Task]:
    return cast("Callable[[Callable[[], None]], Task]", app.task(name=name, base=Counted))


@_task(queue.INGEST)
def ingest() -> None:
    if parts().ingest.drain(parts().bell, consumer(), parts().settings.ingest_linger_s, INGEST_BUDGET_S):
        parts().doorbell.ring_now()


@_task(queue.SWEEP)
def sweep() -> None:
    if not parts().bell.is_held() and not parts().inbox.is_empty():
        ingest.run()
    parts().aggregation.catch_up()
    parts().inbox.restore_received()
    parts().sites.copy()


@_task(queue.UPKEEP)
def do_upkeep() -> None:
    upkeep.run(parts().store, parts().aggregates, parts().inbox, parts().now)
    if retention.is_due(parts().expiry, parts().now(), parts().settings.timezone):
        retire.run()
    days = retention.horizon(parts().sites.all(), parts().settings.retention_days)
    retention.prepare(parts().expiry, parts().now, days)
    upkeep.forget_sites(parts().sites, parts().site_rows, parts().inbox, parts().now)


@_task(queue.RETENTION)
def retire() -> None:
    parts().buckets.refresh(parts().now(), parts().settings.retention_days)  # what is dropped must have been rolled up
    parts().buckets.expire(parts().now())
    sites, days = parts().sites.all(), parts().settings.retention_days
    retention.run_sites(parts().expiry, parts().site_rows, sites, parts().now, days)
    retention.run(parts().expiry, parts().now, retention.horizon(sites, days))
    parts().expiry.forget_disused()
    parts().aggregation.elect_labels()


@_task(queue.ROLL_UP)
def roll_up() -> None:
    parts().buckets.refresh(parts().now(), parts().settings.retention_days)


@_task(queue.RECONCILE)
def reconcile() -> None:
    parts().aggregation.check(parts().worker_metrics)


@_task(queue.HEARTBEAT)
def heartbeat() -> None:
    parts().heartbeats.beat("worker", parts().now().timestamp())
