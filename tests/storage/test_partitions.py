from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa

from maicivy.storage import partitions as module
from maicivy.storage.partitions import Partitions

DAY = date(2019, 3, 1)


def test_what_is_dropped_while_somebody_looks_is_not_taken_for_there(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitions = Partitions(engine)
    partitions.ensure([], [DAY])
    names = module._names

    def seen_before_the_drop(connection: sa.Connection) -> frozenset[str]:
        there = names(connection)
        with engine.begin() as other:
            other.execute(sa.text("DROP TABLE visitors_20190301"))
        partitions.forget()
        return there

    partitions.forget()
    with monkeypatch.context() as patched:
        patched.setattr(module, "_names", seen_before_the_drop)
        partitions.ensure([], [DAY])
    partitions.ensure([], [DAY])
    assert DAY in partitions.days("visitors")
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE visitors_20190301"))
