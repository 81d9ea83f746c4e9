"""What the middleware adds to one POST of an event: `PYTHONPATH=. .venv/bin/python bench/middleware.py`

The same Flask route without and with it, called as gunicorn would, without a socket. Set PROMETHEUS_MULTIPROC_DIR to
an empty directory to measure it as it runs in production.
"""

from __future__ import annotations

import io
import tempfile
import timeit
from typing import Any

from flask import Flask, Response

from maicivy.config import Settings
from maicivy.web import middleware

ROUNDS = 5_000
BODY = b'{"success":true,"message":"Event tracked successfully","id":"019afd0e-7a5c-7cc1-9d34-2b1c0a4f7d11"}'
ENVIRON = {
    "REQUEST_METHOD": "POST",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/event",
    "QUERY_STRING": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "8080",
    "wsgi.url_scheme": "http",
    "CONTENT_LENGTH": "2",
    "HTTP_HOST": "localhost",
    "HTTP_ORIGIN": "https://example.org",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
}


def application(settings: Settings | None) -> Flask:
    """One route; with the middleware when there are settings for it."""
    app = Flask("bench")
    if settings is not None:
        middleware.init_app(app, settings)
    app.add_url_rule("/event", "event", lambda: Response(BODY, 202, content_type="application/json"), methods=["POST"])
    return app


def microseconds(app: Flask) -> float:
    """Of one request: the best of five runs, for the rest is noise of the machine."""

    def start_response(*_: Any) -> None:
        pass

    def request() -> None:
        answer = app({**ENVIRON, "wsgi.input": io.BytesIO(b"{}")}, start_response)
        b"".join(answer)
        answer.close()

    request()
    return min(timeit.repeat(request, number=ROUNDS, repeat=5)) / ROUNDS * 1e6


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings.from_env({"MAICIVY_DATA_DIR": directory, "SECRET_KEY": "0123456789abcdef"})
        bare, wrapped = microseconds(application(None)), microseconds(application(settings))
    print(f"bare {bare:.1f} us, with middleware {wrapped:.1f} us, it costs {wrapped - bare:.1f} us")
