"""Somebody's site with the tracking hook, in a process of its own, and a visitor who asks it for pages all along.

The site has two pages: one whose hook writes into maicivy's Redis, one whose hook posts over HTTP. Each page that the
visitor asks for has a number of its own, so that each can be looked for among what was stored.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from maicivy.tracking import Analytics
from tests.chaos.system import System
from tests.e2e.running import ROOT, free_port
from tests.standalone.processes import wait_until

PAGES = ("near", "far")
PAUSE_S = 0.01
TOKEN = "a-token-of-some-length"
SECRET = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class View:
    """One page that was asked for: its path and query, when (monotonic), how long it took, None for an error."""

    url: str
    at: float
    seconds: float
    status: int | None


class Site:
    """The site and its visitor, for a maicivy that runs or is about to."""

    def __init__(self, system: System) -> None:
        self.port = free_port()
        self.views: list[View] = []
        self._going = threading.Event()
        self._idle = threading.Event()
        self._over = threading.Event()
        self._log = system.home.parent / "site.log"
        environ = {
            "PYTHONPATH": str(ROOT),
            "SITE_PORT": str(self.port),
            "SITE_REDIS_URL": system.redis_url,
            "SITE_MAICIVY_URL": f"http://127.0.0.1:{system.port}",
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.host"], env=os.environ | environ, stdout=log, stderr=log
            )
        wait_until(self._answers, 20, "the site answers")
        self._visitor = threading.Thread(target=self._browse, name="visitor", daemon=True)
        self._visitor.start()
        self.resume()

    def resume(self) -> None:
        """Ask for pages again."""
        self._idle.clear()
        self._going.set()

    def pause(self) -> None:
        """Ask for no further page; return when the hooks have delivered all that was asked for."""
        self._going.clear()
        wait_until(self._idle.is_set, 20, "the visitor to stop")
        wait_until(lambda: all(hook["queued"] == 0 for hook in self.stats()), 60, "the hooks to deliver")

    def stats(self) -> list[dict[str, Any]]:
        """What each hook says of itself."""
        status, text = self._get("/stats")
        assert status == 200, text
        found: list[dict[str, Any]] = json.loads(text)
        return found

    def close(self) -> None:
        """End both."""
        self._over.set()
        self._going.set()
        self._visitor.join(20)
        self.process.kill()
        self.process.wait()

    def _browse(self) -> None:
        for number in itertools.count():
            if not self._going.is_set():
                self._idle.set()
                self._going.wait()
                self._idle.clear()
            if self._over.is_set():
                return
            url = f"/{PAGES[number % 2]}?utm_id={number}"
            at = time.monotonic()
            status: int | None = None
            with suppress(OSError, http.client.HTTPException):
                status = self._get(url)[0]
            self.views.append(View(url, at, time.monotonic() - at, status))
            time.sleep(PAUSE_S)

    def _get(self, url: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request("GET", url, headers={"User-Agent": "Mozilla/5.0 (a visitor)"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def _answers(self) -> bool:
        assert self.process.poll() is None, Path(self._log).read_text()
        try:
            return self._get("/stats")[0] == 200
        except (OSError, http.client.HTTPException):
            return False


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - its name is werkzeug's
        pass


def _page(name: str, **options: Any) -> tuple[Flask, Analytics]:
    app = Flask(name)
    app.get(f"/{name}")(lambda: "<p>page</p>")
    return app, Analytics(app, **options)


def _serve() -> None:
    near, near_hook = _page("near", redis_url=os.environ["SITE_REDIS_URL"], secret_key=SECRET)
    far, far_hook = _page("far", url=os.environ["SITE_MAICIVY_URL"], token=TOKEN)

    def both(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/stats":  # outside of both, for a hook inside an application speaks of that one
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps([near_hook.stats(), far_hook.stats()]).encode()]
        return (far if environ["PATH_INFO"] == "/far" else near)(environ, start_response)

    make_server("127.0.0.1", int(os.environ["SITE_PORT"]), both, threaded=True, request_handler=_Quiet).serve_forever()


if __name__ == "__main__":
    _serve()
