"""Beat's clock is set back: what is due every two seconds is sent again within two seconds, not in an hour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from celery import Celery, current_app

from workers.clockwork import Scheduler

SWEEP_S = 2


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 10, 25, 2, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    before = current_app._get_current_object()
    with Celery("test") as app:  # entries read from a file belong to the current application
        app.conf.timezone = "UTC"
        app.conf.result_expires = None
        app.conf.beat_schedule = {"sweep": {"task": "sweep", "schedule": SWEEP_S}}
        monkeypatch.setattr(app, "now", lambda: clock.now)
        yield app
    before.set_current()


class Recorder(Scheduler):
    """Notes what it would send."""

    sent: ClassVar[list[str]]

    def apply_async(self, entry: Any, *_: Any, **__: Any) -> None:
        self.sent.append(entry.name)

    @property
    def producer(self) -> None:
        return None


def scheduler(app: Celery, path: Path) -> Recorder:
    Recorder.sent = []
    return Recorder(app, schedule_filename=str(path / "schedule"))


def pass_time(beat: Recorder, clock: Clock, seconds: float) -> None:
    """Tick as beat does: after as many seconds as the tick before asked for."""
    until = clock.now + timedelta(seconds=seconds)
    while clock.now < until:
        clock.now += timedelta(seconds=max(0.001, min(beat.tick(), SWEEP_S)))


def test_sweeps_go_on_after_the_clock_was_set_back(app: Celery, clock: Clock, tmp_path: Path) -> None:
    with closing(scheduler(app, tmp_path)) as beat:
        pass_time(beat, clock, 10)
        assert 4 <= len(beat.sent) <= 6
        beat.sent.clear()
        clock.now -= timedelta(hours=1)
        pass_time(beat, clock, 10)
        assert 4 <= len(beat.sent) <= 6


def test_a_schedule_from_the_future_is_no_reason_to_wait(app: Celery, clock: Clock, tmp_path: Path) -> None:
    with closing(scheduler(app, tmp_path)) as beat:
        pass_time(beat, clock, 10)
    clock.now -= timedelta(days=1)
    with closing(scheduler(app, tmp_path)) as beat:
        pass_time(beat, clock, 10)
        assert 4 <= len(beat.sent) <= 6


def test_the_stock_scheduler_would_wait_which_is_why_this_one_exists(
    app: Celery, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scheduler, "_forget_the_future", lambda *_: None)
    with closing(scheduler(app, tmp_path)) as beat:
        pass_time(beat, clock, 10)
        beat.sent.clear()
        clock.now -= timedelta(hours=1)
        pass_time(beat, clock, 10)
        assert beat.sent == []
