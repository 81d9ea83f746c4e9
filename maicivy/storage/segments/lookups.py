"""What ids and texts of segments stand for in a question: values of its dimensions, and whether its filter is true.

Postgres judges, each text once: what an operator means is what it means in `visits`, to the last letter of a regular
expression. Everything after that is numbers in arrays, taken by id.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import psycopg.adapt
import psycopg.pq
import sqlalchemy as sa

from maicivy.core.query import PROPERTY, Filter, Match, Not
from maicivy.storage.segments.block import Column, joined_ids
from maicivy.storage.visit_filters import OF_EVENTS, OF_VISITS, Values, matching
from maicivy.storage.visit_question import Question

Numbers: TypeAlias = npt.NDArray[np.int64]
Truths: TypeAlias = npt.NDArray[np.bool_]

ABSENT: Final = 0
"""The number of the text of whatever is not known: the empty one."""

VIEW: Final = Match("is", "event:name", ("page_view",))
"""True for page views; looked up where a figure needs them told from other events."""

_INT4, _INT4_ARRAY = 23, 1007


class Lookup:
    """Looks up what a question needs of dictionaries, once.

    Args:
        lists: of all blocks that the question is worked out over, ids by name (`block.LISTS`).
    """

    def __init__(self, connection: sa.Connection, question: Question, lists: Iterable[Mapping[str, Column]]) -> None:
        self._connection = connection
        leaves = matches(question.filter)
        if question.sums & {"readers", "pageviews"}:
            leaves = tuple(dict.fromkeys((*leaves, VIEW)))
        self._dictionaries: dict[tuple[str, str], _Texts] = {}
        self._properties: dict[str, _Texts] = {}
        for name in (*question.dimensions, *(leaf.dimension for leaf in leaves)):
            texts = _Texts(
                tuple(dict.fromkeys(leaf for leaf in leaves if _source(leaf.dimension) == _source(name))),
                any(_source(dimension) == _source(name) for dimension in question.dimensions),
            )
            if name.startswith(PROPERTY):
                self._properties.setdefault(name, texts)
            else:
                self._dictionaries.setdefault(_source(name), texts)
        known = list(lists)
        for table in dict.fromkeys(table for table, _ in self._dictionaries):
            self._read(table, joined_ids(known, table))
        for texts in self._properties.values():
            self._judge(texts, [""])

    def texts(self, dimension: str) -> list[str]:
        """The values of a dimension, by number."""
        return self._of(dimension).texts

    def numbers(self, dimension: str, ids: Column) -> Numbers:
        """The numbers of the values that ids of the dimension's dictionary have.

        Raises:
            LookupError: one of them was not in `lists`.
        """
        return self._of(dimension).numbers_of(ids)

    def truths(self, match: Match, ids: Column) -> Truths:
        """Whether a match of the question's filter is true for what ids of its dimension's dictionary stand for."""
        texts = self._of(match.dimension)
        return texts.truths[match][texts.numbers_of(ids)]

    def numbers_of_texts(self, dimension: str, values: Sequence[str]) -> Numbers:
        """The numbers of values of a property, whether they have been seen before or not."""
        texts = self._properties[dimension]
        unknown = [value for value in values if value not in texts.places]
        if unknown:
            self._judge(texts, unknown)
        return np.fromiter((texts.places[value] for value in values), np.int64, len(values))

    def truths_of_texts(self, match: Match) -> Truths:
        """Whether a match on a property is true, by number of the value."""
        return self._properties[match.dimension].truths[match]

    def _of(self, dimension: str) -> _Texts:
        if dimension in self._properties:
            return self._properties[dimension]
        return self._dictionaries[_source(dimension)]

    def _read(self, table: str, ids: Column) -> None:
        """Look ids up in a dictionary table: a row per column of it that is wanted."""
        wanted = {column: texts for (name, column), texts in self._dictionaries.items() if name == table}
        values = Values()
        selects = []
        for column, texts in wanted.items():
            shown = "array_agg(text)" if texts.is_shown else "NULL::text[]"
            selects.append(
                f"SELECT '{column}' AS name, {shown} AS texts, string_agg(int4send(size), '') AS sizes,"
                f" string_agg(ids, '') AS ids, string_agg({_judged(texts.matches, values)}, '') AS judged FROM ("
                f"SELECT {column} AS text, count(*)::int AS size, string_agg(int4send(id), '') AS ids"
                " FROM known GROUP BY 1) AS each"
            )
        _binds_ids(self._connection)
        nothing = ", ".join(_judged(texts.matches, values, "''::text") for texts in wanted.values())
        statement = f"""/* segments.lookup */
            WITH known AS MATERIALIZED (
                SELECT id, {", ".join(wanted)} FROM {table} WHERE id = ANY (CAST(:ids AS integer[]))
            ) {" UNION ALL ".join(selects)}"""
        found = self._connection.execute(sa.text(statement), values.bound | {"ids": _Ids(ids)}).all()
        absent = self._connection.execute(sa.text(f"/* segments.lookup */ SELECT {nothing}"), values.bound).one()
        for texts, judged in zip(wanted.values(), absent, strict=True):
            texts.add([""], judged)
            texts.learn(ids)
        for name, shown, sizes, of_texts, judged in found:
            if sizes is None:
                continue
            texts = wanted[name]
            numbers = texts.add(shown if texts.is_shown else [None] * (len(sizes) // 4), judged)
            texts.tell(np.frombuffer(of_texts, ">i4"), np.repeat(numbers, np.frombuffer(sizes, ">i4")))

    def _judge(self, texts: _Texts, values: Sequence[str]) -> None:
        judged = b""
        if texts.matches:
            bound = Values()
            given = bound.bind(list(values), "text[]")
            statement = (
                f"/* segments.lookup */ SELECT string_agg({_judged(texts.matches, bound)}, '' ORDER BY n)"
                f" FROM unnest({given}) WITH ORDINALITY AS each (text, n)"
            )
            judged = self._connection.execute(sa.text(statement), bound.bound).scalar_one()
        texts.add(values, judged)


def matches(condition: Filter | None) -> tuple[Match, ...]:
    """The matches that a filter is made of."""
    if condition is None:
        return ()
    if isinstance(condition, Match):
        return (condition,)
    parts = (condition.filter,) if isinstance(condition, Not) else condition.filters
    return tuple(dict.fromkeys(match for part in parts for match in matches(part)))


class _Texts:
    """The texts of one column of a dictionary, or of a property, numbered as they come; whether each match is true for
    each; and of a dictionary the number that each id has.

    `is_shown`: they are values of a dimension, so that a text has one number. Else nobody asks what they are.
    """

    def __init__(self, wanted: tuple[Match, ...], is_shown: bool) -> None:
        self.matches = wanted
        self.is_shown = is_shown
        self.texts: list[str] = []
        self.places: dict[str, int] = {}
        self.truths: dict[Match, Truths] = {match: np.zeros(0, np.bool_) for match in wanted}
        self._ids: Numbers = np.zeros(0, np.int64)
        self._first = 0
        self._numbers: npt.NDArray[np.int32] = np.zeros(0, np.int32)

    def add(self, texts: Sequence[str | None], judged: bytes) -> Numbers:
        """Add texts, with a byte for each and match; their numbers."""
        numbers = np.arange(len(self.texts), len(self.texts) + len(texts))
        self.texts += [text or "" for text in texts]
        for n, text in enumerate(texts):
            if text is not None:
                numbers[n] = self.places.setdefault(text, int(numbers[n]))
        each = np.frombuffer(judged, np.bool_).reshape(len(texts), len(self.matches))
        for n, match in enumerate(self.matches):
            self.truths[match] = np.concatenate((self.truths[match], each[:, n]))
        return numbers

    def learn(self, ids: Column) -> None:
        """These ids are known from now on, as `ABSENT`; ascending."""
        self._ids = ids.astype(np.int64)
        self._first = int(ids[0]) if len(ids) else 0
        self._numbers = np.full(int(ids[-1]) - self._first + 1 if len(ids) else 0, -1, np.int32)
        self._numbers[self._ids - self._first] = ABSENT

    def tell(self, ids: npt.NDArray[Any], numbers: Numbers) -> None:
        """These of them have texts with these numbers."""
        self._numbers[ids.astype(np.int64) - self._first] = numbers

    def numbers_of(self, ids: Column) -> Numbers:
        if not len(ids):
            return np.zeros(0, np.int64)
        places = ids.astype(np.int64) - self._first
        if places.min() < 0 or places.max() >= len(self._numbers):
            raise LookupError("an id that was not looked up")
        numbers = self._numbers[places].astype(np.int64)
        if numbers.min() < 0:
            raise LookupError("an id that was not looked up")
        return numbers


def _source(dimension: str) -> tuple[str, str]:
    """Table and column that a dimension's values stand in."""
    if dimension in OF_VISITS:
        return OF_VISITS[dimension][1:]
    return ("", dimension) if dimension.startswith(PROPERTY) else ("actions", OF_EVENTS[dimension][0])


def _judged(wanted: Sequence[Match], values: Values, text: str = "text") -> str:
    """SQL of a byte for each match."""
    each = [f"boolsend({matching(text, match, values)})" for match in wanted]
    return " || ".join(each) or "''::bytea"


class _Ids(msgspec.Struct, frozen=True):
    """Ids as a value of a statement: of 16,000 of them the driver makes 2 ms when they come as a list."""

    ids: Column


class _IdsDumper(psycopg.adapt.Dumper):
    format = psycopg.pq.Format.BINARY
    oid = _INT4_ARRAY

    def dump(self, obj: Any) -> bytes:
        array = np.empty(len(obj.ids), [("size", ">i4"), ("value", ">i4")])
        array["size"], array["value"] = 4, obj.ids
        return struct.pack(">iiiii", 1, 0, _INT4, len(array), 1) + array.tobytes()


def _binds_ids(connection: sa.Connection) -> None:
    driver: Any = connection.connection.driver_connection
    driver.adapters.register_dumper(_Ids, _IdsDumper)
