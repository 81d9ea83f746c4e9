"""A PostgreSQL and a Valkey of a benchmark's own, with the settings of `maicivy up`, and a million events in them.

Rows are made by Postgres itself (`generate_series`), so that a million take seconds. What they look like is written
down in `_FILL`: page views with a path and a theme, one event in ten a click with a position, one in fifty a letter.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import sqlalchemy as sa

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.identity import first_id_of
from maicivy.migrate import upgrade
from maicivy.standalone.datadir import DataDir
from maicivy.standalone.postgres import Postgres
from maicivy.standalone.process import start_ready
from maicivy.standalone.valkey import Valkey
from maicivy.storage.schema import day_partition

EVENTS_PER_VISITOR = 10

# v7-like ids: 6 bytes of time, then hash. Visitors: 2 bytes of the day, then hash of their number.
_FILL = """/* bench.fill */
INSERT INTO {table} (id, visitor_id, created_at, site_id, session_duration, event_type, page_url, referrer, event_data)
SELECT
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text || at::text), 1, 3)
     || 'b' || substr(md5(at::text || n::text), 1, 15))::uuid,
    (left(replace(:first_id, '-', ''), 4) || substr(md5((n % :visitors)::text || :first_id), 1, 28))::uuid,
    at, 1, n % 600,
    CASE WHEN n % 10 = 0 THEN 'button_click' WHEN n % 50 = 1 THEN 'letter_generated' ELSE 'page_view' END,
    '/page/' || n % 40,
    CASE WHEN n % 3 = 0 THEN 'https://duckduckgo.com/' ELSE '' END,
    CASE WHEN n % 10 = 0 THEN jsonb_build_object('button', 'cta', 'x', n % 1280, 'y', n % 3000)
         WHEN n % 50 = 1 THEN jsonb_build_object('type', 'motivation', 'company', 'Acme')
         WHEN n % 4 = 2 THEN jsonb_build_object('theme', 'theme' || n % 8)
         ELSE '{{}}'::jsonb END
FROM (SELECT n, CAST(:day AS timestamptz) + n * (interval '1 day' / :events) AS at
      FROM generate_series(0, :events - 1) AS n) AS made
"""
_VISITORS = """/* bench.fill */
INSERT INTO {visitors} (id, site_id, first_seen)
SELECT visitor_id, site_id, min(created_at) FROM {events} GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT DO NOTHING
"""
_LABELS = """/* bench.fill */
INSERT INTO labels (site_id, kind, name)
SELECT 1, 'event', unnest(ARRAY['button_click', 'letter_generated', 'page_view'])
UNION ALL SELECT 1, 'path', '/page/' || n FROM generate_series(0, 39) AS n
UNION ALL SELECT 1, 'theme', 'theme' || n FROM generate_series(0, 7) AS n
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """Empty, migrated servers, the settings that point at them, and the wired parts."""

    settings: Settings
    parts: Maicivy

    def fill(self, events: int, days: list[date]) -> None:
        """Put `events` into Postgres, as many on each of `days` (UTC), as if they had been stored; Redis is left."""
        self.parts.store.partitions.ensure(days, days)
        share = max(1, events // len(days))
        with self.parts.engine.begin() as connection:
            connection.execute(sa.text("SET LOCAL statement_timeout = '10min'"))
            connection.execute(sa.text(_LABELS))
            for day in days:
                table = day_partition("analytics_events", day)
                connection.execute(
                    sa.text(_FILL.format(table=table)),
                    {
                        "events": share,
                        "day": f"{day} 00:00+00",
                        "first_id": str(first_id_of(day)),
                        "visitors": max(1, share // EVENTS_PER_VISITOR),
                    },
                )
                connection.execute(
                    sa.text(_VISITORS.format(visitors=day_partition("visitors", day), events=table)),
                )
            connection.execute(
                sa.text("UPDATE ledger SET stored = stored + :n, seq = greatest(seq, 1)"), {"n": share * len(days)}
            )
        with self.parts.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE analytics_events, visitors"))  # as autovacuum does in time


@contextmanager
def installation(at: Path | None = None, options: dict[str, str] | None = None) -> Iterator[Installation]:
    """Servers that are gone, with what they wrote, when it is left.

    What is written `at` a directory stays, and is found there the next time. When another process has its servers
    running they are used. `options` are Postgres's.
    """
    with ExitStack() as stack:
        home = DataDir(Path(tempfile.mkdtemp(prefix="mvs-", dir="/tmp")) if at is None else at.absolute())
        if at is None:
            stack.callback(shutil.rmtree, home.path, ignore_errors=True)
        postgres, valkey = Postgres(home, options), Valkey(home)
        if at is None or not postgres.is_ready():
            home.claim()
            stack.callback(home.release)
            for server, name in ((postgres, "postgres"), (valkey, "valkey")):
                stack.callback(start_ready(server.command(), server.is_ready, name).stop, 60.0)
        settings = Settings.from_env(
            {
                "MAICIVY_ENV": "test",
                "MAICIVY_DATA_DIR": str(home.path),
                "DATABASE_URL": f"postgresql://maicivy@/maicivy?host={home.run}",
                "REDIS_URL": f"unix://{valkey.socket}",
                "SECRET_KEY": "a key that only benchmarks use, of some length",
            }
        )
        upgrade(settings.database_url)
        parts = build(settings)
        stack.callback(parts.close)
        yield Installation(settings, parts)


def days_ago(today: date, first: int, count: int) -> list[date]:
    """`count` days, the latest of them `first` days before `today`, ascending."""
    return [today - timedelta(days=first + n) for n in reversed(range(count))]
