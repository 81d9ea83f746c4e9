"""What the doctor says of the web: a real one that works, and others that do not."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from maicivy.doctor import web
from maicivy.doctor.findings import State
from maicivy.doctor.web import (
    CHECKS,
    METRICS,
    SNAPSHOT_FIELDS,
    Answer,
    first_message,
    get,
    judge_alive,
    judge_csv,
    judge_health,
    judge_list,
    judge_metrics,
    judge_object,
    judge_openapi,
    judge_post_only,
    judge_ready,
    judge_websocket,
)
from maicivy.errors import Unavailable
from tests.doctor.conftest import Examined, verdict
from tests.live_server import Server


def answer(body: Any, status: int = 200, content_type: str = "application/json", seconds: float = 0.01) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, content_type, raw, seconds)


def good(data: Any) -> dict[str, Any]:
    return {"success": True, "data": data}


def bad(code: str, message: str) -> dict[str, Any]:
    return {"success": False, "error": {"code": code, "message": message}}


def metrics(*names: str) -> bytes:
    return "".join(f"# HELP {name} What.\n# TYPE {name} gauge\n{name} 1.0\n" for name in names).encode()


@pytest.fixture
def server(tmp_path: Path, valkey_url: str, database_url: str) -> Iterator[Server]:
    server = Server(tmp_path, valkey_url, database_url)
    yield server
    server.stop(signal.SIGTERM)


def test_every_url_of_a_working_web_is_as_documented(examined: Examined, server: Server) -> None:
    installation = examined(f"http://127.0.0.1:{server.port}")
    found = {check.name: verdict(installation, CHECKS, check.name) for check in CHECKS}
    assert {name: said.seen for name, said in found.items() if said.state is State.PROBLEM} == {}
    assert found["/ws/analytics"].state is State.OK
    assert len(found) == 18


def test_looking_records_nothing(examined: Examined, server: Server) -> None:
    installation = examined(f"http://127.0.0.1:{server.port}")
    for check in CHECKS:
        verdict(installation, CHECKS, check.name)
    assert installation.parts.inbox.status().events == 0


class Stub(BaseHTTPRequestHandler):
    """Answers every GET with what the test put into `said`."""

    said: tuple[int, bytes] = (200, b"")

    def do_GET(self) -> None:
        status, body = self.said
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[Callable[[int, bytes], str]]:
    """Serve this status and body at whatever path; the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()

    def serve(status: int, body: bytes) -> str:
        Stub.said = (status, body)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    server.shutdown()
    server.server_close()
    thread.join()


def test_another_program_on_the_port_fails_every_check(examined: Examined, stub: Callable[[int, bytes], str]) -> None:
    installation = examined(stub(200, b"<html>Welcome to nginx!</html>"))
    for check in CHECKS:
        with contextlib.suppress(Unavailable):
            assert verdict(installation, CHECKS, check.name).state is State.PROBLEM, check.name


def test_a_redirect_is_an_answer_and_not_followed(stub: Callable[[int, bytes], str]) -> None:
    assert get(stub(302, b"") + "/healthz").status == 302


