"""Sites over HTTP: who may see and change them, what is refused, and that reads keep to their site."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.periods import Period
from maicivy.errors import Refusal
from maicivy.storage import keys
from maicivy.web import create_app
from maicivy.web.openapi import document
from maicivy.web.sites import readable_site
from tests.web.openapi.json_schema import problems

URL = "/api/v1/sites"
TOKEN = "a token of sixteen and more"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}
READS = "/api/v1/analytics"


@pytest.fixture
def make(settings: Settings) -> Iterator[Callable[..., Maicivy]]:
    made = []

    def make(**changes: Any) -> Maicivy:
        made.append(build(dataclasses.replace(settings, admin_token=TOKEN, **changes)))
        return made[-1]

    yield make
    for parts in made:
        parts.close()


@pytest.fixture
def parts(make: Callable[..., Maicivy]) -> Maicivy:
    return make()


@pytest.fixture
def client(parts: Maicivy) -> FlaskClient:
    return create_app(parts).test_client()


def add(client: FlaskClient, domain: str, **said: Any) -> dict[str, Any]:
    answer = client.post(URL, json={"domain": domain, **said}, headers=ADMIN)
    assert answer.status_code == 201, answer.text
    site: dict[str, Any] = answer.get_json()["data"]
    return site


def test_a_site_is_added_shown_changed_and_removed_as_documented(client: FlaskClient) -> None:
    answers = {
        ("/api/v1/sites", "post"): client.post(
            URL,
            json={"domain": "Shop.example", "timezone": "Europe/Paris", "allowed_hosts": ["*.cdn.example"]},
            headers=ADMIN,
        ),
        ("/api/v1/sites", "get"): client.get(URL),
        ("/api/v1/sites/{reference}", "get"): client.get(f"{URL}/shop.example"),
        ("/api/v1/sites/{reference}", "patch"): client.patch(f"{URL}/2", json={"retention_days": 7}, headers=ADMIN),
        ("/api/v1/sites/{reference}", "delete"): client.delete(f"{URL}/www.SHOP.example", headers=ADMIN),
    }
    for (path, method), answer in answers.items():
        status = "201" if method == "post" else "200"
        assert answer.status_code == int(status), answer.text
        schema = document()["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
        assert problems(answer.get_json(), schema, document()) == []
        assert answer.headers["Cache-Control"] == "no-store"
    made, listed, shown, changed, removed = (answer.get_json()["data"] for answer in answers.values())
    assert made | {"measurement_id": ""} == {
        "id": 2,
        "domain": "shop.example",
        "measurement_id": "",
        "timezone": "Europe/Paris",
        "retention_days": None,
        "is_public": True,
        "allowed_hosts": ["*.cdn.example"],
    }
    assert [site["id"] for site in listed] == [1, 2]
    assert shown == made
    assert changed == removed == made | {"retention_days": 7}
    assert client.get(f"{URL}/2").get_json()["error"]["code"] == "not_found"
    assert client.get(URL).get_json()["meta"] == {"timezone": "UTC", "retention_days": 90}


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PATCH", "/1"), ("DELETE", "/1"), ("DELETE", "/99")])
@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ("", 401, "unauthorized"),
        ("Bearer wrong", 401, "unauthorized"),
        ("Bearer é", 401, "unauthorized"),
        (f"Basic {TOKEN}", 401, "unauthorized"),
    ],
)
def test_changes_take_the_admin_token(
    client: FlaskClient, method: str, path: str, given: str, status: int, code: str
) -> None:
    answer = client.open(URL + path, method=method, json={"domain": "a.example"}, headers={"Authorization": given})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (status, code)


def test_without_an_admin_token_nobody_may_and_the_setting_is_named(make: Callable[..., Maicivy]) -> None:
    parts = make()
    client = create_app(dataclasses.replace(parts, settings=dataclasses.replace(parts.settings, admin_token=None)))
    answer = client.test_client().post(URL, json={"domain": "a.example"}, headers=ADMIN)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "forbidden")
    assert "MAICIVY_ADMIN_TOKEN" in answer.get_json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ("", "invalid_json", None),
        ("[]", "invalid_site", None),
        ("7", "invalid_site", None),
        ("{}", "invalid_site", "domain"),
        ('{"domain": "a.example:80"}', "invalid_site", "domain"),
        ('{"domain": "x\'; DROP TABLE sites; --"}', "invalid_site", "domain"),
        ('{"domain": "a.example", "timezone": "UTC\'; --"}', "invalid_site", "timezone"),
        ('{"domain": "a.example", "timezone": "../../etc/passwd"}', "invalid_site", "timezone"),
        ('{"domain": "a.example", "retention_days": "\u0663\u0660"}', "invalid_site", "retention_days"),
        ('{"domain": "a.example", "retention_days": 1e999}', "invalid_site", "retention_days"),
        ('{"domain": "a.example", "id": 1}', "unknown_field", "id"),
        ('{"domain": "a.example", "domain": "b.example"}', "duplicate_key", None),
        ('{"domain": "a.example", "\\ud800": 1}', "unknown_field", "\\ud800"),
    ],
)
def test_what_no_site_can_be_like_is_refused_with_the_field(
    client: FlaskClient, body: str, code: str, field: str | None
) -> None:
    answer = client.post(URL, data=body.encode(), headers=ADMIN)
    assert answer.status_code == 400
    assert (answer.get_json()["error"]["code"], answer.get_json()["error"].get("field")) == (code, field)


def test_what_stands_in_the_way_of_a_change_is_told(client: FlaskClient) -> None:
    add(client, "a.example")
    taken = client.post(URL, json={"domain": "www.a.example"}, headers=ADMIN)
    assert (taken.status_code, taken.get_json()["error"]["field"]) == (409, "domain")
    kept = client.delete(f"{URL}/1", headers=ADMIN)
    assert (kept.status_code, kept.get_json()["error"]["code"]) == (409, "default_site")
    for reference in ("9", "b.example", "%D9%A2", "2%27%20OR%201=1", "x" * 3000):
        assert client.get(f"{URL}/{reference}").status_code == 404
        assert client.patch(f"{URL}/{reference}", json={}, headers=ADMIN).status_code == 404
    assert client.get(f"{URL}?limit=1").get_json()["error"]["code"] == "unknown_parameter"
    assert client.post(URL, data=b" " * (65 << 10), headers=ADMIN).status_code == 413


def test_a_site_that_is_not_public_is_for_those_with_the_token(client: FlaskClient) -> None:
    add(client, "secret.example", is_public=False)
    assert [site["id"] for site in client.get(URL).get_json()["data"]] == [1]
    assert [site["id"] for site in client.get(URL, headers=ADMIN).get_json()["data"]] == [1, 2]
    for path in (f"{URL}/2", f"{READS}/realtime?site_id=2", f"{READS}/timeline?site_id=secret.example"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=ADMIN).status_code == 200
    client.patch(f"{URL}/1", json={"is_public": False}, headers=ADMIN)
    assert client.get(f"{READS}/realtime").status_code == 401


@pytest.mark.parametrize("path", ["realtime", "stats?period=day", "themes", "letters", "timeline", "heatmap"])
def test_reads_answer_for_the_site_that_is_named_and_for_the_default_site_without(
    client: FlaskClient, redis_client: redis.Redis, path: str
) -> None:
    site = add(client, "shop.example")
    today = datetime.now(UTC).date()
    for number, events in ((1, 11), (site["id"], 22)):
        redis_client.set(keys.stat(number, Period.DAY, today, "total_events"), events)
    separator = "&" if "?" in path else "?"
    default = client.get(f"{READS}/{path}")
    assert default.status_code == 200
    assert (
        client.get(f"{READS}/{path}{separator}site_id=1").get_json()["meta"].keys() == default.get_json()["meta"].keys()
    )
    for reference in (site["id"], site["measurement_id"], "shop.example"):
        named = client.get(f"{READS}/{path}{separator}site_id={reference}")
        assert named.status_code == 200
        if path.startswith(("realtime", "stats")):
            assert named.get_json()["data"]["total_events"] == 22
            assert default.get_json()["data"]["total_events"] == 11
    for reference in ("", "9", "nobody.example", "%00", "1%27--", "%D9%A1"):
        refused = client.get(f"{READS}/{path}{separator}site_id={reference}")
        assert (refused.status_code, refused.get_json()["error"]["code"]) == (400, "unknown_site"), reference
        assert refused.get_json()["error"]["field"] == "site_id"


@pytest.mark.parametrize("what", ["visitors", "themes", "letters"])
def test_exports_are_of_one_site_too(client: FlaskClient, what: str) -> None:
    add(client, "shop.example")
    assert client.get(f"{READS}/export/{what}?site_id=shop.example").status_code == 200
    assert client.get(f"{READS}/export/{what}?site_id=9").status_code == 400


def test_a_site_of_a_moment_ago_is_found_by_another_process(client: FlaskClient, make: Callable[..., Maicivy]) -> None:
    other = make()
    with pytest.raises(Refusal):
        readable_site(other, {}, "new.example", "site")
    other.site_directory.forget()
    assert readable_site(other, {}, None).id == 1
    add(client, "new.example")
    other.site_directory.forget()
    assert readable_site(other, {}, "new.example").id == 2


def test_a_page_of_another_origin_may_ask_to_change_a_site(client: FlaskClient) -> None:
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "PATCH"}
    assert "PATCH" in client.options(f"{URL}/1", headers=asks).headers["Access-Control-Allow-Methods"]


def test_answers_are_json(client: FlaskClient) -> None:
    assert json.loads(client.get(URL).data)["data"][0]["id"] == 1
