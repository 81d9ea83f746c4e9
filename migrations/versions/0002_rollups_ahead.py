"""Rollups are made before the rows go that they are made of.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE rollups_ahead (
        day DATE NOT NULL,
        rows BIGINT NOT NULL,
        timezone TEXT NOT NULL,
        labels_version INTEGER NOT NULL,
        content BYTEA NOT NULL,
        CONSTRAINT pk_rollups_ahead PRIMARY KEY (day)
    )
    """,
    "COMMENT ON TABLE rollups_ahead IS 'Rollups made before their rows go; part of no number until then'",
    "COMMENT ON COLUMN rollups_ahead.day IS 'UTC day of a partition of analytics_events'",
    "COMMENT ON COLUMN rollups_ahead.rows IS 'of the partition, that it stands for'",
    "COMMENT ON COLUMN rollups_ahead.timezone IS 'whose days it counts'",
    "COMMENT ON COLUMN rollups_ahead.labels_version IS 'of the ledger, when it was made'",
    "COMMENT ON COLUMN rollups_ahead.content IS 'MessagePack of storage.rollups.Rollup'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE rollups_ahead")