def test_proxies_of_the_environment_are_not_asked(
    stub: Callable[[int, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert get(stub(200, b"{}") + "/healthz").status == 200


def test_nobody_there_is_told_with_the_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable, match=f"http://127.0.0.1:{port}/healthz does not answer: .*refused"):
        get(f"http://127.0.0.1:{port}/healthz")
    with pytest.raises(Unavailable, match="does not shake hands"):
        first_message(f"http://127.0.0.1:{port}")


def test_a_web_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unavailable, match="timed out"):
            get(url)
        with pytest.raises(Unavailable, match="does not shake hands"):
            first_message(url)


def test_what_is_no_web_is_told() -> None:
    def answer_badly() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"SSH-2.0-OpenSSH\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_badly, daemon=True)
        thread.start()
        with pytest.raises(Unavailable, match="does not answer"):
            get(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join(10)


def test_a_websocket_that_is_refused_is_told(stub: Callable[[int, bytes], str]) -> None:
    with pytest.raises(Unavailable, match="answers 503: all places for viewers are taken"):
        first_message(stub(503, b"{}"))
    with pytest.raises(Unavailable, match="answers 404: refused"):
        first_message(stub(404, b"{}"))


@pytest.mark.parametrize(
    ("message", "state"),
    [
        ({"type": "initial_stats", "data": dict.fromkeys(SNAPSHOT_FIELDS, 0)}, State.OK),
        ({"type": "initial_stats", "data": {}}, State.PROBLEM),
        ({"type": "initial_stats"}, State.PROBLEM),
        ({"type": "heartbeat", "data": dict.fromkeys(SNAPSHOT_FIELDS, 0)}, State.PROBLEM),
        ([], State.PROBLEM),
        (None, State.PROBLEM),
    ],
)
def test_the_first_message_is_initial_stats(message: Any, state: State) -> None:
    assert judge_websocket(message).state is state


@pytest.mark.parametrize(
    ("judge", "given", "state"),
    [
        (judge_alive, answer(good({"status": "ok"})), State.OK),
        (judge_alive, answer(good({"status": "ok"}), 500), State.PROBLEM),
        (judge_alive, answer(b"ok"), State.PROBLEM),
        (judge_ready, answer(good({})), State.OK),
        (judge_ready, answer(bad("not_ready", "not ready: postgres"), 503), State.PROBLEM),
        (judge_ready, answer(b"Service Unavailable", 503), State.PROBLEM),
        (judge_ready, answer(b"ready", 200), State.PROBLEM),
        (judge_ready, answer(b"", 404), State.PROBLEM),
        (judge_health, answer(good({"status": "ok", "version": "0.1.0"})), State.OK),
        (judge_health, answer(good({"status": "degraded", "version": "0.1.0"})), State.WARNING),
        (judge_health, answer(good({})), State.PROBLEM),
        (judge_health, answer(b"", 404), State.PROBLEM),
        (judge_metrics, answer(metrics(*METRICS)), State.OK),
        (judge_metrics, answer(metrics(*(name.removesuffix("_total") for name in METRICS))), State.OK),
        (judge_metrics, answer(metrics(*METRICS), seconds=0.21), State.WARNING),
        (judge_metrics, answer(metrics(*METRICS[1:])), State.PROBLEM),
        (judge_metrics, answer(b"", 404), State.PROBLEM),
        (judge_openapi, answer({"openapi": "3.1.0", "paths": {"/": {}}}), State.OK),
        (judge_openapi, answer({"openapi": "3.0.3"}), State.PROBLEM),
        (judge_openapi, answer([], 200), State.PROBLEM),
        (judge_object(frozenset({"a"})), answer(good({"a": 1, "b": 2})), State.OK),
        (judge_object(frozenset({"a"})), answer(good({"b": 2})), State.PROBLEM),
        (judge_object(frozenset({"a"})), answer(bad("unavailable", "redis is away"), 503), State.PROBLEM),
        (judge_object(frozenset({"a"})), answer({"success": False, "data": {"a": 1}}), State.PROBLEM),
        (judge_list, answer(good([])), State.OK),
        (judge_list, answer(good({})), State.PROBLEM),
        (judge_csv, answer(b"date,visitors\r\n", content_type="text/csv; charset=utf-8"), State.OK),
        (judge_csv, answer(b"date,visitors\r\n", content_type="text/html"), State.PROBLEM),
        (judge_post_only, answer(bad("method_not_allowed", "POST only"), 405), State.OK),
        (judge_post_only, answer(b"<h1>405</h1>", 405), State.PROBLEM),
        (judge_post_only, answer(bad("not_found", "no"), 404), State.PROBLEM),
    ],
)
def test_an_answer_that_is_not_as_documented_is_a_problem(
    judge: Callable[[Answer], Any], given: Answer, state: State
) -> None:
    assert judge(given).state is state


def test_what_a_refused_question_says_is_passed_on() -> None:
    assert "postgres" in judge_ready(answer(bad("not_ready", "not ready: postgres"), 503)).seen
    assert "redis is away" in judge_list(answer(bad("unavailable", "redis is away"), 503)).seen
