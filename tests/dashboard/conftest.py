"""Installations to ask pages of: one per file that nobody changes, and an empty one per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from sqlalchemy import Engine

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from tests.dashboard.visited import visit_a_little


@pytest.fixture
def empty(settings: Settings, engine: Engine, redis_client: redis.Redis) -> Iterator[Maicivy]:
    """An installation that has seen nothing."""
    parts = build(settings)
    yield parts
    parts.close()


@pytest.fixture(scope="module")
def parts(shared_environ: dict[str, str]) -> Iterator[Maicivy]:
    """One with a handful of visits, which the tests of a file share."""
    parts = build(Settings.from_env(shared_environ))
    visit_a_little(parts)
    yield parts
    parts.close()
