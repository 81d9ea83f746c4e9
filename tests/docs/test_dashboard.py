"""docs/dashboard.md lists the parameters and panels that there are, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from maicivy.dashboard import extras, sites
from maicivy.dashboard.panels import CARDS, panels_of
from maicivy.dashboard.view import COMPARISONS, CUSTOM, INTERVALS, MAX_FILTERS, METRICS, NAMES, PERIODS
from maicivy.dashboard.words import LANGUAGES
from maicivy.demo import history
from maicivy.web.unlocking import LIFE_H

TEXT = (Path(__file__).parents[2] / "docs" / "dashboard.md").read_text(encoding="utf-8")
TABLES = {
    lines[0]: [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    for block in re.findall(r"(?m)(?:^\|.*\n)+", TEXT)
    if (lines := block.splitlines())
}


def words(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_parameter_of_a_view_is_listed_in_its_order() -> None:
    rows = TABLES["| parameter | |"]
    assert [words(name)[0] for name, _ in rows] == list(NAMES)
    allowed = {words(name)[0]: words(text) for name, text in rows}
    assert allowed["period"] == [*PERIODS, CUSTOM]
    assert allowed["compare"] == list(COMPARISONS)
    assert allowed["metric"] == list(METRICS)
    assert allowed["interval"] == list(INTERVALS)
    assert allowed["lang"] == list(LANGUAGES)
    assert f"up to {MAX_FILTERS} times" in TEXT


def test_every_panel_is_listed_with_its_card() -> None:
    listed = {card: words(panels) for card, panels in TABLES["| card | panels |"]}
    assert listed == {card: list(panels_of(card)) for card in CARDS}


def test_limits_are_those_of_the_code() -> None:
    assert (extras.MAX_HEAT_HOURS, sites.MAX_COUNTED, sites.DAYS, LIFE_H, history.DAYS) == (168, 30, 28, 12, 8 * 7)
    for said in ("168 hours", "more than 30 sites", "last 28 days", "twelve hours", "eight weeks"):
        assert said in TEXT
