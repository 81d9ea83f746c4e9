"""Places: a country in capitals, or nothing at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.dimensions import MAX_CHARS, Place
from maicivy.core.events import Traits
from maicivy.enrichment import place_of


@pytest.mark.parametrize(
    ("country", "region", "city", "place"),
    [
        ("FR", "Île-de-France", "Paris", Place("FR", "Île-de-France", "Paris")),
        ("fr", "", "", Place("FR")),
        ("", "", "Paris", Place()),
        ("XX", "x", "", Place()),
        ("T1", "", "", Place()),
        ("FRA", "", "", Place()),
        ("ＦＲ", "", "", Place()),
        ("FR", "a\x00b", "\ud800", Place("FR", "a\ufffdb", "\ufffd")),
    ],
)
def test_a_place_needs_a_country(country: str, region: str, city: str, place: Place) -> None:
    assert place_of(Traits(country=country, region=region, city=city)) == place


@given(st.text(max_size=4), st.text(), st.text(min_size=600))
def test_whatever_comes_becomes_a_place_that_can_be_stored(country: str, region: str, city: str) -> None:
    place = place_of(Traits(country=country, region=region, city=city))
    assert all(len(text) <= MAX_CHARS and "\x00" not in text for text in (place.country, place.region, place.city))
