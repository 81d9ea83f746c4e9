"""The SQL that works rollups out: of one slice of time, for every dimension.

What a bucket says of visits are sums over rows of the same relation (`visit_sql.py`). Those rows are put aside once,
then added up by what each kind of dimension is told by (the client, the place, the origin, the first and the last
page): the browsers and all else that clients tell are sums over clients. Visitors do not add up; but most have one
visit only and are as many as these. The others are put aside once more, to be told apart in each dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from maicivy.core.buckets import Grain
from maicivy.core.query import EVENT_DIMENSIONS, VISIT_DIMENSIONS
from maicivy.storage.visit_filters import OF_VISITS, Values
from maicivy.storage.visit_question import PARTS, WHOLE, Question, Slice
from maicivy.storage.visit_sql import IDS, Relation
from maicivy.storage.visit_sums import added_up

FIGURES: Final = (*WHOLE, *PARTS)
_OF_VISITS: Final = frozenset(FIGURES) - {"scrolled", "scroll_sum", "engaged_ms"}
"""Figures that dimensions of visits have. The others belong to pages."""

AGAIN: Final = tuple(f"{name}_again" for name in WHOLE)
"""What of the figures of whole visits a day has in common with the day before."""

_TYPES: Final = {"grp": "timestamptz", "bucket": "timestamptz", "who": "uuid", "bot": "boolean"}
_FEWEST: Final = "place_id"
"""Of which there are the fewest values."""


def fill(connection: sa.Connection, site_id: int, grain: Grain, part: Slice) -> None:
    """Work the buckets of a slice out, for every dimension; of minutes, for none.

    To be called in a transaction of the caller's, where buckets of the slice are either none or empty.
    """
    if grain is Grain.MINUTE:
        question = Question(site_id, (), None, None, True, frozenset(FIGURES))
        _insert_fresh(connection, grain, part, question, "all")
        return
    told = _put_aside(connection, site_id, grain, part)
    for dimension in ("all", *VISIT_DIMENSIONS):
        _insert(connection, site_id, grain, part, dimension, _of_visits(dimension, told), told, Values())
    dropped = ", ".join(["rolled", "rolled_who", *(f"rolled_{column}" for column in IDS)])
    connection.execute(sa.text(f"/* buckets.make */ DROP TABLE {dropped}"))
    for dimension in EVENT_DIMENSIONS:
        question = Question(site_id, (dimension,), None, None, False, frozenset(FIGURES))
        _insert_fresh(connection, grain, part, question, dimension)


def _put_aside(connection: sa.Connection, site_id: int, grain: Grain, part: Slice) -> list[str]:
    """Make the temporary tables: `rolled` with the rows of visits, `rolled_COLUMN` with their sums by each of `IDS`,
    `rolled_who` with who may have several visits. Returns the figures that they have."""
    question = Question(site_id, IDS, None, None, False, _OF_VISITS)
    told: list[str] = [name for name in FIGURES if name in _OF_VISITS]
    # Buckets of the others are groups of their own: nothing in them has been counted before.
    told += question.again if grain is Grain.DAY else []
    values = Values()
    rows = " UNION ALL ".join(Relation(question, part, values).parts())
    columns = ", ".join(f"{column} {_TYPES.get(column, 'bigint')}" for column in question.columns)
    sums = ", ".join(f"sum({name})::bigint AS {name}" for name in told)
    several = f"SELECT DISTINCT grp, bucket, {', '.join(question.dims)}, who, bot FROM rolled WHERE who IS NOT NULL"
    statements = [
        f"CREATE TEMP TABLE rolled ({columns}) ON COMMIT DROP",
        f"INSERT INTO rolled {rows}",
        f"CREATE TEMP TABLE rolled_who ON COMMIT DROP AS {several}",
    ]
    statements += [
        f"CREATE TEMP TABLE rolled_{column} ON COMMIT DROP AS SELECT grp, {dim} AS id, bot,"
        f" count(*) FILTER (WHERE who IS NULL) AS alone, {sums} FROM rolled GROUP BY grp, {dim}, bot"
        for column, dim in zip(IDS, question.dims, strict=True)
    ]
    for statement in statements:
        connection.execute(sa.text(f"/* buckets.make */ {statement}"), values.bound)
    return told


def _of_visits(dimension: str, told: Sequence[str]) -> str:
    """The figures of a dimension of visits by `grp`, `d0` and `bot`, out of what was put aside."""
    column, table, text = OF_VISITS.get(dimension, (_FEWEST, "", ""))
    value = f"coalesce(x.{text}, '')" if table else "''::text"
    join = f" LEFT JOIN {table} AS x ON x.id = r." if table else ""
    sums = ", ".join(f"sum({name})::bigint AS {name}" for name in told)
    return (
        f"SELECT grp, d0, bot, alone + coalesce(told_apart, 0) AS visitors, {', '.join(told)} FROM ("
        f"SELECT r.grp, {value} AS d0, r.bot, sum(alone)::bigint AS alone, {sums}"
        f" FROM rolled_{column} AS r{join and join + 'id'} GROUP BY 1, 2, 3"
        ") AS s LEFT JOIN (SELECT grp, d0, bot, count(*) AS told_apart FROM ("
        f"SELECT DISTINCT r.grp, {value} AS d0, r.bot, r.bucket, r.who FROM rolled_who AS r"
        f"{join and join + f'd{IDS.index(column)}'}"
        ") AS w GROUP BY 1, 2, 3) AS w USING (grp, d0, bot)"
    )


def _insert_fresh(connection: sa.Connection, grain: Grain, part: Slice, question: Question, dimension: str) -> None:
    """One dimension's buckets out of its own relation."""
    values = Values()
    figures = added_up(question, Relation(question, part, values).parts(), with_visitors=True, split=True)
    shown = "*" if question.dimensions else "*, ''::text AS d0"
    # Engagement on a page that nobody viewed that day makes no row, but belongs to that of a longer time.
    counted = f"SELECT {shown} FROM ({figures}) AS f WHERE touches > 0 OR engaged_ms > 0 OR scrolled > 0"
    told: list[str] = [*FIGURES, *(question.again if grain is Grain.DAY else ())]
    _insert(connection, question.site_id, grain, part, dimension, counted, told, values)


