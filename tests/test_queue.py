"""How the broker is reached again after it was away."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from maicivy.config import Settings
from maicivy.queue import RECONNECT_S, BrokerConnection, celery_app


def nobody(tmp_path: Path) -> Settings:
    """Servers that are not there."""
    servers = {"DATABASE_URL": "postgresql://nobody@/nothing", "REDIS_URL": f"unix://{tmp_path}/nobody.sock"}
    return Settings.from_env({"MAICIVY_DATA_DIR": str(tmp_path)} | servers)


def test_a_broker_that_is_away_is_tried_at_short_and_even_intervals(tmp_path: Path) -> None:
    app = celery_app(nobody(tmp_path))
    waits: list[float] = []
    with app.connection_for_read() as connection, pytest.raises(OperationalError):
        connection.ensure_connection(lambda _, interval: waits.append(interval), max_retries=2)
    assert waits == [RECONNECT_S] * 2


def test_who_asks_for_shorter_waits_gets_them(tmp_path: Path) -> None:
    app = celery_app(nobody(tmp_path))
    waits: list[float] = []
    with app.connection_for_write() as connection, pytest.raises(OperationalError):
        connection._ensure_connection(lambda _, interval: waits.append(interval), 1, 0, 0.2, 30)
    assert waits == [0]


def test_a_channel_that_is_half_closed_already_is_let_go() -> None:
    class HalfClosed:
        def close(self) -> None:
            raise AttributeError("'NoneType' object has no attribute 'hostname'")

    BrokerConnection("memory://").maybe_close_channel(HalfClosed())
