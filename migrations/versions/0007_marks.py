"""Hours stay marked as changed until somebody who makes segments has made them.

A worker of a version before 0006 that still runs while the database is migrated makes rollups only, and takes the marks
all the same: such hours would then be read as if nothing had happened in them. A trigger refuses that (see
storage/marks.py). What was taken before, since 0006, is marked anew.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEEP = (
    """
    CREATE FUNCTION maicivy_keep_mark() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('maicivy.makes_segments', true) = 'on' THEN
            RETURN coalesce(NEW, OLD);
        ELSIF TG_OP = 'UPDATE' AND NEW.rolled <> NEW.seq THEN
            RETURN NEW;
        END IF;
        RAISE 'Marks of changed hours are taken by versions of maicivy that make segments'
            USING HINT = 'This process is of an older one, to be stopped. By hand: SET maicivy.makes_segments = on';
    END
    $$
    """,
    """
    CREATE TRIGGER keep_mark BEFORE DELETE OR UPDATE OF rolled ON dirty_hours
    FOR EACH ROW EXECUTE FUNCTION maicivy_keep_mark()
    """,
    "COMMENT ON TRIGGER keep_mark ON dirty_hours IS 'Who makes no segments takes no marks; see storage/marks.py'",
)

# As in 0006; three million visits take three seconds, in which none is stored.
MARK = """
    INSERT INTO dirty_hours (site_id, hour, seq, rolled)
    SELECT DISTINCT v.site_id, hour, 0, -1
    FROM (
        SELECT DISTINCT site_id, date_trunc('hour', started, 'UTC') AS first, date_trunc('hour', ended, 'UTC') AS last
        FROM visits
    ) AS v, generate_series(v.first, v.last, interval '1 hour') AS hour
    ON CONFLICT (site_id, hour) DO UPDATE SET rolled = excluded.rolled
"""


def upgrade() -> None:
    op.execute("LOCK TABLE dirty_hours IN SHARE ROW EXCLUSIVE MODE")  # whoever waits for it meets the trigger
    op.execute(MARK)
    for statement in KEEP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER keep_mark ON dirty_hours")
    op.execute("DROP FUNCTION maicivy_keep_mark")
