"""How Alembic runs a migration here: one migrator at a time, short locks, never against a database from the future."""

from __future__ import annotations

from typing import Any

from alembic import context
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import Column, Connection, text

from maicivy.errors import DatabaseTooNew

_LOCK_KEY = 0x6D616963  # pg_advisory_lock: any constant of our own ("maic")

database = current_app.extensions["migrate"].db


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """False for what the schema does not declare because the program makes it: partitions, premade day by day."""
    return kind != "table" or name in database.metadata.tables or name not in partitions


def is_comparable(item: Any, _name: str | None, kind: str, _reflected: bool, counterpart: Any) -> bool:
    """False for an index over expressions that exists on both sides: Postgres reports them in its own spelling."""
    return kind != "index" or counterpart is None or all(isinstance(part, Column) for part in item.expressions)


def drop_empty(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """Write no revision file when the schema and the database agree."""
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def refuse_the_future(connection: Connection) -> None:
    """Raise when the database is at a revision that this code does not know."""
    known = {script.revision for script in ScriptDirectory.from_config(context.config).walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise DatabaseTooNew(revision)


if context.is_offline_mode():
    context.configure(
        url=database.engine.url, target_metadata=database.metadata, literal_binds=True, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    with database.engine.connect() as connection:
        # Held until the connection closes. A second migrator waits, then finds nothing to do.
        connection.execute(text("SET lock_timeout = '60s'"))
        connection.execute(text("/* migrations.lock */ SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
        # A migration that cannot get its table lock at once gives up instead of queueing all readers behind it.
        connection.execute(text("SET lock_timeout = '5s'"))
        partitions = set(
            connection.scalars(text("/* migrations.partitions */ SELECT relname FROM pg_class WHERE relispartition"))
        )
        refuse_the_future(connection)
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            include_name=is_ours,
            include_object=is_comparable,
            compare_server_default=True,
            transaction_per_migration=True,
            process_revision_directives=drop_empty,
        )
        with context.begin_transaction():
            context.run_migrations()
