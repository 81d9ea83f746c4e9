"""What ids and texts of segments stand for in a question: values of its dimensions, and whether its filter is true.

What the process remembers of dictionaries is not asked again. Matches are judged once for each text, most by Postgres:
what an operator means is what it means in `visits`, to the last letter of a regular expression. Everything after that
is numbers in arrays, taken by id.
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
from maicivy.storage.connections import driver_connection
from maicivy.storage.segments.block import CODED, LISTS, Column
from maicivy.storage.segments.dictionaries import EMPTY, UNKNOWN, Memory, Table
from maicivy.storage.visit_filters import OF_EVENTS, OF_VISITS, Values, matching
from maicivy.storage.visit_question import Question

Numbers: TypeAlias = npt.NDArray[np.int64]
Truths: TypeAlias = npt.NDArray[np.bool_]

ABSENT: Final = 0
"""The number of the empty text: of the value of a property that is not there, and of an id that has no row."""

VIEW: Final = Match("is", "event:name", ("page_view",))
"""True for page views; looked up where a figure needs them told from other events."""

AT_ONCE: Final = 20_000
"""Ids that a statement looks up, each of which takes some 200 bytes meanwhile; others have their turn between two."""

_DENSE: Final = 4
"""Where at least one of so many ids of a range is wanted, the range is read."""

MOST_SEARCHES: Final = 100_000
"""Texts times values that a question's filters search for in this process: 10 ms, in which nobody else has a turn."""

_SEPARATORS: Final = "\x1f\x1e\x1d\x01"
_LATEST: Final = 4
_INT4, _INT4_ARRAY = 23, 1007


