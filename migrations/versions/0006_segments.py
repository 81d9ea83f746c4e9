"""Segments: visits column by column, which questions with filters read.

Every hour that visits touch is marked as one that has none yet: until segments are made of it, by and by, it is
answered from visits where rollups do not answer.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = (
    *("begin", "span", "flags", "duration", "pageviews", "events"),
    *("client", "place", "origin", "entry", "exit", "elements", "several", "alone"),
    *("action", "at", "count", "engaged", "scroll", "told"),
    *("client_ids", "place_ids", "origin_ids", "entry_ids", "exit_ids", "action_ids"),
)

TABLES = (
    f"""
    CREATE TABLE segments (
        site_id INTEGER NOT NULL,
        start TIMESTAMP WITH TIME ZONE NOT NULL,
        grain VARCHAR(4) NOT NULL,
        visits INTEGER NOT NULL,
        alone_n INTEGER NOT NULL,
        elements_n INTEGER NOT NULL,
        told_n INTEGER NOT NULL,
        {", ".join(f'"{name}" BYTEA NOT NULL' for name in COLUMNS)},
        CONSTRAINT pk_segments PRIMARY KEY (site_id, start, grain)
    )
    """,
    "ALTER TABLE segments " + ", ".join(f'ALTER "{name}" SET STORAGE EXTERNAL' for name in COLUMNS),
    "CREATE INDEX ix_segments_hours ON segments (site_id, start) WHERE grain = 'hour'",
    """
    CREATE TABLE segment_properties (
        site_id INTEGER NOT NULL,
        start TIMESTAMP WITH TIME ZONE NOT NULL,
        grain VARCHAR(4) NOT NULL,
        name TEXT NOT NULL,
        events BYTEA NOT NULL,
        code BYTEA NOT NULL,
        "values" TEXT[] NOT NULL,
        CONSTRAINT pk_segment_properties PRIMARY KEY (site_id, start, grain, name)
    )
    """,
    "ALTER TABLE segment_properties ALTER events SET STORAGE EXTERNAL, ALTER code SET STORAGE EXTERNAL",
    "COMMENT ON TABLE segments IS 'Visits that began in an hour or on a day, column by column; see storage/segments'",
    "COMMENT ON COLUMN segments.start IS 'UTC'",
    "COMMENT ON COLUMN segments.grain IS 'hour, while its UTC day goes on, or day'",
    "COMMENT ON COLUMN segments.alone_n IS 'how many numbers alone has'",
    "COMMENT ON COLUMN segments.elements_n IS 'how many action, at, count, engaged and scroll have'",
    "COMMENT ON COLUMN segments.told_n IS 'how many told has'",
    "COMMENT ON COLUMN dirty_hours.seq IS 'ledger number of the latest change; 0: has no segment yet'",
    "COMMENT ON TABLE segment_properties IS 'Properties of the events of segments'",
)

# Three million visits take three seconds, in which none is stored; they wait in the inbox.
MARK = """
    INSERT INTO dirty_hours (site_id, hour, seq, rolled)
    SELECT DISTINCT v.site_id, hour, 0, -1
    FROM (
        SELECT DISTINCT site_id, date_trunc('hour', started, 'UTC') AS first, date_trunc('hour', ended, 'UTC') AS last
        FROM visits
    ) AS v, generate_series(v.first, v.last, interval '1 hour') AS hour
    ON CONFLICT (site_id, hour) DO UPDATE SET rolled = 0
"""


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    op.execute(MARK)


def downgrade() -> None:
    op.execute("DROP TABLE segment_properties")
    op.execute("DROP TABLE segments")
    op.execute("DELETE FROM dirty_hours WHERE seq = 0")
    # Whoever knows no weeks leaves them as they are when a day of theirs changes.
    op.execute("DELETE FROM buckets WHERE grain = 'week'")
    op.execute("COMMENT ON COLUMN dirty_hours.seq IS 'ledger number of the latest change'")
