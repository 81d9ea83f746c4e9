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
"""The number of the value of a property that is not there: of the empty text."""

VIEW: Final = Match("is", "event:name", ("page_view",))
"""True for page views; looked up where a figure needs them told from other events."""

_DENSE: Final = 4
"""Where at least one of so many ids of a range is wanted, the range is read."""

_TABLE: Final = 1 << 22
_LATEST: Final = 4
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
        """Look ids up in a dictionary table: a row for each column of it that is wanted."""
        wanted = {column: texts for (name, column), texts in self._dictionaries.items() if name == table}
        values = Values()
        if len(ids) and _DENSE * len(ids) > int(ids[-1]) - int(ids[0]):  # and what lies between is not asked for
            first, last = (values.bind(int(each), "integer") for each in (ids[0], ids[-1]))
            some = f"id BETWEEN {first} AND {last}"
        else:
            some = f"id = ANY ({values.bind(_Ids(ids), 'integer[]')})"
            _binds_ids(self._connection)
        selects = []
        for column, texts in wanted.items():  # each reads the table: to put its rows aside would take as long
            shown = "array_agg(text)" if texts.is_shown else "NULL::text[]"
            selects.append(
                f"SELECT '{column}' AS name, {shown} AS texts, string_agg(int4send(size), '') AS sizes,"
                f" string_agg(ids, '') AS ids, string_agg({_judged(texts.matches, values)}, '') AS judged FROM ("
                "SELECT ''::text AS text, 0 AS size, ''::bytea AS ids UNION ALL"
                f" SELECT {column}, count(*)::int, string_agg(int4send(id), '') FROM {table} WHERE {some} GROUP BY 1"
                ") AS each"
            )
        statement = f"/* segments.lookup */ {' UNION ALL '.join(selects)}"
        found = self._connection.execute(sa.text(statement), values.bound)
        for name, shown, sizes, of_texts, judged in found:
            texts, lengths = wanted[name], np.frombuffer(sizes, ">i4").astype(np.int64)
            numbers = texts.add(shown if texts.is_shown else [None] * len(lengths), judged)
            texts.learn(ids, int(numbers[np.flatnonzero(lengths == 0)[0]]))
            texts.tell(np.frombuffer(of_texts, ">i4"), np.repeat(numbers, lengths))

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
        self._numbers: Numbers = np.zeros(0, np.int64)
        self._latest: dict[int, tuple[Column, Numbers]] = {}
        self._places: npt.NDArray[np.int32] | None = None  # by id, from the first one; None: they are too far apart

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

    def learn(self, ids: Column, absent: int) -> None:
        """These ids, ascending, are asked for; what has no row has the text of this number."""
        self._ids = ids.astype(np.int64)
        self._numbers = np.full(len(ids), absent)
        if len(ids) and self._ids[-1] - self._ids[0] < _TABLE:
            self._places = np.full(self._ids[-1] - self._ids[0] + 1, len(ids), np.int32)
            self._places[self._ids - self._ids[0]] = np.arange(len(ids))

    def tell(self, ids: npt.NDArray[Any], numbers: Numbers) -> None:
        """Ids, those that are asked for and maybe others, have texts with these numbers."""
        places = self._places_of(ids)
        known = np.flatnonzero(places < len(self._ids))
        self._numbers[places[known]] = numbers[known]

    def numbers_of(self, ids: Column) -> Numbers:
        """The number of the text of each."""
        latest = self._latest.get(id(ids))
        if latest is not None and latest[0] is ids:  # a block asks for the same again
            return latest[1]
        places = self._places_of(ids)
        if len(places) and places.max() == len(self._ids):
            raise LookupError("an id that was not looked up")
        if len(self._latest) == _LATEST:
            self._latest.clear()
        numbers = self._numbers[places]
        self._latest[id(ids)] = ids, numbers
        return numbers

    def _places_of(self, ids: npt.NDArray[Any]) -> Numbers:
        """Where ids stand among those that are asked for; behind the last of those for any other."""
        wanted, length = ids.astype(np.int64), len(self._ids)
        if not length:
            return np.full(len(wanted), length)
        if self._places is None:
            places = np.searchsorted(self._ids, wanted)
            return np.where(np.append(self._ids, -1)[places] == wanted, places, length)
        wanted -= self._ids[0]
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= len(self._places)):
            wanted = np.where((wanted < 0) | (wanted >= len(self._places)), len(self._places), wanted)
            return np.append(self._places, length).astype(np.int64)[wanted]
        return self._places[wanted].astype(np.int64)


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
