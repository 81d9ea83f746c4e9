"""The wall screen: what it shows, what it asks for again, and who may see it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from flask.testing import FlaskClient

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.dashboard.wall import LISTS, METRICS, MINUTES, MOMENTS, ROWS, Wall, wall_of
from maicivy.errors import Unavailable
from maicivy.web import assets, create_app

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
TOKEN = "0123456789abcdef"
HOSTILE = "/<script>alert(1)</script>\"'\u202e"


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(replace(settings, event_rate_limit=0, admin_token=TOKEN))
    yield parts
    parts.close()


@pytest.fixture
def client(parts: Maicivy) -> FlaskClient:
    return create_app(parts).test_client()


def send(parts: Maicivy, client: FlaskClient, *pages: str, **members: object) -> None:
    """A visit of each page, by the same browser."""
    for page in pages:
        body = {"event_type": "page_view", "page_url": page} | members
        assert client.post("/api/v1/analytics/event", json=body, headers={"User-Agent": BROWSER}).status_code == 202
    while not parts.inbox.is_empty():
        parts.ingest.once("test", 0)


def seen(parts: Maicivy) -> Wall:
    site = parts.site_directory.book(parts.now()).default
    return wall_of(parts.queries, parts.reports, site, parts.settings.timezone, parts.now())


class Tags(HTMLParser):
    """Every tag with its attributes, and every text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def parts(self) -> list[str]:
        return [attrs["data-part"] or "" for _, attrs in self.tags if "data-part" in attrs]


def test_it_shows_who_is_there_today_and_the_last_half_hour(parts: Maicivy, client: FlaskClient) -> None:
    send(parts, client, "/", "/cv", "/cv")
    wall = seen(parts)
    assert (wall.current, wall.views, wall.problem) == (1, 3, None)
    assert [figure.metric for figure in wall.figures] == list(METRICS)
    assert [figure.value for figure in wall.figures][:3] == [1, 1, 3]
    pages, _sources, _countries = wall.lists
    assert {(row.value, row.visitors, row.share) for row in pages.rows} == {("/", 1, 1.0), ("/cv", 1, 1.0)}


def test_every_minute_of_the_last_half_hour_is_there_and_the_last_one_is_this_one(
    parts: Maicivy, client: FlaskClient
) -> None:
    send(parts, client, "/")
    wall = seen(parts)
    starts = [minute.start for minute in wall.minutes]
    assert len(starts) == MINUTES
    assert {later - earlier for earlier, later in pairwise(starts)} == {timedelta(minutes=1)}
    assert timedelta(0) <= parts.now() - starts[-1] <= timedelta(minutes=2)
    assert sum(minute.views for minute in wall.minutes) == 1
    assert max(minute.height for minute in wall.minutes) == 1.0


def test_nobody_at_all_is_shown_as_well(parts: Maicivy, client: FlaskClient) -> None:
    wall = seen(parts)
    assert (wall.current, wall.views, wall.problem) == (0, 0, None)
    assert {minute.height for minute in wall.minutes} == {0.0}
    page = Tags(client.get("/live/1").text)
    assert page.texts.count("Nobody in the last 30 minutes.") == len(LISTS)


def test_the_list_begins_with_what_happened_last(parts: Maicivy, client: FlaskClient) -> None:
    send(parts, client, *(f"/{number}" for number in range(MOMENTS + 2)))
    page = client.get("/live/1").text
    ticker = page[page.index("<ol data-ticker") :]
    assert re.findall(r"<bdi>(/\d+)</bdi>", ticker) == [f"/{number}" for number in reversed(range(2, MOMENTS + 2))]
    assert "data-ticker-empty" not in ticker
    assert "data-ticker" not in client.get("/live/1?parts=line").text


def test_lists_are_short(parts: Maicivy, client: FlaskClient) -> None:
    send(parts, client, *(f"/{number}" for number in range(ROWS + 3)))
    assert len(seen(parts).lists[0].rows) == ROWS


def test_the_page_loads_its_own_files_only_and_says_so(client: FlaskClient) -> None:
    response = client.get("/live/1")
    assert response.status_code == 200
    page = Tags(response.text)
    assert not [attrs for _, attrs in page.tags if "style" in attrs or any(name.startswith("on") for name in attrs)]
    files = [attrs.get("src") or attrs.get("href") for tag, attrs in page.tags if tag in ("script", "link")]
    names = ("icon.svg", "wall.css", "wall.js")
    assert files == [f"/assets/{assets.version()}/dashboard/{name}" for name in names]
    assert all(client.get(str(file)).status_code == 200 for file in files)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self' ws://localhost wss://localhost;" in policy
    assert "unsafe" not in policy
    assert response.headers["Cache-Control"] == "private, no-cache"


def test_a_host_cannot_add_to_the_policy(client: FlaskClient) -> None:
    response = client.get("/live/1", headers={"Host": "a; script-src *"})
    assert "script-src *" not in response.headers.get("Content-Security-Policy", "")


def test_what_changes_is_sent_alone_and_names_the_version(client: FlaskClient) -> None:
    whole, some = Tags(client.get("/live/1").text), Tags(client.get("/live/1?parts=line,pages").text)
    assert some.parts() == whole.parts() == ["line", "figures", *LISTS]
    assert not {tag for tag, _ in some.tags} & {"html", "main", "script"}
    assert [attrs["data-version"] for _, attrs in some.tags if "data-version" in attrs] == [assets.version()]


def test_hostile_strings_are_text(parts: Maicivy, client: FlaskClient) -> None:
    send(parts, client, HOSTILE, utm_source="<img src=x onerror=alert(1)>")
    text = client.get("/live/1").text
    assert "<script>alert" not in text
    assert "<img" not in text
    page = Tags(text)
    assert "/<script>alert(1)</script>\"'" in "".join(page.texts)
    assert "<img src=x onerror=alert(1)>" in page.texts


@pytest.mark.parametrize(
    ("query", "headers", "text"),
    [
        ("", {}, "Current visitors"),
        ("", {"Accept-Language": "fr-CH, en;q=0.5"}, "Visiteurs en ce moment"),
        ("?lang=en", {"Accept-Language": "fr"}, "Current visitors"),
        ("?lang=fr&theme=light", {}, "Visiteurs en ce moment"),
    ],
)
def test_it_speaks_the_reader_s_language(client: FlaskClient, query: str, headers: dict[str, str], text: str) -> None:
    response = client.get(f"/live/1{query}", headers=headers)
    assert text in Tags(response.text).texts
    assert f'data-theme="{"light" if "light" in query else "dark"}"' in response.text
    lang, _, _ = query.partition("&")
    assert re.search(rf'href="/dashboard/[^/?"]+{re.escape(lang)}"', response.text), "the way back speaks it, too"
    types = re.search(r'data-types="([^"]*)"', response.text)
    assert types is not None
    assert "page_view" in json.loads(unescape(types[1]))


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/live/nowhere.example", 404, "There is no such site."),
        ("/live/1?theme=pink", 400, "The part that was not understood: theme"),
        ("/live/1?lang=de", 400, "The part that was not understood: lang"),
        ("/live/1?period=day", 400, "The part that was not understood: period"),
        ("/live/1?lang=en&lang=fr", 400, "The part that was not understood: lang"),
        ("/live?period=day", 400, "The part that was not understood: period"),
    ],
)
def test_what_it_does_not_know_it_refuses_with_a_page(client: FlaskClient, path: str, status: int, text: str) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert text in " ".join(re.sub("<[^>]+>", "", response.text).split())


def test_the_only_site_needs_no_choice_and_several_are_listed(parts: Maicivy, client: FlaskClient) -> None:
    first = f"/live/{parts.site_directory.book(parts.now()).default.measurement_id}"
    alone = client.get("/live?lang=fr")
    assert (alone.status_code, alone.headers["Location"]) == (302, f"{first}?lang=fr")
    parts.sites.add({"domain": "shop.example"})
    parts.sites.add({"domain": "secret.example", "is_public": False})
    parts.site_directory.forget()
    links = [attrs["href"] for tag, attrs in Tags(client.get("/live").text).tags if tag == "a"]
    assert links == [first, "/live/shop.example"]
    bright = Tags(client.get("/live?theme=light&lang=fr").text).tags
    assert ("a", "/live/shop.example?theme=light&lang=fr") in [(tag, attrs.get("href")) for tag, attrs in bright]
    everything = client.get("/live", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert "secret.example" in everything


def test_a_site_that_is_not_public_has_to_be_unlocked(parts: Maicivy, client: FlaskClient) -> None:
    parts.sites.add({"domain": "secret.example", "is_public": False})
    parts.site_directory.forget()
    response = client.get("/live/secret.example?lang=fr")
    assert response.status_code == 401
    assert 'name="token"' in response.text
    assert client.get("/live/secret.example?parts=line").status_code == 401
    shown = client.get("/live/secret.example", headers={"Authorization": f"Bearer {TOKEN}"})
    assert shown.status_code == 200
    assert shown.headers["Cache-Control"] == "no-store"


def test_where_no_site_is_public_the_choice_is_the_form(parts: Maicivy, client: FlaskClient) -> None:
    parts.sites.set(1, {"is_public": False})
    parts.site_directory.forget()
    response = client.get("/live?theme=light")
    assert response.status_code == 401
    assert 'name="token"' in response.text
    assert 'value="/live?theme=light"' in response.text


def test_with_a_database_that_is_away_the_page_comes_and_its_parts_do_not(
    parts: Maicivy, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def away(*_: object) -> None:
        asked.append(1)
        raise Unavailable("postgres", "away")

    monkeypatch.setattr(type(parts.queries), "answer", away)
    page = client.get("/live/1")
    assert page.status_code == 200
    assert "The database does not answer right now." in page.text
    assert len(asked) == 1, "one that hangs would make each question wait"
    assert client.get("/live/1?parts=line").status_code == 503, "the screen keeps what it has"
