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

from maicivy.storage.segments.block import COLUMNS, LISTS

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

HAS_PROPERTIES_SQL: Final = "event_type <> 'engagement' AND event_data <> '{}'"

# A second may hold many events, and Postgres keeps a key that many rows share only once: 10 bytes per event instead of
# the 50 that (site_id, created_at, id) took, at a dozen events a second. A second's events are sorted by the query.
SECOND_SQL: Final = "date_bin('1 second', {moment}, '2000-01-01 00:00:00+00')"

# Not both short and plain (core.visits.Shape): a fifth of all visits, for which questions have no short way. Compared
# as a number, because Postgres has statistics of that and would guess what a bit says.
COMPLEX_SQL: Final = "shape < 6"

sites = sa.Table(
    "sites",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("domain", sa.Text, nullable=False, server_default="", comment="host name; empty: not told"),
    sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("measurement_id", sa.Text, nullable=False, unique=True, comment="MC- and 10 characters"),
    sa.Column("timezone", sa.Text, comment="IANA name; null: the installation's"),
    sa.Column("retention_days", sa.Integer, comment="of raw events; null: the installation's"),
    sa.Column("is_public", sa.Boolean, nullable=False, server_default=sa.true(), comment="readable without a token"),
    sa.Column("allowed_hosts", sa.ARRAY(sa.Text), nullable=False, server_default="{}", comment="empty: any host"),
    sa.Column("removed_at", sa.TIMESTAMP(timezone=True), comment="takes no events; its data is being deleted"),
    sa.CheckConstraint("measurement_id ~ '^MC-[A-Z0-9]{10}$'", name="measurement_id"),
    sa.CheckConstraint("retention_days > 0", name="retention_days"),
    sa.Index("uq_sites_domain", "domain", unique=True, postgresql_where=sa.text("domain <> '' AND removed_at IS NULL")),
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
    sa.Index("ix_analytics_events_properties", "site_id", postgresql_where=sa.text(HAS_PROPERTIES_SQL)),
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
    sa.Column("dictionary_version", sa.Integer, nullable=False, server_default="1", comment="of clients, places, ..."),
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

clients = sa.Table(
    "clients",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("digest", BYTEA, nullable=False, unique=True, comment="of user agent, language and resolution"),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("resolution", sa.Text, nullable=False, comment="1920x1080"),
    sa.Column("screen", sa.Text, nullable=False, comment="class of the width"),
    sa.Column("browser", sa.Text, nullable=False),
    sa.Column("browser_version", sa.Text, nullable=False),
    sa.Column("os", sa.Text, nullable=False),
    sa.Column("os_version", sa.Text, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("bot", sa.Text, nullable=False, comment="why it is taken for a bot; empty: it is not"),
    comment="What visits come with: a row per user agent, language and resolution; the rest follows from them",
)

places = sa.Table(
    "places",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("digest", BYTEA, nullable=False, unique=True, comment="of the others"),
    sa.Column("country", sa.Text, nullable=False, comment="ISO 3166-1 alpha-2"),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("city", sa.Text, nullable=False),
    comment="Where visits come from",
)

origins = sa.Table(
    "origins",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("digest", BYTEA, nullable=False, unique=True, comment="of referrer, utm_* and click id"),
    sa.Column("referrer", sa.Text, nullable=False, comment="host and path of another site"),
    sa.Column("utm_source", sa.Text, nullable=False),
    sa.Column("utm_medium", sa.Text, nullable=False),
    sa.Column("utm_campaign", sa.Text, nullable=False),
    sa.Column("utm_term", sa.Text, nullable=False),
    sa.Column("utm_content", sa.Text, nullable=False),
    sa.Column("click_id", sa.Text, nullable=False, comment="name of the parameter"),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("bot", sa.Text, nullable=False, comment="referrer_spam, or empty"),
    comment="What brought visits here; source, channel and bot follow from the others",
)

actions = sa.Table(
    "actions",
    metadata,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("site_id", sa.Integer, nullable=False),
    sa.Column("digest", BYTEA, nullable=False, unique=True, comment="of site, name, host name and page"),
    sa.Column("name", sa.String(50), nullable=False, comment="event type"),
    sa.Column("hostname", sa.Text, nullable=False),
    sa.Column("page", sa.Text, nullable=False, comment="path"),
    comment="What can happen in visits, and where",
)

visits = sa.Table(
    "visits",
    metadata,
    sa.Column("started", sa.TIMESTAMP(timezone=True), primary_key=True),
    sa.Column("ended", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("visitor_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("site_id", sa.Integer, primary_key=True),
    sa.Column("client_id", sa.Integer, nullable=False, comment="of its first event, as are place, origin and entry"),
    sa.Column("place_id", sa.Integer, nullable=False),
    sa.Column("origin_id", sa.Integer, nullable=False),
    sa.Column("entry_id", sa.Integer, nullable=False, comment="action"),
    sa.Column("exit_id", sa.Integer, nullable=False, comment="action of its last page view; 0: there is none"),
    sa.Column("pageviews", sa.Integer, nullable=False),
    sa.Column("events", sa.Integer, nullable=False, comment="all but engagement; 0: the visit does not count"),
    sa.Column("interactions", sa.Integer, nullable=False, comment="interactive events that are no page views"),
    sa.Column("bot", sa.SmallInteger, nullable=False, comment="0: a person; else the place in core.visits.BOTS"),
    sa.Column("shape", sa.SmallInteger, nullable=False, comment="bits of core.visits.Shape: short ways for queries"),
    sa.Column("first_at", sa.TIMESTAMP(timezone=True), nullable=False, comment="of the event that it entered with"),
    sa.Column("first_tie", sa.BigInteger, nullable=False, comment="orders events of one microsecond"),
    sa.Column("last_at", sa.TIMESTAMP(timezone=True), nullable=False, comment="of its last page view"),
    sa.Column("last_tie", sa.BigInteger, nullable=False),
    sa.Column("declared", sa.Boolean, nullable=False, comment="an event said that it is a bot's"),
    sa.Column("actions", sa.ARRAY(sa.Integer), nullable=False, comment="one per quarter of an hour and action"),
    sa.Column("slots", sa.ARRAY(sa.Integer), comment="which quarter, from that of the start; null: all 0"),
    sa.Column("counts", sa.ARRAY(sa.Integer), comment="events; null: all 1"),
    sa.Column("engaged", sa.ARRAY(sa.Integer), comment="ms; null: all 0"),
    sa.Column("scrolls", sa.ARRAY(sa.SmallInteger), comment="deepest, percent; -1: not told; null: all -1"),
    sa.PrimaryKeyConstraint("site_id", "visitor_id", "started", name="pk_visits"),
    sa.Index("ix_visits_complex", "site_id", "started", postgresql_where=sa.text(COMPLEX_SQL)),
    postgresql_partition_by="RANGE (started)",
    comment="Maximal runs of one visitor's events on one site with gaps of at most 30 minutes",
)

crossings = sa.Table(
    "crossings",
    metadata,
    sa.Column("day", sa.Date, nullable=False, comment="UTC, after that of the start"),
    sa.Column("site_id", sa.Integer, nullable=False),
    sa.Column("visitor_id", UUID(as_uuid=True), nullable=False),
    sa.Column("started", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint("day", "site_id", "visitor_id", "started", name="pk_crossings"),
    comment="Visits that go on on a day on which they did not start",
)

dirty_hours = sa.Table(
    "dirty_hours",
    metadata,
    sa.Column("site_id", sa.Integer, nullable=False),
    sa.Column("hour", sa.TIMESTAMP(timezone=True), nullable=False, comment="UTC"),
    sa.Column(
        "seq", sa.BigInteger, nullable=False, comment="ledger number of the latest change; 0: has no segment yet"
    ),
    sa.Column("rolled", sa.BigInteger, nullable=False, server_default="0", comment="that the hour's rollup knows of"),
    sa.PrimaryKeyConstraint("site_id", "hour", name="pk_dirty_hours"),
    comment="Hours whose visits have changed since their day was rolled up",
)

buckets = sa.Table(
    "buckets",
    metadata,
    sa.Column("site_id", sa.Integer, nullable=False),
    sa.Column("grain", sa.String(6), nullable=False, comment="minute, hour or day"),
    sa.Column("dimension", sa.String(32), nullable=False, comment="all, or a dimension of the query API"),
    sa.Column("start", sa.TIMESTAMP(timezone=True), nullable=False, comment="by the site's time zone"),
    sa.Column("bot", sa.Boolean, nullable=False),
    sa.Column("long", sa.Integer, nullable=False, comment="visits on their third day: sums over days would be wrong"),
    sa.Column("values", sa.ARRAY(sa.Text), nullable=False, comment="of the dimension; the other arrays go with it"),
    sa.Column("visitors", sa.ARRAY(sa.Integer), nullable=False),
    sa.Column("visits", sa.ARRAY(sa.Integer), nullable=False),
    sa.Column("pageviews", sa.ARRAY(sa.Integer), nullable=False),
    sa.Column("events", sa.ARRAY(sa.Integer), nullable=False),
    sa.Column("bounces", sa.ARRAY(sa.Integer), nullable=False),
    sa.Column("entries", sa.ARRAY(sa.Integer), nullable=False),
    sa.Column("duration_us", sa.ARRAY(sa.BigInteger), nullable=False),
    sa.Column("readers", sa.ARRAY(sa.Integer), nullable=False, comment="visits that viewed a page"),
    sa.Column("engaged_ms", sa.ARRAY(sa.BigInteger), nullable=False),
    sa.Column("scrolled", sa.ARRAY(sa.Integer), nullable=False, comment="visits whose scroll depth is known"),
    sa.Column("scroll_sum", sa.ARRAY(sa.Integer), nullable=False),
    sa.Column("visits_again", sa.ARRAY(sa.Integer), comment="of visits, those counted the day before; null: all 0"),
    sa.Column("bounces_again", sa.ARRAY(sa.Integer)),
    sa.Column("entries_again", sa.ARRAY(sa.Integer)),
    sa.Column("duration_us_again", sa.ARRAY(sa.BigInteger)),
    sa.Column("readers_again", sa.ARRAY(sa.Integer)),
    sa.Column("scrolled_again", sa.ARRAY(sa.Integer)),
    sa.Column("scroll_sum_again", sa.ARRAY(sa.Integer)),
    sa.PrimaryKeyConstraint("site_id", "grain", "dimension", "start", "bot", name="pk_buckets"),
    comment="Rollups: what visits and their events add up to, per bucket of time and value of a dimension",
)

segments = sa.Table(
    "segments",
    metadata,
    sa.Column("site_id", sa.Integer, nullable=False),
    sa.Column("start", sa.TIMESTAMP(timezone=True), nullable=False, comment="UTC"),
    sa.Column("grain", sa.String(4), nullable=False, comment="hour, while its UTC day goes on, or day"),
    sa.Column("visits", sa.Integer, nullable=False),
    sa.Column("alone_n", sa.Integer, nullable=False, comment="how many numbers alone has"),
    sa.Column("elements_n", sa.Integer, nullable=False, comment="how many action, at, count, engaged and scroll have"),
    sa.Column("told_n", sa.Integer, nullable=False, comment="how many told has"),
    *(sa.Column(name, BYTEA, nullable=False) for name in (*COLUMNS, *(f"{name}_ids" for name in LISTS))),
    sa.PrimaryKeyConstraint("site_id", "start", "grain", name="pk_segments"),
    sa.Index("ix_segments_hours", "site_id", "start", postgresql_where=sa.text("grain = 'hour'")),
    comment="Visits that began in an hour or on a day, column by column; see storage/segments",
)

segment_properties = sa.Table(
    "segment_properties",
    metadata,
    sa.Column("site_id", sa.Integer, nullable=False),
    sa.Column("start", sa.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("grain", sa.String(4), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("events", BYTEA, nullable=False),
    sa.Column("code", BYTEA, nullable=False),
    sa.Column("values", sa.ARRAY(sa.Text), nullable=False),
    sa.PrimaryKeyConstraint("site_id", "start", "grain", "name", name="pk_segment_properties"),
    comment="Properties of the events of segments",
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
