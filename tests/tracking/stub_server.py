"""A small real HTTP server that answers batches as it is told and remembers what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], Any]
ACCEPTED: Answer = (202, {}, {"success": True, "accepted": 1, "rejected": []})


@dataclass
class Received:
    """One request: who sent it through which connection, and what."""

    path: str
    headers: dict[str, str]
    events: list[dict[str, Any]]
    body_bytes: int
    peer: tuple[str, int]


@dataclass
class Stub:
    """Answers come from `answers`, in turn; after the last one everything is accepted. `hang_up` closes instead."""

    answers: list[Answer] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    hang_up: int = 0
    url: str = ""


@contextmanager
def serving() -> Iterator[Stub]:
    """A stub that listens on a free port of the loopback interface."""
    stub = Stub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stub))
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(stub: Stub) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            stub.received.append(
                Received(self.path, dict(self.headers), json.loads(body), len(body), self.client_address)
            )
            if stub.hang_up:
                stub.hang_up -= 1
                self.close_connection = True
                return
            status, headers, content = stub.answers.pop(0) if stub.answers else ACCEPTED
            answer = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(answer))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler
