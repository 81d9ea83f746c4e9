"""A site with a handful of visits, and pages asked of it at one moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from maicivy.bootstrap import Maicivy
from maicivy.core.answers import Answer
from maicivy.core.events import Event, Traits
from maicivy.core.ports import Parcel
from maicivy.core.query_language import Question, read
from maicivy.core.sites import Site
from maicivy.dashboard.asking import PARTS, Asking
from maicivy.dashboard.page import Page, Panel
from maicivy.dashboard.panels import card_of
from maicivy.dashboard.view import View
from tests.events import event

NOW = datetime(2025, 12, 10, 12, 30, 20, tzinfo=UTC)
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0"
BOT = Traits("Googlebot/2.1 (+http://www.google.com/bot.html)")
UTM = ("newsletter", "email", "spring", "cv", "footer")
PARIS = Traits(CHROME, "fr", "FR", "Ile-de-France", "Paris", 1920, 1080, UTM)
BERLIN = Traits(FIREFOX, "de", "DE", "Berlin", "Berlin", 1366, 768)


def did(
    event_type: str,
    at: datetime,
    visitor: int = 1,
    page: str = "/",
    traits: Traits = PARIS,
    data: dict[str, Any] | None = None,
    referrer: str = "",
) -> Event:
    happened = event(event_type, data, at=at, visitor=visitor, page_url=page)
    return msgspec.structs.replace(happened, traits=traits, referrer=referrer)


def put(parts: Maicivy, *events: Event) -> None:
    parts.store.store([Parcel("1-0", len(events), list(events), [])])


def ago(**past: float) -> datetime:
    return NOW - timedelta(**past)


def visit_a_little(parts: Maicivy) -> None:
    """Today a visit; yesterday one of two pages from Paris and one of a page from Berlin, and a bot; ten days ago one.

    Nothing before that.
    """
    day = ago(days=1)
    read_for = msgspec.structs.replace(PARIS, engagement_ms=40_000, scroll_depth=80)
    put(
        parts,
        did("page_view", ago(hours=1), 1, "https://example.org/"),
        did("page_view", day, 1, "https://example.org/", referrer="https://www.google.com/search"),
        did("engagement", day + timedelta(seconds=40), 1, "https://example.org/", read_for),
        did("page_view", day + timedelta(minutes=1), 1, "https://example.org/pricing"),
        did("signup", day + timedelta(minutes=2), 1, "https://example.org/pricing", data={"plan": "team", "seats": 3}),
        did("page_view", day + timedelta(hours=2), 2, "https://example.org/pricing", BERLIN),
        did("page_view", day, 3, "/", BOT),
        did("signup", day, 3, "/", BOT, {"plan": "bot"}),
        did("page_view", ago(days=10), 4, "https://example.org/", BERLIN),
    )


def shown_name(dimension: str, value: str) -> str:
    """Stands for the names of a language."""
    return {"visit:country FR": "France", "visit:country DE": "Germany"}.get(f"{dimension} {value}", value or "(none)")


def asking(parts: Maicivy) -> Asking:
    return Asking(parts.queries, parts.reports, parts.samples, parts.settings.timezone)


def page_of(parts: Maicivy, view: View, site: Site | None = None, *only: str, now: datetime = NOW) -> Page:
    site = site or Site(1, "example.org", "MC-0123456789")
    return asking(parts).page(view, site, [site], now, shown_name, only or PARTS)


def panel_of(parts: Maicivy, view: View, key: str, now: datetime = NOW) -> Panel:
    """A panel as its card shows it."""
    page = page_of(parts, view.with_panel(key), None, f"card-{card_of(key)}", now=now)
    (card,) = page.cards
    assert card.panel.key == key
    return card.panel


def ask(parts: Maicivy, now: datetime = NOW, **body: Any) -> Answer:
    """What the API answers."""
    said = {"site_id": 1, "metrics": ["visitors"], "date_range": "28d"} | body
    return parts.queries.answer(read(said), Site(1), now)


class Failing:
    """Stands for the query engine, which fails for some of the questions."""

    def __init__(self, parts: Maicivy, error: Exception, *dimensions: str) -> None:
        self._parts = parts
        self._error = error
        self._dimensions = dimensions

    def first_moment(self, site: Site, now: datetime) -> datetime | None:
        return self._parts.queries.first_moment(site, now)

    def answer(self, question: Question, site: Site, now: datetime) -> Answer:
        if set(question.dimensions) & set(self._dimensions) or not self._dimensions:
            raise self._error
        return self._parts.queries.answer(question, site, now)
