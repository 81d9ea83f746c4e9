"""What a process remembers of the dictionary tables: the texts that ids of clients, places, origins and actions have.

A row that a snapshot shows is the same in every other snapshot of its edition: rows change and go only where the
ledger's `dictionary_version` is raised, and no id is given twice. So what one question has looked up is true for all
others of the edition, and what a question did not find is not remembered. Nothing here asks Postgres.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.int64]

MOST_IDS: Final = 200_000
"""Ids of a table that are remembered, give or take those of one question. With all 22 columns of the four tables, of
which a question wants one or two, they take 24 MB."""

MOST_BYTES: Final = 32 << 20
"""What the texts take that are remembered, give or take those of one question."""

UNKNOWN: Final = -1
EMPTY: Final = 0
"""The number of the empty text."""

_BITS: Final = 8
_PAGE: Final = 1 << _BITS
"""Ids that have places side by side. They are given one after the other, so those of a site's days are close."""

_PER_TEXT: Final = 120
"""Bytes that a text takes besides its own: as a key, in the list of texts, and its number."""


class Edition(NamedTuple):
    """Which copy of the tables a snapshot shows: `database` is another one after a restore, `version` is the ledger's
    `dictionary_version`."""

    database: str
    version: int


class Dictionaries:
    """What a process remembers. Safe for threads: one that has an older snapshot than others gets a memory of its own,
    and where there is too much, the next question starts anew while others go on with what they have."""

    def __init__(self, most_ids: int = MOST_IDS, most_bytes: int = MOST_BYTES) -> None:
        self._most_ids = most_ids
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._edition: Edition | None = None
        self._memory = Memory()

    def of(self, edition: Edition) -> Memory:
        """What is remembered of an edition: for one question, which puts into it what it looks up."""
        with self._lock:
            known = self._edition
            if known is not None and known.database == edition.database and known.version > edition.version:
                return Memory()
            if known != edition or self._memory.has_more_than(self._most_ids, self._most_bytes):
                self._edition, self._memory = edition, Memory()
            return self._memory


class Memory:
    """What is remembered of one edition. Safe for threads, none of which waits for another's statement."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """A dictionary table."""
        with self._lock:
            return self._tables.setdefault(name, Table())

    def has_more_than(self, ids: int, size: int) -> bool:
        """Whether a table has room for more ids, or texts take more bytes."""
        with self._lock:
            tables = list(self._tables.values())
        return any(len(table) > ids for table in tables) or sum(table.size for table in tables) > size


class Table:
    """Ids of a table have places, which stay as they are; each column has a number for a place, and a text for a
    number. Place 0 and those next to it belong to no id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages = 1
        self._page_of = np.zeros(64, np.int32)  # by the id without its last bits; 0: none
        self._ids_of = np.zeros(64, np.int64)  # by page, the first
        self._columns: dict[str, Texts] = {}

    def __len__(self) -> int:
        return self._pages * _PAGE

    @property
    def size(self) -> int:
        """Bytes that the texts take."""
        return sum(texts.size for texts in list(self._columns.values()))

    def column(self, name: str) -> Texts:
        """A column of it."""
        with self._lock:
            return self._columns.setdefault(name, Texts(self._lock))

    def placed(self, ids: npt.NDArray[Any]) -> Numbers:
        """The places of ids, which get one where they have none."""
        wanted = ids.astype(np.int64)
        pages = wanted >> _BITS
        with self._lock:
            if len(pages) and int(pages.max()) >= len(self._page_of):
                self._page_of = _longer(self._page_of, int(pages.max()) + 1, 0)
            found = self._page_of[pages]
            if not found.all():
                self._add(np.unique(pages[found == 0]))
                found = self._page_of[pages]
        return _places(found, wanted)

    def places(self, ids: npt.NDArray[Any]) -> Numbers:
        """The places of ids; of those that have none, one that belongs to no id."""
        wanted = ids.astype(np.int64)
        pages = wanted >> _BITS
        with self._lock:
            known = self._page_of
        if len(pages) and int(pages.max()) >= len(known):
            pages[pages >= len(known)] = -1
            known = np.append(known, 0)
        return _places(known[pages], wanted)

    def ids(self, places: Numbers) -> Numbers:
        """The ids that have these places."""
        with self._lock:
            firsts = self._ids_of[places >> _BITS]
        ids: Numbers = firsts + (places & _PAGE - 1)
        return ids

    def _add(self, pages: Numbers) -> None:
        count = self._pages + len(pages)
        if count > len(self._ids_of):
            self._ids_of = _longer(self._ids_of, count, 0)
        self._ids_of[self._pages : count] = pages << _BITS
        self._page_of[pages] = np.arange(self._pages, count)
        self._pages = count


class Texts:
    """The texts of one column, each with a number; that of the empty one is `EMPTY`."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._numbers = np.full(_PAGE, UNKNOWN, np.int32)  # by place
        self._number_of = {"": EMPTY}
        self.all = [""]
        self.size = 0

    def of(self, places: Numbers) -> Numbers:
        """The numbers of the texts at these places; `UNKNOWN` where none has been told."""
        with self._lock:
            self._reach(places)
            return self._numbers[places].astype(np.int64)

    def tell(self, places: Numbers, texts: Sequence[str]) -> None:
        """These texts are at these places."""
        with self._lock:
            self._reach(places)
            known = self._number_of
            new = [text for text in dict.fromkeys(texts) if text not in known]
            known.update(zip(new, range(len(known), len(known) + len(new)), strict=True))
            self.all += new
            self.size += sum(map(sys.getsizeof, new)) + _PER_TEXT * len(new)
            self._numbers[places] = np.fromiter(map(known.__getitem__, texts), np.int32, len(texts))

    def _reach(self, places: Numbers) -> None:
        if len(places) and int(places.max()) >= len(self._numbers):
            self._numbers = _longer(self._numbers, int(places.max()) + 1, UNKNOWN)


def _places(pages: npt.NDArray[np.int32], ids: Numbers) -> Numbers:
    places: Numbers = (pages.astype(np.int64) << _BITS) + (ids & _PAGE - 1)
    return places


def _longer(numbers: npt.NDArray[Any], length: int, value: int) -> npt.NDArray[Any]:
    longer = np.zeros(2 * length, numbers.dtype)  # which takes no memory before it is written to
    longer[: len(numbers)] = numbers
    if value:
        longer[len(numbers) :] = value
    return longer