class Lookup:
    """Looks up what a question needs of dictionaries, once.

    Args:
        lists: of all blocks that the question is worked out over, ids by name (`block.LISTS`).
        memory: of the edition that the connection's snapshot shows.
    """

    def __init__(
        self,
        connection: sa.Connection,
        question: Question,
        lists: Iterable[Mapping[str, Column]],
        memory: Memory | None = None,
    ) -> None:
        self._connection = connection
        self._searches = 0
        leaves = matches(question.filter)
        if question.sums & {"readers", "pageviews"}:
            leaves = tuple(dict.fromkeys((*leaves, VIEW)))
        of_source: dict[tuple[str, str], list[Match]] = {_source(name): [] for name in question.dimensions}
        for leaf in leaves:
            of_source.setdefault(_source(leaf.dimension), []).append(leaf)
        self._memory = memory or Memory()
        self._dictionaries: dict[tuple[str, str], _OfIds] = {}
        self._properties = {
            name: _OfTexts(self._judged(wanted, [""])) for (table, name), wanted in of_source.items() if not table
        }
        known = list(lists)
        for table in dict.fromkeys(table for table, _ in of_source if table):
            self._read(table, {name: wanted for (each, name), wanted in of_source.items() if each == table}, known)

    def texts(self, dimension: str) -> Sequence[str]:
        """The values of a dimension, by number."""
        if dimension.startswith(PROPERTY):
            return self._properties[dimension].texts
        return self._dictionaries[_source(dimension)].texts

    def numbers(self, dimension: str, ids: Column) -> Numbers:
        """The numbers of the values that ids of the dimension's dictionary have.

        Raises:
            LookupError: one of them was not in `lists`.
        """
        return self._dictionaries[_source(dimension)].numbers_of(ids)

    def truths(self, match: Match, ids: Column) -> Truths:
        """Whether a match of the question's filter is true for what ids of its dimension's dictionary stand for."""
        texts = self._dictionaries[_source(match.dimension)]
        return texts.truths[match][texts.numbers_of(ids)]

    def numbers_of_texts(self, dimension: str, values: Sequence[str]) -> Numbers:
        """The numbers of values of a property, whether they have been seen before or not."""
        texts = self._properties[dimension]
        unknown = [value for value in dict.fromkeys(values) if value not in texts.places]
        if unknown:
            texts.add(unknown, self._judged([*texts.truths], unknown))
        return np.fromiter((texts.places[value] for value in values), np.int64, len(values))

    def truths_of_texts(self, match: Match) -> Truths:
        """Whether a match on a property is true, by number of the value."""
        return self._properties[match.dimension].truths[match]

    def _read(self, name: str, columns: Mapping[str, Sequence[Match]], lists: Sequence[Mapping[str, Column]]) -> None:
        """Look ids up in a dictionary table: those that are not known."""
        table = self._memory.table(name)
        places = table.placed(_ids_of(lists, name))
        is_asked = np.zeros(len(table), np.bool_)
        is_asked[places] = True
        places = np.flatnonzero(is_asked)
        is_unknown = np.zeros(len(places), np.bool_)
        for column in columns:
            is_unknown |= table.column(column).of(places) == UNKNOWN
        unknown = np.sort(table.ids(places[is_unknown]))
        unknown = unknown[unknown > 0]  # which stands for nothing
        for begin in range(0, len(unknown), AT_ONCE):
            self._ask(name, table, list(columns), unknown[begin : begin + AT_ONCE])
        for column, wanted in columns.items():
            texts = table.column(column)
            numbers = texts.of(places)
            found = _OfIds(table, places, np.where(numbers == UNKNOWN, EMPTY, numbers), texts.all)
            found.truths = self._judged(wanted, found.texts)
            self._dictionaries[name, column] = found

    def _ask(self, name: str, table: Table, columns: Sequence[str], ids: Numbers) -> None:
        given: tuple[object, ...]
        if _DENSE * len(ids) > int(ids[-1]) - int(ids[0]):  # and what lies between is learned too
            some, given = "id BETWEEN %s AND %s", (int(ids[0]), int(ids[-1]))
        else:
            some, given = "id = ANY (%b)", (_Ids(ids),)
        shown = "".join(f", string_agg(textsend({column}), '\\000'::bytea)" for column in columns)
        driver = driver_connection(self._connection)
        driver.adapters.register_dumper(_Ids, _IdsDumper)
        with driver.cursor(binary=True) as cursor:
            query = f"/* segments.lookup */ SELECT string_agg(int4send(id), ''::bytea){shown} FROM {name} WHERE {some}"
            cursor.execute(query.encode(), given)
            found, *texts = cursor.fetchone() or (None,)
        if found is not None:
            places = table.placed(np.frombuffer(found, ">i4").astype(np.int64))
            for column, each in zip(columns, texts, strict=True):
                table.column(column).tell(places, each.decode().split("\0"))

    def _decided(self, match: Match, texts: Sequence[str]) -> Truths | None:
        """Whether a match is true for each of some texts; None where only Postgres knows, or had better find out. What
        is the same to it is the same here: it compares byte by byte, and no character is part of the bytes of
        another."""
        operator = match.operator.removesuffix("_not").removesuffix("_is") if match.operator != "is_not" else "is"
        if not match.case_sensitive or operator not in ("is", "contains"):
            return None
        wanted = frozenset(match.values)
        if operator == "is":
            truths = np.fromiter((text in wanted for text in texts), np.bool_, len(texts))
        else:
            self._searches += len(wanted) * len(texts)
            if self._searches > MOST_SEARCHES:
                return None
            truths = np.fromiter((any(value in text for value in wanted) for text in texts), np.bool_, len(texts))
        return ~truths if match.operator.endswith("_not") else truths

    def _judged(self, wanted: Sequence[Match], texts: Sequence[str]) -> dict[Match, Truths]:
        """Whether matches are true for each of some texts, of which there is at least one."""
        truths = {match: decided for match in wanted if (decided := self._decided(match, texts)) is not None}
        others = [match for match in wanted if match not in truths]
        if others:
            values = Values()
            joined = "".join(texts)
            separator = next((each for each in _SEPARATORS if each not in joined), None)
            if separator is not None:  # a third of what an array takes
                whole = values.bind("".join(f"{text}{separator}" for text in texts), "text")
                given = f"string_to_table({whole}, {values.bind(separator, 'text')})"  # and an empty text at the end
            else:
                given = f"unnest({values.bind(list(texts), 'text[]')})"
            each = " || ".join(f"boolsend({matching('text', match, values)})" for match in others)
            statement = (
                f"/* segments.lookup */ SELECT string_agg({each}, ''::bytea ORDER BY n)"
                f" FROM {given} WITH ORDINALITY AS each (text, n)"
            )
            judged = self._connection.execute(sa.text(statement), values.bound).scalar_one()
            found = np.frombuffer(judged, np.bool_).reshape(-1, len(others))[: len(texts)]
            truths |= {match: found[:, n] for n, match in enumerate(others)}
        return truths


