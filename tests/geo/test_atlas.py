"""The atlas, over databases in every layout in use, and over files that are none."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import maxminddb.extension
import pytest

from maicivy.core.dimensions import Place
from maicivy.geo.atlas import CHECK_S, MAX_NAME_CHARS, NOWHERE, Atlas, country_code, open_copy
from tests.geo.mmdb import database, write

GERMANY = {"country_code": "DE"}
FRANCE = {"country_code": "FR"}
NESTED = {
    "country": {"iso_code": "DE", "names": {"de": "Deutschland", "en": "Germany"}},
    "subdivisions": [{"iso_code": "BE", "names": {"en": "Berlin"}}, {"names": {"en": "Mitte"}}],
    "city": {"names": {"en": "Berlin", "fr": "Berlin-en-Allemagne"}},
    "location": {"latitude": 52.5},
}


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def replace(path: Path, body: bytes) -> None:
    """As somebody does who copies a file over another, without renaming; what it says is newer."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_bytes(body)
    os.utime(path, ns=(before + 10**9, before + 10**9))


@pytest.mark.parametrize(
    ("record", "place"),
    [
        (GERMANY, Place("DE")),
        (NESTED, Place("DE", "Berlin", "Berlin")),
        ({"country": {"iso_code": "DE"}, "city": {"name": "Bonn"}}, Place("DE", "", "Bonn")),
        (
            {"country_code": "us", "state1": "California", "state2": "x", "city": "Fresno"},
            Place("US", "California", "Fresno"),
        ),
        ({"country": "DE", "region": "Hesse", "city": "Kassel"}, Place("DE", "Hesse", "Kassel")),
        ({"country": "Germany", "country_code": "DE"}, Place("DE")),
        ({"country_code": "DE", "city": "x" * 500}, Place("DE", "", "x" * MAX_NAME_CHARS)),
        ({"country_code": "DE", "city": "a\0b"}, Place("DE", "", "a\ufffdb")),
        ({"country_code": "DE", "city": 5, "state1": ["x"], "subdivisions": []}, Place("DE")),
        ({"country": {"iso_code": 49}, "subdivisions": "x"}, NOWHERE),
        ({"registered_country": {"iso_code": "DE"}}, NOWHERE),
        ({"country_code": "XX", "city": "x"}, NOWHERE),
        ({}, NOWHERE),
        ("DE", NOWHERE),
    ],
)
def test_a_place_is_read_in_any_layout(tmp_path: Path, record: Any, place: Place) -> None:
    atlas = Atlas(write(tmp_path / "a.mmdb", {"203.0.113.0/24": record}))
    assert atlas.locate("203.0.113.7") == place


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "203.0.113.7:80",
        "203.0.113",
        "٢٠٣.0.113.7",
        "203.0.113.7\0",
        "\ud800",
        "[::1]",
        "a" * 100_000,
        "::ffff:x.y",
    ],
)
def test_what_is_no_address_is_nowhere(tmp_path: Path, address: str) -> None:
    assert Atlas(write(tmp_path / "a.mmdb", {"0.0.0.0/1": GERMANY})).locate(address) == NOWHERE


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("203.0.113.7", "DE"),
        ("198.51.100.7", ""),
        ("::ffff:203.0.113.7", "DE"),
        ("::FFFF:203.0.113.7", "DE"),
        ("2001:db8::1", "FR"),
        ("2001:DB8::1%eth0", "FR"),
        ("fe80::1", ""),
    ],
)
def test_both_kinds_of_addresses_are_found(tmp_path: Path, address: str, country: str) -> None:
    both = {"203.0.113.0/24": GERMANY, "2001:db8::/32": FRANCE}
    assert Atlas(write(tmp_path / "a.mmdb", both)).locate(address).country == country
    four = {"203.0.113.0/24": GERMANY}
    write(tmp_path / "split" / "a-ipv4.mmdb", four, ip_version=4)
    write(tmp_path / "split" / "a-ipv6.mmdb", {"2001:db8::/32": FRANCE})
    assert Atlas(tmp_path / "split").locate(address).country == country


