"""Where the visitors of the demo come from: places, and the part of the loopback network that each stands for.

Simulated people reach the demo from addresses of 127.0.0.0/8. `write` makes a small database of places in MaxMind's
format that puts each /16 of it somewhere in the world, so that countries come to the figures by the same way as
anybody's. Of 127.0.0.0/16, where real people at this machine come from, it says nothing.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final, NamedTuple

from maicivy.core.dimensions import Place

DATABASE: Final = "maicivy demo"
"""What the database calls itself; nobody's licence is behind it."""


class Home(NamedTuple):
    """A place, how many of a hundred or so visitors are at home there, and the languages their browsers ask for."""

    place: Place
    weight: float
    languages: tuple[str, ...]


def _home(weight: float, languages: str, country: str, region: str, city: str) -> Home:
    return Home(Place(country, region, city), weight, tuple(languages.split()))


HOMES: Final = (
    _home(9, "en-US en-US es-US", "US", "California", "San Francisco"),
    _home(6, "en-US", "US", "New York", "New York"),
    _home(4, "en-US", "US", "Washington", "Seattle"),
    _home(3, "en-US", "US", "Texas", "Austin"),
    _home(8, "de-DE de-DE en-GB", "DE", "Berlin", "Berlin"),
    _home(4, "de-DE", "DE", "Hamburg", "Hamburg"),
    _home(3, "de-DE", "DE", "Bavaria", "Munich"),
    _home(8, "fr-FR fr-FR en-US", "FR", "Île-de-France", "Paris"),
    _home(3, "fr-FR", "FR", "Auvergne-Rhône-Alpes", "Lyon"),
    _home(2, "fr-FR", "FR", "Pays de la Loire", "Nantes"),
    _home(7, "en-GB", "GB", "England", "London"),
    _home(2, "en-GB", "GB", "Scotland", "Edinburgh"),
    _home(3, "nb-NO en-GB", "NO", "Oslo", "Oslo"),
    _home(3, "sv-SE en-SE", "SE", "Stockholm", "Stockholm"),
    _home(2, "da-DK", "DK", "Capital Region", "Copenhagen"),
    _home(2, "fi-FI", "FI", "Uusimaa", "Helsinki"),
    _home(5, "nl-NL en-GB", "NL", "North Holland", "Amsterdam"),
    _home(2, "nl-BE fr-BE", "BE", "Brussels Capital", "Brussels"),
    _home(3, "de-CH fr-CH", "CH", "Zurich", "Zurich"),
    _home(2, "de-AT", "AT", "Vienna", "Vienna"),
    _home(3, "es-ES", "ES", "Madrid", "Madrid"),
    _home(2, "ca-ES es-ES", "ES", "Catalonia", "Barcelona"),
    _home(2, "pt-PT", "PT", "Lisbon", "Lisbon"),
    _home(3, "it-IT", "IT", "Lombardy", "Milan"),
    _home(4, "pl-PL", "PL", "Mazovia", "Warsaw"),
    _home(2, "cs-CZ", "CZ", "Prague", "Prague"),
    _home(1, "uk-UA", "UA", "Kyiv City", "Kyiv"),
    _home(1, "ro-RO", "RO", "Cluj", "Cluj-Napoca"),
    _home(1, "et-EE", "EE", "Harju", "Tallinn"),
    _home(1, "tr-TR", "TR", "Istanbul", "Istanbul"),
    _home(4, "en-CA fr-CA", "CA", "Ontario", "Toronto"),
    _home(2, "fr-CA", "CA", "Quebec", "Montreal"),
    _home(4, "pt-BR", "BR", "São Paulo", "São Paulo"),
    _home(1, "es-AR", "AR", "Buenos Aires", "Buenos Aires"),
    _home(1, "es-MX", "MX", "Mexico City", "Mexico City"),
    _home(1, "es-CL", "CL", "Santiago Metropolitan", "Santiago"),
    _home(6, "en-IN hi-IN", "IN", "Karnataka", "Bengaluru"),
    _home(2, "en-IN", "IN", "Maharashtra", "Mumbai"),
    _home(4, "ja-JP", "JP", "Tokyo", "Tokyo"),
    _home(2, "ko-KR", "KR", "Seoul", "Seoul"),
    _home(2, "en-SG", "SG", "", "Singapore"),
    _home(1, "zh-TW", "TW", "Taipei City", "Taipei"),
    _home(1, "id-ID", "ID", "Jakarta", "Jakarta"),
    _home(3, "en-AU", "AU", "New South Wales", "Sydney"),
    _home(1, "en-NZ", "NZ", "Auckland", "Auckland"),
    _home(1, "en-ZA", "ZA", "Western Cape", "Cape Town"),
    _home(1, "en-NG", "NG", "Lagos", "Lagos"),
    _home(1, "en-KE sw-KE", "KE", "Nairobi County", "Nairobi"),
    _home(1, "ar-EG", "EG", "Cairo", "Cairo"),
)