def matches(condition: Filter | None) -> tuple[Match, ...]:
    """The matches that a filter is made of."""
    if condition is None:
        return ()
    if isinstance(condition, Match):
        return (condition,)
    parts = (condition.filter,) if isinstance(condition, Not) else condition.filters
    return tuple(dict.fromkeys(match for part in parts for match in matches(part)))


class _OfTexts:
    """The values of a property, numbered as they come, and whether matches are true for each."""

    def __init__(self, truths: Mapping[Match, Truths]) -> None:
        self.texts = [""]
        self.places = {"": ABSENT}
        self.truths = dict(truths)

    def add(self, texts: Sequence[str], truths: Mapping[Match, Truths]) -> None:
        """Add texts that are not there."""
        self.places.update(zip(texts, range(len(self.texts), len(self.texts) + len(texts)), strict=True))
        self.texts += texts
        self.truths = {match: np.concatenate((known, truths[match])) for match, known in self.truths.items()}


class _OfIds:
    """The texts of one column of a dictionary that the ids of a question have, numbered without gaps, and whether
    matches are true for each.

    Args:
        places, numbers: of the ids that are asked for, in what is remembered.
        texts: by such a number.
    """

    def __init__(self, table: Table, places: Numbers, numbers: Numbers, texts: Sequence[str]) -> None:
        self._table = table
        occurs = np.zeros(len(texts), np.bool_)
        occurs[numbers] = True
        occurs[EMPTY] = True
        chosen = np.flatnonzero(occurs)
        self.texts = [texts[number] for number in chosen.tolist()]
        self.truths: Mapping[Match, Truths] = {}
        smaller = np.zeros(len(texts), np.int32)
        smaller[chosen] = np.arange(len(chosen))
        self._numbers = np.full(int(places[-1]) + 1 if len(places) else 0, UNKNOWN, np.int32)
        self._numbers[places] = smaller[numbers]
        self._latest: dict[int, tuple[Column, Numbers]] = {}

    def numbers_of(self, ids: Column) -> Numbers:
        """The number of the text of each."""
        latest = self._latest.get(id(ids))
        if latest is not None and latest[0] is ids:  # a block asks for the same again
            return latest[1]
        places = self._table.places(ids)
        if len(places) and int(places.max()) >= len(self._numbers):
            raise LookupError("an id that was not looked up")
        numbers = self._numbers[places].astype(np.int64)
        if len(numbers) and int(numbers.min()) == UNKNOWN:
            raise LookupError("an id that was not looked up")
        if len(self._latest) == _LATEST:
            self._latest.clear()
        self._latest[id(ids)] = ids, numbers
        return numbers


def _source(dimension: str) -> tuple[str, str]:
    """Table and column that a dimension's values stand in."""
    if dimension in OF_VISITS:
        return OF_VISITS[dimension][1:]
    return ("", dimension) if dimension.startswith(PROPERTY) else ("actions", OF_EVENTS[dimension][0])


def _ids_of(lists: Iterable[Mapping[str, Column]], table: str) -> Column:
    """All ids of a dictionary table that lists name, some of them often."""
    names = [name for name in LISTS if CODED.get(name, "actions") == table]
    found = [ids[name] for ids in lists for name in names if name in ids]
    return np.concatenate(found) if found else np.zeros(0, np.uint32)


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
