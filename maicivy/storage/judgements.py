"""What the dictionary tables and visits say of bots, and how both are changed when it is judged otherwise.

Every change takes a number of the ledger (storage/changes.py) and marks the hours that it touches. First the
dictionary changes in one transaction, then visits day by day, the latest first: a visit that events join meanwhile
can only move to an earlier day, which is still to come. Whatever is interrupted is finished by a repeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import psycopg
import sqlalchemy as sa

from maicivy.core.dimensions import Client, Origin
from maicivy.core.visits import BOTS
from maicivy.storage.changes import Change, patient_cursor
from maicivy.storage.connections import postgres_errors
from maicivy.storage.dimensions import FIELDS
from maicivy.storage.partitions import Partitions
from maicivy.storage.schema import day_partition

Judged: TypeAlias = Client | Origin
JudgedKind: TypeAlias = Literal["clients", "origins"]
Revisions: TypeAlias = Mapping[int, Judged]  # id of a row -> what it says from now on

PAGE: Final = 5_000
"""Rows of a dictionary that are read at once: 2 MB."""

_VALUES: Final[Mapping[JudgedKind, type[Judged]]] = {"clients": Client, "origins": Origin}


def _place(reason: str) -> str:
    """SQL for the place of a reason in `BOTS`, null for none."""
    cases = " ".join(f"WHEN '{name}' THEN {place}" for place, name in enumerate(BOTS) if name)
    return f"CASE {reason} {cases} END"


def _verdict(client: str, origin: str) -> str:
    """SQL for `visits.bot`, as `VisitBook` works it out: the strongest reason is the first in `BOTS`."""
    declared = BOTS.index("declared")
    return f"coalesce(least(CASE WHEN v.declared THEN {declared} END, {_place(client)}, {_place(origin)}), 0)"


_COUNTS: Final = """/* judgements.counts */
SELECT bot, count(*), sum(events) FROM visits WHERE events > 0 GROUP BY bot
"""
_FORESEEN: Final = f"""/* judgements.foreseen */
SELECT {_verdict("coalesce(rc.bot, c.bot)", "coalesce(ro.bot, o.bot)")} AS bot, count(*), sum(v.events)
FROM visits v JOIN clients c ON c.id = v.client_id JOIN origins o ON o.id = v.origin_id
    LEFT JOIN unnest(%(clients)s::int[], %(client_bots)s::text[]) AS rc (id, bot) ON rc.id = c.id
    LEFT JOIN unnest(%(origins)s::int[], %(origin_bots)s::text[]) AS ro (id, bot) ON ro.id = o.id
WHERE v.events > 0 GROUP BY 1
"""
# The hours that visits touch, marked as changed.
_MARK: Final = """, hours AS (
    SELECT DISTINCT v.site_id, hour
    FROM changed v, generate_series(date_trunc('hour', v.started, 'UTC'), v.ended, interval '1 hour') AS hour
), marked AS (
    INSERT INTO dirty_hours (site_id, hour, seq) SELECT site_id, hour, %(seq)s FROM hours ORDER BY 1, 2
    ON CONFLICT (site_id, hour) DO UPDATE SET seq = excluded.seq
)
SELECT (SELECT count(*) FROM changed),
       ARRAY(SELECT DISTINCT site_id::text || ' ' || (hour AT TIME ZONE 'UTC')::date FROM hours ORDER BY 1)
