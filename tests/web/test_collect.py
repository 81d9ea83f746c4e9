"""Taking events in over HTTP, on real servers: what is promised, refused, limited and shed, and how it is counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.events import Event, Traits, decode
from maicivy.core.sites import Site
from maicivy.storage import keys
from maicivy.storage.sites import SiteDirectory
from maicivy.web import create_app
from tests.geo.mmdb import write

URL = "/api/v1/analytics/event"
BATCH = "/api/v1/analytics/event/batch"
TOKEN = "a token of sixteen and more"
MakeClient = Callable[..., FlaskClient]


@pytest.fixture
def make_client(settings: Settings) -> Iterator[MakeClient]:
    made: list[Maicivy] = []

    def make(**changes: Any) -> FlaskClient:
        parts = build(replace(settings, **changes))
        made.append(parts)
        return create_app(parts).test_client()

    yield make
    for parts in made:
        parts.close()


@pytest.fixture
def client(make_client: MakeClient) -> FlaskClient:
    return make_client(event_rate_limit=0)


def parts_of(client: FlaskClient) -> Maicivy:
    parts: Maicivy = client.application.extensions["maicivy"]
    return parts


def queued(client: FlaskClient) -> list[Event]:
    stream = parts_of(client).redis.xrange(keys.INBOX)
    return [e for _, fields in stream for name, payload in fields.items() if name != b"n" for e in decode(payload)]


def ledger(client: FlaskClient) -> dict[str, int]:
    parts_of(client).refusals.flush()
    return {name.decode(): int(n) for name, n in parts_of(client).redis.hgetall(keys.LEDGER).items()}


def refused(response: TestResponse, status: int, code: str, field: str | None = None) -> None:
    assert response.status_code == status, response.text
    assert response.json["success"] is False
    assert response.json["error"]["code"] == code
    assert response.json["error"]["message"]
    assert response.json["error"].get("field") == field


def test_the_example_of_the_seed_is_accepted_and_queued(client: FlaskClient) -> None:
    body = {
        "event_type": "button_click",
        "event_data": {"button": "download_cv", "x": 450, "y": 200},
        "page_url": "/cv",
    }
    response = client.post(URL, json=body)
    assert response.status_code == 202
    [event] = queued(client)
    assert response.json == {"success": True, "message": "Event tracked successfully", "id": str(event.id)}
    assert (event.event_type, event.event_data, event.page_url) == ("button_click", body["event_data"], "/cv")
    assert event.id.version == 7
    assert abs(event.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert ledger(client) == {"received": 1}


def test_a_beacon_is_parsed_as_json_whatever_it_calls_itself(client: FlaskClient) -> None:
    response = client.post(URL, data='{"event_type":"click"}', content_type="text/plain;charset=UTF-8")
    assert response.status_code == 202


def test_what_the_sender_gives_is_kept(client: FlaskClient) -> None:
    moment = datetime.now(UTC) - timedelta(days=3)
    given = {
        "event_type": "letter_generate",
        "id": "0F3E1C2D-0000-4000-8000-00000000ABCD",
        "timestamp": moment.isoformat(),
        "referrer": "https://user:secret@example.org/a?q=private&utm_source=x#top",
        "session_duration": 12,
    }
    assert client.post(URL, json=given).json["id"] == given["id"].lower()
    [event] = queued(client)
    assert (event.event_type, event.created_at, event.session_duration) == ("letter_generated", moment, 12)
    assert event.referrer == "https://example.org/a?utm_source=x"


def test_ids_tell_the_order_of_events_that_come_together(client: FlaskClient) -> None:
    types = [f"step{number}" for number in range(40)]
    assert client.post(BATCH, json=[{"event_type": name} for name in types]).json["accepted"] == len(types)
    events = queued(client)
    assert len({event.created_at for event in events}) == 1
    for bits in (128, 63):  # visits look at the lower ones
        by_id = sorted(events, key=lambda event: event.id.int % (1 << bits))
        assert [event.event_type for event in by_id] == types


def test_a_batch_takes_the_good_and_names_the_bad(client: FlaskClient) -> None:
    batch = [{"event_type": "a"}, {"event_type": "B"}, 7, {"event_type": "c", "page_url": "javascript:x"}]
    for path, body in ((BATCH, batch), ("/api/v1/analytics/batch", {"events": batch})):
        response = client.post(path, json=body)
        assert response.status_code == 202
        assert response.json["accepted"] == 1
        assert [(r["index"], r["code"]) for r in response.json["rejected"]] == [
            (1, "invalid_event_type"),
            (2, "invalid_event"),
            (3, "invalid_page_url"),
        ]
    assert len(queued(client)) == 2
    counts = ledger(client)
    assert counts["received"] == 8
    assert sum(n for name, n in counts.items() if name.startswith("rejected:")) == 6


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "invalid_json", None),
        (b"{", 400, "invalid_json", None),
        (b"\xff", 400, "invalid_encoding", None),
        (b"[]", 400, "invalid_event", None),
        (b"{}", 400, "missing_event_type", "event_type"),
        (b'{"event_type":"x","even_data":{}}', 400, "unknown_field", "even_data"),
        (b'{"event_type":"x","event_data":"{}"}', 400, "invalid_event_data", "event_data"),
        (b'{"event_type":"x","event_data":{"a":NaN}}', 400, "invalid_number", "event_data"),
        (b'{"event_type":"x","event_data":{"a":1,"a":2}}', 400, "duplicate_key", None),
        (b'{"event_type":"x","timestamp":"2001-01-01T00:00:00Z"}', 400, "timestamp_too_old", "timestamp"),
        (b'{"event_type":"x","event_data":{"a":"' + b"y" * 65536 + b'"}}', 400, "event_too_large", None),
        (b" " * (1 << 20) + b"{}", 413, "body_too_large", None),
    ],
)
def test_bad_events_are_refused_with_a_reason_and_counted(
    client: FlaskClient, body: bytes, status: int, code: str, field: str | None
) -> None:
    refused(client.post(URL, data=body), status, code, field)
    assert queued(client) == []
    assert ledger(client) == {"received": 1, f"rejected:{code}": 1}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "empty_batch"),
        (b'{"events":{}}', "invalid_body"),
        (b'{"events":[],"more":1}', "invalid_body"),
        (json.dumps([{"event_type": "x"}] * 501).encode(), "too_many_events"),
        (b"[" * 5000, "too_deep"),
    ],
)
def test_unusable_batches_are_refused_whole(client: FlaskClient, body: bytes, code: str) -> None:
    refused(client.post(BATCH, data=body), 400, code)
    assert queued(client) == []


@pytest.mark.parametrize("header", ["DNT", "Sec-GPC"])
def test_who_asks_not_to_be_tracked_is_not_but_is_counted(client: FlaskClient, header: str) -> None:
    response = client.post(URL, json={"event_type": "x"}, headers={header: "1"})
    assert response.status_code == 202
    assert "id" not in response.json
    response = client.post(BATCH, json=[{"event_type": "x"}] * 3, headers={header: "1"})
    assert response.json["accepted"] == 0
    assert queued(client) == []
    assert ledger(client) == {"received": 4, "rejected:do_not_track": 4}


def test_the_hundred_and_first_event_of_a_minute_waits(make_client: MakeClient, redis_client: redis.Redis) -> None:
    client = make_client()
    for _ in range(100):
        assert client.post(URL, json={"event_type": "x"}).status_code == 202
    response = client.post(URL, json={"event_type": "x"})
    refused(response, 429, "rate_limited")
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert ledger(client) == {"received": 101, "rejected:rate_limited": 1}
    assert not any(b"127.0.0.1" in key for key in redis_client.keys("*"))
    other = client.post(URL, json={"event_type": "x"}, environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert other.status_code == 202


def test_one_visitor_has_one_id_and_its_address_is_nowhere(client: FlaskClient, redis_client: redis.Redis) -> None:
    for address, agent in (("192.0.2.1", "A"), ("192.0.2.1", "A"), ("192.0.2.2", "A"), ("192.0.2.1", "B")):
        client.post(
            URL, json={"event_type": "x"}, headers={"User-Agent": agent}, environ_overrides={"REMOTE_ADDR": address}
        )
    ids = [event.visitor_id for event in queued(client)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert b"192.0.2" not in b"".join(repr(e).encode() for e in queued(client))


def test_a_forwarded_address_is_believed_from_as_many_proxies_as_are_trusted(make_client: MakeClient) -> None:
    def visitors(trusted: int, *forwarded: str) -> int:
        client = make_client(event_rate_limit=0, trusted_proxies=trusted)
        parts_of(client).redis.delete(keys.INBOX)
        for value in forwarded:
            client.post(URL, json={"event_type": "x"}, headers={"X-Forwarded-For": value})
        return len({event.visitor_id for event in queued(client)})

    assert visitors(0, "192.0.2.1", "192.0.2.2") == 1
    assert visitors(1, "192.0.2.1", "192.0.2.2") == 2
    assert visitors(1, "192.0.2.9, 192.0.2.1", "192.0.2.8, 192.0.2.1") == 1  # the left one is the client's own word
    assert visitors(2, "192.0.2.9, 192.0.2.1", "192.0.2.8, 192.0.2.1") == 2
    assert visitors(1, "192.0.2.1", "192.0.2.1:50001", "192.0.2.1:50002") == 1
    assert visitors(1, "2001:db8::1", "[2001:db8::1]:50001", "[2001:db8::1]") == 1


def test_a_sender_with_the_token_names_the_visitor_and_others_are_not_believed(make_client: MakeClient) -> None:
    client = make_client(ingest_token=TOKEN, event_rate_limit=1)
    named = {"event_type": "x", "visitor_address": "192.0.2.1", "visitor_user_agent": "A"}
    for _ in range(3):
        ok = client.post(URL, json=named, headers={"Authorization": f"Bearer {TOKEN}"})
        assert ok.status_code == 202  # and no rate limit
    direct = client.post(
        URL, json={"event_type": "x"}, headers={"User-Agent": "A"}, environ_overrides={"REMOTE_ADDR": "192.0.2.1"}
    )
    assert direct.status_code == 202
    assert client.post(URL, json=named).status_code == 202
    ids = [event.visitor_id for event in queued(client)]
    assert len(set(ids[:4])) == 1
    assert ids[4] != ids[0]


def test_a_wrong_token_is_refused_and_counted(make_client: MakeClient) -> None:
    for number, configured in enumerate((None, TOKEN), start=1):
        client = make_client(ingest_token=configured)
        response = client.post(URL, json={"event_type": "x"}, headers={"Authorization": "Bearer wrong"})
        refused(response, 401, "unauthorized")
        assert ledger(client) == {"received": number, "rejected:unauthorized": number}


def test_a_full_inbox_sheds_and_says_when_to_return(make_client: MakeClient) -> None:
    client = make_client(inbox_max_bytes=10)
    response = client.post(URL, json={"event_type": "x"})
    refused(response, 503, "inbox_full")
    assert int(response.headers["Retry-After"]) > 0
    assert ledger(client) == {"received": 1, "shed": 1}


def test_without_redis_events_are_shed_and_the_count_is_kept_for_later(
    make_client: MakeClient, redis_client: redis.Redis
) -> None:
    client = make_client(redis_url="unix:///nonexistent/valkey.sock", event_rate_limit=0)
    response = client.post(BATCH, json=[{"event_type": "x"}] * 2)
    refused(response, 503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0
    refusals = parts_of(client).refusals
    refusals._client = redis_client
    refusals.flush()
    assert redis_client.hgetall(keys.LEDGER) == {b"received": b"2", b"shed": b"2"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", URL, 405, "method_not_allowed"),
        ("PUT", BATCH, 405, "method_not_allowed"),
        ("POST", "/api/v1/analytics/nothing", 404, "not_found"),
        ("BREW", URL, 405, "method_not_allowed"),
    ],
)
def test_wrong_ways_in_are_told_so_in_the_one_error_shape(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    refused(client.open(path, method=method), status, code)


def test_other_origins_may_post_and_the_answer_carries_the_request_id(client: FlaskClient) -> None:
    preflight = client.options(URL, headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
    assert preflight.status_code in {200, 204}
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    response = client.post(
        URL, json={"event_type": "x"}, headers={"Origin": "https://a.example", "X-Request-ID": "my-request-1"}
    )
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["X-Request-ID"] == "my-request-1"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "body",
    [b'{"event_type":"x"}', b'{"event_type":"X"}', b"[", b" " * (1 << 20) + b"{}"],
    ids=["good", "bad", "broken", "big"],
)
def test_the_short_way_and_the_way_through_the_router_answer_alike(client: FlaskClient, body: bytes) -> None:
    def answer(path: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        response = client.post(path, data=body)
        kept = {
            name: value for name, value in response.headers.items() if name not in {"X-Request-ID", "Content-Length"}
        }
        return response.status_code, {k: v for k, v in response.json.items() if k != "id"}, kept

    assert answer(URL) == answer(URL + "/")
    assert answer(BATCH) == answer(BATCH + "/")


def test_an_error_of_ours_is_told_in_the_one_shape_and_hides_what_it_was(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(parts_of(client).inbox, "append", broken)
    for path in (URL, URL + "/"):
        response = client.post(path, json={"event_type": "x"})
        refused(response, 500, "internal_error")
        assert "secret" not in response.text


def sent(client: FlaskClient, body: Any, url: str = URL, **headers: str) -> Event:
    """The event that a body becomes with these headers, of which a later one counts."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = client.post(url, json=body, headers=named)
    assert response.status_code == 202, response.text
    return queued(client)[-1]


