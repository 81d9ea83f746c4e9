"""How the broker is reached again after it was away."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from maicivy.config import Settings
from maicivy.queue import RECONNECT_S, celery_app


def test_a_broker_that_is_away_is_tried_at_short_and_even_intervals(tmp_path: Path) -> None:
    nobody = {"DATABASE_URL": "postgresql://nobody@/nothing", "REDIS_URL": f"unix://{tmp_path}/nobody.sock"}
    app = celery_app(Settings.from_env({"MAICIVY_DATA_DIR": str(tmp_path)} | nobody))
    waits: list[float] = []
    with app.connection_for_read() as connection, pytest.raises(OperationalError):
        connection.ensure_connection(lambda _, interval: waits.append(interval), max_retries=2)
    assert waits == [RECONNECT_S] * 2
