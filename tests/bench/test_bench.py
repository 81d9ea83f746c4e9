"""That every row can be measured, and that what is written can be read. Nothing here asks how fast anything is."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest

from bench import report
from bench.figures import Figure, Target
from bench.suite import TITLES

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bin" / "bench"


@pytest.mark.e2e
def test_the_quick_form_measures_every_row_and_writes_it_down(tmp_path: Path) -> None:
    done = subprocess.run([BENCH, "--quick"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [row["row"] for row in written["rows"]] == list(TITLES)
    for row in written["rows"]:
        assert row["figures"], row
        for figure in row["figures"]:
            assert all(math.isfinite(value) for value in figure["rounds"]), figure
    assert written["machine"]["cores"] >= 1
    assert all(row in done.stdout for row in TITLES)


def test_rows_are_listed_without_measuring_any(tmp_path: Path) -> None:
    done = subprocess.run([BENCH, "--list"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(TITLES)
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_does_not_exist_is_refused() -> None:
    done = subprocess.run([BENCH, "--only", "nothing"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "invalid choice: 'nothing'" in done.stderr


def test_a_figure_that_was_written_down_is_the_same_when_it_is_read() -> None:
    figure = Figure("rate", "events/s", [1.0, 2.0], Target(">=", 0.75, "ratio"), "bare", [3.0, 4.0], "a note")
    assert Figure.from_json(json.loads(json.dumps(figure.as_json()))) == figure
    assert Figure.from_json(json.loads(json.dumps(Figure("f", "s", [1.0]).as_json()))) == Figure("f", "s", [1.0])


def test_every_row_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    assert [row for row in TITLES if f"`{row}`" not in text] == []


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    slow_machine_in_the_second_round = Figure(
        "rate", "events/s", [100, 10, 100], Target(">=", 0.5, "ratio"), "other", [200, 20, 100]
    )
    assert slow_machine_in_the_second_round.ratio == 0.5
    assert slow_machine_in_the_second_round.met is True


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (None, None),
        (Target("<", 10.0), False),
        (Target("<=", 10.0), True),
        (Target(">=", 10.1), False),
        (Target("<=", 2.0, "difference"), True),
        (Target("<=", 1.9, "difference"), False),
        (Target(">=", 1.25, "ratio"), True),
    ],
)
def test_a_target_is_met_by_the_figure_its_ratio_or_its_difference(target: Target | None, met: bool | None) -> None:
    assert Figure("f", "ms", [9, 10, 11], target, "other", [8, 8, 8]).met is met


def test_the_table_shows_figure_reference_ratio_target_and_whether_it_is_met() -> None:
    figure = Figure("rate", "events/s", [6000.0], Target(">=", 0.75, "ratio"), "bare", [4000.0])
    assert report.cells("single-bare", figure) == (
        *("single-bare", "rate", "6,000 events/s", "4,000", "bare", "1.50", ">= 0.75 of it", "yes"),
    )
