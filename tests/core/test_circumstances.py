"""What browsers say without being asked: their language, and click ids in URLs. Members are tested with the gate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.circumstances import CLICK_IDS, click_id_of, joined, language_of
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


@pytest.mark.parametrize("name", sorted(CLICK_IDS))
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
