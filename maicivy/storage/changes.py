"""Changes of visits that come from no new event, in the same row as those that do.

Judging anew and recording events that are stored already change visits, but nothing that is counted. Each such change
locks the ledger row, takes its next number, and writes an outbox row that only names the days that changed: so its
number is never one that a rollup has worked with, and whoever remembers answers hears of the days.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import date
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy as sa

from maicivy.core.tallies import SiteTally, Tally
from maicivy.storage.connections import driver_connection

_TIMEOUT: Final = "SET LOCAL statement_timeout = '15min'"  # a repeat would take as long
_LOCK: Final = "/* changes.begin */ SELECT seq, token, dictionary_version FROM ledger FOR UPDATE"
_LEDGER: Final = """/* changes.end */
UPDATE ledger SET seq = %s, token = %s, dictionary_version = dictionary_version + %s
"""
_OUTBOX: Final = "/* changes.end */ INSERT INTO outbox (seq, previous, token, tally) VALUES (%s, %s, %s, %s)"

_pack = msgspec.msgpack.Encoder().encode


class Change:
    """The next number of the ledger, taken by something else than new events; nobody stores until the commit.

    Attributes:
        seq: the number.
        dictionary_version: of the ledger, as it was found.
    """

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor
        cursor.execute(_LOCK)
        seq, previous, version = cursor.fetchone() or (0, "", 0)
        self.seq: int = seq + 1
        self.dictionary_version: int = version
        self._previous: str = previous

    def end(self, days: Iterable[tuple[int, date]], *, new_dictionary: bool) -> None:
        """Write the ledger and the outbox row, which names these days of these sites. Without it nothing is taken."""
        tally = Tally()
        for site_id, day in sorted(days):
            tally.sites.setdefault(site_id, SiteTally()).changed_days.append(day.isoformat())
        token = secrets.token_hex(8)
        self._cursor.execute(_LEDGER, (self.seq, token, int(new_dictionary)))
        self._cursor.execute(_OUTBOX, (self.seq, self._previous, token, _pack(tally)))


def patient_cursor(connection: sa.Connection) -> psycopg.Cursor[Any]:
    """The driver's cursor in the transaction of `connection`, with time for statements that read a whole day."""
    cursor = driver_connection(connection).cursor()
    cursor.execute(_TIMEOUT)
    return cursor
