"""The dictionary tables: a row per distinct client, place, origin and action, which visits refer to by id.

Rows are only ever added by storing transactions, and only changed by `maicivy bots reclassify`, which raises the
ledger's `dictionary_version`: a process then knows that what it remembers of them is old.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeVar

import psycopg

from maicivy.core.dimensions import Action, Client, Origin, Place

Kind = Literal["clients", "places", "origins", "actions"]
Value = TypeVar("Value", Client, Place, Origin, Action)

REMEMBERED: Final = 50_000
"""Values of each kind that a process remembers."""

FIELDS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "clients": Client.__struct_fields__,
    "places": Place.__struct_fields__,
    "origins": Origin.__struct_fields__,
    "actions": Action.__struct_fields__,
}
_BOT: Final[Mapping[Kind, str]] = {"clients": "bot", "places": "''", "origins": "bot", "actions": "''"}
_TYPES: Final = {"digest": "bytea", "site_id": "int"}  # of columns that are no text


class Entry(NamedTuple):
    """A row of a dictionary table: its id, and why it is taken for a bot (by the table, not by today's lists)."""

    id: int
    bot: str


class DimensionBook:
    """One process's copy of the rows that it used last. Not safe for threads: only for who has locked the ledger row.

    After an outage make a new one: the server that comes back may hold an older copy of the tables.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._version = 0
        self._known: dict[Kind, OrderedDict[Any, Entry]] = {kind: OrderedDict() for kind in FIELDS}
        self._transaction = ""
        self._uncommitted: set[bytes] = set()  # digests of the rows that `_transaction` made

    def ids(self, cursor: psycopg.Cursor[Any], version: int, kind: Kind, values: Iterable[Value]) -> dict[Value, Entry]:
        """The row of each value, made where there is none.

        To be called with the ledger row locked, `version` being its `dictionary_version`. A value that is remembered
        costs a fifth of a microsecond; the others cost one select together, and those that are new one insert. A row
        is remembered when a transaction finds it that has not made it, so a rollback leaves no trace.
        """
        if version != self._version:
            self._forget(version)
        known = self._known[kind]
        found: dict[Value, Entry] = {}
        missing: dict[bytes, list[Value]] = {}
        for value in values:
            entry = known.get(value)
            if entry is None:
                missing.setdefault(value.digest, []).append(value)
            else:
                known.move_to_end(value)
                found[value] = entry
        if missing:
            rows = self._read(cursor, kind, missing)
            rows |= self._make(cursor, kind, {digest: missing[digest][0] for digest in sorted(missing.keys() - rows)})
            for digest, same in missing.items():
                found.update(dict.fromkeys(same, rows[digest]))
                if digest not in self._uncommitted:
                    known.update(dict.fromkeys(same, rows[digest]))
            while len(known) > self._remembered:
                known.popitem(last=False)
        return found

    def _forget(self, version: int) -> None:
        for known in self._known.values():
            known.clear()
        self._version = version

    def _read(self, cursor: psycopg.Cursor[Any], kind: Kind, digests: Iterable[bytes]) -> dict[bytes, Entry]:
        cursor.execute("/* dimensions.read */ SELECT pg_current_xact_id()::text")
        (transaction,) = cursor.fetchone() or ("",)
        if transaction != self._transaction:
            self._transaction = transaction
            self._uncommitted = set()
        cursor.execute(
            f"/* dimensions.read */ SELECT digest, id, {_BOT[kind]} FROM {kind} WHERE digest = ANY(%s::bytea[])",
            (list(digests),),
        )
        return _entries(cursor)

    def _make(self, cursor: psycopg.Cursor[Any], kind: Kind, values: Mapping[bytes, Any]) -> dict[bytes, Entry]:
        if not values:
            return {}
        fields = FIELDS[kind]
        columns = ("digest", *fields)
        arrays = ", ".join(f"%s::{_TYPES.get(column, 'text')}[]" for column in columns)
        cursor.execute(
            f"/* dimensions.make */ INSERT INTO {kind} ({', '.join(columns)}) SELECT * FROM unnest({arrays})"
            f" ON CONFLICT DO NOTHING RETURNING digest, id, {_BOT[kind]}",
            (list(values), *([getattr(value, field) for value in values.values()] for field in fields)),
        )
        made = _entries(cursor)
        self._uncommitted |= made.keys()
        others = values.keys() - made  # of a transaction that was faster, and has committed meanwhile
        return made | self._read(cursor, kind, others) if others else made


def _entries(cursor: psycopg.Cursor[Any]) -> dict[bytes, Entry]:
    return {digest: Entry(row_id, bot) for digest, row_id, bot in cursor.fetchall()}