def test_a_database_of_one_kind_knows_nothing_of_the_other(tmp_path: Path) -> None:
    atlas = Atlas(write(tmp_path / "a.mmdb", {"203.0.113.0/24": GERMANY}, ip_version=4))
    assert (atlas.locate("203.0.113.7").country, atlas.locate("2001:db8::1")) == ("DE", NOWHERE)


def test_the_reader_is_the_one_in_c(tmp_path: Path) -> None:
    assert isinstance(open_copy(write(tmp_path / "a.mmdb", {"::/1": GERMANY})), maxminddb.extension.Reader)


def test_without_a_database_everybody_is_nowhere(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "a.mmdb"):
        atlas = Atlas(path)
        assert atlas.locate("203.0.113.7") == NOWHERE
        assert atlas.databases() == []


def test_a_newer_database_is_noticed_within_a_minute_and_one_that_is_gone_too(tmp_path: Path) -> None:
    clock = Clock()
    atlas = Atlas(tmp_path, clock)
    assert atlas.locate("203.0.113.7") == NOWHERE
    replace(tmp_path / "a.mmdb", database({"203.0.113.0/24": GERMANY}))
    clock.now = CHECK_S - 1
    assert atlas.locate("203.0.113.7") == NOWHERE
    for name, record, country in (("a", GERMANY, "DE"), ("b", FRANCE, "FR")):
        replace(tmp_path / f"{name}.mmdb", database({"203.0.113.0/24": record}))
        os.utime(tmp_path / f"{name}.mmdb", (ord(name), ord(name)))
        clock.now += CHECK_S
        assert atlas.locate("203.0.113.7").country == country
    for path in tmp_path.iterdir():
        path.unlink()
    clock.now += CHECK_S
    assert atlas.locate("203.0.113.7") == NOWHERE


@pytest.mark.parametrize(
    "damage",
    [lambda body: b"", lambda body: b"no database", lambda body: body[:30], lambda body: body[:-20]],
    ids=["empty", "text", "begun", "nearly all"],
)
def test_a_broken_database_changes_nothing_and_is_complained_of_once(
    tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    clock = Clock()
    whole = database({"203.0.113.0/24": NESTED})
    atlas = Atlas(tmp_path, clock)
    replace(tmp_path / "a.mmdb", whole)
    assert atlas.locate("203.0.113.7").city == "Berlin"
    replace(tmp_path / "a.mmdb", damage(whole))  # while it is open
    for _ in range(3):
        assert atlas.locate("203.0.113.7") == Place("DE", "Berlin", "Berlin")
        clock.now += CHECK_S
    assert len(caplog.records) == 1
    replace(tmp_path / "a.mmdb", database({"203.0.113.0/24": FRANCE}))
    clock.now += CHECK_S
    assert atlas.locate("203.0.113.7").country == "FR"


def test_a_database_that_is_damaged_inside_never_raises(tmp_path: Path) -> None:
    whole = bytearray(database({"203.0.113.0/24": NESTED}))
    for at in range(0, len(whole), 3):
        damaged = whole.copy()
        damaged[at] ^= 0xFF
        (tmp_path / "a.mmdb").write_bytes(damaged)
        found = Atlas(tmp_path).locate("203.0.113.7")
        assert isinstance(found.country, str)


def test_a_path_that_cannot_be_looked_at_is_complained_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError("no")

    write(tmp_path / "a.mmdb", {"203.0.113.0/24": GERMANY})
    clock = Clock()
    atlas = Atlas(tmp_path, clock)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "glob", refused)
        for _ in range(2):
            assert atlas.locate("203.0.113.7") == NOWHERE
            clock.now += CHECK_S
    assert len(caplog.records) == 1
    assert atlas.locate("203.0.113.7").country == "DE"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("DE", "DE"),
        ("de", "DE"),
        ("XX", ""),
        ("ZZ", ""),
        ("T1", ""),
        ("D", ""),
        ("DEU", ""),
        ("ÄÖ", ""),
        ("٤٩", ""),
        (49, ""),
        (None, ""),
    ],
)
def test_a_country_is_two_letters(value: object, code: str) -> None:
    assert country_code(value) == code
