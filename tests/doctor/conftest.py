"""An installation of real servers to examine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.doctor.examine import Check, Installation
from maicivy.doctor.findings import Verdict
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


def verdict(installation: Installation, checks: Iterable[Check], name: str) -> Verdict:
    """What the check of that name says, with nothing caught."""
    (check,) = [check for check in checks if check.name == name]
    return check.judge(*check.look(installation))
