"""What the pages are made of, drawn from a page made by hand: sound markup, nothing inline, text that stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import markupsafe
import msgspec
import pytest

from maicivy import web
from maicivy.core.answers import MetricHow
from maicivy.core.events import DEFAULT_SITE
from maicivy.dashboard.asking import PARTS
from maicivy.dashboard.charts.bars import bar
from maicivy.dashboard.charts.heatmap import heat_map
from maicivy.dashboard.charts.series import series_chart
from maicivy.dashboard.charts.spark import spark
from maicivy.dashboard.charts.worldmap import world_map
from maicivy.dashboard.formats import formats_for
from maicivy.dashboard.onboarding import snippets
from maicivy.dashboard.page import Extras, Page, Problem
from maicivy.dashboard.panels import PANELS
from maicivy.dashboard.parameters import read_view
from maicivy.dashboard.view import View
from maicivy.dashboard.words import LANGUAGES
from tests.dashboard import sample
from tests.dashboard.sample import BAD, LONG, PATH, RIGHT_TO_LEFT, page

TEMPLATES = Path(web.__file__).parent / "templates"
STATIC = Path(web.__file__).parent / "static"
_IMPORTED = re.compile(r'from "\./([a-z]+\.js)"')
VOID = {"meta", "link", "br", "input", "img", "hr"}
NOT_MINE = {"script", "img", "style", "iframe", "object", "embed", "base"}
SLOW = Problem("query_too_slow", "it took too long")


def asset(name: str) -> str:
    assert (STATIC / name).is_file(), name
    return f"/assets/v/{name}"


@pytest.fixture(scope="module")
def templates() -> jinja2.Environment:
    """As Flask has them, but that a name nobody gives is a mistake."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    drawings = (bar, heat_map, series_chart, spark, world_map)
    made.globals |= {"asset": asset, **{draw.__name__: draw for draw in drawings}}
    return made


