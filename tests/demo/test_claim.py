"""An empty installation becomes the demo's and gets a past, once; any other stays as it is."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from maicivy.bootstrap import Maicivy, build
from maicivy.cli import main
from maicivy.config import Settings
from maicivy.core.events import ENGAGEMENT, LETTER, PAGE_VIEW, Event, decode
from maicivy.core.ports import Entry
from maicivy.demo import history
from maicivy.demo.claim import DOMAIN, PLACES, claim, is_claimed, tell_history
from tests.events import event

ORIGIN = "http://127.0.0.1:8080"


@pytest.fixture
def installation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maicivy]:
    monkeypatch.setattr(history, "VISITS_A_DAY", 12)
    maicivy = build(settings)
    yield maicivy
    maicivy.close()


def unread(maicivy: Maicivy) -> list[Entry]:
    maicivy.inbox.read("test", 1, 0)  # the first read makes the group
    return maicivy.inbox.read("test", 100_000, 0)


def told(maicivy: Maicivy) -> list[Event]:
    entries = unread(maicivy)
    return [event for entry in entries for payload in entry.payloads for event in decode(payload)]


def tell(settings: Settings) -> int:
    return tell_history(settings, random.Random(5), ORIGIN, lambda: False)


def test_an_empty_installation_is_claimed_and_gets_its_past_once(installation: Maicivy) -> None:
    settings = installation.settings
    claim(settings)
    assert is_claimed(settings.data_dir)
    assert (settings.geo_db / PLACES).exists()
    assert [site.domain for site in installation.sites.all()] == [DOMAIN]
    count = tell(settings)
    events = told(installation)
    assert len(events) == count > 1000
    claim(settings)
    assert tell(settings) == 0


def test_the_past_holds_what_the_hook_and_the_api_would_have_made_of_it(installation: Maicivy) -> None:
    claim(installation.settings)
    tell(installation.settings)
    events = told(installation)
    now = installation.now()
    kinds = Counter(event.event_type for event in events)
    assert set(kinds) == {PAGE_VIEW, ENGAGEMENT, LETTER, "button_click", "outbound_click", "pdf_download"}
    days = {event.created_at.date() for event in events}
    assert len(days) >= history.DAYS - 1
    assert all(now - timedelta(days=history.DAYS) < event.created_at < now for event in events)
    assert len({event.id for event in events}) == len(events)
    assert len({event.visitor_id for event in events}) > 300
    assert len({event.traits.country for event in events} - {""}) > 20
    assert {event.event_data["type"] for event in events if event.event_type == LETTER} == {
        "motivation",
        "anti_motivation",
    }
    clicks = [event.event_data for event in events if event.event_type == "button_click"]
    assert all(isinstance(data["x"], int) and isinstance(data["y"], int) for data in clicks)
    assert any(event.traits.screen_width for event in events)
    assert any("utm_campaign=" in event.page_url for event in events)


def test_days_come_latest_first_and_what_is_still_to_come_has_not_been(installation: Maicivy) -> None:
    claim(installation.settings)
    tell(installation.settings)
    days = [event.created_at.date() for event in told(installation)]
    first_seen = list(dict.fromkeys(days))
    assert first_seen[0] in sorted(set(days))[-2:]  # a visit may go on after midnight
    assert first_seen[-1] in sorted(set(days))[:2]


def test_an_installation_with_events_or_sites_of_its_own_is_left_alone(installation: Maicivy) -> None:
    settings = installation.settings
    installation.inbox.append([event()])
    claim(settings)
    assert not is_claimed(settings.data_dir)
    installation.inbox.remove(unread(installation))
    installation.sites.add({"domain": "shop.example"})
    claim(settings)
    assert not is_claimed(settings.data_dir)
    assert [site.domain for site in installation.sites.all()] == ["", "shop.example"]
    assert not (settings.geo_db / PLACES).exists()


def test_a_site_that_somebody_has_named_is_somebodys(installation: Maicivy) -> None:
    installation.sites.set(1, {"domain": "mine.example"})
    claim(installation.settings)
    assert not is_claimed(installation.settings.data_dir)


def test_a_database_of_places_that_somebody_chose_is_used(installation: Maicivy, tmp_path: Path) -> None:
    claim(replace(installation.settings, geo_db=tmp_path / "mine.mmdb"))
    assert is_claimed(tmp_path)
    assert not list(tmp_path.glob("**/*.mmdb"))


def test_whoever_is_ended_stops_after_the_batch_at_hand(installation: Maicivy) -> None:
    claim(installation.settings)
    assert tell_history(installation.settings, random.Random(5), ORIGIN, lambda: True) == 500
    assert len(told(installation)) == 500


def test_the_past_is_no_longer_than_events_are_kept(installation: Maicivy) -> None:
    settings = replace(installation.settings, retention_days=3)
    claim(settings)
    tell(settings)
    oldest = min(event.created_at for event in told(installation))
    assert oldest > installation.now() - timedelta(days=3)


def test_the_command_claims(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["maicivy"])
    monkeypatch.setattr(Settings, "from_env", lambda: settings)
    assert main(["simulate", "--claim"]) == 0
    assert is_claimed(settings.data_dir)
