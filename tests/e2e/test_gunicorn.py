"""gunicorn.conf.py: what a web process refuses to serve with, and how it lets go of connections."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live_server import Server

ROOT = Path(__file__).parents[2]

PLAIN = b"POST /api/v1/analytics/event HTTP/1.1\r\nHost: x\r\nContent-Length: 22\r\n\r\n" + b'{"event_type":"click"}'

pytestmark = pytest.mark.e2e


def test_a_driver_that_does_not_know_greenlets_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"],
        cwd=ROOT,
        # What psycopg chooses by itself when it is imported before the patch.
        env=os.environ | {"PSYCOPG_WAIT_FUNC": "wait_c", "PORT": port, "MAICIVY_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 4
    assert "psycopg was imported before gevent patched the standard library" in ended.stderr


def test_bad_settings_are_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"],
        cwd=ROOT,
        env=os.environ | {"PORT": "http", "MAICIVY_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "maicivy: PORT is 'http'; it must be a whole number from 1 to 65535\n"


@pytest.mark.parametrize("first", [b"", PLAIN, PLAIN.replace(b" HTTP/1.1\r\n", b"?x HTTP/1.1\r\n")])
def test_a_connection_on_which_nothing_more_comes_is_closed(
    tmp_path: Path, valkey_url: str, postgres_url: str, first: bytes
) -> None:
    server = Server(tmp_path, valkey_url, postgres_url, GUNICORN_CMD_ARGS="--keep-alive 1")
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(first)
            received = b""
            while more := connection.recv(65_536):
                received += more
    finally:
        server.stop()
    assert received.startswith(b"HTTP/1.1 202 " if first else b"")
