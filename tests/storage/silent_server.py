"""A server that hangs: it lets everybody in and never says a word."""

from __future__ import annotations

import selectors
import socket
import threading
from pathlib import Path


class SilentServer:
    """Listens on a unix socket in `directory` and counts who came."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "silent.sock"
        self.url = f"unix://{self.path}"
        self.came = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(128)
        self._stop, self._stopped = socket.socketpair()
        self._guests: list[socket.socket] = []
        self._thread = threading.Thread(target=self._receive, name="silent", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go of all."""
        self._stop.close()
        self._thread.join(10)
        for one in (*self._guests, self._listener, self._stopped):
            one.close()

    def _receive(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            while all(key.fileobj is self._listener for key, _ in selector.select()):
                self._guests.append(self._listener.accept()[0])
                self.came += 1
