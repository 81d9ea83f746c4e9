"""Sites: kept in Postgres, copied to Redis whenever they change, and read from there by whoever takes in events.

So a web process knows every site while Postgres is away. The copy is written by one process at a time, from what
Postgres holds at that moment, so it is never older than the latest change that was written; the worker's sweep writes
it again where it differs, for Redis may have been away, emptied, or replaced by an older copy of itself.
"""

from __future__ import annotations

import logging
import math
import secrets
import string
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, cast

import msgspec
import redis
import sqlalchemy as sa

from maicivy.core.events import DEFAULT_SITE
from maicivy.core.ports import Clock
from maicivy.core.sites import FIELDS, Site, SiteBook, checked
from maicivy.errors import Refusal, RejectedByDatabase, Unavailable
from maicivy.storage import bucket_zones, keys
from maicivy.storage.connections import postgres_errors
from maicivy.storage.redis_clients import redis_errors

REFRESH_S: Final = 2.0
"""How long a process goes by what it knows."""

UNKNOWN_REFRESH_S: Final = 1.0
"""And when somebody names a site that it does not know: a new one is soon found, and nonsense costs little."""

BOOK_TIMEOUT_S: Final = 0.25
"""A request that looks waits no longer for Redis: it will wait for the inbox, too, and what is known mostly does."""

COPY_TIMEOUT_S: Final = 2
"""A statement of the copying takes no longer: a request may be waiting for it."""

_NOTHING: Final = SiteBook()
_LOCK: Final = 0x6D61_6905
_ALPHABET: Final = string.ascii_uppercase + string.digits
_COLUMNS: Final = "id, domain, measurement_id, timezone, retention_days, is_public, allowed_hosts"
_ALL: Final = sa.text(f"/* sites.all */ SELECT {_COLUMNS} FROM sites WHERE removed_at IS NULL ORDER BY id")
_ADD: Final = sa.text(f"""/* sites.add */
INSERT INTO sites (domain, measurement_id, timezone, retention_days, is_public, allowed_hosts)
VALUES (:domain, :measurement_id, :timezone, :retention_days, :is_public, :allowed_hosts) RETURNING {_COLUMNS}
""")
_ZONE: Final = sa.text("/* sites.set */ SELECT timezone FROM sites WHERE id = :id FOR UPDATE")
# Workers remember which hosts are a site's own, and look again when this is raised (`visit_store.VisitBook`). The last
# statement of its transaction, for storing waits for the ledger row.
_HOSTS_CHANGED: Final = sa.text("/* sites.set */ UPDATE ledger SET dictionary_version = dictionary_version + 1")
_REMOVE: Final = sa.text("/* sites.remove */ UPDATE sites SET removed_at = now() WHERE id = :id AND removed_at IS NULL")

_DUPLICATE: Final = "23505"  # of its two unique values only the domain is somebody's choice

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(list[Site])


