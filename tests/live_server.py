"""A real gunicorn for tests of the live channel, and what a viewer does with it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.standalone.processes import wait_until

ROOT = Path(__file__).parents[1]
Json = dict[str, Any]


class Server:
    """A gunicorn of its own, and the viewers that a test opens on it."""

    def __init__(
        self, directory: Path, redis_url: str, database_url: str, port: int | None = None, **environ: str
    ) -> None:
        self.port = port or _free_port()
        self._log = directory / f"gunicorn-{self.port}.log"
        self._viewers: list[websocket.WebSocket] = []
        known = {
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
            "PORT": str(self.port),
            "MAICIVY_ENV": "test",
            "MAICIVY_DATA_DIR": str(directory / f"data-{self.port}"),
            "REDIS_URL": redis_url,
            "DATABASE_URL": database_url,
            "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        }
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"],
                cwd=ROOT,
                env=known | environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(self._answers, 30, "gunicorn to answer")
        except AssertionError:
            self.stop(signal.SIGKILL)
            raise

    @property
    def log(self) -> str:
        return self._log.read_text()

    def watch(self, **options: Any) -> websocket.WebSocket:
        """A viewer that has had its `initial_stats`."""
        viewer = self.open(**options)
        assert receive(viewer)["type"] == "initial_stats"
        return viewer

    def open(self, site: str = "", **options: Any) -> websocket.WebSocket:
        viewer = websocket.create_connection(
            f"ws://127.0.0.1:{self.port}/ws/analytics{f'?site={site}' if site else ''}",
            timeout=10,
            **({"suppress_origin": True} | options),
        )
        self._viewers.append(viewer)
        return viewer

    def refused(self, **options: Any) -> websocket.WebSocketBadStatusException:
        with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
            self.open(**options)
        return refusal.value

    def answer(self, headers: dict[str, str], method: str = "GET") -> tuple[int, http.client.HTTPMessage, Json]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, "/ws/analytics", headers=headers)
            response = connection.getresponse()
            body = response.read()
            return response.status, response.headers, json.loads(body) if body else {}

    def release(self) -> None:
        """Close the viewers of a test."""
        for viewer in self._viewers:
            viewer.shutdown()
        self._viewers.clear()

    def stop(self, signum: int = signal.SIGTERM) -> None:
        self.release()
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            self.process.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log
        try:
            return self.answer({})[0] == 426
        except OSError:
            return False


def receive(viewer: websocket.WebSocket) -> Json:
    """The next message."""
    message: Json = json.loads(viewer.recv())
    return message


def receive_until(viewer: websocket.WebSocket, kind: str) -> Json:
    """The next message of a kind."""
    while (message := receive(viewer))["type"] != kind:
        pass
    return message


def close_code(viewer: websocket.WebSocket) -> int:
    """The code of the close frame that comes next, other frames apart."""
    while True:
        opcode, data = viewer.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
