"""The reference for storing: COPY of ready-made rows into the same table with its indexes, over one connection.

The bytes are made before the clock runs, in Postgres's binary format, so that nothing but Postgres is measured. The
table is in a database of its own of the same server, made by the same migrations.
"""

from __future__ import annotations

import os
import struct
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psycopg
import sqlalchemy as sa

from maicivy.config import sqlalchemy_url
from maicivy.core.events import uuid7
from maicivy.core.identity import first_id_of
from maicivy.migrate import upgrade
from maicivy.storage.partitions import Partitions

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_COLUMNS = "id, visitor_id, created_at, site_id, session_duration, event_type, page_url, referrer, event_data"


class CopyReference:
    """One connection to an empty copy of the schema on the server of `database_url`."""

    def __init__(self, database_url: str) -> None:
        url = urlsplit(database_url)._replace(path="/reference").geturl()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE reference")
        upgrade(sqlalchemy_url(url))
        engine = sa.create_engine(sqlalchemy_url(url))
        today = datetime.now(UTC).date()
        Partitions(engine).ensure([today, today + timedelta(days=1)], [])
        engine.dispose()
        self._connection = psycopg.connect(url, autocommit=True)

    def rows_per_s(self, rows: int) -> float:
        """COPY so many rows like those that the collector was sent, and empty the table again."""
        data = _binary(rows)
        began = time.perf_counter()
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY analytics_events ({_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.write(data)
        took_s = time.perf_counter() - began
        self._connection.execute("TRUNCATE analytics_events")
        return rows / took_s

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def _binary(rows: int) -> bytes:
    now = datetime.now(UTC)
    unix_ms, stamp = int(now.timestamp() * 1000), (now - _EPOCH) // timedelta(microseconds=1)
    tail = (
        _field(struct.pack(">i", 1))
        + _field(struct.pack(">i", 0))
        + _field(b"button_click")
        + _field(b"/cv")
        + _field(b"")
        + _field(b'\x01{"button":"cta","x":450,"y":200}')
    )
    visitor = _field(first_id_of(now.date()).bytes)
    parts = [_HEADER]
    for number in range(rows):
        created_at = struct.pack(">iq", 8, stamp + number)
        parts.append(b"\0\x09" + _field(uuid7(unix_ms, os.urandom(10)).bytes) + visitor + created_at + tail)
    parts.append(_TRAILER)
    return b"".join(parts)


def _field(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value
