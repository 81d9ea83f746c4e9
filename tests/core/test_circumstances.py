"""What browsers say without being asked: their language, and click ids in URLs. Members are tested with the gate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.circumstances import click_id_of, joined, language_of
from maicivy.core.dimensions import CLICK_IDS
from maicivy.core.events import NO_TRAITS, Traits


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("en", "en"),
        ("en-US,en;q=0.5", "en"),
        ("PT_br", "pt"),
        (" de", "de"),
        ("gsw;q=1", "gsw"),
        ("", ""),
        ("*", ""),
        ("e", ""),
        ("en2", ""),
        ("verylongish", ""),
        ("\u0435n", ""),
        (",en", ""),
    ],
)
def test_a_language_is_the_primary_tag_of_the_first(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("url", "click_id"),
    [
        ("", ""),
        ("/cv", ""),
        ("/cv?", ""),
        ("/cv?gclid=abc", "gclid"),
        ("/cv?gclid", "gclid"),
        ("https://example.org/?a=b&msclkid=1", "msclkid"),
        ("/cv?ScCid=1", "sccid"),
        ("/cv?GCLID=1", "gclid"),
        ("/cv?fbclid=1&gclid=2", "gclid"),
        ("/cv?gclid=2&fbclid=1", "gclid"),
        ("/cv?xgclid=1&gclidx=2", ""),
        ("/cv?a=gclid", ""),
        ("/gclid=1", ""),
        ("/cv#?gclid=1", ""),
        ("/cv?a=1#&gclid=1", ""),
        ("/cv?mſclkid=1", ""),
    ],
)
def test_a_click_id_is_a_parameter_and_of_several_the_one_that_says_the_most(url: str, click_id: str) -> None:
    assert click_id_of(url) == click_id


@pytest.mark.parametrize("name", CLICK_IDS)
def test_a_click_id_is_found_wherever_it_stands_in_the_query(name: str) -> None:
    for url in (f"/?{name}=1", f"https://a.example/b?c=d&{name}", f"/?{name}&utm_source=a", f"/?a&{name}=#b"):
        assert click_id_of(url) == name
    for url in (
        f"/{name}=1",
        f"/?x{name}=1",
        f"/?{name}x=1",
        f"/?a={name}",
        f"/?a#{name}=1",
        f"/#?{name}=1",
        f"&{name}",
    ):
        assert click_id_of(url) == ""


traits = st.builds(
    Traits,
    user_agent=st.text(max_size=3),
    language=st.sampled_from(["", "de", "fr"]),
    country=st.sampled_from(["", "DE"]),
    screen_width=st.integers(0, 9),
    click_id=st.sampled_from(["", "gclid"]),
    interactive=st.booleans(),
    bot=st.booleans(),
)


@given(traits)
def test_what_is_told_and_what_is_seen_meet_in_one_value(one: Traits) -> None:
    seen = Traits(one.user_agent, one.language, one.country, one.region, one.city)
    assert joined(NO_TRAITS, seen) == seen
    assert joined(one, seen) == one
    assert joined(Traits(language="es"), seen).language == "es"
