"""Values of statements: what is bound is what Postgres reads. That filters mean what they say, tests/oracle shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.storage.visit_filters import Values

TEXTS = ["", "NULL", "null", 'a"b', "a\\b", '\\"', "{x},y", " ", "ü\n\t", "'", ":p0", "%s", "%(p0)s", "$1"]
NOON = datetime(2025, 12, 8, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        (TEXTS, "text[]"),
        (TEXTS * 50, "text[]"),
        ([*TEXTS * 50, None], "text[]"),
        ([], "text[]"),
        ([NOON + timedelta(microseconds=n) for n in range(3)], "timestamptz[]"),
    ],
)
def test_arrays_of_any_length_arrive_as_they_are(engine: Engine, value: list[Any], type_name: str) -> None:
    values = Values()
    place = values.bind(value, type_name)
    with engine.connect() as connection:
        assert connection.scalar(sa.text(f"SELECT {place}"), values.bound) == value