def _insert(
    connection: sa.Connection,
    site_id: int,
    grain: Grain,
    part: Slice,
    dimension: str,
    figures: str,
    told: Sequence[str],
    values: Values,
) -> None:
    """One dimension's buckets out of its figures: those `told`; the others are 0."""
    # A day's group is it and the day before; the other grains are their own groups.
    start = "grp" if grain is not Grain.DAY else values.bind(part.bounds[-1], "timestamptz")
    order = "ORDER BY visitors DESC, d0"
    columns = ["values", "visitors", *FIGURES, *AGAIN]
    arrays = [f"array_agg({name} {order})" for name in ("d0", "visitors")]
    arrays += [f"array_agg({name if name in told else '0::bigint'} {order})" for name in FIGURES]
    arrays += [
        f"CASE WHEN bool_or({name} <> 0) THEN array_agg({name} {order}) END" if name in told else "NULL::bigint[]"
        for name in AGAIN
    ]
    kept = [f'"{name}" = excluded."{name}"' for name in columns]
    connection.execute(
        sa.text(
            f"/* buckets.make */ INSERT INTO buckets (site_id, grain, dimension, start, bot, long,"
            f" {', '.join(f'{chr(34)}{name}{chr(34)}' for name in columns)})"
            f" SELECT {values.bind(site_id, 'integer')}, {values.bind(str(grain), 'text')},"
            f" {values.bind(dimension, 'text')}, {start}, bot, 0, {', '.join(arrays)} FROM ({figures}) AS f"
            " GROUP BY 4, bot"
            f" ON CONFLICT (site_id, grain, dimension, start, bot) DO UPDATE SET {', '.join(kept)}"
        ),
        values.bound,
    )
