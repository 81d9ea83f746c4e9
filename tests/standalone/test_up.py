"""What `maicivy up` checks before it starts anything, and how small it stays. tests/e2e/test_up.py runs it."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from maicivy.config import Settings
from maicivy.standalone.datadir import DataDir
from maicivy.standalone.process import StartRefused
from maicivy.standalone.up import check_port, stages


def test_imports_nothing_heavy() -> None:
    code = "import sys, maicivy.cli, maicivy.standalone.up; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    foreign = {name for name in loaded if name not in sys.stdlib_module_names and not name.startswith("_")}
    # The rest is what `site` loads by itself in some installations.
    assert foreign - {"sitecustomize", "usercustomize", "distutils", "pkg_resources"} == {"maicivy"}


def test_the_demo_claims_the_installation_before_anything_can_come_to_it(settings: Settings) -> None:
    names = [
        [each.name for each in stage] for stage in stages(settings, DataDir(settings.data_dir), {}, demo=True) if stage
    ]
    assert names == [["migrations"], ["demo"], ["web", "worker", "beat"], ["simulator"]]


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartRefused, match=f"port {port} on 127.0.0.1 is taken"):
            check_port("127.0.0.1", port)


def test_a_free_port_is_free_afterwards() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_a_foreign_address_is_named(host: str) -> None:
    with pytest.raises(StartRefused, match=f"HOST {host} is no address of this machine"):
        check_port(host, 8080)
