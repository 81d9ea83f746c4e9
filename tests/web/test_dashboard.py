"""`/dashboard`: pages that show what the query API answers, who may see them, and whatever may be in their URLs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.events import Traits
from maicivy.core.sites import Site
from maicivy.dashboard.asking import PARTS
from maicivy.dashboard.panels import PANELS
from maicivy.dashboard.parameters import condition, read_view
from maicivy.storage.guesses import MAX_GUESSES
from maicivy.web import create_app
from maicivy.web.unlocking import LIFE_H
from tests.dashboard.visited import CHROME, did, put
from tests.naughty import STRINGS

TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
LONG = "long" * 500
BAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e{{7*7}}"


@pytest.fixture(scope="module")
def parts(shared_environ: dict[str, str]) -> Iterator[Maicivy]:
    """An installation that the tests share: site 1 has an ordinary visit, site `hostile.test` visits of every kind that
    somebody may think of, `secret.test` is not public."""
    parts = build(Settings.from_env(shared_environ | {"MAICIVY_ADMIN_TOKEN": TOKEN}))
    parts.sites.set(1, {"domain": "example.org"})
    hostile = parts.sites.add({"domain": "hostile.test"})
    parts.sites.add({"domain": "secret.test", "is_public": False})
    parts.site_directory.refresh()
    at = parts.now() - timedelta(minutes=30)
    put(
        parts,
        did("page_view", at, 1, "https://example.org/"),
        did("page_view", at + timedelta(seconds=5), 1, "https://example.org/cv"),
        did("signup", at + timedelta(seconds=9), 1, "https://example.org/cv", data={"plan": "team"}),
    )
    for number, text in enumerate([*STRINGS.values(), BAD, LONG]):
        short = text[:200]
        traits = Traits(CHROME, short, short, short, short, 1920, 1080, (short,) * 5)
        for event_type in ("page_view", "signup"):
            happened = did(
                event_type, at, 100 + number, f"/{text[:480]}", traits, {"plan": text, short[:64] or "x": text}
            )
            put(parts, msgspec.structs.replace(happened, site_id=hostile.id, referrer=f"https://{short or 'x'}/"))
    yield parts
    parts.close()


@pytest.fixture(scope="module")
def app(parts: Maicivy) -> Flask:
    return create_app(parts)


@pytest.fixture
def client(app: Flask, parts: Maicivy) -> FlaskClient:
    for key in parts.redis.scan_iter("maicivy:guesses:*"):
        parts.redis.delete(key)
    return app.test_client()


class _Scan(HTMLParser):
    """What a page does, as far as a browser would let it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.dangers: list[str] = []
        self.links: list[str] = []
        self.parts: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name, value in attrs:
            if name.startswith("on") or name == "style" or (value or "").strip().lower().startswith("javascript:"):
                self.dangers.append(f"{tag} {name}={value}")
            if name in ("href", "action", "src") and value:
                self.links.append(value)
        if tag == "script" and not (given.get("nonce") and (given.get("src") or "").startswith("/assets/")):
            self.dangers.append(f"script {given}")
        if tag in ("img", "iframe", "object", "embed", "base"):
            self.dangers.append(f"{tag} {given}")
        self.parts += [given["data-part"] or ""] if "data-part" in given else []

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(response: TestResponse, status: int = 200) -> _Scan:
    assert response.status_code == status, response.text[:2000]
    assert response.mimetype == "text/html"
    scan = _Scan(response.text)
    assert scan.dangers == []
    return scan


def site(parts: Maicivy, name: str) -> Site:
    found = parts.site_directory.book(parts.now()).named(name)
    assert found is not None
    return found


def test_a_page_shows_what_was_sent(client: FlaskClient) -> None:
    response = client.get("/dashboard/example.org")
    scan = shown(response)
    assert "/cv" in scan.text
    assert set(PARTS) <= set(scan.parts)
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert set(response.headers["Vary"].split(", ")) >= {"Accept-Language", "Cookie"}
    assert response.headers["Content-Language"] == "en"
    assert response.headers["X-Frame-Options"] == "DENY"
    for reference in ("1", site_name(client)):
        assert client.get(f"/dashboard/{reference}").status_code == 200


def site_name(client: FlaskClient) -> str:
    listed = client.get("/api/v1/sites").json
    assert listed is not None
    return str(listed["data"][0]["measurement_id"])