@pytest.mark.parametrize(
    ("language", "kept"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("EN", "en"),
        ("*", ""),
        ("", ""),
        ("\u00e4\u00f6", ""),
        ("x" * 8000, ""),
        (";q=1,de", ""),
    ],
)
def test_the_request_tells_language_and_user_agent(client: FlaskClient, language: str, kept: str) -> None:
    event = sent(client, {"event_type": "x"}, User_Agent="A" * 65_536, Accept_Language=language)
    assert (event.traits.language, event.traits.user_agent) == (kept, "A" * 512)


def test_what_the_event_tells_is_joined_with_what_the_request_tells(client: FlaskClient) -> None:
    body = {"event_type": "x", "language": "fr-CA", "screen_width": 800, "page_url": "/?gclid=1&utm_source=a"}
    event = sent(client, body, User_Agent="A", Accept_Language="de")
    assert event.traits == Traits(user_agent="A", language="fr", screen_width=800, click_id="gclid")
    assert event.page_url == "/?utm_source=a"


def located(make_client: MakeClient, tmp_path: Path, **changes: Any) -> FlaskClient:
    """A client of an installation that knows where some addresses are."""
    records = {"127.0.0.0/8": {"country_code": "DE", "city": "Bonn"}, "203.0.113.0/24": {"country_code": "FR"}}
    write(tmp_path / "geo" / "places.mmdb", records)
    return make_client(**{"event_rate_limit": 0, "geo_db": tmp_path / "geo", **changes})


