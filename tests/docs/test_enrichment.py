"""The tables of docs/enrichment.md and the code name the same channels, click ids and reasons."""

import re
from pathlib import Path

from maicivy.core.visits import BOTS
from maicivy.enrichment.channels import CHANNELS
from maicivy.enrichment.origins import CLICKS
from maicivy.enrichment.sources import source_of_word

TEXT = (Path(__file__).parents[2] / "docs" / "enrichment.md").read_text(encoding="utf-8")


def rows(title: str) -> list[list[str]]:
    """The cells of the first table of a section, without its head."""
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_channels_are_explained_in_their_order() -> None:
    assert tuple(row[0] for row in rows("Channels")) == CHANNELS


def test_every_click_id_is_explained() -> None:
    told = {name: (row[1], row[2]) for row in rows("Sources") for name in re.findall(r"`([^`]+)`", row[0])}
    assert told == {name: (source_of_word(click.source).name, click.medium) for name, click in CLICKS.items()}


def test_the_reasons_are_explained_the_strongest_first() -> None:
    assert [row[0].strip("`") for row in rows("Bots")] == [reason for reason in BOTS if reason]
