"""What only `maicivy doctor` asks of Postgres and Redis: facts about the servers, judged in `maicivy.doctor`.

Everything here only reads, and works with the rights of an ordinary account: what a hosted server does not show is
`None`, not an error.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

import msgspec
import redis
import sqlalchemy as sa

from maicivy.storage import keys
from maicivy.storage.connections import postgres_errors
from maicivy.storage.redis_clients import redis_errors
from maicivy.storage.schema import SECOND_SQL

COUNTED_AT_MOST: Final = 1000


class Quarantined(msgspec.Struct, frozen=True):
    """Events that the database refused: how many (at most `COUNTED_AT_MOST`), and about the latest."""

    events: int
    reason: str = ""
    at: datetime | None = None


class Leftovers(msgspec.Struct, frozen=True):
    """Ages in seconds of the oldest of what the worker is to clear away or renew; 0 where there is nothing."""

    outbox_s: float
    receipts_s: float
    generation_s: float


class PostgresInspection:
    """One database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def version(self) -> int:
        """The server's version as it numbers it: 180001 is 18.1."""
        return int(self._one("/* inspection.version */ SHOW server_version_num")[0])

    def revision(self) -> str | None:
        """The schema revision; None when no migration has run."""
        if self._one("/* inspection.revision */ SELECT to_regclass('alembic_version')")[0] is None:
            return None
        query = (
            "/* inspection.revision */ SELECT string_agg(version_num, ', ' ORDER BY version_num) FROM alembic_version"
        )
        return cast("str | None", self._one(query)[0])

    def durability(self) -> Mapping[str, str]:
        """The settings that decide whether a commit survives a power cut."""
        row = self._one(
            "/* inspection.durability */ SELECT current_setting('fsync') AS fsync,"
            " current_setting('synchronous_commit') AS synchronous_commit,"
            " current_setting('full_page_writes') AS full_page_writes"
        )
        return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name for it

    def clock_skew_s(self) -> float:
        """How far the server's clock is ahead of this machine's, beyond what the way there explains."""
        with postgres_errors(), self._engine.connect() as connection:
            before = time.time()
            query = sa.text("/* inspection.clock_skew */ SELECT extract(epoch FROM clock_timestamp())")
            server = float(connection.execute(query).scalar_one())
            return _skew(server, before, time.time())

    def quarantined(self) -> Quarantined:
        """What lies in quarantine."""
        query = "/* inspection.quarantined */ SELECT count(*) FROM (SELECT FROM quarantine LIMIT :most) AS refused"
        events = self._one(query, most=COUNTED_AT_MOST)[0]
        if not events:
            return Quarantined(0)
        reason, at = self._one(
            "/* inspection.quarantined */ SELECT reason, created_at FROM quarantine ORDER BY id DESC LIMIT 1"
        )
        return Quarantined(events, reason, at)

    def leftovers(self) -> Leftovers:
        """How old the oldest rows are that the worker prunes."""
        # Entry ids of the stream begin with its milliseconds, so the primary key of receipts finds the oldest.
        row = self._one(
            "/* inspection.leftovers */ SELECT"
            " (SELECT created_at FROM outbox ORDER BY seq LIMIT 1),"
            " (SELECT created_at FROM receipts ORDER BY entry LIMIT 1),"
            " (SELECT generation_since FROM ledger),"
            " clock_timestamp()"
        )
        ages = [(row[3] - at).total_seconds() if at is not None else 0.0 for at in row[:3]]
        return Leftovers(*ages)

    def oldest_without_visit(self) -> datetime | None:
        """Of each site's oldest event, when it happened if it is in no visit; the earliest of these."""
        second = SECOND_SQL.format(moment="created_at")
        at: datetime | None = self._one(
            "/* inspection.oldest_without_visit */ SELECT min(e.created_at) FROM sites s CROSS JOIN LATERAL"
            " (SELECT site_id, visitor_id, created_at FROM analytics_events WHERE site_id = s.id"
            f" ORDER BY {second} LIMIT 1) AS e"
            " WHERE s.removed_at IS NULL AND NOT EXISTS (SELECT FROM visits v WHERE v.site_id = e.site_id"
            " AND v.visitor_id = e.visitor_id AND v.started <= e.created_at AND v.ended >= e.created_at)"
        )[0]
        return at

    def _one(self, query: str, **parameters: Any) -> Any:
        with postgres_errors(), self._engine.connect() as connection:
            return connection.execute(sa.text(query), parameters).one()


class RedisInspection:
    """One Redis or Valkey server."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def info(self) -> Mapping[str, Any] | None:
        """`INFO` of server, memory and persistence in one mapping; None when this account may not ask."""
        with redis_errors():
            try:
                pipe = self._client.pipeline(transaction=False)
                for section in ("server", "memory", "persistence"):
                    pipe.info(section)
                parts = pipe.execute()
            except redis.ResponseError:  # NoPermissionError is one
                return None
        return {name: value for part in parts for name, value in part.items()}

    def config(self) -> Mapping[str, str] | None:
        """The settings of durability and eviction; None when this account may not ask, as on hosted servers."""
        with redis_errors():
            try:
                found = self._client.config_get("appendonly", "appendfsync", "maxmemory-policy")
            except redis.ResponseError:
                return None
        return _decoded(cast(Mapping[Any, Any], found))

    def clock_skew_s(self) -> float:
        """How far the server's clock is ahead of this machine's, beyond what the way there explains."""
        with redis_errors():
            self._client.ping()  # connected, so that the next answer is quick
            before = time.time()
            seconds, micros = self._client.time()
        return _skew(seconds + micros / 1e6, before, time.time())

    def last_seen(self) -> Mapping[str, float]:
        """Process kind -> Unix second at which it last showed that it lives."""
        with redis_errors():
            beats = cast(Mapping[bytes, bytes], self._client.hgetall(keys.HEARTBEATS))
        return {kind: float(at) for kind, at in _decoded(beats).items()}

    def bell_ttl_s(self) -> float | None:
        """How long the bell stays set; None when it is not, -1 when for ever."""
        with redis_errors():
            ttl_ms = self._client.pttl(keys.BELL)
        return None if ttl_ms == -2 else -1.0 if ttl_ms < 0 else ttl_ms / 1000


def _skew(server: float, before: float, after: float) -> float:
    """0 when `server` could have been read at any moment from `before` to `after`."""
    return server - after if server > after else min(0.0, server - before)


def _decoded(fields: Mapping[Any, Any]) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in fields.items()}


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
