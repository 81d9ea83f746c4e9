"""Which of the two applications gets a path."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask

from maicivy.config import Settings
from maicivy.demo.mount import hook_options, mount


def product() -> Flask:
    app = Flask("product", static_folder=None)

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    def anything(path: str) -> str:
        return f"product /{path}"

    return app


@pytest.mark.parametrize("path", ["/", "/cv", "/letters", "/projects", "/projects/tidetable", "/demo/static/demo.css"])
def test_the_demo_has_few_paths_and_only_when_it_is_wanted(settings: Settings, path: str) -> None:
    app = product()
    assert mount(app, replace(settings, demo=True)) is app
    with app.test_client().get(path) as answer:
        assert answer.status_code == 200
        assert "product" not in answer.get_data(as_text=True)[:20]
    assert mount(product(), settings).test_client().get(path).text == f"product {path}"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/analytics/realtime",
        "/metrics",
        "/cv/",
        "/cvs",
        "/letters/1",
        "/projects2",
        "/demo",
        "/x",
        "/dashboard",
        "/live",
    ],
)
def test_everything_else_is_maicivys(settings: Settings, path: str) -> None:
    app = mount(product(), replace(settings, demo=True))
    assert app.test_client().get(path).text == f"product {path}"


def test_the_demo_records_into_the_installation_it_is_part_of(settings: Settings) -> None:
    options = hook_options(replace(settings, trusted_proxies=2))
    assert options == {
        "redis_url": settings.redis_url,
        "secret_key": settings.secret_key,
        "inbox_max_bytes": settings.inbox_max_bytes,
        "trusted_proxies": 2,
        "geo_db": settings.geo_db,
    }
