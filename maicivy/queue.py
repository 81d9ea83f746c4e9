"""Task names, Celery settings, and the doorbell: the only file of maicivy that imports celery.

A Celery message never carries an event. It only says "look into the inbox", so losing one costs seconds and doubling
one costs nothing; DESIGN and docs/architecture.md tell why.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Any, Final

from celery import Celery
from kombu.connection import Connection

from maicivy.config import Settings
from maicivy.storage.bell import Bell

INGEST: Final = "maicivy.ingest"
SWEEP: Final = "maicivy.sweep"
UPKEEP: Final = "maicivy.upkeep"
RECONCILE: Final = "maicivy.reconcile"
RETENTION: Final = "maicivy.retention"
HEARTBEAT: Final = "maicivy.heartbeat"
ROLL_UP: Final = "maicivy.roll_up"

INGEST_QUEUE: Final = "ingest"
UPKEEP_QUEUE: Final = "upkeep"

RINGS_APART_S: Final = 0.02
RECONNECT_S: Final = 1
HEARD_S: Final = 0.1
"""A bell that hangs still because somebody works is not tried again for so long: whoever works looks once more after
letting it go, and by default lets it go only when nothing has come for ten times as long."""

log = logging.getLogger(__name__)


class BrokerConnection(Connection):
    """Tries a broker that is away once a second, for ever, and lets go of it without a stumble.

    Celery would wait two seconds longer each time, up to thirty, and has no setting for that: after a minute without
    Redis nobody would have stored anything for another quarter of a minute.

    And when Redis goes while a task runs, kombu 5.7 trips over its own half closed channel as it tries to put the
    message back, which ended the whole worker; seen as `'NoneType' object has no attribute 'hostname'`. The message is
    a doorbell, and the sweeper rings too. To be deleted when tests/chaos stays quiet without it.
    """

    def maybe_close_channel(self, channel: Any) -> None:
        with suppress(AttributeError):
            super().maybe_close_channel(channel)  # type: ignore[no-untyped-call]

    def _ensure_connection(
        self,
        errback: Any = None,
        max_retries: int | None = None,
        interval_start: float = RECONNECT_S,
        interval_step: float = RECONNECT_S,
        interval_max: float = RECONNECT_S,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        start, step, most = (min(RECONNECT_S, wait_s) for wait_s in (interval_start, interval_step, interval_max))
        return super()._ensure_connection(errback, max_retries, start, step, most, *args, **kwargs)  # type: ignore[no-untyped-call]


def celery_app(settings: Settings) -> Celery:
    """A Celery application with maicivy's settings and no tasks: `workers.app` adds those, the web only sends."""
    app = Celery("maicivy", broker=settings.broker_url, set_as_current=False)
    app.amqp.Connection = BrokerConnection
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # No limit: an acknowledgement that Redis does not take in time holds its place among the prefetched for ever
        # (kombu counts it off only afterwards), and with one place the worker would never read a message again.
        # Messages are few, for the bell is rung once, and carry nothing, so hoarding them does no harm.
        worker_prefetch_multiplier=0,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=UPKEEP_QUEUE,
        task_routes={INGEST: {"queue": INGEST_QUEUE}, SWEEP: {"queue": INGEST_QUEUE}},
        task_time_limit=900,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=2.0,
        broker_transport_options={
            "socket_timeout": 5.0,
            "socket_connect_timeout": 2.0,
            # A link that has gone silent is dropped after twice this and a second; after 51 s by default.
            "health_check_interval": 5,
            "visibility_timeout": 3600,
            "global_keyprefix": "maicivy:celery:",
        },
        broker_pool_limit=2,
        enable_utc=True,
        timezone=str(settings.timezone),
        beat_schedule_filename=str(settings.data_dir / "celerybeat-schedule"),
    )
    return app


class CeleryDoorbell:
    """Rings from a thread of its own, so that a request never waits for the broker."""

    def __init__(self, app: Celery, bell: Bell) -> None:
        self._app = app
        self._bell = bell
        self._wanted = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """See `core.ports.Doorbell`."""
        self._wanted.set()
        if self._thread is None:
            with self._start:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                    self._thread.start()

    def ring_now(self) -> bool:
        """Ring unless a ring is under way; true when a message was sent.

        Raises:
            Exception: `Unavailable`, or whatever the broker's client raises; nothing is retried.
        """
        if not self._bell.take():
            return False
        self._app.send_task(INGEST, expires=60, retry=False)
        return True

    def _run(self) -> None:
        pause = threading.Event()
        while self._wanted.wait():
            self._wanted.clear()
            rang = False
            try:
                rang = self.ring_now()
            except Exception as error:  # noqa: BLE001 - an edge: the thread must live, and the sweeper rings too
                log.warning("doorbell_failed", extra={"error": type(error).__name__})
                pause.wait(1.0)
            pause.wait(RINGS_APART_S if rang else HEARD_S)
