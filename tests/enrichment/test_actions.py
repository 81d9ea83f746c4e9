"""Actions: an event type on a page of a host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.dimensions import MAX_CHARS, Action
from maicivy.enrichment import action_of
from maicivy.enrichment.hosts import domains, host_of
from tests.events import event


@pytest.mark.parametrize(
    ("page_url", "hostname", "page"),
    [
        ("/cv", "", "/cv"),
        ("/cv?theme=a", "", "/cv"),
        ("", "", "/"),
        ("https://example.org", "example.org", "/"),
        ("https://example.org/", "example.org", "/"),
        ("https://Example.ORG:8443/A/b?x=1", "example.org", "/A/b"),
        ("https://www.example.org/a", "www.example.org", "/a"),
        ("https://[2001:db8::1]:80/a", "[2001:db8::1]", "/a"),
        ("https://bücher.example/ä", "bücher.example", "/ä"),
        ("/redirect/https://other.example/", "", "/redirect/https://other.example/"),
        ("android-app://com.example.app/x", "com.example.app", "/x"),
    ],
)
def test_an_action_has_the_host_and_the_path_of_its_page(page_url: str, hostname: str, page: str) -> None:
    assert action_of(event("click", page_url=page_url, site_id=3)) == Action(3, "click", hostname, page)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.org", ["example.org"]),
        ("a.b.example.org", ["a.b.example.org", "b.example.org", "example.org"]),
        ("localhost", []),
        ("", []),
    ],
)
def test_a_host_lies_in_the_domains_above_it(host: str, expected: list[str]) -> None:
    assert list(domains(host)) == expected


@given(st.text(max_size=700) | st.text(max_size=600).map(lambda text: f"https://{text}"))
def test_whatever_comes_becomes_an_action_that_can_be_stored(page_url: str) -> None:
    action = action_of(event(page_url=page_url))
    for text in (action.hostname, action.page, host_of(page_url)):
        assert len(text) <= MAX_CHARS
        assert "\x00" not in text
        text.encode()
    assert len(action.digest) == 16
