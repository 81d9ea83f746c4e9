"""An installation of real servers to examine, and one of servers that are set up wrongly."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import redis

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.doctor.examine import Check, Installation
from maicivy.doctor.findings import Verdict
from maicivy.standalone.datadir import DataDir
from maicivy.standalone.process import start_ready
from maicivy.standalone.valkey import Valkey
from maicivy.storage.inspection import PostgresInspection, RedisInspection
from tests.events import NOON

Examined = Callable[..., Installation]


@pytest.fixture
def examined(settings: Settings) -> Iterator[Examined]:
    """Wire an installation; without arguments one of working servers, without a web."""
    wired = []

    def wire(url: str = "http://127.0.0.1:1", redis_url: str | None = None, now: datetime = NOON) -> Installation:
        parts = build(replace(settings, redis_url=redis_url or settings.redis_url))
        wired.append(parts)
        return Installation(parts, url, now, PostgresInspection(parts.engine), RedisInspection(parts.redis))

    yield wire
    for parts in wired:
        parts.close()


@pytest.fixture(scope="session")
def careless_valkey() -> Iterator[str]:
    """URL of a Valkey as somebody might have set it up for a cache."""
    home = DataDir(Path(tempfile.mkdtemp(prefix="mv-", dir="/tmp")))
    home.claim()
    wrong = {"appendonly": "no", "appendfsync": "everysec", "maxmemory-policy": "allkeys-lru", "maxmemory": "3mb"}
    server = Valkey(home, wrong)
    process = start_ready(server.command(), server.is_ready, "valkey")
    yield f"unix://{server.socket}"
    process.stop(5.0)
    home.release()
    shutil.rmtree(home.path)


@pytest.fixture
def restricted_url(careless_valkey: str) -> Iterator[str]:
    """URL of the same server for an account like those of hosted servers: no INFO, no CONFIG."""
    with redis.Redis.from_url(careless_valkey) as client:
        client.execute_command("ACL", "SETUSER", "guest", "on", ">secret", "~*", "&*", "+@all", "-config", "-info")
        yield careless_valkey.replace("unix://", "unix://guest:secret@")
        client.execute_command("ACL", "DELUSER", "guest")


def verdict(installation: Installation, checks: Iterable[Check], name: str) -> Verdict:
    """What the check of that name says, with nothing caught."""
    (check,) = [check for check in checks if check.name == name]
    return check.judge(*check.look(installation))
