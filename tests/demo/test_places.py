"""Where made-up visitors are at home, as the atlas reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from maicivy.core.dimensions import Place
from maicivy.demo.places import HOMES, place_of, prefix_of, write
from maicivy.geo.atlas import Atlas
from maicivy.geo.package import credit_for


def test_the_atlas_finds_every_home_where_the_table_has_it(tmp_path: Path) -> None:
    write(tmp_path / "geo" / "demo.mmdb")
    atlas = Atlas(tmp_path / "geo")
    for home in HOMES:
        for address in (f"{prefix_of(home)}.0.0", f"{prefix_of(home)}.255.255"):
            assert atlas.locate(address) == home.place == place_of(address)
    assert credit_for(atlas) == ("", "")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", f"127.{len(HOMES) + 1}.0.1", "126.1.0.1", "128.1.0.1", "0.0.0.0", "255.255.255.255"]
)
def test_nobody_else_is_put_anywhere(tmp_path: Path, address: str) -> None:
    path = tmp_path / "demo.mmdb"
    write(path)
    assert Atlas(path).locate(address) == Place() == place_of(address)


def test_a_database_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "demo.mmdb"
    path.write_bytes(b"of somebody else")
    write(path)
    assert path.read_bytes() == b"of somebody else"