def prefix_of(home: Home) -> str:
    """The /16 that a home stands for, as the beginning of an address: `127.3`."""
    return f"127.{HOMES.index(home) + 1}"


def place_of(address: str) -> Place:
    """Where an address of the demo is, as the database has it."""
    first, second, *_ = address.split(".")
    number = int(second) - 1
    return HOMES[number].place if first == "127" and 0 <= number < len(HOMES) else Place()


def write(path: Path) -> None:
    """The database, at `path`; done when there is one."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(_database())
    unfinished.replace(path)


_MARKER: Final = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR: Final = bytes(16)
_UINT16, _UINT32, _UINT64 = 5, 6, 9


def _database() -> bytes:
    """MaxMind DB 2.0 (https://maxmind.github.io/MaxMind-DB/) with records of 32 bits: nodes of eight steps to 127,
    and of a whole tree of eight levels below it."""
    data, starts = b"", []
    for home in HOMES:
        starts.append(len(data))
        data += _record(home.place)
    nodes: list[tuple[int, int]] = []
    count = 8 + 255
    for depth, bit in enumerate(f"{127:08b}"):
        below = depth + 1
        nodes.append((count, below) if bit == "1" else (below, count))

    def leaf(number: int) -> int:
        return count + len(_SEPARATOR) + starts[number - 1] if 1 <= number <= len(HOMES) else count

    for level in range(8):  # nodes of a level stand side by side, the first of level n at 8 + 2^n - 1
        following = 8 + 2 ** (level + 1) - 1
        for place in range(2**level):
            both = (2 * place, 2 * place + 1)
            nodes.append((following + both[0], following + both[1]) if level < 7 else (leaf(both[0]), leaf(both[1])))
    tree = b"".join(struct.pack(">II", *node) for node in nodes)
    about = _map(
        binary_format_major_version=_number(2, _UINT16),
        binary_format_minor_version=_number(0, _UINT16),
        build_epoch=_number(1, _UINT64),
        database_type=_text(DATABASE),
        description=_map(en=_text("Where the visitors of maicivy's demo pretend to be")),
        ip_version=_number(4, _UINT16),
        languages=_list(_text("en")),
        node_count=_number(count, _UINT32),
        record_size=_number(32, _UINT16),
    )
    return tree + _SEPARATOR + data + _MARKER + about


def _record(place: Place) -> bytes:
    return _map(country_code=_text(place.country), region=_text(place.region), city=_text(place.city))


def _map(**members: bytes) -> bytes:
    return bytes([7 << 5 | len(members)]) + b"".join(_text(name) + value for name, value in members.items())


def _list(*items: bytes) -> bytes:
    return bytes([len(items), 11 - 7]) + b"".join(items)


def _text(text: str) -> bytes:
    raw = text.encode()
    size = bytes([2 << 5 | len(raw)]) if len(raw) < 29 else bytes([2 << 5 | 29, len(raw) - 29])
    return size + raw


def _number(value: int, kind: int) -> bytes:
    raw = value.to_bytes(8, "big").lstrip(b"\0")
    return (bytes([kind << 5 | len(raw)]) if kind < 8 else bytes([len(raw), kind - 7])) + raw
