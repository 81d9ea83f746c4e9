"""A Postgres that hangs: readers are told, and served when it is back. What hangs under events: tests/chaos."""

from __future__ import annotations

import shutil
import signal
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.hangs import family, standing_still
from tests.e2e.running import Up
from tests.standalone.processes import wait_until

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


def test_readers_are_told_of_a_postgres_that_hangs_and_served_when_it_is_back(up: Up) -> None:
    def status(path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{up.port}{path}", timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    server = up.child("postgres", "-D")
    assert server is not None
    questions = [f"/api/v1/analytics/{name}" for name in ("timeline", "timeline?offset=1", "export/themes")]
    questions += ["/dashboard/1", "/dashboard/1/details/pages"]
    assert [status(question) for question in questions] == [200] * 5
    with standing_still(family(server)):
        assert [status(question) for question in questions] == [503] * 5
        assert status("/healthz") == 200
    wait_until(lambda: [status(question) for question in questions] == [200] * 5, 10, "answers")
