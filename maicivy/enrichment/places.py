"""Where somebody is, as the web process found out from the address before it was forgotten."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from maicivy.core.dimensions import Place
from maicivy.core.events import Traits
from maicivy.enrichment.texts import clean

_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_NO_COUNTRY: Final = frozenset({"XX", "ZZ"})


def place_of(traits: Traits) -> Place:
    """The place; without a country there is none, for a city alone could be anywhere."""
    return _place(traits.country, traits.region, traits.city)


@lru_cache(maxsize=20_000)
def _place(country: str, region: str, city: str) -> Place:
    country = country.upper()
    if _COUNTRY.fullmatch(country) is None or country in _NO_COUNTRY:
        return Place()
    return Place(country, clean(region), clean(city))
