"""Waiting for an answer as long as the server lives, and no longer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import sqlalchemy as sa

from maicivy.errors import Unavailable
from maicivy.storage import pulse as module
from maicivy.storage.pulse import Pulse


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)


@pytest.fixture
def hanging() -> Iterator[sa.Engine]:
    """A server that takes connections and says nothing, as one that was stopped does."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield sa.create_engine(f"postgresql+psycopg://nobody@127.0.0.1:{server.getsockname()[1]}/nothing")


def test_an_answer_is_passed_on(engine: sa.Engine) -> None:
    assert Pulse(engine).follow(lambda: 7) == 7


def test_an_error_is_passed_on(engine: sa.Engine) -> None:
    with pytest.raises(ZeroDivisionError):
        Pulse(engine).follow(lambda: 1 // 0)


def test_a_server_that_lives_may_take_its_time(engine: sa.Engine) -> None:
    def slow() -> int:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_sleep(0.2)"))
        return 7

    assert Pulse(engine).follow(slow) == 7


def test_a_server_that_hangs_is_given_up(hanging: sa.Engine) -> None:
    never = threading.Event()
    with pytest.raises(Unavailable, match="hangs"):
        Pulse(hanging).follow(never.wait)
    never.set()
