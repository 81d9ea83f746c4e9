"""What the invented traffic of bench/traffic.py is made of: sites with pages, clients, places, origins.

Each is a pool to draw from with even chances in which what is frequent lies often: drawing is one look into a list. All
of it follows from a seed. What clients, places, origins and actions are called in the dictionary tables is worked out
by `maicivy.enrichment`, as a worker does.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final, TypeVar
from uuid import UUID

from bench.vocabulary import (
    BOT_AGENTS,
    CAMPAIGNS,
    COUNTRIES,
    CUSTOM,
    DESKTOP,
    LANGUAGES,
    OTHERS,
    PHONE,
    SEARCH,
    SOCIAL,
    TABLET,
    agents,
)
from maicivy.core.dimensions import Action, Client, Origin, Place
from maicivy.core.events import PAGE_VIEW, Event, Traits
from maicivy.enrichment import action_of, client_of, origin_of, place_of

T = TypeVar("T")

PAGES: Final = 3_000
PAGES_OF_A_SMALL_SITE: Final = 300
SMALL_SITES: Final = 9
CITIES: Final = 2_500
REFERRERS: Final = 600
POOL: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Coming:
    """What a visit comes with, beside its client and place: as sent, `query` being that of the landing page."""

    referrer: str
    query: str
    click_id: str


@dataclass(frozen=True, slots=True)
class Site:
    """A site: its number, host, paths, and the pools of pages that visits begin with and go on to."""

    id: int
    domain: str
    paths: list[str]
    entries: list[int]
    pages: list[int]
    first_action: int

    def url(self, page: int) -> str:
        """The address of a page."""
        return f"https://{self.domain}{self.paths[page]}"

    def page_view(self, page: int) -> int:
        """Number of the action of viewing it."""
        return self.first_action + 2 * page

    def custom(self, page: int) -> int:
        """Number of the action of the one event type that occurs on it beside."""
        return self.first_action + 2 * page + 1

    def custom_type(self, page: int) -> str:
        """That type."""
        return CUSTOM[page * 7 % len(CUSTOM)]

    def actions(self) -> list[Action]:
        """All, in the order of their numbers."""
        return [
            action_of(_event(self.id, name, self.url(page)))
            for page in range(len(self.paths))
            for name in (PAGE_VIEW, self.custom_type(page))
        ]


class Population:
    """All of it. Numbers are places in `clients` and so on, whose rows in the tables have ids one higher."""

    def __init__(self, seed: int = 1) -> None:
        chance = random.Random(seed)
        self.sites = _sites(chance)
        self.actions: list[Action] = [action for site in self.sites for action in site.actions()]
        self.traits, self.client_pool = _numbered(_clients(chance))
        self.clients: list[Client] = [client_of(known) for known in self.traits]
        self.locations, self.place_pool = _numbered(_places(chance))
        self.places: list[Place] = [
            place_of(Traits(country=country, region=region, city=city)) for country, region, city in self.locations
        ]
        self.comings, self.origin_pool = _numbered(_comings(chance))
        own = frozenset[str]()
        event = [
            _event(1, PAGE_VIEW, f"https://{self.sites[0].domain}/{coming.query}", coming) for coming in self.comings
        ]
        self.origins: list[Origin] = [origin_of(one, own) for one in event]
        # What differs only in what is not observed is one row.
        self.client_ids = _ids(self.clients)
        self.place_ids = _ids(self.places)
        self.origin_ids = _ids(self.origins)
        self.action_ids = _ids(self.actions)


@cache
def population(seed: int = 1) -> Population:
    """That of a seed, made once in a process: it takes seconds."""
    return Population(seed)


def _ids(values: list[T]) -> list[int]:
    """For each value the id of its row: that of the first with the same digest."""
    first: dict[bytes, int] = {}
    return [first.setdefault(value.digest, number) for number, value in enumerate(values, 1)]  # type: ignore[attr-defined]


def _numbered(drawn: list[T]) -> tuple[list[T], list[int]]:
    """The distinct values, the most frequent first, and for each draw the number of its value."""
    values = [value for value, _ in Counter(drawn).most_common()]
    number = {value: n for n, value in enumerate(values)}
    return values, [number[value] for value in drawn]


def _zipf(chance: random.Random, count: int, size: int, exponent: float = 1.0) -> list[int]:
    return chance.choices(range(count), [1 / (n + 2) ** exponent for n in range(count)], k=size)


def _sites(chance: random.Random) -> list[Site]:
    sites = []
    first = 0
    for number in range(1, SMALL_SITES + 2):
        count = PAGES if number == 1 else PAGES_OF_A_SMALL_SITE
        sections = ("blog", "docs", "guides", "products", "news")
        paths = ["/", "/pricing", "/features", "/about", "/login"]
        paths += [f"/{sections[n % 5]}/{2020 + n % 7}/{_words(n)}" for n in range(len(paths), count)]
        domain = "big-site.example" if number == 1 else f"small-{number}.example"
        site = Site(number, domain, paths, _zipf(chance, count, POOL, 1.1), _zipf(chance, count, POOL, 0.9), first)
        sites.append(site)
        first += 2 * count
    return sites


def _words(n: int) -> str:
    first = ("how", "why", "when", "what", "ten", "new", "our", "best", "fast", "small", "open")
    second = ("servers", "visits", "numbers", "teams", "pages", "clients", "queries", "letters", "reports")
    return f"{first[n % 11]}-{second[n // 11 % 9]}-{n}"


def _clients(chance: random.Random) -> list[Traits]:
    known = agents()
    drawn = chance.choices(known, [weight for _, _, weight in known], k=POOL)
    return [_bot(chance) if n % 25 == 0 else _person(chance, *one[:2]) for n, one in enumerate(drawn)]


def _person(chance: random.Random, agent: str, kind: str) -> Traits:
    width, height = _skewed(chance, {"d": DESKTOP, "p": PHONE, "t": TABLET}[kind]).split("x")
    return Traits(agent, _skewed(chance, LANGUAGES), screen_width=int(width), screen_height=int(height))


def _bot(chance: random.Random) -> Traits:
    return Traits(_skewed(chance, BOT_AGENTS), bot=chance.random() < 0.05)


def _skewed(chance: random.Random, values: list[T] | tuple[T, ...]) -> T:
    """One of them, the first the most often."""
    return values[int(len(values) * chance.random() ** 3)]


def _places(chance: random.Random) -> list[tuple[str, str, str]]:
    cities = []
    for n in range(CITIES):
        country = COUNTRIES[n] if n < len(COUNTRIES) else _skewed(chance, COUNTRIES)
        cities.append((country, f"Region {country}-{n % 13 + 1}", f"City {n}"))
    drawn = [cities[n] for n in _zipf(chance, CITIES, POOL, 0.9)]
    return [("", "", "") if n % 50 == 0 else place for n, place in enumerate(drawn)]


def _comings(chance: random.Random) -> list[Coming]:
    blogs = [f"blog-{n}.example" for n in range(REFERRERS - len({*SEARCH, *SOCIAL, *OTHERS}))]
    drawn = []
    for _ in range(POOL):
        dice = chance.random()
        if dice < 0.38:
            coming = Coming("", "", "")
        elif dice < 0.68:
            coming = Coming(f"https://{_skewed(chance, SEARCH)}/", "", "")
        elif dice < 0.79:
            coming = Coming(f"https://{_skewed(chance, SOCIAL)}/", "", "")
        elif dice < 0.84:
            coming = Coming(f"https://{_skewed(chance, OTHERS)}/", "", "")
        elif dice < 0.90:
            blog = _skewed(chance, blogs)
            coming = Coming(f"https://{blog}/{_words(chance.randrange(3))}", "", "")
        else:
            campaign = _skewed(chance, CAMPAIGNS)
            host = {"google": "www.google.com", "facebook": "l.facebook.com"}.get(campaign[12:].partition("&")[0], "")
            paid = "gclid" if "=google&" in campaign else "fbclid" if "=facebook&" in campaign else ""
            coming = Coming(f"https://{host}/" if host else "", campaign, paid)
        drawn.append(coming)
    return drawn


def _event(site_id: int, name: str, url: str, coming: Coming = Coming("", "", "")) -> Event:
    return Event(
        UUID(int=0),
        site_id,
        UUID(int=0),
        None,
        name,
        {},
        url,
        coming.referrer,
        0,
        datetime(2026, 1, 1, tzinfo=UTC),
        Traits(click_id=coming.click_id),
    )