@pytest.mark.parametrize(
    ("proxies", "header", "headers", "place"),
    [
        (0, None, {}, ("DE", "Bonn")),
        (0, "CF-IPCountry", {"CF_IPCountry": "US"}, ("DE", "Bonn")),
        (0, "CF-IPCountry", {"CF_IPCountry": "US", "X_Forwarded_For": "203.0.113.7"}, ("DE", "Bonn")),
        (1, None, {"CF_IPCountry": "US", "X_Forwarded_For": "203.0.113.7"}, ("FR", "")),
        (1, "CF-IPCountry", {"CF_IPCountry": "us", "X_Forwarded_For": "203.0.113.7"}, ("US", "")),
        (1, "CF-IPCountry", {"X_Forwarded_For": "203.0.113.7"}, ("FR", "")),
        (1, "CF-IPCountry", {"CF_IPCountry": "DE"}, ("DE", "Bonn")),
        (1, "CF-IPCountry", {"CF_IPCountry": "US"}, ("US", "")),
        (1, "CF-IPCountry", {"CF_IPCountry": "XX"}, ("DE", "Bonn")),
        (1, "CF-IPCountry", {"CF_IPCountry": "T1"}, ("DE", "Bonn")),
        (1, "CF-IPCountry", {"CF_IPCountry": "USA"}, ("DE", "Bonn")),
        (1, "CF-IPCountry", {"CF_IPCountry": "\u00dc\u00df"}, ("DE", "Bonn")),
    ],
)
def test_a_place_is_that_of_the_address_or_what_a_trusted_proxy_says(
    make_client: MakeClient,
    tmp_path: Path,
    proxies: int,
    header: str | None,
    headers: dict[str, str],
    place: tuple[str, str],
) -> None:
    client = located(make_client, tmp_path, trusted_proxies=proxies, country_header=header)
    traits = sent(client, {"event_type": "x"}, **headers).traits
    assert (traits.country, traits.city) == place


