"""Static files: small, compressed, kept for ever under a URL of their version, and no other file of the disk."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import pytest
from flask import render_template_string
from flask.testing import FlaskClient

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.web import assets, create_app
from maicivy.web.minified import without_comments


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    parts = build(settings)
    yield create_app(parts).test_client()
    parts.close()


def test_a_page_names_a_file_by_its_version(client: FlaskClient) -> None:
    with client.application.app_context():
        path = render_template_string("{{ asset('pages.css') }}")
    assert re.fullmatch(r"/assets/[0-9a-f]{16}/pages\.css", path)
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/css; charset=utf-8"
    assert response.headers["Cache-Control"] == assets.FOR_EVER


def test_a_page_that_names_no_file_is_a_mistake_of_ours() -> None:
    with pytest.raises(LookupError):
        assets.asset("nothing.js")


def test_another_version_has_the_file_of_now_and_may_not_keep_it(client: FlaskClient) -> None:
    now = client.get(assets.asset("pages.css"))
    before = client.get("/assets/0123456789abcdef/pages.css")
    assert before.data == now.data
    assert before.headers["Cache-Control"] == assets.EACH_TIME
    assert before.headers["ETag"] == now.headers["ETag"]


@pytest.mark.parametrize(
    "path",
    [
        "/assets/1/nothing.css",
        "/assets/1/../assets.py",
        "/assets/1/..%2fassets.py",
        "/assets/1//etc/passwd",
        "/assets/1/",
        "/assets/pages.css",
    ],
)
def test_nothing_else_is_served(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br, zstd", "*"])
def test_whoever_can_unpack_it_gets_it_packed(client: FlaskClient, accepted: str) -> None:
    packed = client.get(assets.asset("pages.css"), headers={"Accept-Encoding": accepted})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.data) == client.get(assets.asset("pages.css")).data


@pytest.mark.parametrize("accepted", ["", "identity"])
def test_whoever_cannot_gets_it_as_it_is(client: FlaskClient, accepted: str) -> None:
    plain = client.get(assets.asset("pages.css"), headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == "Accept-Encoding"
    assert plain.data == assets.read("pages.css").body


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_what_has_not_changed_is_not_sent_again(client: FlaskClient, accepted: str) -> None:
    path, headers = assets.asset("pages.css"), {"Accept-Encoding": accepted}
    etag = client.get(path, headers=headers).headers["ETag"]
    again = client.get(path, headers=headers | {"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == assets.FOR_EVER


@pytest.mark.parametrize("name", sorted(assets._files()))
def test_every_file_is_served_smaller_than_it_was_written(client: FlaskClient, name: str) -> None:
    source = assets._files()[name].read_bytes()
    body = client.get(assets.asset(name)).data
    assert body
    assert len(body) <= len(source)
    if name.endswith(".js"):
        assert without_comments(body.decode()) == body.decode(), "a comment is served"
