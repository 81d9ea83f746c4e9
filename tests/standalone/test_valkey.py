"""The embedded Valkey: how it is set, and that an answered write survives kill -9."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from maicivy.standalone.datadir import DataDir
from maicivy.standalone.process import StartRefused, start_ready
from maicivy.standalone.valkey import Valkey


@pytest.fixture
def home(tmp_path: Path) -> Iterator[DataDir]:
    home = DataDir(tmp_path)
    home.claim()
    yield home
    home.release()


def test_is_set_for_the_promise(redis_client: redis.Redis) -> None:
    wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": "", "port": "0"}
    found = redis_client.config_get(*wanted)
    assert {str(k): v for k, v in found.items()} == wanted


def test_only_its_user_may_connect(valkey_url: str) -> None:
    assert oct(Path(valkey_url.removeprefix("unix://")).stat().st_mode & 0o777) == "0o700"


def test_an_answered_write_survives_kill_9(home: DataDir) -> None:
    server = Valkey(home)
    first = start_ready(server.command(), server.is_ready, "valkey")
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        client.set("answered", "yes")
        os.kill(first.pid, signal.SIGKILL)
    first.wait(5)
    assert server.socket.exists()
    second = start_ready(server.command(), server.is_ready, "valkey")
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        assert client.get("answered") == b"yes"
    assert second.stop(5)


def test_not_ready_while_there_is_no_server(home: DataDir) -> None:
    assert not Valkey(home).is_ready()


def test_refuses_a_directory_that_is_in_use(home: DataDir) -> None:
    server = Valkey(home)
    first = start_ready(server.command(), server.is_ready, "valkey")
    with pytest.raises(StartRefused, match="is still used by another Valkey"):
        server.command()
    first.stop(5)