"""
_MARK_REVISED: Final = f"""/* judgements.revise */
WITH changed AS (
    SELECT site_id, started, ended FROM visits WHERE client_id = ANY(%(clients)s) OR origin_id = ANY(%(origins)s)
){_MARK}"""
_REJUDGE: Final = f"""/* judgements.rejudge */
WITH changed AS (
    UPDATE {{table}} v SET bot = {_verdict("c.bot", "o.bot")} FROM clients c, origins o
    WHERE c.id = v.client_id AND o.id = v.origin_id AND v.bot <> {_verdict("c.bot", "o.bot")}
    RETURNING v.site_id, v.started, v.ended
){_MARK}"""


class Count(NamedTuple):
    """Visits that count, and their events."""

    visits: int
    events: int


class Judgements:
    """See the module's docstring. Safe for threads, and beside everybody who stores."""

    def __init__(self, engine: sa.Engine, partitions: Partitions) -> None:
        self._engine = engine
        self._partitions = partitions

    def days(self) -> list[date]:
        """UTC days on which visits began, ascending."""
        return self._partitions.days("visits")

    def rows(self, kind: JudgedKind, after: int) -> list[tuple[int, Judged]]:
        """The next rows of a dictionary by id, at most `PAGE`; none: there are no more."""
        fields = FIELDS[kind]
        with postgres_errors(), self._engine.connect() as connection:
            found = connection.execute(
                sa.text(
                    f"/* judgements.rows */ SELECT id, {', '.join(fields)} FROM {kind}"
                    " WHERE id > :after ORDER BY id LIMIT :page"
                ),
                {"after": after, "page": PAGE},
            )
            make = _VALUES[kind]
            return [(row[0], make(*row[1:])) for row in found]

    def counts(self) -> dict[str, Count]:
        """Reason (empty: people) -> how many visits and events it accounts for. Reads all visits."""
        with postgres_errors(), self._engine.begin() as connection:
            cursor = patient_cursor(connection)
            cursor.execute(_COUNTS)
            return _counted(cursor)

    def foreseen(self, clients: Revisions, origins: Revisions) -> dict[str, Count]:
        """What `counts` would say after these revisions. Changes nothing."""
        with postgres_errors(), self._engine.begin() as connection:
            cursor = patient_cursor(connection)
            cursor.execute(
                _FORESEEN,
                {
                    "clients": list(clients),
                    "client_bots": [value.bot for value in clients.values()],
                    "origins": list(origins),
                    "origin_bots": [value.bot for value in origins.values()],
                },
            )
            return _counted(cursor)

    def revise(self, clients: Revisions, origins: Revisions) -> None:
        """Have dictionary rows say something else, and mark the hours of all visits that refer to them.

        Every process reads its dictionary anew after this.
        """
        with postgres_errors(), self._engine.begin() as connection:
            cursor = patient_cursor(connection)
            change = Change(cursor)
            _update(cursor, "clients", clients)
            _update(cursor, "origins", origins)
            cursor.execute(_MARK_REVISED, {"clients": list(clients), "origins": list(origins), "seq": change.seq})
            change.end(_days(cursor)[1], new_dictionary=True)

    def rejudge(self, day: date) -> int:
        """Bring `bot` of the visits that began on a UTC day in line with the dictionary; how many were changed.

        0 for a day whose partition was dropped.
        """
        try:
            with postgres_errors(), self._engine.begin() as connection:
                cursor = patient_cursor(connection)
                change = Change(cursor)
                cursor.execute(_REJUDGE.format(table=day_partition("visits", day)), {"seq": change.seq})
                changed, days = _days(cursor)
                if changed:
                    change.end(days, new_dictionary=False)
                return changed
        except psycopg.errors.UndefinedTable:
            return 0


def _update(cursor: psycopg.Cursor[Any], kind: JudgedKind, revisions: Revisions) -> None:
    fields = FIELDS[kind]
    values: Sequence[Judged] = list(revisions.values())
    cursor.execute(
        f"/* judgements.revise */ UPDATE {kind} d SET {', '.join(f'{name} = n.{name}' for name in fields)}"
        f" FROM unnest(%s::int[]{', %s::text[]' * len(fields)}) AS n (id, {', '.join(fields)}) WHERE d.id = n.id",
        (list(revisions), *([getattr(value, name) for value in values] for name in fields)),
    )


def _days(cursor: psycopg.Cursor[Any]) -> tuple[int, list[tuple[int, date]]]:
    changed, days = cursor.fetchone() or (0, [])
    named = (item.partition(" ") for item in days)
    return changed, [(int(site_id), date.fromisoformat(day)) for site_id, _, day in named]


def _counted(cursor: psycopg.Cursor[Any]) -> dict[str, Count]:
    found = {BOTS[bot]: Count(visits, events) for bot, visits, events in cursor.fetchall()}
    return {reason: found.get(reason, Count(0, 0)) for reason in BOTS}
