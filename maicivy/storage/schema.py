"""Every table, index, check and column comment of the Postgres schema.

`analytics_events` is partitioned by UTC day and `visitors` by the day of the salt that their ids carry, so that
retention drops tables instead of deleting rows. Partitions are made by `partitions.py`, never by a migration. There
is no default partition: attaching a day would have to scan it.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, UUID

metadata: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    }
)

# `/cv` of `/cv?theme=backend` and of `https://example.org/cv`; equal to core.urls.path_of
PATH_SQL: Final = (
    "CASE WHEN left(page_url, 1) = '/' THEN split_part(page_url, '?', 1)"
    " ELSE '/' || regexp_replace(split_part(page_url, '?', 1), '^[^:]*://[^/]*/?|^[^/]*$', '') END"
)
HAS_POSITION_SQL: Final = "jsonb_typeof(event_data -> 'x') = 'number' AND jsonb_typeof(event_data -> 'y') = 'number'"

# A second may hold many events, and Postgres keeps a key that many rows share only once: 10 bytes per event instead of
# the 50 that (site_id, created_at, id) took, at a dozen events a second. A second's events are sorted by the query.
SECOND_SQL: Final = "date_bin('1 second', {moment}, '2000-01-01 00:00:00+00')"

sites = sa.Table(
    "sites",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("domain", sa.Text, nullable=False, server_default="", comment="registrable domain; empty: not told"),
    sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    comment="What is measured; the default site has id 1",
)

analytics_events = sa.Table(
    "analytics_events",
    metadata,
    sa.Column("id", UUID(as_uuid=True), nullable=False, comment="given by the sender, or a UUIDv7 made on arrival"),
    sa.Column(
        "visitor_id", UUID(as_uuid=True), nullable=False, comment="see core/identity.py; no foreign key, on purpose"
    ),
    sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, comment="when it happened"),
    sa.Column("site_id", sa.Integer, nullable=False),
    sa.Column(
        "session_duration", sa.Integer, nullable=False, server_default="0", comment="seconds, as told by the sender"
    ),
    sa.Column("event_type", sa.String(50), nullable=False),
    sa.Column("page_url", sa.String(500), nullable=False, server_default=""),
    sa.Column("referrer", sa.String(500), nullable=False, server_default=""),
    sa.Column("event_data", JSONB, nullable=False, server_default=sa.text("'{}'")),
    sa.CheckConstraint("jsonb_typeof(event_data) = 'object'", name="event_data_object"),
    sa.CheckConstraint("session_duration >= 0", name="session_duration"),
    sa.Index("ix_analytics_events_time", "site_id", sa.text(SECOND_SQL.format(moment="created_at"))),
    sa.Index(
        "ix_analytics_events_position",  # without the time, for the same reason: a partition is one day
        "site_id",
        sa.text(f"({PATH_SQL})"),
        postgresql_where=sa.text(HAS_POSITION_SQL),
    ),
    postgresql_partition_by="RANGE (created_at)",
    comment="One row per event; ids are unique through event_ids",
)

event_ids = sa.Table(
    "event_ids",
    metadata,
    sa.Column("generation", sa.Integer, primary_key=True, comment="raised every seven days; the last two are kept"),
    sa.Column("site_id", sa.Integer, primary_key=True),
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    postgresql_partition_by="LIST (generation)",
    comment="Ids stored in the last 7 to 14 days: what makes a repeated id a duplicate, whatever its time",
)

visitors = sa.Table(
    "visitors",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    sa.Column("site_id", sa.Integer, primary_key=True),
    sa.Column("first_seen", sa.TIMESTAMP(timezone=True), nullable=False),
    postgresql_partition_by="RANGE (id)",
    comment="One row per visitor and salt day; the first two bytes of the id are that day",
)

labels = sa.Table(
    "labels",
    metadata,
    sa.Column("site_id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(10), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.CheckConstraint("kind IN ('event', 'path', 'theme')", name="kind"),
    comment="Event types, paths and themes that are counted under their own name; see core/tallies.py",
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("singleton", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("seq", sa.BigInteger, nullable=False, server_default="0", comment="number of the latest outbox row"),
    sa.Column("token", sa.Text, nullable=False, server_default="origin", comment="token of the latest outbox row"),
    sa.Column("stored", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("duplicate", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("quarantined", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("labels_version", sa.Integer, nullable=False, server_default="1", comment="raised when labels change"),
    sa.Column("generation", sa.Integer, nullable=False, server_default="1", comment="of event_ids, now filling"),
    sa.Column("generation_since", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.CheckConstraint("singleton", name="one_row"),
    comment="One row: what became of all events. Its lock is the last one that a storing transaction takes",
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("tally", BYTEA, nullable=False, comment="MessagePack of core.tallies.Tally"),
    sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    comment="Steps of the Redis aggregates, numbered without gaps; kept for a day",
)

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("entry", sa.Text, primary_key=True, comment="id of an inbox entry: milliseconds and a number"),
    sa.Column("events", sa.Integer, nullable=False, comment="that the entry was appended with"),
    sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    comment="Inbox entries that were stored: read again after a crash, they are not counted as duplicates",
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("digest", BYTEA, nullable=False, unique=True, comment="of receipt and payload: a repeat changes nothing"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("payload", BYTEA, nullable=False, comment="as it came out of the inbox"),
    sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    comment="Events that the database refused, for a person to look at",
)

rollups_daily = sa.Table(
    "rollups_daily",
    metadata,
    sa.Column("site_id", sa.Integer, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True, comment="in the installation's time zone"),
    sa.Column("name", sa.Text, primary_key=True, comment="a counter of core/tallies.py"),
    sa.Column("value", sa.BigInteger, nullable=False),
    comment="What dropped rows had counted; rollups plus rows are the whole truth",
)

rollup_visitors = sa.Table(
    "rollup_visitors",
    metadata,
    sa.Column("site_id", sa.Integer, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("hll", BYTEA, nullable=False, comment="a Redis HyperLogLog of the visitor ids of dropped rows"),
    comment="Unique visitors of days whose rows were dropped",
)

rollups_ahead = sa.Table(
    "rollups_ahead",
    metadata,
    sa.Column("day", sa.Date, primary_key=True, comment="UTC day of a partition of analytics_events"),
    sa.Column("rows", sa.BigInteger, nullable=False, comment="of the partition, that it stands for"),
    sa.Column("timezone", sa.Text, nullable=False, comment="whose days it counts"),
    sa.Column("labels_version", sa.Integer, nullable=False, comment="of the ledger, when it was made"),
    sa.Column("content", BYTEA, nullable=False, comment="MessagePack of storage.rollups.Rollup"),
    comment="Rollups made before their rows go; part of no number until then",
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("finished_at", sa.TIMESTAMP(timezone=True), nullable=False),
    comment="When a scheduled job last ended well: how a missed run is noticed",
)


def day_partition(table: str, day: date) -> str:
    """Name of the partition of `table` for a UTC day: `analytics_events_20251208`."""
    return f"{table}_{day:%Y%m%d}"
