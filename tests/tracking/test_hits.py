"""What a request leaves behind, and the event that becomes of it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from maicivy.core.gate import MAX_EVENT_BYTES, Draft, Gate
from maicivy.errors import Refusal
from maicivy.tracking.hits import draft, page_view, tracked

NOON = datetime(2025, 12, 8, 12, tzinfo=UTC)
GATE = Gate(NOON, timedelta(days=36_500), frozenset({"theme", "ref"}))
ID = UUID("0193a5f0-0000-7000-8000-000000000001")
HOME = {"PATH_INFO": "/", "QUERY_STRING": ""}


def viewed(theme_param: str | None = "theme", **environ: str) -> Draft:
    return draft(page_view(HOME | environ, "192.0.2.1", NOON.timestamp()), ID, GATE, theme_param)


def said(event_type: Any, data: Any, page_url: Any = None, **environ: str) -> Draft:
    hit = tracked(HOME | environ, "192.0.2.1", NOON.timestamp(), event_type=event_type, data=data, page_url=page_url)
    return draft(hit, ID, GATE, "theme")


def test_a_page_view_is_what_the_seed_shows() -> None:
    view = viewed(
        PATH_INFO="/cv", QUERY_STRING="theme=backend", HTTP_REFERER="https://a.example/", HTTP_USER_AGENT="Browser"
    )
    assert view == Draft(
        "page_view",
        {"theme": "backend", "path": "/cv"},
        "/cv?theme=backend",
        "https://a.example/",
        0,
        ID,
        NOON,
        "192.0.2.1",
        "Browser",
    )


@pytest.mark.parametrize(
    ("environ", "page_url"),
    [
        ({}, "/"),
        ({"PATH_INFO": ""}, "/"),
        ({"SCRIPT_NAME": "/shop", "PATH_INFO": "/cart"}, "/shop/cart"),
        (
            {"PATH_INFO": "/cv", "QUERY_STRING": "theme=backend&mail=me@x.example&utm_source=n"},
            "/cv?theme=backend&utm_source=n",
        ),
        ({"PATH_INFO": "/cv", "QUERY_STRING": "mail=me"}, "/cv"),
        ({"PATH_INFO": "/cv", "QUERY_STRING": "a b"}, "/cv"),
        ({"PATH_INFO": "/cv", "QUERY_STRING": "&".join(f"a{i}=1" for i in range(200))}, "/cv"),
        ({"PATH_INFO": "/cv", "QUERY_STRING": "utm_source=" + "x" * 600}, "/cv"),
        ({"PATH_INFO": "/\u00c3\u00bcber uns"}, "/%C3%BCber%20uns"),
        ({"PATH_INFO": "/\u00ff\u0000\n"}, "/%EF%BF%BD%00%0A"),
        ({"PATH_INFO": "/a?b#c%d"}, "/a%3Fb%23c%25d"),
        ({"PATH_INFO": "/" + "x" * 499}, "/" + "x" * 499),
    ],
)
def test_the_page_url_is_the_path_as_browsers_write_it_and_the_allowed_query(
    environ: dict[str, str], page_url: str
) -> None:
    view = viewed(**environ)
    assert view.page_url == page_url
    assert view.event_data["path"] == page_url.partition("?")[0]


def test_a_query_that_is_too_long_leaves_its_campaign_behind() -> None:
    view = viewed(PATH_INFO="/cv", QUERY_STRING="utm_source=n&utm_campaign=" + "x" * 600)
    assert (view.page_url, view.traits.utm) == ("/cv?utm_source=n", ("n", "", "x" * 200, "", ""))


def test_a_path_that_is_too_long_is_refused() -> None:
    with pytest.raises(Refusal, match="page_url"):
        viewed(PATH_INFO="/" + "x" * 500)


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("theme=", {"path": "/"}),
        ("theme=a&theme=b", {"theme": "a", "path": "/"}),
        ("theme=%C3%A9t%C3%A9", {"theme": "\u00e9t\u00e9", "path": "/"}),
        ("theme=" + "x" * 200, {"theme": "x" * 200, "path": "/"}),
        ("theme=" + "x" * 201, {"path": "/"}),
        ("themes=a", {"path": "/"}),
        ("theme=a&" + "&".join(f"a{i}=1" for i in range(200)), {"path": "/"}),
        ("theme=%00", {"theme": "\ufffd", "path": "/"}),
    ],
)
def test_a_theme_comes_from_the_query(query: str, data: dict[str, str]) -> None:
    assert viewed(QUERY_STRING=query).event_data == data


def test_the_theme_parameter_can_be_renamed_or_turned_off() -> None:
    assert viewed("look", QUERY_STRING="look=dark").event_data == {"theme": "dark", "path": "/"}
    assert viewed(None, QUERY_STRING="theme=dark").event_data == {"path": "/"}


@pytest.mark.parametrize(
    ("referrer", "kept"),
    [
        ("", ""),
        ("https://user:pass@A.example/x?mail=me&utm_medium=m#top", "https://a.example/x?utm_medium=m"),
        ("http://localhost/cv?theme=backend", "http://localhost/cv?theme=backend"),
        ("android-app://com.example.reader/", "android-app://com.example.reader/"),
        ("javascript:alert(1)", ""),
        ("not a url", ""),
        ("http://[::1", ""),
        ("https://a.example/" + "x" * 500, ""),
        ("\u00ff\u00fe", ""),
    ],
)
def test_a_referrer_is_cleaned_and_garbage_is_left_out(referrer: str, kept: str) -> None:
    assert viewed(HTTP_REFERER=referrer).referrer == kept


def test_headers_of_any_length_are_cut() -> None:
    hit = page_view(
        {
            "PATH_INFO": "/" * 9999,
            "QUERY_STRING": "q" * 9999,
            "HTTP_REFERER": "r" * 9999,
            "HTTP_USER_AGENT": "u" * 9999,
        },
        "1" * 9999,
        0.0,
    )
    assert hit.size < 8000


def test_tracked_data_is_copied_at_once_and_aliases_are_resolved() -> None:
    data = {"type": "motivation", "tags": ["a"]}
    hit = tracked(HOME, "192.0.2.1", NOON.timestamp(), event_type="letter_generate", data=data, page_url=None)
    data["type"] = "changed"
    event = draft(hit, ID, GATE, "theme")
    assert (event.event_type, event.event_data) == ("letter_generated", {"type": "motivation", "tags": ["a"]})
    assert hit.size > 600


def test_tracked_events_name_their_page_or_take_the_current_one() -> None:
    assert said("click", None, PATH_INFO="/letters").page_url == "/letters"
    assert said("click", {}, "/other?theme=x&secret=y").page_url == "/other?theme=x"
    assert said("click", None).event_data == {}


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


_ROUND: dict[str, Any] = {}
_ROUND["self"] = _ROUND


@pytest.mark.parametrize(
    ("event_type", "data", "page_url", "code"),
    [
        ("Not a type", {}, None, "invalid_event_type"),
        ("", {}, None, "invalid_event_type"),
        (None, {}, None, "invalid_event_type"),
        (7, {}, None, "invalid_event_type"),
        ("x" * 5000, {}, None, "invalid_event_type"),
        ("click", [1], None, "invalid_event_data"),
        ("click", "text", None, "invalid_event_data"),
        ("click", {"a": object()}, None, "invalid_event_data"),
        ("click", {("a", 1): 1}, None, "invalid_event_data"),
        ("click", _ROUND, None, "invalid_event_data"),
        ("click", _deep(5000), None, "invalid_event_data"),
        ("click", _deep(11), None, "too_deep"),
        ("click", {"a": math.nan}, None, "invalid_number"),
        ("click", {"a": 2**70}, None, "invalid_number"),
        ("click", {"a": 1, 1: 2, "1": 3}, None, "duplicate_key"),
        ("click", {"a": "x" * 2001}, None, "string_too_long"),
        ("click", {"k" * 65: 1}, None, "key_too_long"),
        ("click", {str(i): 1 for i in range(65)}, None, "too_many_properties"),
        ("click", {"a": ["x" * 1000] * (MAX_EVENT_BYTES // 900)}, None, "event_too_large"),
        ("click", {}, "nowhere", "invalid_page_url"),
        ("click", {}, 3, "invalid_page_url"),
        ("click", {}, "/" + "x" * 9000, "invalid_page_url"),
    ],
)
def test_tracked_events_pass_the_same_gate_as_those_of_the_api(
    event_type: Any, data: Any, page_url: Any, code: str
) -> None:
    with pytest.raises(Refusal) as refused:
        said(event_type, data, page_url)
    assert refused.value.code == code


def test_surrogates_and_nul_become_replacement_characters() -> None:
    assert said("click", {"a\x00": "b\ud800"}).event_data == {"a\ufffd": "b\ufffd"}


@pytest.mark.parametrize(
    ("header", "language"),
    [("", ""), ("de-AT,de;q=0.9", "de"), ("*", ""), ("\u00e4", ""), ("x" * 9000, ""), ("en" + " " * 9000, "en")],
)
def test_the_language_is_the_browsers_first(header: str, language: str) -> None:
    assert viewed(HTTP_ACCEPT_LANGUAGE=header).traits.language == language


@pytest.mark.parametrize(
    ("query", "click_id", "page_url"),
    [
        ("gclid=1", "gclid", "/"),
        ("gclid=1&theme=a", "gclid", "/?theme=a"),
        ("msclkid=a b", "msclkid", "/"),
        ("fbclid=1&utm_source=" + "x" * 600, "fbclid", "/"),
        ("a=gclid", "", "/"),
    ],
)
def test_of_a_click_id_the_name_is_kept(query: str, click_id: str, page_url: str) -> None:
    view = viewed(QUERY_STRING=query)
    assert (view.traits.click_id, view.page_url) == (click_id, page_url)
