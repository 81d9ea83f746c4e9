"""Rollups made ahead: what a day's rows count, worked out before they go, so that their going takes a moment.

A prepared rollup is part of no number: rebuilds read `rollups_daily` and `rollup_visitors`, never `rollups_ahead`. It
stands for exactly so many rows of one partition, counted under one time zone and one set of labels. Where no row was
deleted, rows have only been added, so when retention finds as many, none has come since; else the rollup is worked out
again. Whoever is killed between the two leaves a prepared rollup behind, which is used or replaced by the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from maicivy.core.tallies import EVENT_TYPES, OTHER, PATHS, THEMES
from maicivy.storage.aggregates import RedisAggregates
from maicivy.storage.recount import NEW_VISITORS, Recount
from maicivy.storage.schema import day_partition

_SAVE: Final = sa.text("""/* rollups.save */
INSERT INTO rollups_ahead (day, rows, timezone, labels_version, content)
VALUES (:day, :rows, :timezone, :labels_version, :content)
ON CONFLICT (day) DO UPDATE SET rows = excluded.rows, timezone = excluded.timezone,
    labels_version = excluded.labels_version, content = excluded.content
""")
_COUNTS: Final = sa.text("""/* rollups.keep */
INSERT INTO rollups_daily (site_id, day, name, value) VALUES (:site_id, :day, :name, :value)
ON CONFLICT (site_id, day, name) DO UPDATE SET value = rollups_daily.value + excluded.value
""")
_VISITORS: Final = sa.text("""/* rollups.keep */
INSERT INTO rollup_visitors (site_id, day, hll) VALUES (:site_id, :day, :hll)
ON CONFLICT (site_id, day) DO UPDATE SET hll = excluded.hll
""")
_STANDING: Final = sa.text("""/* rollups.standing */
SELECT a.rows FROM rollups_ahead a JOIN ledger USING (labels_version) WHERE a.day = :day AND a.timezone = :timezone
""")
_TAKE: Final = sa.text("""/* rollups.keep */
DELETE FROM rollups_ahead WHERE day = :day AND timezone = :timezone RETURNING content
""")
_LABELS: Final = sa.text("/* rollups.keep */ SELECT site_id, kind, name FROM labels")
_BASE: Final = sa.text("/* rollups.keep */ SELECT hll FROM rollup_visitors WHERE site_id = :site_id AND day = :day")
_PARTITION: Final = sa.text(
    "/* rollups.partition */ SELECT oid::bigint FROM pg_class WHERE relname = :name AND relispartition"
)
_DELETION: Final = sa.text(
    "/* rollups.deletion */ SELECT coalesce((SELECT finished_at::text FROM jobs WHERE name = 'deletion'), '')"
)
_DELETED: Final = sa.text("""/* rollups.deleted */
WITH outdated AS (DELETE FROM rollups_ahead WHERE day = :day)
INSERT INTO jobs (name, finished_at) VALUES ('deletion', clock_timestamp())
ON CONFLICT (name) DO UPDATE SET finished_at = greatest(excluded.finished_at, jobs.finished_at + interval '1 us')
""")
_LABELS_VERSION: Final = sa.text("/* rollups.labels_version */ SELECT labels_version FROM ledger")


class Rollup(msgspec.Struct, frozen=True):
    """What the rows of a partition count, by (site, day of `timezone`): counters, and a HyperLogLog of visitors.

    `rows`, `partition` (an oid: a day may get another partition after it was dropped), `timezone`, `labels_version`
    and `deletion` (when rows of a site were last deleted somewhere) say what it stands for.
    """

    rows: int
    partition: int
    timezone: str
    labels_version: int
    counts: list[tuple[int, date, dict[str, int]]]
    visitors: list[tuple[int, date, bytes]]
    deletion: str = ""


_KINDS: Final = {"events": EVENT_TYPES, "path": PATHS, "theme": THEMES}

_pack = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Rollup)


class Rollups:
    """Works rollups out, keeps them for later, adds them to what is kept for good."""

    def __init__(self, aggregates: RedisAggregates, zone: ZoneInfo) -> None:
        self._aggregates = aggregates
        self._zone = zone

    def work_out(self, connection: sa.Connection, day: date, site_id: int | None = None) -> Rollup:
        """The rollup of a day's partition, or of one site's rows in it. Three scans of them.

        In the caller's transaction, which must be a snapshot.
        """
        recount = Recount.of_partition(connection, self._zone, day, site_id)
        labels_version = _labels_version(connection)
        tally = recount.counts()
        hlls: dict[tuple[int, date], bytes] = {}
        for number, local_day, visitors in recount.visitors():
            at = (number, local_day)
            hlls[at] = self._aggregates.hll_of(visitors, hlls.get(at))
        return Rollup(
            tally.stored,
            _partition(connection, day),
            str(self._zone),
            labels_version,
            [
                (number, date.fromisoformat(iso_day), content.counts)
                for number, site in tally.sites.items()
                for iso_day, content in site.days.items()
            ],
            [(*at, hll) for at, hll in hlls.items()],
            _deletion(connection),
        )

    def save(self, connection: sa.Connection, day: date, rollup: Rollup) -> None:
        """Remember `rollup` for the partition of `day`, in the place of an earlier one."""
        connection.execute(
            _SAVE,
            {
                "day": day,
                "rows": rollup.rows,
                "timezone": rollup.timezone,
                "labels_version": rollup.labels_version,
                "content": _pack(rollup),
            },
        )

    def standing(self, connection: sa.Connection, day: date) -> int | None:
        """Rows that the prepared rollup of `day` stands for; None when there is none, or labels have changed since."""
        rows: int | None = connection.execute(_STANDING, {"day": day, "timezone": str(self._zone)}).scalar_one_or_none()
        return rows

    def keep(self, connection: sa.Connection, day: date) -> int | None:
        """Add the prepared rollup of `day` to what is kept for good; the rows that it stands for.

        None when there is none, or one of an earlier partition of that day, of another time zone, from before rows were
        deleted, or with names that are no labels any more. (A label that is new since does no harm: what came before
        it was counted as `other` everywhere.) The caller's transaction must go on to drop exactly these rows, or roll
        back; and no other may keep meanwhile.
        """
        content = connection.execute(_TAKE, {"day": day, "timezone": str(self._zone)}).scalar_one_or_none()
        if content is None:
            return None
        rollup = _decoder.decode(content)
        labels = {(row.site_id, row.kind, row.name) for row in connection.execute(_LABELS)}
        if rollup.partition != _partition(connection, day) or not labels.issuperset(_labels(rollup)):
            return None
        if rollup.deletion != _deletion(connection):
            return None
        self.add(connection, rollup)
        return rollup.rows

    def add(self, connection: sa.Connection, rollup: Rollup) -> None:
        """Add a rollup to what is kept for good. The caller's transaction must delete the rows that it stands for."""
        counts = [
            {"site_id": site_id, "day": local_day, "name": name, "value": n}
            for site_id, local_day, names in rollup.counts
            for name, n in names.items()
        ]
        if counts:
            connection.execute(_COUNTS, counts)
        for site_id, local_day, hll in rollup.visitors:
            key = {"site_id": site_id, "day": local_day}
            base = connection.execute(_BASE, key).scalar_one_or_none()
            merged = hll if base is None else self._aggregates.hll_merged(base, hll)
            connection.execute(_VISITORS, {**key, "hll": merged})

    def deleted(self, connection: sa.Connection, day: date) -> None:
        """Rows of the partition of `day` go by the caller's transaction: what was made ahead stands for them no more.

        Not even what somebody is making ahead from what was there before.
        """
        connection.execute(_DELETED, {"day": day})

    def keep_new_visitors(self, connection: sa.Connection, day: date, site_id: int | None = None) -> int:
        """Add the visitors of a partition of `visitors`, or of one site's, to what is kept for good; how many."""
        where = "" if site_id is None else f" WHERE site_id = {site_id:d}"
        query = f"SELECT site_id, count(*) AS value FROM {day_partition('visitors', day)}{where} GROUP BY 1"
        rows = connection.execute(sa.text(f"/* rollups.keep */ {query}")).all()
        if rows:
            connection.execute(
                _COUNTS,
                [{"site_id": row.site_id, "day": day, "name": NEW_VISITORS, "value": row.value} for row in rows],
            )
        return sum(row.value for row in rows)


def _labels(rollup: Rollup) -> Iterator[tuple[int, str, str]]:
    """(site, kind, name) of the labels that a rollup counts under."""
    for site_id, _, names in rollup.counts:
        for name in names:
            family, _, label = name.partition(":")
            if family in _KINDS and (label != OTHER or family == THEMES):
                yield site_id, _KINDS[family], label


def _partition(connection: sa.Connection, day: date) -> int:
    oid: int = connection.execute(_PARTITION, {"name": day_partition("analytics_events", day)}).scalar_one()
    return oid


def _deletion(connection: sa.Connection) -> str:
    moment: str = connection.execute(_DELETION).scalar_one()
    return moment


def _labels_version(connection: sa.Connection) -> int:
    version: int = connection.execute(_LABELS_VERSION).scalar_one()
    return version
