"""`maicivy up` with the real processes: ready, revived, stopped, killed, refused."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maicivy.standalone.up import answers
from tests.e2e.running import Up
from tests.standalone.processes import processes_of, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def parent() -> Iterator[Path]:
    """A directory whose name needs quoting in URLs, shells and configuration files."""
    path = Path(tempfile.mkdtemp(prefix="mv-", dir="/tmp")) / "my sites"
    path.mkdir()
    yield path
    shutil.rmtree(path.parent)


@pytest.fixture(scope="module")
def up(parent: Path) -> Iterator[Callable[..., Up]]:
    """Start `maicivy up` on the module's data directory, or on another."""
    started = []

    def up(home: Path = parent / "data", **environ: str) -> Up:
        home.parent.mkdir(exist_ok=True)
        started.append(Up(home, **environ))
        return started[-1]

    yield up
    for each in started:
        each.process.kill()
        each.process.wait()
        wait_until(lambda home=each.home: not processes_of(home), what="no process left")


def test_starts_revives_and_stops(up: Callable[..., Up]) -> None:
    running = up()
    running.wait_ready()
    assert answers("127.0.0.1", running.port, "/healthz")
    for words in (("valkey-server",), ("bin/postgres",), ("gunicorn",), ("celery", "worker"), ("workers.beat",)):
        first = running.child(*words)
        assert first, (words, processes_of(running.home))
        os.kill(first, signal.SIGKILL)
        wait_until(lambda words=words, first=first: running.child(*words) not in (first, None), 15, f"{words} back")
    wait_until(lambda: answers("127.0.0.1", running.port, "/healthz"), 20, "web answers again")
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
    assert processes_of(running.home) == {}


def test_kill_9_leaves_nothing_and_the_next_start_works(up: Callable[..., Up]) -> None:
    running = up()
    running.wait_ready()
    before = set(processes_of(running.home)) - {running.process.pid}
    assert len(before) >= 8
    running.process.kill()
    running.process.wait()
    again = up()  # at once: what is left of the first start must not hinder it
    wait_until(lambda: not before & set(processes_of(running.home)), 5, "no process left")
    again.wait_ready()
    second = up()
    assert second.process.wait(10) == 1
    assert f"another maicivy up (process {again.process.pid}) already runs" in second.output()
    again.process.send_signal(signal.SIGINT)
    assert again.process.wait(10) == 0


def test_starts_no_server_where_urls_are_given(
    up: Callable[..., Up], parent: Path, database_url: str, valkey_url: str
) -> None:
    running = up(parent / "external" / "data", DATABASE_URL=database_url, REDIS_URL=valkey_url)
    running.wait_ready()
    assert running.child("gunicorn")
    assert running.child("bin/postgres") is None
    assert running.child("valkey-server") is None
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"PORT": "{taken}"}, "port {taken} on 127.0.0.1 is taken"),
        ({"MAICIVY_DATA_DIR": "/dev/null/x"}, "MAICIVY_DATA_DIR /dev/null/x is not writable"),
        ({"PORT": "http"}, "PORT is 'http'; it must be a whole number from 1 to 65535"),
        ({"DATABASE_URL": "postgresql://u:sekret@127.0.0.1:1/d"}, "postgres: DATABASE_URL cannot be used"),
        ({"DATABASE_URL": "postgresql://u:sekret@127.0.0.1:{taken}/d"}, "postgres: DATABASE_URL cannot be used"),
        ({"REDIS_URL": "redis://:sekret@127.0.0.1:1"}, "redis: REDIS_URL cannot be used"),
        ({"REDIS_URL": "redis://:sekret@127.0.0.1:{taken}"}, "redis: REDIS_URL cannot be used"),
    ],
    ids=["taken-port", "data-dir", "setting", "database-refused", "database-silent", "redis-refused", "redis-silent"],
)
def test_refuses_in_one_line(
    up: Callable[..., Up], parent: Path, database_url: str, valkey_url: str, environ: dict[str, str], said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        taken = str(silent.getsockname()[1])
        urls = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url}
        given = urls | {name: value.format(taken=taken) for name, value in environ.items()}
        refused = up(parent / "refused" / "data", **given)
        assert refused.process.wait(15) == 1
        output = refused.output()
    assert output.startswith(f"maicivy up: {said.format(taken=taken)}")
    assert output.count("\n") == 1
    assert "sekret" not in output