class PostgresSites:
    """The truth about sites. A change is copied to Redis; where that fails, it stands and is copied later."""

    def __init__(self, engine: sa.Engine, client: redis.Redis) -> None:
        self._engine = engine
        self._client = client

    def all(self) -> list[Site]:
        """Every site that was not removed, by id."""
        with postgres_errors(), self._engine.connect() as connection:
            return _all(connection)

    def add(self, said: Mapping[str, Any]) -> Site:
        """Make a site of what was said of it, of which only `domain` is required.

        Raises:
            Refusal: `invalid_site`, `unknown_field`, or `domain_taken` by another site.
        """
        values = checked({"domain": None} | dict(said))
        row = {"timezone": None, "retention_days": None, "is_public": True, "allowed_hosts": ()} | values
        row["allowed_hosts"] = list(row["allowed_hosts"])
        with _unique_domain(), self._engine.begin() as connection:
            site = _site(connection.execute(_ADD, row | {"measurement_id": _measurement_id()}).one())
            connection.execute(_HOSTS_CHANGED)
        self._copy_soon()
        return site

    def set(self, number: int, said: Mapping[str, Any]) -> Site:
        """Change what was said of a site, and leave the rest. Another time zone has its rollups made anew.

        Raises:
            Refusal: as `add` does, or `not_found`.
        """
        values = checked(said)
        changes = ", ".join(f"{name} = :{name}" for name in FIELDS if name in values) or "id = id"
        statement = f"UPDATE sites SET {changes} WHERE id = :id AND removed_at IS NULL RETURNING {_COLUMNS}"
        if "allowed_hosts" in values:
            values["allowed_hosts"] = list(values["allowed_hosts"])
        with _unique_domain(), self._engine.begin() as connection:
            zone = connection.execute(_ZONE, {"id": number}).scalar_one_or_none()
            row = connection.execute(sa.text(f"/* sites.set */ {statement}"), values | {"id": number}).one_or_none()
            if row is None:
                raise _not_found(number)
            site = _site(row)
            if site.timezone != zone:
                bucket_zones.forget(connection, number)
            if values.keys() & {"domain", "allowed_hosts"}:
                connection.execute(_HOSTS_CHANGED)
        self._copy_soon()
        return site

    def remove(self, number: int) -> None:
        """Take nothing in for a site from now on; what it had is deleted by and by.

        Raises:
            Refusal: `not_found`, or `default_site`, which has to stay.
        """
        if number == DEFAULT_SITE:
            raise Refusal("default_site", "the default site cannot be removed", "id")
        with postgres_errors(), self._engine.begin() as connection:
            removed = connection.execute(_REMOVE, {"id": number}).rowcount
        if not removed:
            raise _not_found(number)
        self._copy_soon()

    def removed(self) -> list[tuple[int, datetime]]:
        """Sites that were removed but are not forgotten yet, and when that was."""
        query = sa.text(
            "/* sites.removed */ SELECT id, removed_at FROM sites WHERE removed_at IS NOT NULL ORDER BY id LIMIT 1000"
        )
        with postgres_errors(), self._engine.connect() as connection:
            return [(row.id, row.removed_at) for row in connection.execute(query)]

    def forget(self, number: int) -> None:
        """Delete the last trace of a site that was removed. Its number is never given to another."""
        query = sa.text("/* sites.forget */ DELETE FROM sites WHERE id = :id AND removed_at IS NOT NULL")
        with postgres_errors(), self._engine.begin() as connection:
            connection.execute(query, {"id": number})

    def copy(self) -> list[Site]:
        """Write what Postgres holds to Redis, where that says something else; returns it.

        Raises:
            Unavailable: of either.
        """
        with postgres_errors(), self._engine.begin() as connection:
            connection.execute(sa.text(f"SET LOCAL statement_timeout = '{COPY_TIMEOUT_S}s'"))
            # Of two that changed something at once, the one that reads last has to write last.
            connection.execute(sa.text("/* sites.copy */ SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            sites = _all(connection)
            text = _encode(sites)
            with redis_errors():
                if self._client.get(keys.SITES) != text:
                    self._client.set(keys.SITES, text)
        return sites

    def _copy_soon(self) -> None:
        try:
            self.copy()
        except Unavailable as error:
            log.warning("sites_not_copied", extra={"part": error.part, "reason": error.reason})


class SiteDirectory:
    """The sites as a web process knows them. Safe for threads, and never waits for Postgres while Redis answers."""

    def __init__(self, client: redis.Redis, sites: PostgresSites, clock: Clock) -> None:
        self._client = client
        self._sites = sites
        self._clock = clock
        self._lock = threading.Lock()
        self._book: SiteBook | None = None
        self._asked_at = -math.inf

    def book(self, now: datetime) -> SiteBook:
        """All sites, at most `REFRESH_S` old while Redis answers; else as last known."""
        book = self._book
        if book is not None and abs(now.timestamp() - self._asked_at) < REFRESH_S:
            return book
        return self._renewed(now.timestamp(), REFRESH_S)

    def refresh(self) -> SiteBook:
        """All sites, for somebody who named one that `book` does not know: at most `UNKNOWN_REFRESH_S` old."""
        return self._renewed(self._clock().timestamp(), UNKNOWN_REFRESH_S)

    def knows(self) -> bool:
        """Whether anybody has ever told which sites there are; until then, `book` has the default one only."""
        return self._book is not None and self._book is not _NOTHING

    def forget(self) -> None:
        """Ask anew at the next look: this process has just changed something."""
        self._asked_at = -math.inf

    def _renewed(self, now_s: float, max_age_s: float) -> SiteBook:
        # While one asks, the others go by what they know; only those who know nothing wait.
        if not self._lock.acquire(blocking=self._book is None):
            return self._book or _NOTHING
        try:
            if self._book is None or abs(now_s - self._asked_at) >= max_age_s:
                self._asked_at = now_s
                self._book = self._read() or self._book or _NOTHING
            return self._book
        finally:
            self._lock.release()

    def _read(self) -> SiteBook | None:
        try:
            with redis_errors():
                text = cast("bytes | None", self._client.get(keys.SITES))
            if text is not None:
                return SiteBook(_decoder.decode(text))
        except (Unavailable, msgspec.DecodeError) as error:
            log.warning("sites_unreadable", extra={"reason": str(error)})
            if self._book is not None:
                return None
        try:
            return SiteBook(self._sites.copy())
        except Unavailable as error:
            log.warning("sites_unknown", extra={"part": error.part, "reason": error.reason})
            return None
        except sa.exc.ProgrammingError as error:  # its schema is not that of this version
            log.warning("sites_unknown", extra={"part": "postgres", "reason": type(error.orig).__name__})
            return None


@contextmanager
def _unique_domain() -> Iterator[None]:
    try:
        with postgres_errors():
            yield
    except RejectedByDatabase as error:
        if error.reason.startswith(_DUPLICATE):
            raise Refusal("domain_taken", "another site has this domain", "domain") from error
        raise


def _all(connection: sa.Connection) -> list[Site]:
    return [_site(row) for row in connection.execute(_ALL)]


def _site(row: Any) -> Site:
    number, domain, measurement_id, zone, retention_days, is_public, allowed_hosts = row
    return Site(number, domain, measurement_id, zone, retention_days, is_public, tuple(allowed_hosts))


def _measurement_id() -> str:
    return "MC-" + "".join(secrets.choice(_ALPHABET) for _ in range(10))


def _not_found(number: int) -> Refusal:
    return Refusal("not_found", f"there is no site {number}", "id")
