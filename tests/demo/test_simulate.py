"""The crowd against a real demo site on a real server, in a time of its own."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.serving import WSGIRequestHandler, make_server

from maicivy.demo.mount import Dispatcher
from maicivy.demo.simulate import Crowd
from maicivy.demo.site import create_site
from maicivy.errors import SettingsError
from tests.standalone.processes import wait_until
from tests.tracking.stub_server import serving

ROOT = Path(__file__).parents[2]


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        self.waits.append(seconds)
        return False


class Quiet(WSGIRequestHandler):
    def log(self, *args: Any) -> None:
        pass


class Site:
    """The demo and a stand-in for the API, on a port; `requests` are (address, user agent, method, path)."""

    def __init__(self, url: str) -> None:
        self.requests: list[tuple[str, str, str, str]] = []
        self.tokens: set[str | None] = set()
        self.failures = 0
        api = Flask("api", static_folder=None)

        @api.post("/api/v1/analytics/event")
        def event() -> tuple[dict[str, Any], int]:
            self.tokens.add(request.headers.get("Authorization"))
            return {"success": True}, 202

        self._app = Dispatcher(api.wsgi_app, create_site(url=url, token="t" * 16).wsgi_app)
        self.server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.requests.append(
            (environ["REMOTE_ADDR"], environ["HTTP_USER_AGENT"], environ["REQUEST_METHOD"], environ["PATH_INFO"])
        )
        if self.failures:
            self.failures -= 1
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        return self._app(environ, start_response)


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    with serving() as stub:
        site = Site(stub.url)
        thread = threading.Thread(target=site.server.serve_forever, args=(0.05,))
        thread.start()
        yield site
        site.server.shutdown()
        site.server.server_close()
        thread.join(5)


@pytest.fixture
def site(running: Site) -> Site:
    running.requests.clear()
    running.tokens.clear()
    return running


def test_visits_come_at_the_wanted_pace_from_different_people(site: Site) -> None:
    clock, crowd = Clock(), Crowd(site.url, 1.0, random.Random(3), None)
    crowd.walk(lambda seconds: clock.wait(seconds) or clock.now >= 300, lambda: clock.now)
    assert 200 < crowd.views < 400
    assert len({(address, agent) for address, agent, _, _ in site.requests}) > 50
    assert {(method, path) for _, _, method, path in site.requests} == {
        ("GET", "/"),
        ("GET", "/cv"),
        ("GET", "/letters"),
        ("GET", "/projects"),
        ("GET", "/projects/honest-axis"),
        ("GET", "/projects/paperclip.css"),
        ("GET", "/projects/tidetable"),
        ("POST", "/letters"),
        ("POST", "/api/v1/analytics/event"),
    }
    assert site.tokens == {None}


def test_with_a_token_the_api_is_told(site: Site) -> None:
    clock, crowd = Clock(), Crowd(site.url, 2.0, random.Random(3), "a-token-of-some-length")
    crowd.walk(lambda seconds: clock.wait(seconds) or len(site.tokens) > 0, lambda: clock.now)
    assert site.tokens == {"Bearer a-token-of-some-length"}


def test_a_server_that_fails_is_waited_for_longer_each_time_and_then_visited_again(site: Site) -> None:
    site.failures = 4
    clock, crowd = Clock(), Crowd(site.url, 1.0, random.Random(3), None)
    crowd.walk(lambda seconds: clock.wait(seconds) or crowd.views > 0, lambda: clock.now)
    pauses = [seconds for seconds in clock.waits if seconds > 0.21]  # 0.2: on the way
    assert pauses[:4] == sorted(pauses[:4])
    assert 0.3 < pauses[0] < 0.5
    assert 2.8 <= pauses[3] <= 4.0


def test_a_server_that_is_away_never_ends_the_walk(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        clock, crowd = Clock(), Crowd(f"http://127.0.0.1:{unused.getsockname()[1]}", 1.0, random.Random(3), None)
        crowd.walk(lambda seconds: clock.wait(seconds) or clock.now > 600, lambda: clock.now)
    assert crowd.views == 0
    assert max(clock.waits) <= 15
    assert capsys.readouterr().err.count("Connection refused; trying again") == 1


def test_a_server_without_the_demo_is_said_so() -> None:
    bare = make_server("127.0.0.1", 0, Flask("bare", static_folder=None), threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=bare.serve_forever, args=(0.05,))
    thread.start()
    clock, crowd = Clock(), Crowd(f"http://127.0.0.1:{bare.server_port}", 1.0, random.Random(3), None)
    with pytest.raises(SettingsError, match="has no demo site"):
        crowd.walk(clock.wait, lambda: clock.now)
    bare.shutdown()
    bare.server_close()
    thread.join(5)


def test_the_command_ends_on_sigterm_and_loads_nothing_heavy(site: Site, tmp_path: Path) -> None:
    code = (
        "import sys; from maicivy.cli import main; code = main(['simulate', '--url', sys.argv[1], '--rate', '20']);"
        "print(*({'flask', 'redis', 'sqlalchemy', 'celery'} & set(sys.modules))); sys.exit(code)"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, site.url],
        cwd=ROOT,
        env={"MAICIVY_DATA_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: site.requests, 30, "the first visitor")
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output.strip(), errors) == (0, "", "")


def test_nobody_visits_an_installation_that_is_not_the_demos_own(site: Site, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "maicivy", "simulate", "--history", "--url", site.url],
        cwd=ROOT,
        env={"MAICIVY_DATA_DIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert "nobody is simulated" in process.stderr.readline()
        assert process.poll() is None, "else it would be started again and again"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()
    assert site.requests == []


@pytest.mark.parametrize("rate", ["0", "-1", "21", "fast", "nan"])
def test_a_pace_that_is_none_is_refused(rate: str) -> None:
    from maicivy.cli import main

    with pytest.raises(SystemExit):
        main(["simulate", "--rate", rate])
