"""What single events of a type look like: the latest of people, within range and conditions, and never too much."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from maicivy.core.events import Event, Traits
from maicivy.core.ports import Parcel
from maicivy.storage import event_samples
from maicivy.storage.event_samples import MAX_TEXT_BYTES, PostgresEventSamples
from maicivy.storage.event_store import PostgresEventStore
from tests.events import NOON, event

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
FRENCH = Traits(FIREFOX, country="FR", utm=("letter", "email", "spring", "", ""))
START, END = NOON - timedelta(days=3), NOON + timedelta(hours=1)


def did(name: str, minutes: float, data: dict[str, Any], page: str = "/a", **more: Any) -> Event:
    traits = more.pop("traits", FRENCH)
    happened = event(name, data, at=NOON + timedelta(minutes=minutes), page_url=page, **more)
    return msgspec.structs.replace(happened, traits=traits)


@pytest.fixture
def samples(engine: Engine) -> PostgresEventSamples:
    events = [
        did("click", 0, {"n": 0}, "https://a.example/b?utm_source=x"),
        did("click", 1, {"n": 1}),
        did("click", 2, {}),
        did("click", 3, {"n": "x" * MAX_TEXT_BYTES}),
        did("click", 4, {"n": 4}, visitor=2, traits=Traits(FIREFOX)),
        did("click", 5, {"n": 5}, visitor=3, traits=Traits(FIREFOX, bot=True)),
        did("click", 6, {"n": 6}, site_id=2),
        did("signup", -2 * 24 * 60, {"plan": "team"}),
        did("signup", -4 * 24 * 60, {"plan": "old"}),
    ]
    PostgresEventStore(engine, ZoneInfo("UTC")).store([Parcel("1-0", len(events), events, [])])
    return PostgresEventSamples(engine)


def test_samples_are_the_latest_of_each_type(samples: PostgresEventSamples) -> None:
    def asked(*types: str, limit: int = 9, end: datetime = END, **conditions: str) -> list[tuple[str, str]]:
        return samples.latest(1, types, START, end, conditions, limit)

    one, two, four = (("click", f'{{"n": {n}}}') for n in (0, 1, 4))
    signup = ("signup", '{"plan": "team"}')
    assert asked("signup", "click", "other") == [four, two, one, signup]
    assert asked("signup", "click", limit=1) == [four, signup]
    assert asked("click", end=NOON + timedelta(minutes=1)) == [one]
    assert asked() == []
    assert asked("click", country="FR") == [two, one]
    assert asked("click", country="") == [four]
    assert asked("click", page_path="/b") == [one]
    assert asked("click", utm_source="letter", utm_medium="email", utm_campaign="spring", page_path="/a") == [two]
    assert asked("click", country="' OR true --") == []


def test_no_more_than_the_latest_events_are_read(
    samples: PostgresEventSamples, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = event_samples._LATEST.text.replace(f"LIMIT {event_samples.MAX_READ}", "LIMIT 2")
    monkeypatch.setattr(event_samples, "_LATEST", sa.text(text))
    # The very latest is a bot's.
    assert samples.latest(1, ["click", "signup"], START, END, {}, 9) == [("click", '{"n": 4}')]