def test_a_trusted_sender_speaks_for_its_visitor_and_its_own_headers_say_nothing(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = located(make_client, tmp_path, ingest_token=TOKEN, trusted_proxies=1, country_header="CF-IPCountry")
    own = {"Authorization": f"Bearer {TOKEN}", "User_Agent": "server", "Accept_Language": "de", "CF_IPCountry": "US"}
    body = {"event_type": "x", "visitor_address": "203.0.113.7", "visitor_user_agent": "B" * 2000, "language": "fr"}
    assert sent(client, body, **own).traits == Traits(user_agent="B" * 512, language="fr", country="FR")
    assert sent(client, {"event_type": "x", "visitor_address": "garbage"}, **own).traits == Traits(user_agent="server")
    assert sent(client, {"event_type": "x"}, **own).traits == Traits(user_agent="server", language="de", country="US")
    body["visitor_address"] = "127.0.0.1"
    assert sent(client, body, User_Agent="A").traits.user_agent == "A", "nobody else does"


def test_no_address_is_queued(make_client: MakeClient, tmp_path: Path) -> None:
    client = located(make_client, tmp_path, trusted_proxies=1)
    sent(client, {"event_type": "x"}, X_Forwarded_For="203.0.113.7")
    [(_, fields)] = parts_of(client).redis.xrange(keys.INBOX)
    assert not any(b"203.0.113" in value for value in fields.values())


@pytest.fixture
def shop(client: FlaskClient) -> Site:
    return parts_of(client).sites.add({"domain": "shop.example", "allowed_hosts": ["*.shop.example", "pay.example"]})


@pytest.mark.parametrize(
    "body",
    [
        {"site_id": "ID"},
        {"site_id": "DIGITS"},
        {"website_id": "MC"},
        {"measurement_id": "MC"},
        {"domain": "shop.example"},
        {"domain": "Shop.Example"},
        {"domain": "shop.example", "site_id": "ID", "measurement_id": "MC"},
        {"siteId": "MC", "page": "/"},
        {"domain": "shop.example", "page": "https://a.shop.example/"},
        {"page_url": "https://shop.example/cart"},
        {"page_url": "https://www.shop.example:8443/cart"},
        {"page_url": "https://pay.example/"},
        {"site_id": "ID", "page_url": "/cart"},
    ],
)
def test_an_event_names_its_site_or_its_page_does(client: FlaskClient, shop: Site, body: dict[str, Any]) -> None:
    meant = {"ID": shop.id, "DIGITS": str(shop.id), "MC": shop.measurement_id}
    assert sent(client, {"event_type": "x"} | {k: meant.get(v, v) for k, v in body.items()}).site_id == shop.id


@pytest.mark.parametrize("page_url", ["", "/cart", "https://elsewhere.example/"])
def test_any_other_event_is_the_default_sites_as_it_always_was(client: FlaskClient, shop: Site, page_url: str) -> None:
    event = sent(client, {"event_type": "x", "page_url": page_url})
    assert event.site_id == 1


def test_once_the_default_site_has_a_domain_pages_elsewhere_are_nobodys(client: FlaskClient) -> None:
    parts_of(client).sites.set(1, {"domain": "home.example"})
    assert sent(client, {"event_type": "x", "page_url": "https://home.example/"}).site_id == 1
    assert sent(client, {"event_type": "x", "page_url": "/"}).site_id == 1
    body = {"event_type": "x", "page_url": "https://elsewhere.example/"}
    refused(client.post(URL, json=body), 400, "unknown_site", "page_url")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"site_id": 77}, "unknown_site", "site_id"),
        ({"website_id": "MC-0000000000"}, "unknown_site", "website_id"),
        ({"domain": "\u0661"}, "unknown_site", "domain"),
        ({"domain": "\ud800"}, "unknown_site", "domain"),
        ({"siteId": "nobody.example", "page": "/"}, "unknown_site", "siteId"),
        ({"site_id": 1, "domain": "shop.example"}, "invalid_site", "domain"),
        ({"domain": "shop.example", "page_url": "https://evil.example/"}, "host_not_allowed", "page_url"),
    ],
)
def test_a_site_that_is_none_is_refused(
    client: FlaskClient, shop: Site, body: dict[str, Any], code: str, field: str
) -> None:
    refused(client.post(URL, json={"event_type": "x"} | body), 400, code, field)
    response = client.post(BATCH, json=[{"event_type": "x"} | body, {"event_type": "x"}])
    assert [(item["index"], item["code"]) for item in response.json["rejected"]] == [(0, code)]
    assert ledger(client) == {"received": 3, f"rejected:{code}": 2}


