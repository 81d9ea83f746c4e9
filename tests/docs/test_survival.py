"""docs/survival.md names every fault of `bin/chaos`, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.chaos.__main__ import catalogue

ROOT = Path(__file__).parents[2]


def test_every_fault_is_told_and_no_other() -> None:
    text = (ROOT / "docs" / "survival.md").read_text(encoding="utf-8")
    text = text.partition("## What is tried")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    assert sorted(re.findall(r"`([^`]+)`", " ".join(cells))) == sorted(fault.name for fault in catalogue())
