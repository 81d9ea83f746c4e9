"""The Celery application that workers run: `celery -A workers.app worker`."""

from __future__ import annotations

import gc
import logging
import os
import socket
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from celery import Celery, signals

from maicivy import logs, queue
from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings, runtime_dir
from maicivy.enrichment import user_agents

COLLECT_AFTER: Final = 20_000
"""Objects made and not yet gone, from which on the collector looks for garbage: two full batches' worth."""

settings = Settings.from_env()
app: Celery = queue.celery_app(settings)
app.conf.include = ["workers.tasks"]


@lru_cache(maxsize=1)
def parts() -> Maicivy:
    """This process's wired installation; made on first use, so that no connection is older than the fork."""
    return build(settings)


def consumer() -> str:
    """A name for this process in the inbox that no other living process has."""
    return f"{socket.gethostname()}-{os.getpid()}"


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _configure_logging(**_: Any) -> None:
    logs.configure(settings.log_level)
    # Sweeps that expire while the worker is busy are as they should be.
    logging.getLogger("celery.worker.request").setLevel(logging.WARNING)


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def _load_early(**_: Any) -> None:
    """Runs in the worker's main process: what it has loaded its children share, instead of 20 MB each."""
    user_agents.read("Mozilla/5.0")
    gc.collect()
    gc.freeze()  # or a child's collector would write into all of it


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _start_afresh(**_: Any) -> None:
    parts.cache_clear()
    # What was loaded until now stays for good, and a batch that comes to be has nothing that is garbage before its end:
    # left alone, the collector took 1.9 of 2.7 us for each event decoded, looking through both again and again.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _make_up_for_missed_runs(**_: Any) -> None:
    """Runs in the worker's main process, once its children take tasks."""
    app.send_task(queue.HEARTBEAT, expires=15)  # shows life now, not when beat's clock comes round
    app.send_task(queue.UPKEEP, expires=300)
    with suppress(OSError):  # only `maicivy up` waits for it
        (runtime_dir(settings.data_dir) / "worker.ready").touch()
