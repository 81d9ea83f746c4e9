"""`maicivy live`: what it understands, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from maicivy.core.events import announcement
from maicivy.core.sites import Site
from maicivy.live_terminal import WatchRefused, address, line, own_url
from maicivy.storage import keys
from maicivy.storage.live import RedisLiveFeed
from maicivy.storage.redis_clients import fast_redis
from tests.events import event
from tests.live_server import ROOT, Server
from tests.standalone.processes import wait_until


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ws://host:1/ws/analytics", "ws://host:1/ws/analytics"),
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws/analytics"),
        ("http://127.0.0.1:8080/", "ws://127.0.0.1:8080/ws/analytics"),
        ("https://stats.example/under/ws", "wss://stats.example/under/ws"),
        ("localhost:8080", "ws://localhost:8080/ws/analytics"),
        ("http://[::1]:8080", "ws://[::1]:8080/ws/analytics"),
    ],
)
def test_the_url_may_be_short(given: str, meant: str) -> None:
    assert address(given) == meant


@pytest.mark.parametrize(
    ("given", "site", "meant"),
    [
        ("localhost:8080", "2", "ws://localhost:8080/ws/analytics?site=2"),
        ("https://stats.example/ws?a=1", "shop.example", "wss://stats.example/ws?a=1&site=shop.example"),
        ("localhost:8080", "é &x=1#", "ws://localhost:8080/ws/analytics?site=%C3%A9+%26x%3D1%23"),
    ],
)
def test_a_site_is_named_in_the_query(given: str, site: str, meant: str) -> None:
    assert address(given, site) == meant


@pytest.mark.parametrize("given", ["ftp://host", "http://", "http://[broken", "ws://host:99999", ""])
def test_a_url_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(WatchRefused):
        address(given)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"HOST": "0.0.0.0", "PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"HOST": "::"}, "http://[::1]:8080"),
        ({"HOST": "stats.example"}, "http://stats.example:8080"),
    ],
)
def test_without_a_url_it_is_that_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environ: dict[str, str], url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert own_url() == url
    assert list(tmp_path.iterdir()) == []


def test_numbers_and_events_and_gaps_are_lines() -> None:
    stats = {"current_visitors": 12, "unique_today": 145, "total_events": 2340, "letters_today": 23, "timestamp": 1}
    for kind in ("initial_stats", "heartbeat"):
        assert line({"type": kind, "data": stats}) == "now 12  |  visitors today 145  |  events 2340  |  letters 23"
    assert line({"type": "gap", "dropped": 7}).startswith("... 7 events not shown")
    shown = line(announcement(event(data={"theme": "backend"})))
    assert "page_view  /cv  " in shown
    assert '{"theme": "backend"}' in shown


def test_nothing_that_strangers_sent_steers_the_terminal() -> None:
    hostile = "\x1b[2J\x07\r\n\x9b31m\u202e"
    message = announcement(event(data={"text": hostile}, page_url="/" + hostile))
    assert line(message | {"type": hostile, "visitor_id": hostile, "timestamp": hostile}).isprintable()
    assert line({"type": "heartbeat", "data": {"current_visitors": hostile}}).isprintable()


def test_a_line_stays_short() -> None:
    assert len(line(announcement(event(data={"text": "x" * 2000})))) == 300


class Watching:
    """A running `maicivy live`."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        self._out, self._err = directory / "live.out", directory / "live.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "maicivy", "live", *arguments],
                cwd=directory,
                env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)} | environ,
                stdout=out,
                stderr=err,
                # Ctrl-C must be heard also where the tests themselves run in the background, deaf to it.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
            )

    @property
    def lines(self) -> list[str]:
        return self._out.read_text().splitlines()

    @property
    def complaints(self) -> str:
        return self._err.read_text()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def feed(valkey_url: str, redis_client: redis.Redis) -> Iterator[RedisLiveFeed]:
    with fast_redis(valkey_url) as client:
        yield RedisLiveFeed(client, client)


def test_events_are_printed_a_restart_is_survived_and_ctrl_c_is_the_end(
    tmp_path: Path, valkey_url: str, postgres_url: str, feed: RedisLiveFeed
) -> None:
    server = Server(tmp_path, valkey_url, postgres_url)
    watching = Watching(tmp_path, "--url", f"http://127.0.0.1:{server.port}")
    try:
        wait_until(lambda: watching.lines, what="the numbers")
        assert watching.lines[0].startswith("now 0")
        feed.publish([event(data={"theme": "backend"})])
        wait_until(lambda: len(watching.lines) > 1, what="the event")
        assert '{"theme": "backend"}' in watching.lines[1]
        server.stop()
        wait_until(lambda: "trying again" in watching.complaints)
        server = Server(tmp_path, valkey_url, postgres_url, server.port)

        def is_back() -> bool:
            feed.publish([event("after")])  # nobody may be listening yet
            return any("after" in printed for printed in watching.lines)

        wait_until(is_back, 30, "an event of the new server")
        assert watching.interrupt() == 0
        assert "Traceback" not in watching.complaints
    finally:
        watching.end()
        server.stop()


def test_json_is_each_message_of_a_site_as_it_came(
    tmp_path: Path, valkey_url: str, postgres_url: str, feed: RedisLiveFeed, redis_client: redis.Redis
) -> None:
    redis_client.set(keys.SITES, msgspec.json.encode([Site(7, "private.example", "MC-0000000007", is_public=False)]))
    token = {"MAICIVY_ADMIN_TOKEN": "a-token-for-tests-only"}
    server = Server(tmp_path, valkey_url, postgres_url, **token)
    url = f"127.0.0.1:{server.port}"
    watching = Watching(tmp_path, "--json", "--url", url, "--site", "private.example", **token)
    try:
        wait_until(lambda: watching.lines)
        happened = event(data={"text": "é\x1b"}, site_id=7)
        feed.publish([event("of another site"), happened])
        wait_until(lambda: len(watching.lines) > 1)
        first, second = (json.loads(printed) for printed in watching.lines[:2])
        assert first["type"] == "initial_stats"
        assert second == announcement(happened)
    finally:
        watching.end()
        server.stop()


def test_a_server_that_refuses_for_good_is_named_and_left(
    tmp_path: Path, valkey_url: str, postgres_url: str, redis_client: redis.Redis
) -> None:
    server = Server(tmp_path, valkey_url, postgres_url)
    url = f"http://127.0.0.1:{server.port}"
    try:
        for arguments, reason in (
            (["--url", f"{url}/nothing/here"], "404"),
            (["--url", url, "--site", "nobody.example"], "404: there is no such site"),
        ):
            watching = Watching(tmp_path, *arguments)
            try:
                assert watching.process.wait(20) == 1
                assert reason in watching.complaints
                assert "Traceback" not in watching.complaints
            finally:
                watching.end()
    finally:
        server.stop()


def test_a_server_that_is_not_there_is_tried_again_until_ctrl_c(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        watching = Watching(tmp_path, "--url", f"http://127.0.0.1:{taken.getsockname()[1]}")
        try:
            wait_until(lambda: "trying again" in watching.complaints)
            assert f"ws://127.0.0.1:{taken.getsockname()[1]}/ws/analytics: Connection refused" in watching.complaints
            assert watching.interrupt() == 0
        finally:
            watching.end()