def test_a_page_loads_nothing_but_its_own(client: FlaskClient) -> None:
    one, other = (client.get("/dashboard/1").headers["Content-Security-Policy"] for _ in range(2))
    assert one != other  # a nonce is for once
    policy = dict(each.split(" ", 1) for each in one.split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self' ws://localhost wss://localhost"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in one
    strange = client.get("/dashboard/1", headers={"Host": "x;script-src *"})
    assert "script-src *" not in strange.headers.get("Content-Security-Policy", "")


def test_the_language_is_the_readers(client: FlaskClient) -> None:
    assert client.get("/dashboard/1", headers={"Accept-Language": "fr-CH, en"}).headers["Content-Language"] == "fr"
    answer = client.get("/dashboard/1?lang=en", headers={"Accept-Language": "fr"})
    assert answer.headers["Content-Language"] == "en"
    assert '<html lang="en"' in answer.text


@pytest.mark.parametrize(("query", "count"), [("", 1), ("?compare=year", 1), ("?compare=off", 0)])
def test_whoever_wants_a_comparison_is_told_that_there_is_none(client: FlaskClient, query: str, count: int) -> None:
    page = client.get(f"/dashboard/1{query}", headers={"Accept-Language": "en"})
    assert page.text.count("· nothing to compare with") == count


def test_the_wall_screen_speaks_the_language_that_was_asked_for(client: FlaskClient) -> None:
    assert "/live/example.org" in shown(client.get("/dashboard/1")).links
    assert "/live/example.org?lang=fr" in shown(client.get("/dashboard/1?lang=fr")).links


def test_parts_come_alone(client: FlaskClient) -> None:
    for part in PARTS:
        scan = shown(client.get(f"/dashboard/1?parts={part}&period=7d"))
        assert [name for name in scan.parts if name in PARTS] == [part]
        assert "<html" not in client.get(f"/dashboard/1?parts={part}").text
    scan = shown(client.get("/dashboard/1?parts=series,figures"))
    assert [name for name in scan.parts if name in PARTS] == ["series", "figures"]


def test_the_start_leads_to_the_only_site_or_lists_them(parts: Maicivy, client: FlaskClient) -> None:
    listed = shown(client.get("/dashboard"))
    assert "example.org" in listed.text
    assert "secret.test" not in listed.text
    assert "secret.test" in shown(client.get("/dashboard", headers=BEARER)).text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("period=fortnight", "period"),
        ("colour=red", "colour"),
        ("period=7d&period=7d", "period"),
        ("f=is,event:page", "f"),
        ("f=is,event:page,%25", "f"),
        ("parts=everything", "parts"),
        ("parts=figures,figures", "parts"),
        ("parts=figures&parts=series", "parts"),
        ("tz=Mars/Base", "tz"),
        ("period=custom&from=2026-02-30&to=2026-03-01", "from"),
        ("fdim=event:mood&fop=is&fval=x", "fval"),
        ("fdim=event:page&fop=contains&fval=", "fval"),
        ("fdim=event:page&fop=matches&fval=(", "fval"),
        ("fdim=event:page&fdim=event:page&fop=is&fval=x", "fdim"),
        ("fdim=event:page&fop=is&fval=x&fold=is", "fold"),
        ("show=letters", "show"),
    ],
)
def test_what_is_malformed_is_a_page_that_names_it(client: FlaskClient, query: str, field: str) -> None:
    scan = shown(client.get(f"/dashboard/1?{query}"), 400)
    assert field in scan.text


def test_such_a_page_leads_back_and_keeps_the_language(client: FlaskClient) -> None:
    response = client.get("/dashboard/1?period=fortnight&lang=fr")
    assert "/dashboard/1" in shown(response, 400).links
    assert response.headers["Content-Language"] == "fr"
    assert client.get("/dashboard/1?lang=tlh").headers["Content-Language"] == "en"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("details/pages?page=0", "page"),
        ("details/pages?page=1&page=2", "page"),
        ("details/pages?sort=mood", "sort"),
        ("details/events?sort=bounce_rate", "sort"),
        (f"details/pages?search={'x' * 201}", "search"),
        ("details/pages?search=%00", "search"),
        ("details/pages?colour=red", "colour"),
        ("export/pages.csv?page=x", "page"),
        ("moments?before=yesterday", "before"),
        ("moments?before=a&before=b", "before"),
        ("moments?parts=figures", "parts"),
    ],
)
def test_so_it_is_on_the_other_pages(client: FlaskClient, path: str, field: str) -> None:
    assert field in shown(client.get(f"/dashboard/1/{path}"), 400).text


