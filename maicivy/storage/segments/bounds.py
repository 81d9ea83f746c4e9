"""How much of a process a question may take that is worked out in it, beside those that take events in."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from maicivy.errors import MaicivyError, Refusal
from maicivy.storage.segments.block import CODED, Column
from maicivy.storage.visit_filters import OF_EVENTS, OF_VISITS

ANSWER_S: Final = 10
"""The same as a statement of Postgres has."""

MOST_IDS: Final = 50_000
"""Of a dictionary table, where a text of nearly each id is wanted: with those they take 15 MB."""

MOST_IDS_OF_FEW: Final = 300_000
"""Of a dictionary table, where columns are wanted in which the same texts come again and again: they take 25 MB, most
of it on their way."""

MOST_ROWS: Final = 100_000
"""Rows of figures, each of which takes half a kilobyte on its way into the statement."""

MOST_CHARS: Final = 16 << 20
"""Of the values of properties."""


_OWN: Final = ("page", "referrer", "utm_campaign", "utm_term", "utm_content")
"""Columns in which nearly each id may have a text of its own."""


class TooMuch(MaicivyError):
    """Postgres, which needs no memory of this process, should work it out instead."""


class Bounds:
    """The bounds of one question."""

    def __init__(self) -> None:
        self._until = time.monotonic() + ANSWER_S
        self._chars: dict[str, tuple[int, int]] = {}

    def check_ids(self, lists: Sequence[Mapping[str, Column]], named: Collection[str]) -> None:
        """Whether lists name more ids of a table than may be looked up for these dimensions.

        Raises:
            TooMuch: they do.
        """
        sources = [OF_VISITS[name][1:] for name in named if name in OF_VISITS]
        sources += [("actions", OF_EVENTS[name][0]) for name in named if name in OF_EVENTS]
        for table in {*CODED.values()}:
            most = MOST_IDS if any((table, column) in sources for column in _OWN) else MOST_IDS_OF_FEW
            some = [ids for each in lists for name, ids in each.items() if CODED.get(name, "actions") == table]
            if sum(map(len, some)) > most and _distinct(some) > most:
                raise TooMuch

    def check(self, rows: int, texts: Mapping[str, Sequence[str]]) -> None:
        """Whether there are more rows of figures than may be, whether texts, to which new ones are only added, have
        grown too long, and whether there is time left.

        Raises:
            TooMuch: of the first two.
            Refusal: `query_too_slow`.
        """
        if time.monotonic() > self._until:
            message = f"the query took more than {ANSWER_S} s; ask for less time or fewer dimensions"
            raise Refusal("query_too_slow", message)
        for name, known in texts.items():
            count, chars = self._chars.get(name, (0, 0))
            self._chars[name] = len(known), chars + sum(map(len, known[count:]))
        if rows > MOST_ROWS or sum(chars for _, chars in self._chars.values()) > MOST_CHARS:
            raise TooMuch


def _distinct(lists: Iterable[Column]) -> int:
    some = list(lists)
    occurs = np.zeros(max(int(ids.max()) for ids in some if len(ids)) + 1, np.bool_)
    for ids in some:
        occurs[ids] = True
    return int(np.count_nonzero(occurs))
