"""Simulated people: repeatable, different from each other, and doing what the demo understands."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from maicivy.core.gate import Gate, parse_event
from maicivy.demo import cv, letters
from maicivy.demo.places import place_of
from maicivy.demo.visitors import VIEWS_PER_VISIT, Step, person, visit

ORIGIN = "http://127.0.0.1:8080"
GATE = Gate(datetime(2025, 12, 8, tzinfo=UTC), timedelta(days=90), frozenset({"theme"}))


def steps(seed: int) -> list[Step]:
    dice = random.Random(seed)
    return list(visit(dice, ORIGIN, person(dice)))


def test_the_same_seed_brings_the_same_people() -> None:
    assert steps(7) == steps(7)
    assert person(random.Random(7)) == person(random.Random(7))


def test_people_differ_in_address_and_browser() -> None:
    dice = random.Random(1)
    crowd = [person(dice) for _ in range(500)]
    assert len(set(crowd)) == 500
    assert len({someone.user_agent for someone in crowd}) > 60
    assert len({place_of(someone.address).country for someone in crowd}) > 20
    assert len({someone.language for someone in crowd}) > 20
    assert all(ip_address(someone.address).is_loopback for someone in crowd)
    assert all(someone.user_agent.startswith("Mozilla/5.0 (") for someone in crowd)


def test_a_visit_holds_only_what_the_site_and_the_api_accept() -> None:
    kinds: set[str | tuple[str, str]] = set()
    for seed in range(300):
        for step in steps(seed):
            path, query = urlsplit(step.path).path, parse_qs(urlsplit(step.path).query)
            kinds.add((step.method, path))
            if path == "/cv":
                assert query["theme"][0] in cv.THEMES
            elif path == "/letters" and step.method == "POST":
                form = {name: values[0] for name, values in parse_qs(step.body.decode()).items()}
                letters.write(form["kind"], form["company"], form["role"])
            elif path.startswith("/api/"):
                kinds.add(parse_event(step.body, GATE).event_type)
                assert json.loads(step.body)["page_url"].startswith("/")
            elif path.startswith("/projects/"):
                assert path.removeprefix("/projects/") in cv.PROJECT_BY_NAME
            assert 0 <= step.wait_s <= 120
    assert kinds == {
        ("GET", "/"),
        ("GET", "/cv"),
        ("GET", "/letters"),
        ("GET", "/projects"),
        *(("GET", f"/projects/{name}") for name in cv.PROJECT_BY_NAME),
        ("POST", "/letters"),
        ("POST", "/api/v1/analytics/event"),
        *("page_view", "engagement", "button_click", "pdf_download", "outbound_click"),
    }


def test_a_visit_has_as_many_page_views_as_the_pace_counts_on() -> None:
    views = sum(step.is_view for seed in range(2000) for step in steps(seed))
    assert abs(views / 2000 - VIEWS_PER_VISIT) < 0.2


def test_no_visitor_exceeds_the_rate_limit_of_the_api() -> None:
    assert max(sum(step.path.startswith("/api/") for step in steps(seed)) for seed in range(2000)) < 100
