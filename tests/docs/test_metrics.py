"""docs/metrics.md defines the metrics and dimensions of the query API, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from maicivy.core.identity import VISIT_GAP_S
from maicivy.core.query import EVENT_DIMENSIONS, METRICS, PROPERTY, TIME_DIMENSIONS, VISIT_DIMENSIONS

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def rows(title: str) -> list[list[str]]:
    """The cells of the first table of a section, without its head."""
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_metric_has_a_formula_in_the_order_of_the_code() -> None:
    assert [row[0].strip("`") for row in rows("Metrics")] == list(METRICS)
    assert all(row[1] for row in rows("Metrics"))


def test_every_dimension_is_listed() -> None:
    listed = {row[0]: re.findall(r"`([^`]+)`", row[1]) for row in rows("Dimensions")}
    assert listed == {
        "visits": list(VISIT_DIMENSIONS),
        "events": [*EVENT_DIMENSIONS, f"{PROPERTY}NAME"],
        "time": list(TIME_DIMENSIONS),
    }


def test_the_gap_is_that_of_the_code() -> None:
    assert f"gaps of at most {VISIT_GAP_S // 60} minutes" in TEXT
