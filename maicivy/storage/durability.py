"""Whether Redis keeps what it acknowledges: each web process looks once, and says so loudly when it does not.

`maicivy up` and docker-compose.yml set their Redis up as maicivy needs it. A server of somebody's own may be set up for
a cache, and then 202 promises what nobody keeps. Nothing is refused for that; `maicivy doctor` tells more.
"""

from __future__ import annotations

import logging
import threading
from typing import Final, NamedTuple

from maicivy.errors import Unavailable
from maicivy.storage.inspection import RedisInspection

NEEDED: Final = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
AGAIN_S: Final = 5.0

log = logging.getLogger(__name__)


class Shortfall(NamedTuple):
    """What is wrong with a server's settings, each as `name value`; and the names of those that it does not show."""

    differs: list[str]
    hidden: list[str]


def shortfall(redis: RedisInspection) -> Shortfall:
    """Compare the settings with `NEEDED`. Where CONFIG is forbidden, as on hosted servers, INFO tells a part of it.

    Raises:
        Unavailable: Redis does not answer.
    """
    shown: dict[str, str] = dict(redis.config() or {})
    info = redis.info() if NEEDED.keys() - shown.keys() else None
    if info is not None and "aof_enabled" in info:
        shown.setdefault("appendonly", "yes" if info["aof_enabled"] else "no")
    if info is not None and "maxmemory_policy" in info:
        shown.setdefault("maxmemory-policy", str(info["maxmemory_policy"]))
    return Shortfall(
        differs=[f"{name} {shown[name]}" for name, wanted in NEEDED.items() if shown.get(name, wanted) != wanted],
        hidden=[name for name in NEEDED if name not in shown],
    )


def tell(redis: RedisInspection) -> None:
    """Log `redis_not_durable` for what differs, as an error, for no LOG_LEVEL hides those. Safe to repeat.

    Raises:
        Unavailable: Redis does not answer.
    """
    found = shortfall(redis)
    needed = ", ".join(f"{name} {value}" for name, value in NEEDED.items())
    if found.differs:
        log.error(
            "redis_not_durable",
            extra={"differs": found.differs, "needed": needed, "risk": "events that were answered 202 may be lost"},
        )
    if found.hidden:
        log.warning("redis_durability_not_shown", extra={"hidden": found.hidden, "needed": needed})


def tell_soon(redis: RedisInspection) -> None:
    """`tell` from a thread of its own, as soon as Redis answers: a start waits for nothing."""
    threading.Thread(target=_tell_once, args=(redis,), name="durability", daemon=True).start()


def _tell_once(redis: RedisInspection) -> None:
    pause = threading.Event()
    while True:
        try:
            tell(redis)
        except Unavailable:
            pause.wait(AGAIN_S)
        else:
            return
