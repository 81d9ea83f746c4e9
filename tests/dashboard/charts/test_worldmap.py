"""The map: every country has its place, the shades follow the numbers, and each is a link that says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel import Locale
from hypothesis import given, settings
from hypothesis import strategies as st

from maicivy.dashboard.charts import worldmap
from maicivy.dashboard.charts.worldmap import grid, shade, world_map
from maicivy.dashboard.formats import formats_for
from maicivy.dashboard.page import Number, Row
from tests.dashboard.charts.pictures import HOSTILE, all_of, box_of, parsed, points_of, text_of

FORMATS = formats_for("en-GB")
NO_COUNTRIES = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}
"""Codes of CLDR that ISO 3166-1 gives to nobody."""
COUNTRIES = sorted(c for c in Locale("en").territories if len(c) == 2 and c.isalpha() and c not in NO_COUNTRIES)


def row(code: str, number: Number, text: str = "", url: str = "/dashboard/example.com?f=is", **members: bool) -> Row:
    return Row(code, text or FORMATS.country(code), (number,), 0.5, url, **members)


def test_every_country_has_a_place() -> None:
    assert sorted(grid()) == COUNTRIES
    assert len(COUNTRIES) == 250


def test_rows_are_columns_of_two_letters() -> None:
    lines = (Path(worldmap.__file__).parent / "data" / "world.txt").read_text("ascii").splitlines()
    assert all(len(line) % 2 == 0 for line in lines)
    cells = [line[i : i + 2] for line in lines for i in range(0, len(line), 2)]
    assert set(cells) == {*COUNTRIES, ".."}
    assert sum(length for runs in grid().values() for _, _, length in runs) == len(cells) - cells.count("..")


@pytest.mark.parametrize(("west", "east"), [
    ("US", "FR"), ("PT", "ES"), ("FR", "DE"), ("DE", "PL"), ("MA", "EG"), ("IN", "JP"), ("CL", "BR"), ("AU", "NZ"),
])  # fmt: skip
def test_countries_lie_as_on_every_map(west: str, east: str) -> None:
    def middle(code: str) -> float:
        runs = grid()[code]
        return sum((column + length / 2) * length for _, column, length in runs) / sum(run[2] for run in runs)

    assert middle(west) < middle(east)


@pytest.mark.parametrize(
    ("north", "south"), [("NO", "DE"), ("DE", "IT"), ("IT", "NG"), ("NG", "ZA"), ("CA", "US"), ("US", "AR")]
)
def test_the_north_is_above(north: str, south: str) -> None:
    assert grid()[north][0][0] < grid()[south][0][0]


@pytest.mark.parametrize(("share", "of_class"), [
    (1, 5), (0.65, 5), (0.64, 4), (0.36, 3), (0.16, 2), (0.04, 1), (0.0001, 1), (0, 1), (2, 5),
])  # fmt: skip
def test_shades_follow_the_square_root_of_the_share(share: float, of_class: int) -> None:
    assert shade(share) == of_class


def test_a_country_is_a_link_that_says_its_visitors() -> None:
    tree = parsed(world_map([row("FR", 1234), row("DE", 10)], FORMATS, FORMATS.t))
    france, germany = all_of(tree, "a")
    assert france.get("href") == "/dashboard/example.com?f=is"
    assert france.get("aria-label") == text_of(all_of(france, "title")[0]) == "France: 1,234"
    assert france.get("class") == "world-country world-5"
    assert germany.get("class") == "world-country world-1"
    assert (france.get("data-point"), france.get("data-nav")) == ("FR", "")
    assert france.get("aria-current") is None


def test_a_country_that_is_filtered_by_says_so_and_one_without_link_is_none() -> None:
    tree = parsed(world_map([row("FR", 3, is_filtered=True), row("DE", 2, url="")], FORMATS, FORMATS.t))
    (france,) = all_of(tree, "a")
    assert france.get("aria-current") == "true"
    assert [g.get("data-point") for g in all_of(tree, "g", "world-country")] == ["DE"]


def test_land_without_visitors_is_one_path_with_all_other_dots() -> None:
    tree = parsed(world_map([row("FR", 3)], FORMATS, FORMATS.t))
    (land,) = all_of(tree, "path", "world-land")
    moves = land.get("d", "").count("M")
    assert moves < sum(len(runs) for runs in grid().values())


@pytest.mark.parametrize(
    "rows", [(), (row("", 5),), (row("FR", 0),), (row("FR", None),), (Row("FR", "France", (), 0, ""),)]
)
def test_without_visitors_there_is_land_only(rows: tuple[Row, ...]) -> None:
    tree = parsed(world_map(rows, FORMATS, FORMATS.t))
    assert not all_of(tree, "a")
    assert not all_of(tree, "table")
    assert len(all_of(tree, "path")) == 1


def test_a_code_that_has_no_place_stands_in_the_table_only() -> None:
    tree = parsed(world_map([row("ZZ", 7, "Somewhere"), row("FR", 3)], FORMATS, FORMATS.t))
    assert len(all_of(tree, "a")) == 1
    rows = [[text_of(cell) for cell in line] for line in all_of(tree, "tr")]
    assert rows == [["Country", "Visitors"], ["Somewhere", "7"], ["France", "3"]]


def test_it_is_light() -> None:
    assert len(world_map([], FORMATS, FORMATS.t)) < 6_000
    rows = [
        row(code, i + 1, url="/dashboard/example.com?f=is%2Cvisit%3Acountry%2CXX") for i, code in enumerate(COUNTRIES)
    ]
    assert len(world_map(rows[::4], FORMATS, FORMATS.t)) < 34_000


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_links_are_text(text: str) -> None:
    tree = parsed(world_map([row("FR", 3, text, f"/dashboard?{text}"), row(text, 2, text)], FORMATS, FORMATS.t))
    (france,) = all_of(tree, "a")
    assert france.get("href") == f"/dashboard?{text}"
    assert france.get("aria-label") == f"{text}: 3"


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(COUNTRIES), st.integers(1, 10**15), max_size=12))
def test_every_dot_lies_inside_the_picture(counts: dict[str, int]) -> None:
    tree = parsed(world_map([row(code, count) for code, count in counts.items()], FORMATS, FORMATS.t))
    (picture,) = all_of(tree, "svg", "world-map")
    width, height = box_of(picture)
    for path in all_of(picture, "path"):
        assert all(2 <= x <= width - 1 and 2 <= y <= height - 1 for x, y in points_of(path.get("d", "")))
