"""The harness can see what it looks for: each breach of the law is noticed, and a power cut does lose what it may."""

from __future__ import annotations

import random
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import oracle
from tests.chaos.clients import Load
from tests.chaos.fault import Arena, run
from tests.chaos.slow_fsync import COMPILER, PowerCut
from tests.chaos.system import System

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    """A system that has taken in a few hundred events, and is at rest."""
    parent = Path(tempfile.mkdtemp(prefix="mvc-", dir="/tmp"))
    system = System(parent / "data")
    load = Load(system.port, 1)
    try:
        system.up.wait_ready()
        load.start()
        load.wait_acknowledged(300)
        load.pause()
        yield Arena(system, load, random.Random(1))
        load.stop()
        assert system.stop() == []
    finally:
        load.stop()
        system.abandon()
        shutil.rmtree(parent, ignore_errors=True)


def test_every_breach_of_the_law_is_noticed(arena: Arena) -> None:
    system, record = arena.system, arena.record()
    assert oracle.check(system, record).breaches == []

    lost = secrets.token_bytes(16)
    record.acknowledged.add(lost)
    verdict = oracle.check(system, record)
    assert (verdict.lost, verdict.breaches) == (1, ["1 acknowledged events are not stored"])
    record.acknowledged.remove(lost)

    known = record.sent.pop()
    assert oracle.check(system, record).breaches == ["1 events are stored that nobody sent"]
    record.sent.add(known)

    with system.redis() as client, system.database() as database:
        theme = next(key for key in client.zrange("analytics:themes:top", 0, 0))
        client.zincrby("analytics:themes:top", 1, theme)
        counter = next(key for key in client.scan_iter("analytics:stats:week:*:total_events"))
        client.incr(counter)
        client.hincrby("maicivy:ledger", "received", 1)
        client.pfadd("analytics:visitors:unique:day:" + _day(system), *range(10))
        breaches = oracle.check(system, record).breaches
        assert len(breaches) == 4
        for breach, said in zip(breaches, (counter.decode(), "theme", "unique visitors", "accounts"), strict=True):
            assert said in breach
        client.decr(counter)
        client.zincrby("analytics:themes:top", -1, theme)
        client.hincrby("maicivy:ledger", "received", -1)

        database.execute(
            "UPDATE visits SET pageviews = pageviews + 1 WHERE started = (SELECT min(started) FROM visits)"
        )
        assert "1 visits are missing and 1 are wrong" in oracle.check(system, record).breaches
        database.execute(
            "UPDATE visits SET pageviews = pageviews - 1 WHERE started = (SELECT min(started) FROM visits)"
        )

        database.execute("SET maicivy.makes_segments = on")
        database.execute("UPDATE dirty_hours SET rolled = seq")
        assert "segments do not say what visits say" in oracle.check(system, record).breaches
        database.execute("UPDATE dirty_hours SET rolled = 0")

        database.execute("INSERT INTO analytics_events SELECT * FROM analytics_events LIMIT 1")
        verdict = oracle.check(system, record)
        assert verdict.doubled == 1
        assert "1 events are stored twice" in verdict.breaches

        database.execute("DELETE FROM analytics_events WHERE id = (SELECT id FROM analytics_events LIMIT 1)")
        verdict = oracle.check(system, record)
        assert verdict.lost == 1
        assert any("total_events is" in breach for breach in verdict.breaches)


if COMPILER:

    def test_a_power_cut_loses_events_when_valkey_answers_before_it_is_sure() -> None:
        result = run(PowerCut(appendfsync="everysec"), 1, 1, print)
        assert result.lost > 0
        assert any("acknowledged events are not stored" in breach for breach in result.breaches)


def _day(system: System) -> str:
    return system.now().date().isoformat()
