"""Servers that hang, which is worse than servers that are gone: what waits for them is given up, and all comes back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from maicivy.config import runtime_dir
from maicivy.storage import keys
from tests.e2e.running import Up
from tests.standalone.processes import wait_until

HANGS = 3

pytestmark = pytest.mark.e2e


@pytest.fixture
def up() -> Iterator[Up]:
    parent = Path(tempfile.mkdtemp(prefix="mv-", dir="/tmp"))
    up = Up(parent / "data", MAICIVY_EVENT_RATE_LIMIT="0")
    try:
        up.wait_ready()
        yield up
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(15) == 0
    finally:
        if up.process.poll() is None:
            up.process.kill()
        shutil.rmtree(parent, ignore_errors=True)


@contextmanager
def hanging(pids: list[int]) -> Iterator[None]:
    """Processes that run no further within the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def posting(port: int) -> Iterator[None]:
    """Events all the time, whatever becomes of them."""
    url = f"http://127.0.0.1:{port}/api/v1/analytics/event/batch"
    body = json.dumps([{"event_type": "click"}] * 100).encode()
    enough = threading.Event()

    def post() -> None:
        while not enough.is_set():
            with suppress(OSError):  # also what is answered 503
                urllib.request.urlopen(url, body, timeout=20).close()

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join(30)


def test_the_worker_works_on_after_a_valkey_that_hung(up: Up) -> None:
    valkey = up.child("valkey-server")
    assert valkey is not None
    with redis.Redis(unix_socket_path=str(runtime_dir(up.home) / "valkey.sock")) as client:

        def stored() -> int:
            return int(client.hget(keys.LEDGER, "stored") or 0)

        with posting(up.port):
            wait_until(lambda: stored() > 0, 20, "the first event stored")
            for _ in range(HANGS):  # it depends on the moment what the worker is doing when Valkey stops
                with hanging([valkey]), suppress(AssertionError):
                    wait_until(lambda: "Couldn't ack" in up.output(), 10, "the worker to give up on an acknowledgement")
                before = stored()
                wait_until(lambda before=before: stored() > before + 100, 20, "more events stored")
                if "Couldn't ack" in up.output():
                    break
        wait_until(lambda: client.xlen(keys.INBOX) == 0, 20, "an empty inbox")


def test_readers_are_told_of_a_postgres_that_hangs_and_served_when_it_is_back(up: Up) -> None:
    def status(path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{up.port}{path}", timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    questions = [f"/api/v1/analytics/{name}" for name in ("timeline", "timeline?offset=1", "export/themes")]
    assert [status(question) for question in questions] == [200, 200, 200]
    with hanging(postgres_of(up)):
        assert [status(question) for question in questions] == [503, 503, 503]
        assert status("/healthz") == 200
    wait_until(lambda: [status(question) for question in questions] == [200, 200, 200], 10, "answers")


def postgres_of(up: Up) -> list[int]:
    """The server and its children, the connections' among them."""
    server = up.child("postgres", "-D")
    assert server is not None
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [server, *map(int, children)]
