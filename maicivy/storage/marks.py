"""Marks of changed hours (`dirty_hours`), and who may take them: only somebody who has made the segments of the hour.

While the database is migrated, a worker of a version that knows no segments may still run. It would make rollups only
and take the marks, and the hours would be read as if nothing had happened in them. So a trigger (migration 0007)
refuses to delete a mark, or to note that its hour is rolled up, to whoever has not said this before.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

_ALLOW: Final = sa.text("/* marks.allow */ SET LOCAL maicivy.makes_segments = 'on'")


def allow_taking(connection: sa.Connection) -> None:
    """Have marks be taken until the transaction ends."""
    connection.execute(_ALLOW)
