"""An imported access log gives the figures that a recount of its page views gives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from maicivy.core.events import Event
from maicivy.core.identity import Salts
from maicivy.core.query import Query
from maicivy.log_import.importer import LogImport, Plan, Surroundings
from maicivy.log_import.source import Source
from maicivy.storage.visit_queries import PostgresVisitQueries
from tests.log_import.logs import BOT, FIREFOX, log_line, write_log
from tests.oracle.comparison import assert_same
from tests.oracle.oracle import answer
from tests.oracle.store import send, store_of

NOW = datetime(2025, 10, 27, 12, 0, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
PLAN = Plan(
    now=NOW,
    retention=timedelta(days=90),
    query_params=frozenset({"theme"}),
    salts=Salts.mixed("0123456789abcdef", NOW.date(), b"s" * 32, None),
    secret_key="0123456789abcdef",
)
METRICS = ("visitors", "visits", "pageviews", "bounce_rate", "visit_duration", "views_per_visit")


class Kept:
    """What an import hands in, portion by portion."""

    def __init__(self) -> None:
        self.portions: list[list[Event]] = []

    def append(self, events: Sequence[Event]) -> None:
        self.portions.append(list(events))


def lines_of_four_days() -> list[bytes]:
    """3,000 lines of a site that 60 clients read, two of them bots, over the end of summer time."""
    chance = random.Random(20251026)
    pages = ("/", "/", "/cv", "/cv?theme=backend", "/letters", "/style.css", "/caf%c3%a9", "/blog/")
    referrers = ("-", "-", "-", "https://www.google.com/", "https://news.example.net/a", "https://example.org/")
    lines = []
    for _ in range(3_000):
        client = min(int(chance.expovariate(0.06)), 59)
        at = NOW - timedelta(seconds=chance.randrange(4 * 86_400))
        agent = BOT if client in (3, 17) else FIREFOX
        page, referrer = chance.choice(pages), chance.choice(referrers)
        lines.append(log_line(at, page, address=f"192.0.2.{client}", referrer=referrer, user_agent=agent))
    return lines


def test_top_pages_sources_and_days_of_an_imported_log(engine: Engine, tmp_path: Path) -> None:
    kept = Kept()
    around = Surroundings(kept, lambda: None, lambda _: None, lambda _: None, lambda _: None, lambda: 0.0)
    path = write_log(tmp_path / "access.log", lines_of_four_days())
    with closing(Source(str(path))) as source:
        report = LogImport(PLAN, around).run([source])
    assert report.handed_in > 2_000
    store, queries = store_of(engine), PostgresVisitQueries(engine, ZoneInfo("UTC"))
    send(store, kept.portions)
    send(store, kept.portions[:2])
    events = [event for portion in kept.portions for event in portion]
    start, end = datetime(2025, 10, 22, 22, 0, tzinfo=UTC), datetime(2025, 10, 27, 23, 0, tzinfo=UTC)
    for dimension in ("", "event:page", "visit:source", "visit:entry_page", "time:day", "time:hour"):
        for include_bots in (False, True):
            query = Query(
                1,
                PARIS,
                start,
                end,
                METRICS,  # type: ignore[arg-type]
                (dimension,) if dimension else (),
                include_bots=include_bots,
            )
            assert_same(query, queries.ask(query), answer(events, query))
