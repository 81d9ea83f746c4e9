"""What browsers talk to: a real gunicorn whose events are ingested as they come, and a site that somebody measures."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import msgspec
import sqlalchemy as sa

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.core.sites import Site
from maicivy.errors import Unavailable
from tests.live_server import Server
from tests.standalone.processes import wait_until

Json = dict[str, Any]

_EVENTS = sa.text("""
SELECT id, visitor_id, created_at, event_type, event_data, page_url, referrer
FROM analytics_events WHERE site_id = :site ORDER BY created_at, id
""")
_numbers = itertools.count(1)


class Row(msgspec.Struct, frozen=True):
    """A stored event."""

    id: UUID
    visitor_id: UUID
    created_at: datetime
    event_type: str
    event_data: Json
    page_url: str
    referrer: str

    @property
    def id_time(self) -> datetime:
        """When the id was made, if it is a UUIDv7."""
        return datetime.fromtimestamp((self.id.int >> 80) / 1000, UTC)


class Service:
    """gunicorn at `url`, and in this process what a worker does: events are stored within a tenth of a second.

    `parts` is a wired installation over the same servers, for what is quicker done or asked without HTTP.
    """

    def __init__(self, settings: Settings, directory: Path, **environ: str) -> None:
        self.parts = build(settings)
        self._start = partial(Server, directory, settings.redis_url, settings.database_url, **environ)
        self._gunicorn = self._start()
        self.port = self._gunicorn.port
        self.url = f"http://localhost:{self.port}"
        self._stopping = threading.Event()
        self._worker = threading.Thread(target=self._ingest, daemon=True)
        self._worker.start()

    def stop(self) -> None:
        self._stopping.set()
        self._worker.join(10)
        self._gunicorn.stop()
        self.parts.close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Within the block gunicorn is stopped; behind it another one answers at the same port."""
        self._gunicorn.stop()
        yield
        self._gunicorn = self._start(port=self.port)

    @property
    def log(self) -> str:
        """What gunicorn has said."""
        return self._gunicorn.log

    def site(self, domain: str = "", **said: Any) -> Site:
        """A new site; of a domain that no other has, unless one is given."""
        site = self.parts.sites.add({"domain": domain or f"site{next(_numbers)}.test", **said})
        self.parts.site_directory.refresh()
        wait_until(lambda: self._knows(site), 10, "gunicorn to know the site")
        return site

    def send(self, *events: Json, **headers: str) -> None:
        """POST events, and wait until they are stored; more than 500 in several requests."""
        for some in (events[at : at + 500] for at in range(0, len(events), 500)):
            answer = self.post("/api/v1/analytics/event/batch", some, **headers)
            assert answer["rejected"] == [], answer
        self.settle()

    def post(self, path: str, body: Any, **headers: str) -> Json:
        """What is answered to JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"} | headers)
            answer: Json = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer

    def get(self, path: str, **query: str) -> Json:
        """What is answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with closing(connection):
            connection.request("GET", f"{path}?{urlencode(query)}")
            answer: Json = json.loads(connection.getresponse().read())
        return answer

    def settle(self) -> None:
        """Wait until everything that was taken in is stored."""
        wait_until(self.parts.inbox.is_empty, 20, "the inbox to be empty")

    def events(self, site: Site) -> list[Row]:
        """What is stored of a site, in the order in which it happened."""
        self.settle()
        with self.parts.engine.connect() as connection:
            return [Row(*row) for row in connection.execute(_EVENTS, {"site": site.id})]

    def ask(self, site: Site, metrics: list[str], **members: Any) -> list[Json]:
        """The rows that `/api/v2/query` has for today."""
        self.settle()
        question = {"site_id": site.id, "metrics": metrics, "date_range": "day", **members}
        answer = self.post("/api/v2/query", question)
        assert "results" in answer, answer
        rows: list[Json] = answer["results"]
        return rows

    def _knows(self, site: Site) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with closing(connection):
            connection.request("GET", f"/api/v1/analytics/realtime?site_id={site.id}")
            return connection.getresponse().status != 400

    def _ingest(self) -> None:
        while not self._stopping.is_set():
            with suppress(Unavailable):
                self.parts.ingest.once("browser-tests", 0.1)


class Pages:
    """A small site at `url`, whose pages a test writes: `pages["/a"] = "<p>hello"`.

    Any name under .test leads here, with `port`. A page is HTML, or a tuple of body, content type, status and headers;
    what is not there is a 404 with a page.
    """

    def __init__(self) -> None:
        self.answers: dict[str, str | tuple[str, str, int, Mapping[str, str]]] = {"/favicon.ico": ("", "", 204, {})}
        self.posted: list[tuple[str, str]] = []
        pages = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                pages._answer(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                pages.posted.append((self.path, body.decode(errors="replace")))
                pages._answer(self)

            def log_message(self, *args: object) -> None:  # type: ignore[override]
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def __setitem__(self, path: str, page: str | tuple[str, str, int, Mapping[str, str]]) -> None:
        self.answers[path] = page

    def url(self, path: str = "/", host: str = "localhost") -> str:
        """Where a page is."""
        return f"http://{host}:{self.port}{path}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        found = self.answers.get(urlsplit(request.path).path, ("<title>404</title>there is no such page", "", 404, {}))
        body, kind, status, headers = (found, "", 200, {}) if isinstance(found, str) else found
        payload = body.encode()
        with suppress(ConnectionError):
            request.send_response(status)
            request.send_header("Content-Type", kind or "text/html; charset=utf-8")
            request.send_header("Content-Length", str(len(payload)))
            for name, value in headers.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(payload)