def test_a_batch_may_be_of_several_sites(client: FlaskClient, shop: Site) -> None:
    batch = {"site_id": shop.id, "events": [{"event_type": "x"}, {"event_type": "x", "site_id": 1}]}
    assert client.post(BATCH, json=batch).json["accepted"] == 2
    mine, theirs = queued(client)
    assert (mine.site_id, theirs.site_id) == (shop.id, 1)
    assert mine.visitor_id != theirs.visitor_id


def test_seentics_batch_is_taken(client: FlaskClient, shop: Site) -> None:
    view = {"event_type": "pageview", "page": "/a", "referrer": "direct", "visitor_id": "v1", "screen_width": 800}
    batch = {"siteId": "shop.example", "events": [view, {"event_type": "Bad", "page": "/"}]}
    for url in (BATCH, "/api/v1/analytics/batch"):
        response = client.post(url, json=batch)
        assert (response.status_code, response.json["accepted"]) == (202, 1)
        event = queued(client)[-1]
        assert (event.site_id, event.event_type, event.page_url, event.referrer) == (shop.id, "page_view", "/a", "")
        assert event.traits.screen_width == 800


def test_an_event_may_be_as_old_as_its_site_keeps_events_and_no_older(client: FlaskClient) -> None:
    sites = parts_of(client).sites
    sites.add({"domain": "brief.example", "retention_days": 7})
    sites.add({"domain": "long.example", "retention_days": 400})

    def of(domain: str | None, days: int) -> dict[str, Any]:
        at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        return {"event_type": "x", "timestamp": at} | ({"domain": domain} if domain else {})

    for domain, days in ((None, 89), ("brief.example", 6), ("long.example", 399)):
        assert sent(client, of(domain, days)).event_type == "x"
    for domain, days in ((None, 91), ("brief.example", 8), ("long.example", 401)):
        refused(client.post(URL, json=of(domain, days)), 400, "timestamp_too_old", "timestamp")
    answer = client.post(f"{URL}/batch", json=[of("brief.example", 8), of("long.example", 8)]).get_json()
    assert [(item["index"], item["code"]) for item in answer["rejected"]] == [(0, "timestamp_too_old")]


def test_while_nobody_tells_which_sites_there_are_an_event_that_names_one_may_come_again(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SiteDirectory, "_read", lambda _: None)
    named = {"event_type": "x", "site_id": 2}
    refused(client.post(URL, json=named), 503, "unavailable")
    refused(client.post(BATCH, json=[{"event_type": "X"}, {"event_type": "x"}, named]), 503, "unavailable")
    assert sent(client, {"event_type": "x"}).site_id == 1
    assert ledger(client) == {"received": 5, "shed": 3, "rejected:invalid_event_type": 1}
