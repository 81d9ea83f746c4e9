"""Which event types, paths and themes are counted under their own name: see `core/tallies.py` for why not all are.

The `labels` table is the truth, changed only under the lock of the ledger row, whose `labels_version` tells a process
that its copy is old. A name, once admitted, stays until `elect` frees places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from maicivy.core.events import Event
from maicivy.core.tallies import LABEL_CAPS, wanted_labels


class LabelBook:
    """One process's copy of the labels."""

    def __init__(self) -> None:
        self._version = 0
        self._admitted: dict[tuple[int, str], frozenset[str]] = {}

    def admit(
        self, cursor: psycopg.Cursor[Any], version: int, events: Sequence[Event]
    ) -> dict[tuple[int, str], frozenset[str]]:
        """The labels to count `events` under, after admitting new ones where there is room.

        To be called with the ledger row locked, `version` read from it. The copy that others see is only replaced by
        a later call that finds this one's version committed, so a rollback leaves no trace.
        """
        if version != self._version:
            self._admitted = _read(cursor)
            self._version = version
        admitted = self._admitted
        new: list[tuple[int, str, str]] = []
        for (site_id, kind), names in wanted_labels(events).items():
            known = admitted.get((site_id, kind), frozenset())
            room = LABEL_CAPS[kind] - len(known)
            fresh = [name for name in names if name not in known][: max(0, room)] if room > 0 else []
            if fresh:
                new += [(site_id, kind, name) for name in fresh]
                if admitted is self._admitted:
                    admitted = dict(admitted)
                admitted[site_id, kind] = known | frozenset(fresh)
        if new:
            cursor.executemany(
                "/* labels.admit */ INSERT INTO labels (site_id, kind, name)"
                " VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                new,
            )
            cursor.execute("/* labels.admit */ UPDATE ledger SET labels_version = labels_version + 1")
        return admitted


def _read(cursor: psycopg.Cursor[Any]) -> dict[tuple[int, str], frozenset[str]]:
    cursor.execute("/* labels.read */ SELECT site_id, kind, array_agg(name) FROM labels GROUP BY site_id, kind")
    return {(site_id, kind): frozenset(names) for site_id, kind, names in cursor.fetchall()}
