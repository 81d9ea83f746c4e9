"""gunicorn.conf.py: that a worker whose database driver would block all requests refuses to serve."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

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