class Drawn(HTMLParser):
    """What a page is made of, element by element, if they are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, names)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def draw(templates: jinja2.Environment, name: str, lang: str = "en", view: View | None = None, **values: Any) -> str:
    formats = formats_for("", lang)
    known = {
        "formats": formats,
        "t": formats.t,
        "nonce": "n0nce",
        "version": "1.2.3",
        "credit": ("Places by somebody", "https://places.example"),
        "demo_url": "/",
        "view": read_view([]) if view is None else view,
        "path": PATH,
    }
    return templates.get_template(f"dashboard/{name}.html").render(**known | values)


def without_rows(known: Page, problem: Problem | None) -> Page:
    cards = tuple(
        msgspec.structs.replace(card, panel=msgspec.structs.replace(card.panel, rows=(), problem=problem))
        for card in known.cards
    )
    return msgspec.structs.replace(known, cards=cards)


def detailed(key: str = "pages") -> dict[str, Any]:
    known = page()
    return {
        "details": sample.details(key),
        "site_name": BAD,
        "back_url": PATH,
        "hidden_pairs": [("f", BAD), ("sort", "-visitors")],
        "period": known.period,
        "timezone": "Europe/Paris",
        "chips": sample.hostile().chips,
        "path": f"{PATH}/details/{key}",
    }


def new_site() -> dict[str, Any]:
    site: Any = SimpleNamespace(id=DEFAULT_SITE + 1, measurement_id=BAD, domain=None)
    return {"page": page(state="new", extras=None, chips=()), "snippets": snippets("https://stats.example", site)}


PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "calm": ("page", {"page": page()}),
    "hostile": ("page", {"page": sample.hostile()}),
    "alone": ("page", {"page": page(sites=(), chips=(), extras=None, current_visitors=None, current_url="")}),
    "nobody": ("page", {"page": without_rows(page(state="empty", series=sample.series(points=0)), None)}),
    "broken": (
        "page",
        {
            "page": without_rows(
                page(figures=(), problem=SLOW, notices=(SLOW,), series=sample.series(problem=SLOW)), SLOW
            )
        },
    ),
    "uncompared": ("page", {"page": page(period=msgspec.structs.replace(page().period, before_start=None))}),
    "new": ("page", new_site()),
    "details": ("details", detailed()),
    "details of properties": ("details", detailed("properties")),
    "details of nothing": (
        "details",
        detailed()
        | {
            "details": msgspec.structs.replace(
                sample.details(), search=BAD, panel=sample.panel("pages", rows=()), previous_url="", next_url=""
            )
        },
    ),
    "error": (
        "error",
        {
            "status": 400,
            "code": "invalid_parameter",
            "message": BAD,
            "field": BAD,
            "request_id": BAD,
            "home_url": "/dashboard",
        },
    ),
    "error of no kind": (
        "error",
        {"status": 418, "code": "?", "message": BAD, "field": "", "request_id": "", "home_url": ""},
    ),
    "locked": (
        "unlock",
        {"site_name": BAD, "action": "/dashboard/unlock", "next": BAD, "problem": "", "hours": 12, "is_possible": True},
    ),
    "still locked": (
        "unlock",
        {
            "site_name": "x",
            "action": "/u",
            "next": "/",
            "problem": "unauthorized",
            "hours": 12,
            "is_possible": True,
        },
    ),
    "locked for good": (
        "unlock",
        {"site_name": "x", "action": "/u", "next": "/", "problem": "", "hours": 12, "is_possible": False},
    ),
}


def test_the_link_that_takes_all_filters_away_is_that_of_the_view_without_them(templates: jinja2.Environment) -> None:
    filtered = read_view([("f", "is,visit:os,Linux"), ("f", "is,visit:city,Paris")])
    for more in (View(), View("7d", zone="Europe/Paris", heat="/a b")):
        view = msgspec.structs.replace(more, filters=filtered.filters)
        for name, values in (("calm", {"page": sample.hostile()}), ("nobody", PAGES["nobody"][1])):
            values["page"] = msgspec.structs.replace(values["page"], chips=sample.hostile().chips)
            drawn = draw(templates, "page", view=view, **values)
            assert f'href="{markupsafe.escape(more.url(PATH))}"' in drawn, name


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound_and_has_nothing_inline(templates: jinja2.Environment, name: str, lang: str) -> None:
    template, values = PAGES[name]
    drawn = Drawn(draw(templates, template, lang, **values))
    for tag, attributes in drawn.elements:
        assert "style" not in attributes
        assert not [attribute for attribute in attributes if attribute.startswith("on")]
        assert tag not in NOT_MINE or (tag == "script" and attributes["src"].startswith("/assets/"))
    ids = drawn.values("id")
    assert len(set(ids)) == len(ids)
    for referring in ("aria-labelledby", "aria-describedby", "for"):
        assert set(drawn.values(referring)) <= set(ids)
    assert [tag for tag, _ in drawn.elements if tag in ("h1", "main")] == ["main", "h1"]
    assert dict(drawn.elements)["html"]["lang"] == lang


@pytest.mark.parametrize("name", PAGES)
def test_a_page_links_to_itself_to_sites_and_to_those_who_are_credited(
    templates: jinja2.Environment, name: str
) -> None:
    template, values = PAGES[name]
    drawn = Drawn(draw(templates, template, **values))
    for url in (*drawn.values("href"), *drawn.values("action"), *drawn.values("src")):
        assert url.startswith(("/", "?", "#", "https://places.example", "https://example.com", "https://x.example"))


def test_whatever_somebody_sent_stays_text(templates: jinja2.Environment) -> None:
    html = draw(templates, "page", page=sample.hostile())
    drawn = Drawn(html)
    assert not any(tag in NOT_MINE - {"script"} for tag, _ in drawn.elements)
    assert "{{7*7}}" in html
    for text in (BAD, RIGHT_TO_LEFT, LONG):
        assert sum(text in piece for piece in drawn.texts) >= 15


def test_what_runs_from_right_to_left_does_so_by_itself(templates: jinja2.Environment) -> None:
    html = draw(templates, "page", page=sample.hostile())
    held = html.replace(f"<bdi>{RIGHT_TO_LEFT}</bdi>", "")
    assert held.count(f">{RIGHT_TO_LEFT}<") < html.count(f">{RIGHT_TO_LEFT}<") / 4


@pytest.mark.parametrize("name", PARTS)
def test_a_part_can_be_had_alone_and_is_as_on_the_page(templates: jinja2.Environment, name: str) -> None:
    part = draw(templates, "parts", page=page(), parts=[name]).strip()
    drawn = Drawn(part)
    assert drawn.values("data-part") == [name]
    assert drawn.elements[0][1]["data-part"] == name
    whole = Drawn(draw(templates, "page", page=page()))
    assert name in whole.values("data-part")


def test_what_seed_001_shows_keeps_its_place_without_figures_and_asks_for_the_latest_events(
    templates: jinja2.Environment,
) -> None:
    drawn = Drawn(draw(templates, "page", page=page(extras=Extras(problem=SLOW))))
    by_part = {attributes["data-part"]: attributes for _, attributes in drawn.elements if "data-part" in attributes}
    assert "extras" in by_part
    assert "data-fed" not in by_part["ticker"]
    assert drawn.values("data-unfilled") == [""]
    assert sum(attributes.get("class") == "problem" for _, attributes in drawn.elements) == 2
    whole = Drawn(draw(templates, "page", page=page()))
    assert (whole.values("data-fed"), whole.values("data-unfilled")) == ([""], [])


def test_what_is_chosen_is_said_to_be(templates: jinja2.Environment) -> None:
    drawn = Drawn(draw(templates, "page", page=page()))
    chosen = [attributes.get("href") for _, attributes in drawn.elements if attributes.get("aria-current")]
    for url in (f"{PATH}?period=28d", f"{PATH}?compare=previous", f"{PATH}?metric=visitors", f"{PATH}?show=pages"):
        assert url in chosen


@pytest.mark.parametrize("key", PANELS)
def test_every_panel_has_a_place_and_words(templates: jinja2.Environment, key: str) -> None:
    known = page()
    cards = tuple(
        msgspec.structs.replace(card, panel=sample.panel(key)) if card.key == PANELS[key].card else card
        for card in known.cards
    )
    part = f"card-{PANELS[key].card}"
    for lang in LANGUAGES:
        html = draw(templates, "parts", lang, page=msgspec.structs.replace(known, cards=cards), parts=[part])
        assert f"{PATH}/details/{key}" in html
        assert draw(templates, "details", lang, **detailed(key))


def test_a_change_is_told_in_words_too(templates: jinja2.Environment) -> None:
    said = " ".join(" ".join(Drawn(draw(templates, "page", page=page())).texts).split())
    for words in ("up 13% from 5,712", "down 3% from 21K", "unchanged from 2m 34s", "down 3 pts from 51%"):
        assert words in said


def test_how_a_figure_was_computed_is_beside_it(templates: jinja2.Environment) -> None:
    estimated = MetricHow("mean", ["hour"], False, 0.025)
    figures = (msgspec.structs.replace(page().figures[0], how=estimated),)
    said = " ".join(" ".join(Drawn(draw(templates, "page", page=page(figures=figures))).texts).split())
    assert "Method Mean Read from totals by hour Exact An estimate, ± 2.5%" in said
    assert "As of Nov 20, 2026, 2:05 PM" in said


def test_a_form_keeps_the_rest_of_the_view(templates: jinja2.Environment) -> None:
    view = read_view([("f", "is,visit:country,FR"), ("tz", "Europe/Paris"), ("interval", "day"), ("compare", "year")])
    html = draw(templates, "page", view=view, page=page())
    custom = next(form for form in _forms(html) if ("period", "custom") in form)
    assert {("f", "is,visit:country,FR"), ("tz", "Europe/Paris"), ("compare", "year")} <= set(custom)
    assert [value for name, value in custom if name in ("from", "to")] == ["2026-10-24", "2026-11-20"]
    assert "interval" not in dict(custom)
    compared = next(form for form in _forms(html) if ("compare", "custom") in form)
    assert compared.count(("compare", "custom")) == 1
    assert ("compare", "year") not in compared


def test_a_filter_can_be_changed_where_it_stands(templates: jinja2.Environment) -> None:
    html = draw(templates, "page", page=page())
    changed = next(form for form in _forms(html) if ("fold", "is,visit:country,FR,CH") in form)
    assert [value for name, value in changed if name == "fval"] == ["FR", "CH"]
    assert ("fdim", "visit:country") in changed
    changed = next(form for form in _forms(html) if ("fold", "contains,event:props:plan,pro") in form)
    assert {("fdim", "event:props:"), ("fprop", "plan"), ("fval", "pro")} <= set(changed)


@pytest.mark.parametrize(("lang", "other"), [("en", "fr"), ("fr", "en")])
def test_the_other_language_is_a_link_to_the_same_view(templates: jinja2.Environment, lang: str, other: str) -> None:
    view = read_view([("period", "7d"), ("lang", lang)])
    drawn = Drawn(draw(templates, "page", lang, view=view, page=page()))
    links = [attributes["href"] for _, attributes in drawn.elements if attributes.get("hreflang")]
    assert links == [f"?period=7d&lang={other}"]


def test_modules_are_loaded_at_once_and_not_one_after_the_other(templates: jinja2.Environment) -> None:
    directory = STATIC / "dashboard"
    wanted: set[str] = set()
    found = {"main.js"}
    while found - wanted:
        wanted |= found
        found = {name for one in wanted for name in _IMPORTED.findall((directory / one).read_text("utf-8"))}
    drawn = Drawn(draw(templates, "page", page=page()))
    named = [each["href"] for tag, each in drawn.elements if tag == "link" and each["rel"] == "modulepreload"]
    assert {url.rpartition("/")[2] for url in named} == wanted - {"main.js"}


def test_templates_are_files_that_the_package_takes_along() -> None:
    assert {path.suffix for path in TEMPLATES.rglob("*") if path.is_file()} == {".html"}


def _forms(html: str) -> Iterator[list[tuple[str, str]]]:
    for text in html.split("<form")[1:]:
        fields = Drawn("<form" + text.partition("</form>")[0] + "</form>").elements
        yield [(each["name"], each.get("value", "")) for tag, each in fields if tag == "input" and "name" in each]
