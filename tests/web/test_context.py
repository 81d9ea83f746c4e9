"""Where this installation is, as whoever asks sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.web import create_app

BEHIND_TLS = {"X-Forwarded-Proto": "https", "Host": "stats.example.org"}


@pytest.fixture(params=[0, 1])
def app(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Flask]:
    parts = build(replace(settings, trusted_proxies=request.param))
    yield create_app(parts)
    parts.close()


def test_lines_to_paste_have_the_scheme_that_the_reader_came_by(app: Flask) -> None:
    is_trusted = app.extensions["maicivy"].settings.trusted_proxies == 1
    scheme = "https" if is_trusted else "http"
    for path in ("/dashboard/1", "/api/docs"):
        page = app.test_client().get(path, headers=BEHIND_TLS).text
        assert f"{scheme}://stats.example.org/" in page
        assert ("http://stats.example.org" in page) is not is_trusted