@pytest.mark.parametrize(
    "path", ["/dashboard/nowhere.test", "/dashboard/99999", "/dashboard/1/details/mood", "/dashboard/1/export/mood.csv"]
)
def test_what_there_is_not_is_a_page_that_says_so(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    shown(response, 404)
    assert response.text.casefold().count("there is no such") <= 1
    assert "was not understood" not in response.text


@pytest.mark.parametrize("path", ["/dashboard/1/2/3", "/live/1/2", "/dashboard/1/export/pages"])
def test_where_no_route_leads_a_browser_gets_a_page_and_a_program_does_not(client: FlaskClient, path: str) -> None:
    shown(client.get(path, headers={"Accept": "text/html,*/*;q=0.8"}), 404)
    assert client.get(path).get_json()["error"]["code"] == "not_found"
    assert client.get("/api/nothing", headers={"Accept": "text/html"}).get_json()["error"]["code"] == "not_found"


def test_a_page_without_postgres_comes_back(parts: Maicivy) -> None:
    away = build(replace(parts.settings, database_url="postgresql+psycopg://maicivy@/maicivy?host=/nonexistent"))
    browser = create_app(away).test_client()
    response = browser.get("/dashboard/1")
    shown(response, 503)
    assert response.headers["Retry-After"]
    assert response.headers["Refresh"] == "15", "nobody sits at a screen on a wall"
    away.close()


def test_a_page_that_fails_says_so_with_the_id_of_the_request(app: Flask, client: FlaskClient, caplog: Any) -> None:
    view = app.view_functions["dashboard.site"]

    def broken(reference: str) -> str:
        raise ZeroDivisionError(reference)

    app.view_functions["dashboard.site"] = broken
    try:
        response = client.get("/dashboard/1", headers={"X-Request-ID": "0123456789abcdef"})
    finally:
        app.view_functions["dashboard.site"] = view
    assert "0123456789abcdef" in shown(response, 500).text
    assert "ZeroDivisionError" not in response.text


@pytest.mark.parametrize(
    ("form", "filters"),
    [
        ("fdim=event:page&fop=is&fval=/cv", [condition("is", "event:page", ["/cv"])]),
        ("fdim=event:page&fval=/cv", [condition("is", "event:page", ["/cv"])]),
        ("fdim=visit:city&fop=is&fval=", [condition("is", "visit:city", [""])]),
        ("fdim=visit:country&fval=France", [condition("is", "visit:country", ["FR"])]),
        ("fdim=visit:country&fop=contains&fval=R", [condition("contains", "visit:country", ["R"])]),
        ("fdim=event:props:&fprop=a,b&fop=contains&fval=x%25,y", [condition("contains", "event:props:a,b", ["x%,y"])]),
        ("fdim=visit:os&fop=is_not&fval=a&fval=b", [condition("is_not", "visit:os", ["a", "b"])]),
        ("fdim=&fop=is&fval=", []),
        ("f=is,visit:os,a&fold=is,visit:os,a&fdim=visit:os&fop=is&fval=b", [condition("is", "visit:os", ["b"])]),
    ],
)
def test_a_filter_is_added_by_a_form(client: FlaskClient, form: str, filters: list[Any]) -> None:
    moved = client.get(f"/dashboard/1?period=7d&tz=&{form}")
    assert moved.status_code == 302
    path, _, query = moved.location.partition("?")
    assert path == "/dashboard/example.org"
    view = read_view(parse_qsl(query, keep_blank_values=True))
    assert (view.period, list(view.filters)) == ("7d", filters)


def test_a_form_with_fields_left_empty_leads_to_the_url_of_its_view(client: FlaskClient) -> None:
    moved = client.get("/dashboard/1?period=28d&from=&to=&tz=UTC")
    assert (moved.status_code, moved.location) == (302, "/dashboard/example.org?tz=UTC")


def test_details_are_searched_sorted_and_paged(client: FlaskClient) -> None:
    found = shown(client.get("/dashboard/1/details/pages?search=CV"))
    assert "/cv" in found.text
    assert any("/export/pages.csv?search=CV" in link for link in found.links)
    for number, (key, spec) in enumerate(PANELS.items()):
        sorts = ("value", "-value", *(f"-{name}" for name in (*spec.metrics, *spec.more)), spec.metrics[0])
        shown(client.get(f"/dashboard/1/details/{key}?sort={sorts[number % len(sorts)]}"))


def table(response: TestResponse) -> list[list[str]]:
    assert response.status_code == 200, response.text
    assert response.mimetype == "text/csv"
    return list(csv.reader(io.StringIO(response.text)))


def test_a_panel_is_a_file(client: FlaskClient) -> None:
    response = client.get("/dashboard/1/export/pages.csv?period=7d")
    assert table(response) == [
        ["page", "visitors", "pageviews", "bounce_rate", "time_on_page", "scroll_depth"],
        ["/", "1", "1", "0", "0", ""],
        ["/cv", "1", "1", "", "0", ""],
    ]
    assert response.headers["Content-Disposition"].startswith('attachment; filename="maicivy-example.org-pages-20')
    countries = table(client.get("/dashboard/1/export/countries.csv"))
    assert [row[:2] for row in countries] == [["country", "name"], ["FR", "France"]]
    versions = table(client.get("/dashboard/1/export/browser_versions.csv"))
    assert [row[:3] for row in versions] == [["browser", "browser_version", "visitors"], ["Chrome", "130.0", "1"]]
    assert table(client.get("/dashboard/1/export/properties.csv")) == [
        ["plan", "visitors", "events"],
        ["team", "1", "1"],
    ]
    assert len(table(client.get("/dashboard/1/export/pages.csv?search=cv"))) == 2


def test_whatever_was_sent_is_text_on_every_page(parts: Maicivy, client: FlaskClient) -> None:
    path = "/dashboard/hostile.test"
    shown(client.get(path))
    for key in PANELS:
        card = shown(client.get(f"{path}?show={key}&parts=card-{PANELS[key].card}"))
        assert all(urlsplit(link).netloc in ("", "hostile.test") for link in card.links)
        details = shown(client.get(f"{path}/details/{key}"))
        assert all(urlsplit(link).netloc in ("", "hostile.test") for link in details.links)
    assert "<script>alert(1)</script>" in shown(client.get(f"{path}/details/pages")).text
    shown(client.get(f"{path}/moments"))


def test_a_link_of_a_hostile_row_shows_that_row(parts: Maicivy, client: FlaskClient) -> None:
    for key in ("pages", "utm_sources", "properties"):
        scan = shown(client.get(f"/dashboard/hostile.test/details/{key}"))
        links = [link for link in scan.links if "f=is," in link and "/details/" not in link]
        assert len(links) > 20
        for link in links[::9]:
            shown(client.get(f"{link}&parts=figures"))


def test_a_file_holds_no_formula(client: FlaskClient) -> None:
    for key in ("pages", "utm_sources", "properties", "referrers"):
        rows = table(client.get(f"/dashboard/hostile.test/export/{key}.csv"))
        assert len(rows) > 20
        assert len({len(row) for row in rows}) == 1
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert any(cell == "'=cmd|' /C calc'!A0" for row in rows_of(client, "utm_sources") for cell in row)


def rows_of(client: FlaskClient, key: str) -> list[list[str]]:
    return table(client.get(f"/dashboard/hostile.test/export/{key}.csv"))


def test_the_timeline_goes_on(client: FlaskClient) -> None:
    scan = shown(client.get("/dashboard/hostile.test/moments"))
    (earlier,) = [link for link in scan.links if "before=" in link][:1]
    shown(client.get(earlier))
    part = client.get(f"{earlier}&parts=moments")
    shown(part)
    assert "<html" not in part.text


# Who may see what is not public.


def unlocked(client: FlaskClient, token: str = TOKEN, following: str = "/dashboard/secret.test") -> TestResponse:
    return client.post("/dashboard/unlock", data={"token": token, "next": following})


@pytest.mark.parametrize("path", ["", "/details/pages", "/export/pages.csv", "/moments"])
def test_what_is_not_public_takes_the_token(client: FlaskClient, path: str) -> None:
    response = client.get(f"/dashboard/secret.test{path}?period=7d")
    scan = shown(response, 401)
    assert "/dashboard/unlock" in scan.links
    assert f"/dashboard/secret.test{path}?period=7d" in response.text
    assert response.headers["Cache-Control"] == "no-store"
    assert client.get(f"/dashboard/secret.test{path}", headers=BEARER).status_code == 200


def test_the_token_opens_what_is_only_read(parts: Maicivy, client: FlaskClient) -> None:
    moved = unlocked(client)
    assert (moved.status_code, moved.location) == (302, "/dashboard/secret.test")
    cookie = moved.headers["Set-Cookie"]
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={LIFE_H * 3600}"):
        assert attribute in cookie
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    page = client.get("/dashboard/secret.test")
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    assert client.get("/dashboard/secret.test/export/pages.csv").headers["Cache-Control"] == "no-store"
    among = client.get("/dashboard/1")
    assert "secret.test" in among.text
    assert among.headers["Cache-Control"] == "no-store"
    assert client.get("/live/secret.test").status_code == 200
    assert client.get("/ws/analytics?site=secret.test").status_code == 426  # which is said to those who may watch
    assert "secret.test" in client.get("/dashboard").text
    listed = client.get("/api/v1/sites").json
    assert listed is not None
    assert len(listed["data"]) == 3


def test_it_opens_nothing_that_is_written_or_posted(client: FlaskClient) -> None:
    unlocked(client)
    for method, path, body in (
        ("POST", "/api/v1/sites", {"domain": "new.test"}),
        ("PATCH", "/api/v1/sites/secret.test", {"is_public": True}),
        ("DELETE", "/api/v1/sites/secret.test", None),
        ("POST", "/api/v2/query", {"site_id": "secret.test", "metrics": ["visitors"], "date_range": "7d"}),
    ):
        response = client.open(path, method=method, data=json.dumps(body))
        assert response.status_code == 401, (method, path)


def test_over_https_the_cookie_stays_there(client: FlaskClient) -> None:
    response = client.post("/dashboard/unlock", data={"token": TOKEN}, base_url="https://localhost")
    assert "Secure" in response.headers["Set-Cookie"]


def test_a_wrong_token_opens_nothing(client: FlaskClient) -> None:
    for token in ("", "wrong", TOKEN[:-1], f"{TOKEN}0", "é" * 16, LONG):
        response = unlocked(client, token)
        shown(response, 401)
        assert "Set-Cookie" not in response.headers


def test_the_form_speaks_the_language_that_was_asked_for(client: FlaskClient) -> None:
    asked = "/dashboard/secret.test?period=7d&lang=fr"
    for response in (client.get(asked), unlocked(client, "wrong", asked), client.get("/dashboard/unlock?lang=fr")):
        assert response.headers["Content-Language"] == "fr"
    shown(client.get("/dashboard/unlock?lang=tlh"), 400)


def test_the_other_language_of_the_form_and_of_what_is_refused_keeps_the_view(client: FlaskClient) -> None:
    query = "period=7d&f=is,event:page,/a%2525%26b"
    asked = f"/dashboard/secret.test?{query}"
    assert f"?{query}&lang=fr" in shown(client.get(asked), 401).links
    assert f"?{query}&lang=en" in shown(client.get(f"{asked}&lang=fr&lang=fr"), 401).links
    assert f"{asked}&lang=fr" in shown(unlocked(client, "wrong", asked), 401).links
    assert "/dashboard/unlock?lang=fr" in shown(unlocked(client, "wrong", "/dashboard"), 401).links
    assert "?lang=fr" in shown(client.get("/dashboard/unlock?lang=en"), 200).links
    assert "?period=fortnight&lang=fr" in shown(client.get("/dashboard/1?period=fortnight&lang=tlh"), 400).links
    assert "?period=7d&lang=fr" in shown(client.get("/dashboard/nowhere?lang=&period=7d"), 404).links
    assert "?lang=fr" in shown(client.get(f"/dashboard/nowhere?f={'x' * 7000}"), 404).links


def test_nobody_guesses_for_long(parts: Maicivy, client: FlaskClient) -> None:
    assert [unlocked(client, "wrong").status_code for _ in range(MAX_GUESSES + 1)] == [401] * MAX_GUESSES + [429]
    response = unlocked(client)
    shown(response, 429)
    assert 0 < int(response.headers["Retry-After"]) <= 900
    elsewhere = client.post("/dashboard/unlock", data={"token": TOKEN}, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert elsewhere.status_code == 302


def test_the_form_has_a_page_of_its_own(client: FlaskClient) -> None:
    scan = shown(client.get("/dashboard/unlock"))
    assert "/dashboard/unlock" in scan.links
    shown(client.get("/dashboard/unlock?next=//evil.test"), 400)


def test_a_form_of_another_host_is_not_taken(client: FlaskClient) -> None:
    form = {"token": TOKEN}
    for origin in ("https://evil.test", "http://localhost.evil.test", "http://["):
        assert client.post("/dashboard/unlock", data=form, headers={"Origin": origin}).status_code == 404
    assert client.post("/dashboard/unlock", data=form, headers={"Origin": "http://localhost"}).status_code == 302
    shown(client.post("/dashboard/unlock", data={str(n): "" for n in range(11)}), 400)
    shown(client.post("/dashboard/unlock", data={"token": "x" * 5000}), 413)


def test_locking_ends_it(client: FlaskClient) -> None:
    assert "/dashboard/lock" not in shown(client.get("/dashboard/1")).links
    unlocked(client)
    assert "/dashboard/lock" in shown(client.get("/dashboard/1")).links
    assert client.post("/dashboard/lock").status_code == 302
    assert client.get("/dashboard/secret.test").status_code == 401
