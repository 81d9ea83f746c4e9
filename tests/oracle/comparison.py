"""An answer of the engine held against that of the oracle."""

from __future__ import annotations

import math
from typing import Any

from maicivy.core.query import Query, Rows
from tests.oracle.oracle import Answer

TOLERANCE = 1e-9


def assert_same(query: Query, rows: Rows, answer: Answer) -> None:
    """Both have the same rows in the same order, with the same figures."""
    assert [row.dimensions for row in rows.rows] == [dimensions for dimensions, _ in answer.rows], query
    for row, (dimensions, expected) in zip(rows.rows, answer.rows, strict=True):
        wrong = {
            name: (mine, theirs)
            for name, mine, theirs in zip(query.metrics, row.metrics, expected, strict=True)
            if not _equal(mine, theirs)
        }
        assert not wrong, (wrong, dimensions, query)
    if query.count_rows:
        assert rows.total == answer.total, query


def _equal(mine: Any, theirs: Any) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    return math.isclose(mine, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
