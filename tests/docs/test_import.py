"""docs/import.md and the code leave out the same lines."""

from __future__ import annotations

import re
from pathlib import Path

from maicivy.core.access_log import ASSET_EXTENSIONS, Skip
from maicivy.log_import.command import DEFAULT_TIMEOUT_S, REASONS

TEXT = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")


def test_the_extensions_are_those_of_the_code() -> None:
    listed = re.search(r"Extensions of files.*?```\n(.*?)```", TEXT, re.DOTALL)
    assert listed is not None
    assert set(listed[1].split()) == ASSET_EXTENSIONS


def test_every_reason_is_told_in_the_order_in_which_they_hold() -> None:
    told = [row.split("|")[1].strip().replace("`", "") for row in TEXT.splitlines() if row.startswith("|")][2:]
    meant = [REASONS[skip].partition(" (")[0] for skip in Skip if skip is not Skip.BLANK]
    assert told == meant


def test_the_timeout_is_that_of_the_code() -> None:
    assert f"`--timeout` seconds ({DEFAULT_TIMEOUT_S:.0f})" in TEXT
